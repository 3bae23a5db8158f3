#include "daemon/driver.h"

#include "base/clock.h"
#include "base/kill.h"
#include "base/log.h"
#include "daemon/loop.h"
#include "daemon/names.h"
#include "daemon/records.h"
#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    NUMBERS_LOW = STORE_NUMBER_BLOCK / 4, /* Reserve more below so many. */
    NUMBERS_RETRY_MS = 1000,
    COMMIT_RETRY_MS = 250 /* After one that failed; nothing spins. */
};

struct driver {
    struct driver_options is;
    struct core_config core_config;
    struct core *core;
    struct turn filling;    /* This turn's. */
    struct turn flying;     /* Given to the store, not yet durable. */
    bool is_finishing;      /* The store is being closed. */
    bool is_flying;         /* At most one commit is under way. */
    uint64_t shift_ms;      /* Core time less monotonic time, modulo 2^64. */
    uint64_t fed_at_ms;     /* Time of the newest event. */
    uint64_t commit_number; /* Of the newest commit. */
    uint64_t commit_began_ns;
    uint64_t commit_retry_at_ms; /* Of clock_mono_ms(), as the next. */
    uint64_t numbers_retry_at_ms;
    struct driver_stats stats;
};

/* ---- Time ------------------------------------------------------------- */

uint64_t driver_time_of(const struct driver *driver, uint64_t mono_ms)
{
    int64_t at_ms = (int64_t)(mono_ms + driver->shift_ms);

    return at_ms < 1 ? 1 : (uint64_t)at_ms;
}

uint64_t driver_now_ms(const struct driver *driver)
{
    return driver_time_of(driver, clock_mono_ms());
}

/* Return the time of an event that is fed now.  The loop ticks at every
 * deadline; one that lies far back says that we were not running. */
static uint64_t feed_time(struct driver *driver)
{
    uint64_t now_ms = driver_now_ms(driver);
    uint64_t due_ms = core_deadline(driver->core);

    if (due_ms < driver->fed_at_ms) {
        due_ms = driver->fed_at_ms;
    }
    if (now_ms > due_ms && now_ms - due_ms > DRIVER_LATE_MS) {
        log_warn("%" PRIu64 " ms late: all deadlines move by it",
                 now_ms - due_ms);
        driver->shift_ms -= now_ms - due_ms;
        driver->stats.late_ms += now_ms - due_ms;
        now_ms = due_ms;
    }
    if (driver->fed_at_ms < now_ms) {
        driver->fed_at_ms = now_ms;
    }
    return driver->fed_at_ms;
}

/* ---- Feeding ---------------------------------------------------------- */

/* Say whether @type is worth making again after a failed commit: time passes
 * and devices are measured anyway. */
static bool is_call(enum core_event_type type)
{
    return type != CORE_TICK && type != CORE_DEVICE_REPORT;
}

static void take_effects(struct driver *driver,
                         const struct core_effects *effects)
{
    struct turn *turn = &driver->filling;
    size_t i;

    for (i = 0; i < effects->record_count; i++) {
        records_put(driver->is.store, driver->is.names, driver->is.config,
                    &effects->records[i]);
        turn->has_records = true;
    }
    for (i = 0; i < effects->message_count; i++) {
        turn_add_message(turn, &effects->messages[i]);
    }
}

/* Step the core; what came of it is in @reply and the turn.  The names of a
 * new lease are bound before its records are written. */
static int step(struct driver *driver,
                struct core_event *event,
                struct names_binding *binding,
                struct driver_reply *reply)
{
    struct core_effects effects = {0};
    int rc;

    event->at_ms = feed_time(driver);
    driver->stats.events++;
    rc = core_step(driver->core, event, &effects);
    if (rc != E_OK) {
        names_binding_destroy(binding);
    } else if (binding != NULL && !effects.is_repeat) {
        names_bind(driver->is.names, binding, effects.lease);
    } else {
        names_binding_destroy(binding);
    }
    reply->rc = rc;
    reply->lease = effects.lease;
    reply->is_repeat = effects.is_repeat;
    /* Accepted for good means: also after a power cut. */
    reply->is_synced = event->type == CORE_SUBMIT && event->submit.is_durable;
    if (rc == E_OK) {
        if (reply->send != NULL) {
            turn_add_reply(&driver->filling, reply);
            driver->filling.needs_fsync =
                driver->filling.needs_fsync || reply->is_synced;
        }
        if (is_call(event->type)) {
            turn_add_call(&driver->filling, event, reply);
        }
        take_effects(driver, &effects);
    }
    return rc;
}

static int feed(struct driver *driver,
                struct core_event *event,
                struct names_binding *binding,
                struct driver_reply *reply)
{
    if (turn_reserve(&driver->filling,
                     core_messages_max(driver->core, event)) != E_OK) {
        names_binding_destroy(binding);
        return E_NOMEM;
    }
    loop_end_turn(driver->is.loop);
    return step(driver, event, binding, reply);
}

int driver_feed(struct driver *driver,
                struct core_event *event,
                const struct driver_reply *reply)
{
    struct driver_reply copy = {0};

    if (reply != NULL) {
        copy = *reply;
    }
    return feed(driver, event, NULL, &copy);
}

int driver_submit(struct driver *driver,
                  const struct core_request *request,
                  struct names_binding *binding,
                  const struct driver_reply *reply,
                  uint64_t *lease)
{
    struct core_event event = {.type = CORE_SUBMIT, .submit = *request};
    struct driver_reply copy = *reply;
    int rc = driver_store_state(driver);

    if (rc != E_OK) {
        names_binding_destroy(binding);
        return rc;
    }
    rc = feed(driver, &event, binding, &copy);
    *lease = copy.lease;
    return rc;
}

/* ---- Numbers ---------------------------------------------------------- */

/* Let the core have what the store has reserved. */
static int allow_numbers(struct driver *driver)
{
    uint64_t end = store_numbers(driver->is.store);
    struct core_event event = {
        .type = CORE_ADMIN,
        .admin = {.action = CORE_NUMBERS, .id_end = end, .token_end = end}};

    return driver_feed(driver, &event, NULL);
}

static int reserve_numbers(struct driver *driver)
{
    uint64_t end = store_numbers(driver->is.store) + STORE_NUMBER_BLOCK;
    int rc = store_reserve_numbers(driver->is.store, end);

    return rc == E_OK ? allow_numbers(driver) : rc;
}

/* Reserve the next block long before this one is used up. */
static void keep_numbers(struct driver *driver)
{
    uint64_t end = store_numbers(driver->is.store);

    if (core_number_next(driver->core) + NUMBERS_LOW <= end ||
        clock_mono_ms() < driver->numbers_retry_at_ms) {
        return;
    }
    if (reserve_numbers(driver) != E_OK) {
        driver->numbers_retry_at_ms = clock_mono_ms() + NUMBERS_RETRY_MS;
        log_warn("cannot reserve numbers for leases; trying again");
    }
}

/* ---- Replies that wait for an fsync ----------------------------------- */

struct syncing {
    struct driver *driver;
    size_t count;
    struct driver_reply replies[];
};

/* The replies go out like all others: at the end of a turn, when what they
 * look at is stored. */
static void on_synced(void *arg, int rc)
{
    struct syncing *syncing = arg;
    struct turn *turn = &syncing->driver->filling;
    size_t i;

    for (i = 0; i < syncing->count; i++) {
        struct driver_reply *reply = &syncing->replies[i];

        reply->rc = rc;
        reply->is_synced = false;
        reply->is_settled = true;
        if (turn_reserve(turn, 0) == E_OK) {
            turn_add_reply(turn, reply);
        } else {
            reply->rc = E_NOMEM;
            reply->send(reply->arg, reply);
        }
    }
    loop_end_turn(syncing->driver->is.loop);
    free(syncing);
}

/* Have everything stored so far synced, and keep the replies of @turn that
 * promise it until then.  Others, a chat's grant among them, go out at once. */
static void sync_turn(struct driver *driver, struct turn *turn)
{
    struct syncing *syncing = malloc(
        sizeof(*syncing) + turn->delivery_count * sizeof(syncing->replies[0]));
    size_t i;

    if (syncing == NULL) {
        return; /* deliver() finds them and says so. */
    }
    *syncing = (struct syncing){.driver = driver};
    for (i = 0; i < turn->delivery_count; i++) {
        struct delivery *delivery = &turn->deliveries[i];

        if (delivery->is_reply && delivery->reply.is_synced) {
            syncing->replies[syncing->count++] = delivery->reply;
            delivery->reply.send = NULL;
        }
    }
    /* The batch is empty: nothing was fed since the commit. */
    driver->commit_number++;
    store_commit(driver->is.store, driver->commit_number, true, on_synced,
                 syncing);
}

/* ---- Turns ------------------------------------------------------------ */

static void deliver_reply(struct driver_reply *reply)
{
    if (reply->send == NULL) {
        return; /* It waits for its fsync. */
    }
    if (reply->is_synced) {
        reply->rc = E_NOMEM; /* It could not be kept until then. */
    }
    reply->send(reply->arg, reply);
}

static void deliver(struct driver *driver, struct turn *turn)
{
    size_t i;

    if (turn->needs_fsync) {
        sync_turn(driver, turn);
    }
    for (i = 0; i < turn->delivery_count; i++) {
        struct delivery *delivery = &turn->deliveries[i];

        if (delivery->is_reply) {
            deliver_reply(&delivery->reply);
        } else {
            driver->is.hooks->on_message(driver->is.arg, &delivery->message);
        }
    }
    turn_clear(turn);
    kill_here(KILL_AFTER_REPLY);
}

static void swap_turns(struct driver *driver)
{
    struct turn turn = driver->filling;

    driver->filling = driver->flying;
    driver->flying = turn;
}

static void turns_lost(struct driver *driver, int rc);

static void on_committed(void *arg, int rc)
{
    struct driver *driver = arg;

    kill_here(KILL_AFTER_COMMIT);
    driver->is_flying = false;
    driver->stats.commits++;
    driver->stats.commit_ns += clock_mono_ns() - driver->commit_began_ns;
    if (rc == E_OK) {
        deliver(driver, &driver->flying);
    } else {
        driver->stats.commits_failed++;
        driver->commit_retry_at_ms = clock_mono_ms() + COMMIT_RETRY_MS;
        log_error("%s: what has just happened is undone", err_text(rc));
        if (!driver->is_finishing) {
            turns_lost(driver, rc);
        }
    }
    if (!turn_is_empty(&driver->filling)) {
        loop_end_turn(driver->is.loop);
    }
}

static void commit(struct driver *driver)
{
    swap_turns(driver);
    kill_here(KILL_BEFORE_COMMIT);
    driver->is_flying = true;
    driver->commit_number++;
    driver->commit_began_ns = clock_mono_ns();
    store_commit(driver->is.store, driver->commit_number, false, on_committed,
                 driver);
}

/* Say whether this turn waits because the commit before it has failed. */
static bool is_held(const struct driver *driver)
{
    return driver->filling.has_records &&
           clock_mono_ms() < driver->commit_retry_at_ms;
}

static void arm(struct driver *driver)
{
    uint64_t due_ms = core_deadline(driver->core);
    uint64_t mono_ms =
        due_ms == CORE_FOREVER ? UINT64_MAX : due_ms - driver->shift_ms;

    if (is_held(driver) && driver->commit_retry_at_ms < mono_ms) {
        mono_ms = driver->commit_retry_at_ms;
    }
    loop_arm(driver->is.loop, mono_ms);
}

void driver_end_turn(struct driver *driver)
{
    /* One commit at a time: what comes meanwhile goes into the next. */
    if (!driver->is_flying && !is_held(driver)) {
        keep_numbers(driver);
        if (driver->filling.has_records) {
            commit(driver);
        } else if (!turn_is_empty(&driver->filling)) {
            swap_turns(driver);
            deliver(driver, &driver->flying);
        }
    }
    arm(driver);
}

void driver_tick(struct driver *driver)
{
    struct core_event event = {.type = CORE_TICK};

    if (core_deadline(driver->core) <= driver_now_ms(driver)) {
        (void)driver_feed(driver, &event, NULL);
    }
    loop_end_turn(driver->is.loop);
}

/* ---- A commit that failed --------------------------------------------- */

/* Build the core from the store; time goes on where it was. */
static int
build_core(struct driver *driver, uint64_t start_ms, uint64_t number_first)
{
    struct core *core;
    int rc = core_create(&driver->core_config, &alloc_libc, start_ms,
                         number_first, &core);

    if (rc != E_OK) {
        return rc;
    }
    rc = records_restore(driver->is.store, driver->is.names, driver->is.config,
                         core, start_ms);
    if (rc != E_OK) {
        core_destroy(core);
        return rc;
    }
    core_destroy(driver->core);
    driver->core = core;
    driver->fed_at_ms = start_ms;
    return E_OK;
}

/* Refuse the requests of a lost turn. */
static void refuse_lost(struct driver *driver, const struct turn *turn, int rc)
{
    size_t i;

    for (i = 0; i < turn->call_count; i++) {
        struct call *call = &turn->calls[i];

        if (call->event.type != CORE_SUBMIT) {
            continue;
        }
        if (!call->reply.is_repeat) {
            names_forget(driver->is.names, call->reply.lease);
        }
        call->reply.rc = rc;
        call->reply.send(call->reply.arg, &call->reply);
    }
}

/* Send the replies of a lost turn that tell of earlier ones. */
static void send_settled(const struct turn *turn)
{
    size_t i;

    for (i = 0; i < turn->delivery_count; i++) {
        const struct delivery *delivery = &turn->deliveries[i];

        if (delivery->is_reply && delivery->reply.is_settled) {
            delivery->reply.send(delivery->reply.arg, &delivery->reply);
        }
    }
}

/* Streams are attached again by the owner; all else is called again. */
static void call_again(struct driver *driver, const struct turn *turn)
{
    size_t i;

    for (i = 0; i < turn->call_count; i++) {
        struct call *call = &turn->calls[i];
        bool is_stream =
            call->event.type == CORE_ATTACH ||
            (call->event.type == CORE_DETACH && call->event.detach.lease == 0);

        if (call->event.type == CORE_SUBMIT || is_stream) {
            continue;
        }
        call->reply.rc = feed(driver, &call->event, NULL, &call->reply);
        if (call->reply.rc != E_OK && call->reply.send != NULL) {
            call->reply.send(call->reply.arg, &call->reply);
        }
    }
}

static void turns_lost(struct driver *driver, int rc)
{
    struct turn lost[2] = {driver->flying, driver->filling};
    int rc_build;

    driver->flying = (struct turn){0};
    driver->filling = (struct turn){0};
    store_discard(driver->is.store);
    refuse_lost(driver, &lost[0], rc);
    refuse_lost(driver, &lost[1], rc);
    rc_build =
        build_core(driver, feed_time(driver), core_number_next(driver->core));
    if (rc_build == E_OK) {
        rc_build = allow_numbers(driver);
    }
    if (rc_build == E_OK) {
        driver->is.hooks->on_rebuilt(driver->is.arg);
        send_settled(&lost[0]);
        send_settled(&lost[1]);
        call_again(driver, &lost[0]);
        call_again(driver, &lost[1]);
    } else {
        log_error("cannot read the store again: %s", err_text(rc_build));
        driver->is.hooks->on_failure(driver->is.arg);
    }
    turn_release(&lost[0]);
    turn_release(&lost[1]);
}

/* ---- Life ------------------------------------------------------------- */

/* Build the first core.  Where the store has no lease there is nobody to come
 * back, and so nothing to wait for. */
static int begin(struct driver *driver)
{
    uint32_t hold_ms = driver->core_config.startup_hold_ms;
    uint64_t next = store_numbers(driver->is.store);
    uint64_t time_max_ms;
    uint64_t lease_count;
    int rc = records_survey(driver->is.store, &time_max_ms, &lease_count);

    if (rc != E_OK) {
        return rc;
    }
    if (lease_count == 0) {
        driver->core_config.startup_hold_ms = 0;
    }
    driver->shift_ms = time_max_ms + 1 - clock_mono_ms();
    rc = build_core(driver, time_max_ms + 1, next == 0 ? 1 : next);
    driver->core_config.startup_hold_ms = hold_ms;
    return rc == E_OK ? reserve_numbers(driver) : rc;
}

int driver_open(const struct driver_options *options, struct driver **out)
{
    struct driver *driver = calloc(1, sizeof(*driver));
    int rc;

    if (driver == NULL) {
        return E_NOMEM;
    }
    driver->is = *options;
    driver->core_config = *options->core;
    rc = begin(driver);
    if (rc != E_OK) {
        log_error("cannot start from the store: %s", err_text(rc));
        driver_close(driver);
        return rc;
    }
    *out = driver;
    return E_OK;
}

void driver_finish(struct driver *driver)
{
    driver->is_finishing = true;
}

void driver_close(struct driver *driver)
{
    if (driver == NULL) {
        return;
    }
    core_destroy(driver->core);
    turn_release(&driver->filling);
    turn_release(&driver->flying);
    free(driver);
}

int driver_configure(struct driver *driver,
                     const struct config *config,
                     const struct core_config *core)
{
    struct core_event event = {
        .type = CORE_ADMIN,
        .admin = {.action = CORE_CONFIGURE, .config = &driver->core_config}};
    struct core_config before = driver->core_config;
    const struct config *names_before = driver->is.config;
    int rc;

    driver->core_config = *core;
    driver->is.config = config;
    rc = driver_feed(driver, &event, NULL);
    if (rc != E_OK) {
        driver->core_config = before;
        driver->is.config = names_before;
    }
    return rc;
}

/* ---- Looking ---------------------------------------------------------- */

const struct core *driver_core(const struct driver *driver)
{
    return driver->core;
}

int driver_store_state(const struct driver *driver)
{
    return store_state(driver->is.store);
}

void driver_stats(const struct driver *driver, struct driver_stats *out)
{
    *out = driver->stats;
}
