#include "daemon/driver_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "daemon/loop.h"
#include "daemon/names.h"
#include "daemon/records.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    NUMBERS_LOW = STORE_NUMBER_BLOCK / 4, /* Reserve more below so many. */
    NUMBERS_RETRY_MS = 1000
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

uint64_t driver_feed_time(struct driver *driver)
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

    event->at_ms = driver_feed_time(driver);
    driver->stats.events++;
    rc = core_step(driver->core, event, &effects);
    if (rc == E_OK && binding != NULL && !effects.is_repeat) {
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
        if (is_call(event->type)) {
            turn_add_call(&driver->filling, event, reply);
        }
        if (reply->send != NULL) {
            turn_add_reply(&driver->filling, reply, is_call(event->type));
            driver->filling.needs_fsync =
                driver->filling.needs_fsync || reply->is_synced;
        }
        take_effects(driver, &effects);
    }
    return rc;
}

int driver_feed_call(struct driver *driver,
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

int driver_feed_quietly(struct driver *driver, struct core_event *event)
{
    struct core_effects effects;
    int rc =
        turn_reserve(&driver->filling, core_messages_max(driver->core, event));

    if (rc == E_OK) {
        loop_end_turn(driver->is.loop);
        event->at_ms = driver_feed_time(driver);
        driver->stats.events++;
        rc = core_step(driver->core, event, &effects);
    }
    if (rc == E_OK) {
        take_effects(driver, &effects);
    }
    return rc;
}

int driver_feed(struct driver *driver,
                struct core_event *event,
                const struct driver_reply *reply)
{
    struct driver_reply copy = {0};

    if (reply != NULL) {
        copy = *reply;
    }
    return driver_feed_call(driver, event, NULL, &copy);
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
    rc = driver_feed_call(driver, &event, binding, &copy);
    *lease = copy.lease;
    return rc;
}

/* ---- Numbers ---------------------------------------------------------- */

int driver_allow_numbers(struct driver *driver)
{
    uint64_t end = store_numbers(driver->is.store);
    struct core_event event = {
        .type = CORE_ADMIN,
        .admin = {.action = CORE_NUMBERS, .id_end = end, .token_end = end}};
    int rc = driver_feed(driver, &event, NULL);

    if (rc == E_OK) {
        driver->numbers_end = end;
    }
    return rc;
}

static int reserve_numbers(struct driver *driver)
{
    uint64_t end = store_numbers(driver->is.store) + STORE_NUMBER_BLOCK;
    int rc = store_reserve_numbers(driver->is.store, end);

    return rc == E_OK ? driver_allow_numbers(driver) : rc;
}

void driver_keep_numbers(struct driver *driver)
{
    uint64_t end = store_numbers(driver->is.store);

    if (end != driver->numbers_end && driver_allow_numbers(driver) != E_OK) {
        return; /* Without memory; the next turn tries again. */
    }
    if (core_number_next(driver->core) + NUMBERS_LOW <= end ||
        clock_mono_ms() < driver->numbers_retry_at_ms) {
        return;
    }
    driver->numbers_retry_at_ms = clock_mono_ms() + NUMBERS_RETRY_MS;
    store_ask_numbers(driver->is.store, end + STORE_NUMBER_BLOCK);
    if (store_numbers(driver->is.store) != end) {
        (void)!driver_allow_numbers(driver);
    }
}

/* ---- Life ------------------------------------------------------------- */

/* Find how long the grants that a fail-over of the database may have lost can
 * last. */
static int find_hold(struct driver *driver)
{
    uint64_t hold_ms = 0;
    int rc = store_hold_ms(driver->is.store, driver->is.ttl_ms_max, &hold_ms);

    if (rc == E_OK && hold_ms > 0) {
        driver->hold_until_ms = clock_mono_ms() + hold_ms;
        log_warn("the database was failed over, and may have lost grants: "
                 "nothing is granted for %" PRIu64 " s",
                 (hold_ms + 999) / 1000);
    }
    return rc;
}

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
    rc = find_hold(driver);
    if (rc != E_OK) {
        return rc;
    }
    driver->shift_ms = time_max_ms + 1 - clock_mono_ms();
    rc = driver_build_core(driver, time_max_ms + 1, next == 0 ? 1 : next);
    driver->core_config.startup_hold_ms = hold_ms;
    return rc == E_OK ? reserve_numbers(driver) : rc;
}

/* The store is away, or back: the turn that ends now looks. */
static void on_store_changed(void *arg)
{
    struct driver *driver = arg;

    loop_end_turn(driver->is.loop);
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
    list_init(&driver->owed);
    store_watch(driver->is.store, on_store_changed, driver);
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
    driver_forget_owed(driver);
    core_destroy(driver->core);
    turn_release(&driver->filling);
    turn_release(&driver->flying);
    turn_release(&driver->leaving);
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

const char *driver_store_why(const struct driver *driver)
{
    return store_why(driver->is.store);
}

bool driver_is_settled(const struct driver *driver, uint64_t id)
{
    return !store_touches(driver->is.store, id);
}

int driver_when_settled(struct driver *driver, const struct driver_reply *reply)
{
    int rc = turn_reserve(&driver->filling, 0);

    if (rc == E_OK) {
        turn_add_reply(&driver->filling, reply, false);
        loop_end_turn(driver->is.loop);
    }
    return rc;
}

void driver_stats(const struct driver *driver, struct driver_stats *out)
{
    *out = driver->stats;
    out->is_away = driver->is_away;
    if (driver->is_away) {
        out->away_ms += clock_mono_ms() - driver->away_since_ms;
    }
}
