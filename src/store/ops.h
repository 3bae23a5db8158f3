/* ops.h - what a backend of the store implements.
 *
 * store.c gathers the puts of a batch; a backend sees whole batches only.
 */
#ifndef GPUCOORD_STORE_OPS_H
#define GPUCOORD_STORE_OPS_H

#include "store/batch.h"
#include "store/store.h"

/* The parameters of store_commit(). */
struct store_commit {
    uint64_t number;
    bool needs_fsync;
    store_done done;
    void *arg;
};

/* Each does what the function of store.h with its name promises. */
struct store_ops {
    int (*load)(struct store *store,
                const struct store_reader *reader,
                uint64_t *time_max_ms);

    /* Write store->batch and clear it before the first callback is called,
     * which may put rows of the next one. */
    void (*commit)(struct store *store, const struct store_commit *how);

    size_t (*pending)(const struct store *store);
    uint64_t (*numbers)(const struct store *store);
    int (*reserve_numbers)(struct store *store, uint64_t end);
    int (*state)(struct store *store);

    /* NULL where a backend has nothing to it: every commit is done before its
     * return, and reserving is quick; no fail-over; no state of its own. */
    bool (*touches)(const struct store *store, uint64_t id);
    int (*raise_numbers)(struct store *store, uint64_t end);
    void (*ask_numbers)(struct store *store, uint64_t end);
    int (*hold_ms)(struct store *store, uint64_t longest_ms, uint64_t *hold_ms);
    void (*abandon)(struct store *store);
    const char *(*why)(const struct store *store);
    void (*close)(struct store *store);
};

/* The first member of every backend's own structure. */
struct store {
    const struct store_ops *ops;
    struct batch batch;         /* The current one. */
    void (*changed)(void *arg); /* store_watch(); NULL = nobody asked. */
    void *changed_arg;
    bool syncs_all; /* store_syncs_all(). */
};

/* Open a backend: as store_open(), with what follows "sqlite:" in the URL, or
 * the whole of another. */
typedef int (*store_opener)(const char *place,
                            const struct store_options *options,
                            struct store **out,
                            char *msg,
                            size_t msg_size);

#endif
