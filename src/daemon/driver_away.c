/* driver_away.c - the store cannot be reached, or belongs to somebody else.
 *
 * While it is away the core grants nothing and asks nobody to make room, since
 * none of that could be stored; all else goes on, and waits in two turns: the
 * one that is under way, and the next.  Calls that wait for too long are told
 * so; what they did is stored all the same when the store is back.
 */
#include "daemon/driver_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/loop.h"
#include "store/store.h"

enum {
    LOOK_MS = 1000,     /* How often those who wait are looked after. */
    PATIENCE_MS = 10000 /* Of a call, while the store is away. */
};

void driver_hold(struct driver *driver, bool is_away)
{
    struct core_event event = {
        .type = CORE_ADMIN,
        .admin = {.action = CORE_HOLD, .until_ms = is_away ? CORE_FOREVER : 0}};

    if (driver_feed(driver, &event, NULL) == E_OK) {
        driver->is_away = is_away;
    }
}

static void begin(struct driver *driver)
{
    driver_hold(driver, true);
    if (driver->is_away) {
        driver->stats.aways++;
        driver->away_since_ms = clock_mono_ms();
        driver->away_next_ms = driver->away_since_ms + LOOK_MS;
    }
}

static void end(struct driver *driver)
{
    driver_hold(driver, false);
    if (!driver->is_away) {
        driver->stats.away_ms += clock_mono_ms() - driver->away_since_ms;
    }
}

/* ---- Those who wait ---------------------------------------------------- */

/* Renew the leases that were granted in @turn: their holders do not know it
 * yet, and must not find them expired. */
static void keep_grants(struct driver *driver, const struct turn *turn)
{
    size_t i;

    for (i = 0; i < turn->delivery_count; i++) {
        const struct core_message *message = &turn->deliveries[i].message;
        struct core_event event = {
            .type = CORE_RENEW,
            .renew = {.lease = message->lease, .token = message->token}};

        if (!turn->deliveries[i].is_reply &&
            (message->type == CORE_MSG_GRANT ||
             message->type == CORE_MSG_RESUME)) {
            (void)driver_feed_quietly(driver, &event);
        }
    }
}

/* Say whether @delivery answers a call whose caller hears of it in no other
 * way: a request that waits has its own patience. */
static bool is_call(const struct turn *turn, const struct delivery *delivery)
{
    return delivery->is_reply && delivery->reply.send != NULL &&
           (delivery->reply.is_synced || !delivery->has_call ||
            turn->calls[delivery->call].event.type != CORE_SUBMIT);
}

/* Answer the calls of @turn: nobody knows yet whether they will be stored. */
static void answer_late(struct turn *turn, int rc)
{
    size_t i;

    for (i = 0; i < turn->delivery_count; i++) {
        struct delivery *delivery = &turn->deliveries[i];
        struct driver_reply reply = delivery->reply;

        if (!is_call(turn, delivery)) {
            continue;
        }
        delivery->reply.send = NULL;
        if (delivery->has_call) {
            turn->calls[delivery->call].reply.send = NULL;
        }
        reply.rc = rc;
        reply.send(reply.arg, &reply);
    }
}

static void look_after(struct driver *driver)
{
    uint64_t now_ms = clock_mono_ms();

    if (now_ms < driver->away_next_ms) {
        return;
    }
    driver->away_next_ms = now_ms + LOOK_MS;
    keep_grants(driver, &driver->flying);
    keep_grants(driver, &driver->filling);
    if (now_ms - driver->away_since_ms >= PATIENCE_MS) {
        answer_late(&driver->flying, E_STORE_AWAY);
        answer_late(&driver->filling, E_STORE_AWAY);
    }
}

/* ---- The store --------------------------------------------------------- */

void driver_abandon(struct driver *driver)
{
    if (driver->is_over || driver->is_finishing) {
        return;
    }
    driver->is_over = true;
    answer_late(&driver->flying, E_NO_LEADER);
    answer_late(&driver->filling, E_NO_LEADER);
    driver->is.hooks->on_failure(driver->is.arg);
}

void driver_heed_store(struct driver *driver)
{
    int rc = driver->is_over ? E_OK : driver_store_state(driver);

    if (rc == E_NO_LEADER) {
        driver_abandon(driver);
    } else if ((rc == E_STORE_AWAY) != driver->is_away) {
        if (driver->is_away) {
            end(driver);
        } else {
            begin(driver);
        }
    } else if (driver->is_away) {
        look_after(driver);
    }
}
