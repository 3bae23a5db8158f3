/* batch.h - the rows that one commit is to write.
 *
 * A row put twice is written once: the last put of a key wins, and a lease put
 * and ended in one batch is only a removal.  Strings are copied into one
 * buffer.  A failed put marks the batch, as a failed append marks a buf.
 */
#ifndef GPUCOORD_STORE_BATCH_H
#define GPUCOORD_STORE_BATCH_H

#include "base/buf.h"
#include "base/idmap.h"
#include "store/store.h"

/* A place in the batch's text; BATCH_NO_TEXT = NULL. */
#define BATCH_NO_TEXT SIZE_MAX

struct batch_lease {
    /* .shares is not kept; of a removal only .id counts. */
    struct core_lease_row core;
    size_t service_id;
    size_t job_id;
    size_t class_name;
    size_t metadata;
    size_t watches;
    size_t shares; /* As text: "4096/0,2048/0". */
    uint64_t watch_started;
    uint32_t watch_pid;
    bool is_end; /* Remove the row. */
};

struct batch_class {
    struct core_class_row core;
    size_t name;
};

struct batch {
    struct batch_lease *leases;  /* One a lease id. */
    struct batch_class *classes; /* One a name. */
    struct core_mode_row mode;   /* Where .has_mode. */
    struct buf text;             /* All strings, each with its NUL. */
    struct idmap places;         /* Lease id to 1 + its index in .leases. */
    size_t lease_count;
    size_t lease_capacity;
    size_t class_count;
    size_t class_capacity;
    bool has_mode;
    int error; /* E_NOMEM after a put that failed. */
};

/* Make an empty batch. */
void batch_init(struct batch *batch);

/* Free what the batch owns. */
void batch_release(struct batch *batch);

/* Forget the rows and the error; keep the memory. */
void batch_clear(struct batch *batch);

/* Put a lease, copied, in the place of what the batch has for its id. */
void batch_put_lease(struct batch *batch, const struct store_lease *lease);

/* Put the removal of the lease @id, likewise. */
void batch_end_lease(struct batch *batch, uint64_t id);

/* Put the row of a class, copied, in the place of an earlier one. */
void batch_put_class(struct batch *batch, const struct store_class *row);

/* Put the modes, copied, in the place of earlier ones. */
void batch_put_mode(struct batch *batch, const struct core_mode_row *mode);

/* Say whether there is nothing to write. */
bool batch_is_empty(const struct batch *batch);

/* Say whether the lease @id is put or ended; 0 asks for the modes. */
bool batch_touches(const struct batch *batch, uint64_t id);

/* Return the string at @place, valid until the next put; NULL for
 * BATCH_NO_TEXT. */
const char *batch_text(const struct batch *batch, size_t place);

#endif
