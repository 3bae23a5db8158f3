#include "store/store.h"

#include "store/ops.h"
#include "store/sqlite.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *scheme;
    store_opener open; /* NULL: not part of this program. */
} backends[] = {
    {"sqlite:", sqlite_open},
    {"postgresql:", NULL},
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
        return backends[i].open(url + length, options, out, msg, msg_size);
    }
    (void)snprintf(msg, msg_size,
                   "cannot open the store '%s': not of the form sqlite:PATH",
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
