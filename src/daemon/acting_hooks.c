/* acting_hooks.c - the operator's programs, and signals. */
#include "daemon/acting_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/watch.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/names.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_SIZE = 1000,
    VARIABLE_SIZE = 128
};

/* ---- Restart ------------------------------------------------------------ */

static void on_restarted(void *arg, const struct outcome *outcome)
{
    struct order *order = arg;

    acting_answer(order,
                  outcome->kind == OUTCOME_OK       ? RUNG_OK
                  : outcome->kind == OUTCOME_FAILED ? RUNG_FAILED
                                                    : RUNG_SKIPPED,
                  outcome->reason);
}

/* What the program is told of the lease. */
struct variables {
    char lease[VARIABLE_SIZE];
    char service[VARIABLE_SIZE];
    char event[VARIABLE_SIZE];
    const char *list[4];
};

static void fill_variables(struct variables *out,
                           uint64_t lease,
                           const char *service,
                           const char *event)
{
    (void)snprintf(out->lease, VARIABLE_SIZE, "GPUCOORD_LEASE=%" PRIu64, lease);
    (void)snprintf(out->service, VARIABLE_SIZE, "GPUCOORD_SERVICE=%s", service);
    (void)snprintf(out->event, VARIABLE_SIZE, "GPUCOORD_EVENT=%s", event);
    out->list[0] = out->lease;
    out->list[1] = out->service;
    out->list[2] = out->event;
    out->list[3] = NULL;
}

void acting_restart(struct acting *acting, struct order *order)
{
    const struct config_service *service =
        config_service_find(acting->daemon->config, order->service);
    char key[HOOK_KEY_SIZE];
    struct variables variables;
    struct hook_call call = {
        .key = key, .more = variables.list, .done = on_restarted, .arg = order};
    int rc;

    if (service == NULL || service->restart[0] == NULL) {
        acting_answer(order, RUNG_SKIPPED, "no restart command is configured");
        return;
    }
    (void)snprintf(key, sizeof key, "restart %s", order->service);
    fill_variables(&variables, order->lease, order->service, "restart");
    call.argv = service->restart;
    list_append(&acting->orders, &order->link);
    log_info("lease %" PRIu64 ": restarting '%s'", order->lease,
             order->service);
    rc = hook_run(acting->restarts, &call);
    if (rc != E_OK) {
        acting_answer(order, RUNG_FAILED, err_text(rc));
    }
}

/* ---- Notify ------------------------------------------------------------- */

static const char *reason_text(enum core_reason reason)
{
    switch (reason) {
    case CORE_REASON_EXPIRED:
        return "it was not renewed in time";
    case CORE_REASON_MAX_HOLD:
        return "it was held for longer than 'max_hold'";
    case CORE_REASON_PAUSE_LATE:
        return "it did not pause in time";
    case CORE_REASON_PAUSE_FAILED:
        return "it could not be paused";
    case CORE_REASON_OPERATOR:
        return "an operator revoked it";
    case CORE_REASON_PREEMPTED:
        return "somebody more important needs the room";
    case CORE_REASON_RESTORE_FAILED:
        return "it could not be restored";
    case CORE_REASON_NONE:
    case CORE_REASON_RELEASED:
    case CORE_REASON_CANCELLED:
    case CORE_REASON_TIMEOUT:
    case CORE_REASON_GONE:
    case CORE_REASON_AWAY:
    case CORE_REASON_DRAINING:
    case CORE_REASONS:
        break;
    }
    return core_reason_name(reason);
}

/* Append the sentence that @message is for people. */
static void print_sentence(const struct acting *acting,
                           const struct core_message *message,
                           const char *service,
                           struct buf *out)
{
    const struct walks_walk *walk = walks_find(acting->walks, message->lease);

    if (message->type == CORE_MSG_RUNG) {
        buf_printf(out, "'%s' is restarted, lease %" PRIu64 " was taken back",
                   service, message->lease);
    } else {
        buf_printf(out, "lease %" PRIu64 " of '%s' was taken back: %s",
                   message->lease, service, reason_text(message->reason));
    }
    if (walk != NULL && walk->count > 0) {
        buf_text(out, " (");
        walks_print(walk, 0, out);
        buf_byte(out, ')');
    }
}

/* Run the operator's program with @text as its last argument. */
static void tell(struct acting *acting,
                 const char *cause,
                 const struct variables *variables,
                 const char *text)
{
    const char *const *argv = acting->daemon->config->notify;
    const char *full[CONFIG_ARGV_MAX + 2];
    struct hook_call call = {
        .key = cause, .argv = full, .more = variables->list};
    size_t count = 0;

    while (argv[count] != NULL) {
        full[count] = argv[count];
        count++;
    }
    full[count] = text;
    full[count + 1] = NULL;
    if (hook_run(acting->tellings, &call) != E_OK) {
        log_warn("'notify' was not run: too much is told already");
    }
}

void acting_tell_operator(struct acting *acting,
                          const char *event,
                          const char *cause,
                          const char *service,
                          uint64_t lease,
                          const char *text)
{
    char key[HOOK_KEY_SIZE];
    struct variables variables;
    struct buf sentence;
    uint32_t unsaid = 0;

    log_warn("%s", text);
    if (acting->daemon->config->notify[0] == NULL ||
        !notify_allows(&acting->notify, cause, clock_mono_ms(), &unsaid)) {
        return;
    }
    buf_init(&sentence, TEXT_SIZE);
    buf_text(&sentence, text);
    if (unsaid > 0) {
        buf_printf(&sentence, "; and %" PRIu32 " times before", unsaid);
    }
    fill_variables(&variables, lease, service, event);
    (void)snprintf(key, sizeof key, "notify %s", cause);
    tell(acting, key, &variables, buf_string(&sentence));
    buf_release(&sentence);
}

void acting_notify(struct acting *acting, const struct core_message *message)
{
    const char *service =
        names_service_name(acting->daemon->names, message->service);
    const char *event =
        message->type == CORE_MSG_RUNG ? "restart" : "revocation";
    char cause[NOTIFY_CAUSE_SIZE];
    struct buf text;

    buf_init(&text, TEXT_SIZE);
    print_sentence(acting, message, service, &text);
    (void)snprintf(cause, sizeof cause, "%s %s", event, service);
    acting_tell_operator(acting, event, cause, service, message->lease,
                         buf_string(&text));
    buf_release(&text);
}

/* ---- Signals ------------------------------------------------------------ */

void acting_signal(struct acting *acting, uint64_t lease, bool pauses)
{
    const struct daemon *daemon = acting->daemon;
    const struct proc_set *set = watch_find(daemon->watch, lease);
    const struct config_service *service;
    struct core_lease_view view;
    int number;
    int rc;

    if (core_lease_view(driver_core(daemon->driver), lease, &view) != E_OK) {
        return;
    }
    service = config_service_find(
        daemon->config, names_service_name(daemon->names, view.row.service));
    number = service == NULL ? 0
             : pauses        ? service->signals.pause
                             : service->signals.resume;
    if (number == 0) {
        return;
    }
    rc = set == NULL ? E_NOT_FOUND : tree_signal(&set->id, number);
    if (rc == E_OK) {
        log_info("lease %" PRIu64 ": %s sent to pid %d", lease,
                 strsignal(number), (int)set->id.pid);
    } else {
        log_warn("lease %" PRIu64 ": %s is not sent: %s", lease,
                 strsignal(number),
                 set == NULL ? "no process is known" : err_text(rc));
    }
}
