#include "store/store.h"

#include "base/log.h"
#include "store/ops.h"
#include "store/sqlite.h"
#ifdef HAVE_POSTGRES
#include "store/pg.h"
#endif

#include <stdio.h>
#include <string.h>

#ifdef HAVE_POSTGRES
#define OPEN_POSTGRES pg_open
#else
#define OPEN_POSTGRES NULL
#endif

static const struct {
    const char *scheme;
    store_opener open; /* NULL: not part of this program. */
    bool takes_url;    /* .open is given all of it. */
} backends[] = {
    {"sqlite:", sqlite_open, false},
    {"postgresql:", OPEN_POSTGRES, true},
    {"postgres:", OPEN_POSTGRES, true},
};

int store_open(const char *url,
               const struct store_options *options,
               struct store **out,
               char *msg,
               size_t msg_size)
{
    size_t i;

    for (i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        size_t length = strlen(backends[i].scheme);

        if (strncmp(url, backends[i].scheme, length) != 0) {
            continue;
        }
        if (backends[i].open == NULL) {
            (void)snprintf(msg, msg_size,
                           "cannot open the store '%s': this program was built "
                           "without it",
                           url);
            return E_UNSUPPORTED;
        }
        return backends[i].open(backends[i].takes_url ? url : url + length,
                                options, out, msg, msg_size);
    }
    (void)snprintf(msg, msg_size,
                   "cannot open the store '%s': not of the form sqlite:PATH or "
                   "postgresql://HOST/DATABASE",
                   url);
    return E_INVALID;
}

void store_close(struct store *store)
{
    if (store != NULL) {
        store->ops->close(store);
    }
}

int store_load(struct store *store,
               const struct store_reader *reader,
               uint64_t *time_max_ms)
{
    return store->ops->load(store, reader, time_max_ms);
}

void store_put_lease(struct store *store, const struct store_lease *lease)
{
    batch_put_lease(&store->batch, lease);
}

void store_end_lease(struct store *store, uint64_t id)
{
    batch_end_lease(&store->batch, id);
}

void store_put_class(struct store *store, const struct store_class *row)
{
    batch_put_class(&store->batch, row);
}

void store_put_mode(struct store *store, const struct core_mode_row *mode)
{
    batch_put_mode(&store->batch, mode);
}

void store_commit(struct store *store,
                  uint64_t number,
                  bool needs_fsync,
                  store_done done,
                  void *arg)
{
    const struct store_commit how = {
        .number = number,
        .needs_fsync = needs_fsync,
        .done = done,
        .arg = arg,
    };

    store->ops->commit(store, &how);
}

bool store_syncs_all(const struct store *store)
{
    return store->syncs_all;
}

size_t store_pending(const struct store *store)
{
    return store->ops->pending(store);
}

void store_discard(struct store *store)
{
    batch_clear(&store->batch);
}

uint64_t store_numbers(const struct store *store)
{
    return store->ops->numbers(store);
}

int store_reserve_numbers(struct store *store, uint64_t end)
{
    return store->ops->reserve_numbers(store, end);
}

int store_state(struct store *store)
{
    return store->ops->state(store);
}

bool store_touches(const struct store *store, uint64_t id)
{
    return batch_touches(&store->batch, id) ||
           (store->ops->touches != NULL && store->ops->touches(store, id));
}

int store_raise_numbers(struct store *store, uint64_t end)
{
    if (end >= UINT64_C(1) << 53) {
        return E_INVALID;
    }
    return store->ops->raise_numbers != NULL
               ? store->ops->raise_numbers(store, end)
               : store->ops->reserve_numbers(store, end);
}

void store_ask_numbers(struct store *store, uint64_t end)
{
    if (store->ops->ask_numbers != NULL) {
        store->ops->ask_numbers(store, end);
    } else if (store->ops->reserve_numbers(store, end) != E_OK) {
        log_warn("cannot reserve numbers for leases; trying again");
    }
}

int store_hold_ms(struct store *store, uint64_t longest_ms, uint64_t *hold_ms)
{
    *hold_ms = 0;
    return store->ops->hold_ms == NULL
               ? E_OK
               : store->ops->hold_ms(store, longest_ms, hold_ms);
}

void store_watch(struct store *store, void (*changed)(void *arg), void *arg)
{
    store->changed = changed;
    store->changed_arg = arg;
}

void store_abandon(struct store *store)
{
    if (store->ops->abandon != NULL) {
        store->ops->abandon(store);
    }
}

const char *store_why(const struct store *store)
{
    return store->ops->why == NULL ? NULL : store->ops->why(store);
}
