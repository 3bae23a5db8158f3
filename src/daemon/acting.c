#include "daemon/acting_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "core/lease.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "daemon/names.h"

#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNDO_MIN_MS = 10000 /* Who was stopped goes on, however late it is. */
};

/* ---- Answers ------------------------------------------------------------ */

static enum walks_outcome outcome_of(enum outcome_kind kind)
{
    switch (kind) {
    case OUTCOME_OK:
        return WALKS_OK;
    case OUTCOME_FAILED:
        return WALKS_FAILED;
    case OUTCOME_SKIPPED:
        return WALKS_SKIPPED;
    }
    return WALKS_FAILED;
}

void acting_note(struct acting *acting,
                 uint64_t lease,
                 enum rung rung,
                 bool is_undo,
                 const struct outcome *outcome)
{
    struct walks_step step = {
        .rung = rung, .is_undo = is_undo, .outcome = outcome_of(outcome->kind)};

    (void)snprintf(step.reason, sizeof step.reason, "%.*s",
                   (int)sizeof step.reason - 1, outcome->reason);
    walks_end(acting->walks, lease, &step,
              driver_now_ms(acting->daemon->driver));
}

void acting_answer(struct order *order,
                   enum rung_result result,
                   const char *reason)
{
    struct acting *acting = order->acting;
    struct outcome outcome = {.kind = result == RUNG_OK ? OUTCOME_OK
                                      : result == RUNG_FAILED
                                          ? OUTCOME_FAILED
                                          : OUTCOME_SKIPPED};

    (void)snprintf(outcome.reason, sizeof outcome.reason, "%s", reason);
    if (list_is_linked(&order->link)) {
        list_remove(&order->link);
    }
    if (order->is_silent) {
        free(order);
        return;
    }
    log_info("lease %" PRIu64 " of '%s': %s%s: %s%s%s", order->lease,
             order->service, order->is_undo ? "undo " : "",
             rung_name(order->rung), rung_result_name(result),
             reason[0] == '\0' ? "" : ": ", reason);
    acting_note(acting, order->lease, order->rung, order->is_undo, &outcome);
    order->owed.event = (struct core_event){.type = CORE_RUNG,
                                            .rung = {.lease = order->lease,
                                                     .token = order->token,
                                                     .rung = order->rung,
                                                     .is_undo = order->is_undo,
                                                     .result = result}};
    /* The core refuses what is stale or has ended: nobody waits for it. */
    driver_owe(acting->daemon->driver, &order->owed);
}

/* ---- Rungs -------------------------------------------------------------- */

static void begin_step(struct acting *acting,
                       const struct core_message *message)
{
    struct walks_step step = {.rung = message->rung,
                              .is_undo = message->is_undo,
                              .begun_at_ms =
                                  driver_now_ms(acting->daemon->driver),
                              .due_at_ms = message->deadline_at_ms};

    walks_begin(acting->walks, message->lease, &step);
}

/* The command is on the stream: where VRAM is measured that says whether it was
 * followed; else the holder has to. */
static void unload(struct acting *acting, struct order *order)
{
    struct core_lease_view view;
    bool is_measured = true;
    uint32_t i;

    if (core_lease_view(driver_core(acting->daemon->driver), order->lease,
                        &view) != E_OK ||
        !control_is_heard(acting->daemon, view.row.service)) {
        acting_answer(order, RUNG_SKIPPED, "no control stream is open");
        return;
    }
    for (i = 0; i < acting->daemon->core_config.device_count; i++) {
        if ((view.row.granted >> i & 1) != 0) {
            is_measured = is_measured &&
                          acting->daemon->core_config.devices[i].is_measured;
        }
    }
    if (is_measured) {
        acting_answer(order, RUNG_OK, "");
    } else {
        free(order); /* It acknowledges, or its time passes. */
    }
}

static enum rung_act act_of(enum rung rung, bool is_undo)
{
    switch (rung) {
    case RUNG_FREEZE:
        return is_undo ? RUNG_DO_THAW : RUNG_DO_FREEZE;
    case RUNG_CHECKPOINT:
        return is_undo ? RUNG_DO_RESTORE : RUNG_DO_CHECKPOINT;
    case RUNG_TERM:
        return RUNG_DO_TERM;
    case RUNG_KILL:
    case RUNG_NONE:
    case RUNG_ASK:
    case RUNG_UNLOAD:
    case RUNG_RESTART:
    case RUNGS:
        break;
    }
    return RUNG_DO_KILL;
}

/* Return what @lease needs free to be restored, where it holds its VRAM. */
static uint32_t need_mib(const struct acting *acting, uint64_t lease)
{
    struct core_lease_view view;
    uint32_t need = 0;
    uint32_t i;

    if (core_lease_view(driver_core(acting->daemon->driver), lease, &view) !=
            E_OK ||
        view.row.state != LEASE_HELD) {
        return 0;
    }
    for (i = 0; i < acting->daemon->core_config.device_count; i++) {
        struct core_share share = {0};

        if ((view.row.granted >> i & 1) != 0) {
            share = core_row_share(&view.row, i);
        }
        if (share.footprint_mib > need) {
            need = share.footprint_mib;
        }
    }
    return need;
}

static struct order *order_create(struct acting *acting,
                                  const struct core_message *message)
{
    uint64_t now_ms = driver_now_ms(acting->daemon->driver);
    struct order *order = calloc(1, sizeof *order);
    uint64_t left_ms =
        message->deadline_at_ms > now_ms ? message->deadline_at_ms - now_ms : 0;

    if (order == NULL) {
        log_error("out of memory: %s of lease %" PRIu64 " is left out",
                  rung_name(message->rung), message->lease);
        return NULL;
    }
    if (message->is_undo && left_ms < UNDO_MIN_MS) {
        left_ms = UNDO_MIN_MS;
    }
    order->acting = acting;
    order->lease = message->lease;
    order->token = message->token;
    order->rung = message->rung;
    order->is_undo = message->is_undo;
    order->act = act_of(message->rung, message->is_undo);
    order->until_ms = clock_mono_ms() + left_ms;
    order->is_hook = message->rung == RUNG_RESTART;
    (void)snprintf(order->service, sizeof order->service, "%s",
                   names_service_name(acting->daemon->names, message->service));
    if (order->act == RUNG_DO_RESTORE) {
        order->need_mib = need_mib(acting, message->lease);
    }
    return order;
}

static void tell_rung(struct acting *acting, const struct core_message *message)
{
    struct order *order = order_create(acting, message);

    begin_step(acting, message);
    if (order == NULL) {
        return; /* Its deadline passes. */
    }
    if (message->rung == RUNG_RESTART) {
        acting_notify(acting, message);
        acting_restart(acting, order);
    } else if (message->rung == RUNG_UNLOAD) {
        unload(acting, order);
    } else {
        acting_start(acting, order);
    }
}

/* ---- Messages ----------------------------------------------------------- */

static void tell_state(struct acting *acting,
                       const struct core_message *message)
{
    uint64_t now_ms = driver_now_ms(acting->daemon->driver);

    if (message->state == LEASE_PAUSED) {
        walks_close(acting->walks, message->lease, WALKS_OK, now_ms);
    } else if (message->state == LEASE_ENDED) {
        walks_close(acting->walks, message->lease, WALKS_OK, now_ms);
        walks_lease_ended(acting->walks, message->lease);
        acting_keep_out(acting, message->lease);
        if (message->rung != RUNG_NONE) {
            log_warn("lease %" PRIu64 " has ended, its processes stay in "
                     "host memory or stopped: 'gpucoord thaw %" PRIu64
                     "' lets them go on",
                     message->lease, message->lease);
        }
        acting_clean(acting, message->lease);
    }
}

/* Say whether a lease that ends for @reason was taken from somebody. */
static bool is_revocation(enum core_reason reason)
{
    return reason != CORE_REASON_RELEASED && reason != CORE_REASON_CANCELLED &&
           reason != CORE_REASON_GONE && reason != CORE_REASON_AWAY &&
           reason != CORE_REASON_TIMEOUT && reason != CORE_REASON_DRAINING;
}

static void tell_revoked(struct acting *acting,
                         const struct core_message *message)
{
    enum walks_outcome outcome =
        message->reason == CORE_REASON_PAUSE_LATE     ? WALKS_LATE
        : message->reason == CORE_REASON_PAUSE_FAILED ? WALKS_FAILED
                                                      : WALKS_SKIPPED;

    walks_close(acting->walks, message->lease, outcome,
                driver_now_ms(acting->daemon->driver));
    acting_keep_out(acting, message->lease);
    if (is_revocation(message->reason)) {
        acting_notify(acting, message);
    }
}

void acting_tell(struct acting *acting, const struct core_message *message)
{
    switch (message->type) {
    case CORE_MSG_PAUSE:
        begin_step(acting, message);
        acting_signal(acting, message->lease, true);
        break;
    case CORE_MSG_RESUME:
        acting_signal(acting, message->lease, false);
        break;
    case CORE_MSG_REVOKE:
        tell_revoked(acting, message);
        break;
    case CORE_MSG_RUNG:
        tell_rung(acting, message);
        break;
    case CORE_MSG_STATE:
        tell_state(acting, message);
        break;
    case CORE_MSG_GRANT:
    case CORE_MSG_REFUSE:
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_OFFER:
    case CORE_MSG_UNLOAD:
    case CORE_MSG_SHUTDOWN:
    case CORE_MSG_STOPPED:
    case CORE_MESSAGES:
        break;
    }
}

/* ---- Life --------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct acting *acting = arg;
    bool is_frozen;

    (void)fd;
    (void)what;
    acting_start_waiting(acting);
    is_frozen = acting_look(acting);
    if (is_frozen || !list_is_empty(&acting->orders)) {
        acting_arm(acting);
    }
}

void acting_arm(struct acting *acting)
{
    struct timeval delay = {.tv_usec = ACTING_LOOK_MS * 1000L};

    if (evtimer_pending(acting->timer, NULL) == 0 &&
        evtimer_add(acting->timer, &delay) != 0) {
        log_error("%s", err_text(E_NOMEM));
    }
}

static int open_rungs(struct acting *acting)
{
    const struct config *settings = acting->daemon->config;
    struct rung_config config = {.host_ram_reserve_mib =
                                     settings->host_ram_reserve_mib};
    struct buf dir;
    int rc;

    buf_init(&dir, 0);
    rc = config_state_dir(settings, &dir);
    config.state_dir = buf_string(&dir);
    rc = rc != E_OK ? rc : journal_init(&acting->journal, config.state_dir);
    rc = rc != E_OK ? rc
                    : rungs_open(loop_base(acting->daemon->loop), &config,
                                 &acting->rungs);
    buf_release(&dir);
    return rc;
}

int acting_open(struct daemon *daemon, struct acting **out)
{
    struct acting *acting = calloc(1, sizeof *acting);
    int rc;

    if (acting == NULL) {
        return E_NOMEM;
    }
    acting->daemon = daemon;
    acting->journal_was.st_ino = ACTING_UNSEEN;
    list_init(&acting->orders);
    rc = walks_create(&acting->walks);
    rc = rc != E_OK ? rc : open_rungs(acting);
    rc = rc != E_OK ? rc
                    : hooks_open(loop_base(daemon->loop), &acting->restarts);
    rc = rc != E_OK ? rc
                    : hooks_open(loop_base(daemon->loop), &acting->tellings);
    if (rc == E_OK) {
        acting->timer = evtimer_new(loop_base(daemon->loop), on_timer, acting);
        rc = acting->timer == NULL ? E_NOMEM : E_OK;
    }
    if (rc != E_OK) {
        acting_close(acting);
        return rc;
    }
    acting_clean_all(acting);
    acting_arm(acting);
    *out = acting;
    return E_OK;
}

void acting_close(struct acting *acting)
{
    if (acting == NULL) {
        return;
    }
    hooks_close(acting->restarts);
    hooks_close(acting->tellings);
    rungs_close(acting->rungs);
    while (!list_is_empty(&acting->orders)) {
        struct order *order =
            CONTAINER_OF(acting->orders.next, struct order, link);

        list_remove(&order->link);
        free(order);
    }
    if (acting->timer != NULL) {
        event_free(acting->timer);
    }
    walks_destroy(acting->walks);
    free(acting);
}

const struct walks *acting_walks(const struct acting *acting)
{
    return acting->walks;
}
