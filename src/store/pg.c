#include "store/pg.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/pg_store.h"

#include <string.h>

enum {
    RESERVE_MS = 15000, /* For an answer at the start. */
    CLOSE_MS = 5000
};

static struct pg_store *store_of(struct store *base)
{
    return (struct pg_store *)base;
}

static const struct pg_store *const_store_of(const struct store *base)
{
    return (const struct pg_store *)base;
}

/* Take the current batch into @entry, whose own was empty. */
static void take_batch(struct pg_store *store, struct pg_entry *entry)
{
    struct batch batch = store->base.batch;

    store->base.batch = entry->batch;
    entry->batch = batch;
}

static void pg_commit(struct store *base, const struct store_commit *how)
{
    struct pg_store *store = store_of(base);
    uint64_t number = store->number_base + how->number;
    struct pg_entry *entry = NULL;
    int rc = base->batch.error;

    if (rc == E_OK) {
        entry = pg_link_entry(store);
        rc = entry == NULL ? E_NOMEM : E_OK;
    }
    if (rc != E_OK) {
        batch_clear(&base->batch);
        how->done(how->arg, rc);
        return;
    }
    entry->number = number;
    entry->done = how->done;
    entry->arg = how->arg;
    if (batch_is_empty(&base->batch) || number <= store->committed) {
        batch_clear(&base->batch);
        entry->work = PG_WORK_NOTHING;
    } else {
        take_batch(store, entry);
        entry->work = PG_WORK_BATCH;
    }
    pg_link_add(store, entry);
}

static size_t pg_pending(const struct store *base)
{
    return const_store_of(base)->pending_count;
}

static uint64_t pg_numbers(const struct store *base)
{
    return const_store_of(base)->numbers;
}

static void note_result(void *arg, int rc)
{
    int *result = arg;

    *result = rc;
}

/* Ask for the numbers below @end.
 *
 * Errors:
 *   E_NOMEM  no memory. */
static int
ask_numbers(struct pg_store *store, uint64_t end, store_done done, void *arg)
{
    struct pg_entry *entry = pg_link_entry(store);

    if (entry == NULL) {
        return E_NOMEM;
    }
    entry->work = PG_WORK_NUMBERS;
    entry->number = end;
    entry->done = done;
    entry->arg = arg;
    store->asked = end;
    pg_link_add(store, entry);
    return E_OK;
}

static void pg_ask_numbers(struct store *base, uint64_t end)
{
    struct pg_store *store = store_of(base);

    if (end > store->numbers && end > store->asked &&
        ask_numbers(store, end, NULL, NULL) != E_OK) {
        log_warn("cannot reserve numbers for leases; trying again");
    }
}

static int pg_reserve_numbers(struct store *base, uint64_t end)
{
    struct pg_store *store = store_of(base);
    int result = E_STORE;

    if (end <= store->numbers) {
        return E_OK;
    }
    if (ask_numbers(store, end, note_result, &result) != E_OK) {
        return E_STORE;
    }
    pg_link_drain(store, RESERVE_MS);
    pg_link_forget(store, &result);
    if (result == E_NO_LEADER || result == E_STORE_FULL || result == E_OK) {
        return result;
    }
    return E_STORE;
}

static int pg_state(struct store *base)
{
    const struct pg_store *store = store_of(base);

    if (store->phase == PG_DEPOSED) {
        return E_NO_LEADER;
    }
    if (store->phase != PG_READY || pg_link_is_silent(store)) {
        return E_STORE_AWAY;
    }
    return store->full_until_ms > clock_mono_ms() ? E_STORE_FULL : E_OK;
}

static bool pg_touches(const struct store *base, uint64_t id)
{
    const struct pg_store *store = const_store_of(base);
    const struct list *at;

    LIST_EACH (at, &store->pending) {
        const struct pg_entry *entry =
            CONTAINER_OF(at, const struct pg_entry, link);

        if (batch_touches(&entry->batch, id)) {
            return true;
        }
    }
    return false;
}

static const char *pg_why(const struct store *base)
{
    const struct pg_store *store = const_store_of(base);

    if (store->phase == PG_READY && pg_link_is_silent(store)) {
        return "PostgreSQL has not answered a commit for more than 5 s";
    }
    return store->why[0] == '\0' ? NULL : store->why;
}

static void pg_abandon(struct store *base)
{
    struct pg_store *store = store_of(base);

    if (!store->is_alone) {
        pg_link_abandon(store);
    }
}

static void pg_close(struct store *base)
{
    struct pg_store *store = store_of(base);

    pg_link_drain(store, CLOSE_MS);
    pg_store_destroy(store);
}

const struct store_ops pg_store_ops = {
    .load = pg_store_load,
    .commit = pg_commit,
    .pending = pg_pending,
    .numbers = pg_numbers,
    .reserve_numbers = pg_reserve_numbers,
    .state = pg_state,
    .touches = pg_touches,
    .raise_numbers = pg_store_raise_numbers,
    .ask_numbers = pg_ask_numbers,
    .hold_ms = pg_store_hold_ms,
    .why = pg_why,
    .abandon = pg_abandon,
    .close = pg_close,
};
