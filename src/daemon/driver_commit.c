/* driver_commit.c - a turn is stored, then its replies and messages leave. */
#include "daemon/driver_parts.h"

#include "base/clock.h"
#include "base/kill.h"
#include "base/log.h"
#include "daemon/loop.h"
#include "store/store.h"

#include <stdlib.h>

enum {
    COMMIT_RETRY_MS = 250, /* After one that failed; nothing spins. */
    GATHER_PARTS = 4,      /* Of the time of a commit. */
    GATHER_NS_MAX = 1000000
};

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
        if (turn_reserve(turn, 0) == E_OK) {
            turn_add_reply(turn, reply, false);
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

static void deliver_reply(struct driver *driver, struct driver_reply *reply)
{
    if (reply->send == NULL) {
        return; /* It waits for its fsync, or was told that it takes long. */
    }
    if (reply->is_synced && !store_syncs_all(driver->is.store)) {
        reply->rc = E_NOMEM; /* It could not be kept until then. */
    }
    reply->send(reply->arg, reply);
}

static void deliver(struct driver *driver, struct turn *turn)
{
    size_t i;

    if (turn->needs_fsync && !store_syncs_all(driver->is.store)) {
        sync_turn(driver, turn);
    }
    driver->is.hooks->on_deliver(driver->is.arg, false);
    for (i = 0; i < turn->delivery_count; i++) {
        struct delivery *delivery = &turn->deliveries[i];

        if (delivery->is_reply) {
            deliver_reply(driver, &delivery->reply);
        } else {
            driver->is.hooks->on_message(driver->is.arg, &delivery->message);
        }
    }
    turn_clear(turn);
    driver->is.hooks->on_deliver(driver->is.arg, true);
    kill_here(KILL_AFTER_REPLY);
}

/* Say what @delivery tells of: a lease, or with 0 the modes. */
static uint64_t subject(const struct delivery *delivery)
{
    return delivery->is_reply ? delivery->reply.lease : delivery->message.lease;
}

static bool is_stored(void *arg, const struct delivery *delivery)
{
    const struct driver *driver = arg;

    return !store_touches(driver->is.store, subject(delivery));
}

/* The flying turn is stored, but the core may be ahead of it by the events of
 * the next: what tells of a lease that they have changed leaves with them. */
static void postpone(struct driver *driver)
{
    if (driver->filling.has_records &&
        turn_postpone(&driver->flying, &driver->filling, is_stored, driver) !=
            E_OK) {
        log_warn("out of memory: an answer may tell what is not stored yet");
    }
}

/* What a message without a lease tells may come of any row. */
static bool is_free(void *arg, const struct delivery *delivery)
{
    return subject(delivery) != 0 && is_stored(arg, delivery) &&
           !(delivery->is_reply && delivery->reply.is_synced);
}

void driver_send_free(struct driver *driver)
{
    if (turn_take_free(&driver->flying, &driver->leaving, is_free, driver) ==
            E_OK &&
        turn_take_free(&driver->filling, &driver->leaving, is_free, driver) ==
            E_OK &&
        driver->leaving.delivery_count > 0) {
        deliver(driver, &driver->leaving);
    }
}

static void swap_turns(struct driver *driver)
{
    struct turn turn = driver->filling;

    driver->filling = driver->flying;
    driver->flying = turn;
}

/* Those who were just answered often call again at once.  While others already
 * wait for the next commit it waits for them, too, for a part of the time that
 * a commit takes: else the callers fall in two halves, each of which waits for
 * the commits of both. */
static void gather(struct driver *driver, size_t answered)
{
    uint64_t now_ns = clock_mono_ns();
    uint64_t part_ns = (now_ns - driver->commit_began_ns) / GATHER_PARTS;

    if (driver->filling.call_count > 0) {
        driver->gather_calls = answered + driver->filling.call_count;
        driver->gather_until_ns =
            now_ns + (part_ns < GATHER_NS_MAX ? part_ns : GATHER_NS_MAX);
    }
}

/* Say whether the next commit waits for more, for a moment. */
static bool is_gathering(struct driver *driver)
{
    if (driver->filling.call_count < driver->gather_calls &&
        clock_mono_ns() < driver->gather_until_ns) {
        return loop_linger(driver->is.loop, driver->gather_until_ns);
    }
    driver->gather_calls = 0;
    (void)loop_linger(driver->is.loop, 0);
    return false;
}

static void on_committed(void *arg, int rc)
{
    struct driver *driver = arg;

    kill_here(KILL_AFTER_COMMIT);
    driver->is_flying = false;
    driver->stats.commits++;
    driver->stats.commit_ns += clock_mono_ns() - driver->commit_began_ns;
    if (rc == E_OK) {
        gather(driver, driver->flying.call_count);
        postpone(driver);
        deliver(driver, &driver->flying);
    } else if (rc == E_NO_LEADER) {
        driver_abandon(driver);
    } else {
        driver->stats.commits_failed++;
        driver->commit_retry_at_ms = clock_mono_ms() + COMMIT_RETRY_MS;
        log_error("%s: what has just happened is undone", err_text(rc));
        if (!driver->is_finishing) {
            driver_lose_turns(driver, rc);
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
    if (!list_is_empty(&driver->owed) && driver->owed_retry_at_ms < mono_ms) {
        mono_ms = driver->owed_retry_at_ms;
    }
    if (driver->is_away && driver->away_next_ms < mono_ms) {
        mono_ms = driver->away_next_ms;
    }
    loop_arm(driver->is.loop, mono_ms);
}

void driver_end_turn(struct driver *driver)
{
    driver_heed_store(driver);
    if (driver->is_over) {
        return;
    }
    driver_pay(driver);
    /* One commit at a time: what comes meanwhile goes into the next. */
    if (!driver->is_flying && !is_held(driver)) {
        driver_keep_numbers(driver);
        if (driver->filling.has_records) {
            if (!is_gathering(driver)) {
                commit(driver);
            }
        } else if (!turn_is_empty(&driver->filling)) {
            swap_turns(driver);
            deliver(driver, &driver->flying);
        }
    }
    if (driver->is_flying) {
        driver_send_free(driver);
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
