#include "store/batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void batch_init(struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    buf_init(&batch->text, 0);
    idmap_init(&batch->places, &alloc_libc);
}

void batch_release(struct batch *batch)
{
    free(batch->leases);
    free(batch->classes);
    buf_release(&batch->text);
    idmap_release(&batch->places);
}

void batch_clear(struct batch *batch)
{
    size_t i;

    for (i = 0; i < batch->lease_count; i++) {
        (void)idmap_remove(&batch->places, 0, batch->leases[i].core.id);
    }
    buf_clear(&batch->text);
    batch->lease_count = 0;
    batch->class_count = 0;
    batch->has_mode = false;
    batch->error = E_OK;
}

/* Make room for one more member of @size bytes in an array that grows by
 * doubling; return the array, or NULL, and then the batch is marked. */
static void *
grow(struct batch *batch, void *array, size_t size, size_t n, size_t *capacity)
{
    size_t more = *capacity == 0 ? 16 : *capacity * 2;
    void *grown;

    if (n < *capacity) {
        return array;
    }
    grown = reallocarray(array, more, size);
    if (grown == NULL) {
        batch->error = E_NOMEM;
        return NULL;
    }
    *capacity = more;
    return grown;
}

/* Copy @text, NULL allowed, and return its place. */
static size_t keep_text(struct batch *batch, const char *text)
{
    size_t place = batch->text.size;

    if (text == NULL) {
        return BATCH_NO_TEXT;
    }
    buf_add(&batch->text, text, strlen(text) + 1);
    if (buf_error(&batch->text) != E_OK) {
        batch->error = E_NOMEM;
        return BATCH_NO_TEXT;
    }
    return place;
}

/* Write down the shares of a gang, charge and footprint of each device, and
 * return their place. */
static size_t keep_shares(struct batch *batch, const struct core_lease_row *row)
{
    size_t place = batch->text.size;
    uint32_t i;

    if (row->shares == NULL) {
        return BATCH_NO_TEXT;
    }
    for (i = 0; i < row->gpus; i++) {
        if (i > 0) {
            buf_byte(&batch->text, ',');
        }
        buf_u64(&batch->text, row->shares[i].charge_mib);
        buf_byte(&batch->text, '/');
        buf_u64(&batch->text, row->shares[i].footprint_mib);
    }
    buf_byte(&batch->text, '\0');
    if (buf_error(&batch->text) != E_OK) {
        batch->error = E_NOMEM;
        return BATCH_NO_TEXT;
    }
    return place;
}

/* Return the member for the lease @id, a new one where there is none; NULL
 * without memory, and then the batch is marked. */
static struct batch_lease *lease_place(struct batch *batch, uint64_t id)
{
    uintptr_t place = (uintptr_t)idmap_find(&batch->places, 0, id);
    void *grown;

    if (place != 0) {
        return &batch->leases[place - 1];
    }
    grown = grow(batch, batch->leases, sizeof *batch->leases,
                 batch->lease_count, &batch->lease_capacity);
    if (grown == NULL) {
        return NULL;
    }
    batch->leases = grown;
    if (idmap_reserve(&batch->places) != E_OK) {
        batch->error = E_NOMEM;
        return NULL;
    }
    batch->lease_count++;
    idmap_put(&batch->places, 0, id, (void *)(uintptr_t)batch->lease_count);
    return &batch->leases[batch->lease_count - 1];
}

void batch_put_lease(struct batch *batch, const struct store_lease *lease)
{
    struct batch_lease *kept;

    assert(lease->core.id != 0);
    assert(lease->service_id != NULL);
    kept = lease_place(batch, lease->core.id);

    if (kept == NULL) {
        return;
    }
    kept->core = lease->core;
    kept->service_id = keep_text(batch, lease->service_id);
    kept->job_id = keep_text(batch, lease->job_id);
    kept->class_name = keep_text(batch, lease->class_name);
    kept->metadata = keep_text(batch, lease->metadata);
    kept->watches = keep_text(batch, lease->watches);
    kept->shares = keep_shares(batch, &lease->core);
    kept->core.shares = NULL;
    kept->watch_pid = lease->watch_pid;
    kept->watch_started = lease->watch_started;
    kept->is_end = false;
}

void batch_end_lease(struct batch *batch, uint64_t id)
{
    struct batch_lease *kept = lease_place(batch, id);

    if (kept != NULL) {
        kept->core.id = id;
        kept->is_end = true;
    }
}

void batch_put_class(struct batch *batch, const struct store_class *row)
{
    void *grown;
    size_t i;

    for (i = 0; i < batch->class_count; i++) {
        if (strcmp(batch_text(batch, batch->classes[i].name), row->name) == 0) {
            batch->classes[i].core = row->core;
            return;
        }
    }
    grown = grow(batch, batch->classes, sizeof *batch->classes,
                 batch->class_count, &batch->class_capacity);
    if (grown == NULL) {
        return;
    }
    batch->classes = grown;
    batch->classes[i].core = row->core;
    batch->classes[i].name = keep_text(batch, row->name);
    if (batch->error == E_OK) {
        batch->class_count++;
    }
}

void batch_put_mode(struct batch *batch, const struct core_mode_row *mode)
{
    batch->mode = *mode;
    batch->has_mode = true;
}

bool batch_is_empty(const struct batch *batch)
{
    return batch->lease_count == 0 && batch->class_count == 0 &&
           !batch->has_mode;
}

bool batch_touches(const struct batch *batch, uint64_t id)
{
    return id == 0 ? batch->has_mode
                   : idmap_find(&batch->places, 0, id) != NULL;
}

const char *batch_text(const struct batch *batch, size_t place)
{
    return place == BATCH_NO_TEXT ? NULL : batch->text.data + place;
}
