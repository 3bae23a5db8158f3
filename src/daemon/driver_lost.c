/* driver_lost.c - a commit failed: what it would have stored never happened. */
#include "daemon/driver_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/loop.h"
#include "daemon/names.h"
#include "daemon/records.h"
#include "store/store.h"

int driver_build_core(struct driver *driver,
                      uint64_t start_ms,
                      uint64_t number_first)
{
    struct core_config config = driver->core_config;
    uint64_t now_ms = clock_mono_ms();
    struct core *core;
    int rc;

    if (driver->hold_until_ms > now_ms + config.startup_hold_ms) {
        config.startup_hold_ms = (uint32_t)(driver->hold_until_ms - now_ms);
    }
    rc = core_create(&config, &alloc_libc, start_ms, number_first, &core);

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
        if (call->reply.send != NULL) {
            call->reply.send(call->reply.arg, &call->reply);
        }
    }
}

/* Send what a lost turn has to tell of earlier ones. */
static void send_settled(struct driver *driver, struct turn *turn)
{
    size_t i;

    for (i = 0; i < turn->delivery_count; i++) {
        struct delivery *delivery = &turn->deliveries[i];

        if (!delivery->is_settled) {
            continue;
        }
        if (!delivery->is_reply) {
            driver->is.hooks->on_message(driver->is.arg, &delivery->message);
        } else if (delivery->reply.send != NULL) {
            delivery->reply.send(delivery->reply.arg, &delivery->reply);
        }
    }
}

/* Before anybody asks again: who waits may have been granted what it waits
 * for. */
static void send_all_settled(struct driver *driver, struct turn lost[2])
{
    driver->is.hooks->on_deliver(driver->is.arg, false);
    send_settled(driver, &lost[0]);
    send_settled(driver, &lost[1]);
    driver->is.hooks->on_deliver(driver->is.arg, true);
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
        call->reply.rc =
            driver_feed_call(driver, &call->event, NULL, &call->reply);
        if (call->reply.rc != E_OK && call->reply.send != NULL) {
            call->reply.send(call->reply.arg, &call->reply);
        }
    }
}

void driver_lose_turns(struct driver *driver, int rc)
{
    struct turn lost[2] = {driver->flying, driver->filling};
    int rc_build;

    driver->flying = (struct turn){0};
    driver->filling = (struct turn){0};
    store_discard(driver->is.store);
    refuse_lost(driver, &lost[0], rc);
    refuse_lost(driver, &lost[1], rc);
    rc_build = driver_build_core(driver, driver_feed_time(driver),
                                 core_number_next(driver->core));
    if (rc_build == E_OK) {
        rc_build = driver_allow_numbers(driver);
    }
    if (rc_build == E_OK) {
        driver_forget_streams(driver);
        if (driver->is_away) {
            driver_hold(driver, true);
        }
        send_all_settled(driver, lost);
        driver->is.hooks->on_rebuilt(driver->is.arg);
        call_again(driver, &lost[0]);
        call_again(driver, &lost[1]);
    } else {
        log_error("cannot read the store again: %s", err_text(rc_build));
        driver->is.hooks->on_failure(driver->is.arg);
    }
    turn_release(&lost[0]);
    turn_release(&lost[1]);
}
