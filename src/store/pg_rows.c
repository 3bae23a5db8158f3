#include "store/pg_rows.h"

#include "store/columns.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Types that every server knows by the same number. */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_TEXT = 25
};

/* ---- Out -------------------------------------------------------------- */

static void put_u32(struct buf *buf, uint32_t value)
{
    uint32_t wire = htobe32(value);

    buf_add(buf, &wire, sizeof wire);
}

static void put_u64(struct buf *buf, uint64_t value)
{
    uint64_t wire = htobe64(value);

    buf_add(buf, &wire, sizeof wire);
}

/* A column of a row: its type, its length, its value. */
static void put_number(struct buf *buf, uint64_t value)
{
    put_u32(buf, OID_INT8);
    put_u32(buf, sizeof value);
    put_u64(buf, value);
}

static void put_null(struct buf *buf, uint32_t type)
{
    put_u32(buf, type);
    put_u32(buf, UINT32_MAX);
}

static void put_text(struct buf *buf, const char *text)
{
    if (text == NULL) {
        put_null(buf, OID_TEXT);
        return;
    }
    put_u32(buf, OID_TEXT);
    put_u32(buf, (uint32_t)strlen(text));
    buf_text(buf, text);
}

/* Leave room for a length, and fill it in when what it counts is there. */
static size_t begin_length(struct buf *buf)
{
    put_u32(buf, 0);
    return buf->size;
}

static void end_length(struct buf *buf, size_t start)
{
    uint32_t wire = htobe32((uint32_t)(buf->size - start));

    if (buf_error(buf) == E_OK) {
        memcpy(buf->data + start - sizeof wire, &wire, sizeof wire);
    }
}

/* The head of an array of one dimension, of @count elements. */
static void put_array(struct buf *buf, uint32_t type, size_t count)
{
    put_u32(buf, count == 0 ? 0 : 1); /* Dimensions. */
    put_u32(buf, 0);                  /* No NULL in it. */
    put_u32(buf, type);
    if (count > 0) {
        put_u32(buf, (uint32_t)count);
        put_u32(buf, 1); /* The first index. */
    }
}

static void put_lease(struct buf *buf,
                      const struct batch *batch,
                      const struct batch_lease *lease)
{
    size_t start = begin_length(buf);
    int i;

    put_u32(buf, COLUMN_COUNT);
    put_text(buf, batch_text(batch, lease->service_id));
    put_text(buf, batch_text(batch, lease->job_id));
    put_text(buf, batch_text(batch, lease->class_name));
    if (lease->class_name == BATCH_NO_TEXT) {
        put_number(buf, lease->core.class_id);
    } else {
        put_null(buf, OID_INT8);
    }
    put_text(buf, batch_text(batch, lease->metadata));
    put_text(buf, batch_text(batch, lease->watches));
    put_number(buf, lease->watch_pid);
    put_number(buf, lease->watch_started);
    put_text(buf, batch_text(batch, lease->shares));
    for (i = COLUMN_NUMBERS; i < COLUMN_COUNT; i++) {
        put_number(buf, columns_get(&lease->core, i));
    }
    end_length(buf, start);
}

static void put_class(struct buf *buf,
                      const struct batch *batch,
                      const struct batch_class *row)
{
    size_t start = begin_length(buf);

    put_u32(buf, 3);
    put_text(buf, batch_text(batch, row->name));
    put_number(buf, row->core.consecutive);
    put_number(buf, (uint64_t)row->core.credit);
    end_length(buf, start);
}

static void put_mode(struct buf *buf, const struct core_mode_row *mode)
{
    put_u32(buf, 4);
    put_number(buf, 1);
    put_number(buf, mode->bypass_until_ms);
    put_number(buf, mode->drained);
    put_u32(buf, OID_BOOL);
    put_u32(buf, 1);
    buf_byte(buf, mode->is_draining ? 1 : 0);
}

/* ---- Parameters ------------------------------------------------------- */

void pg_params_init(struct pg_params *params)
{
    memset(params, 0, sizeof *params);
    buf_init(&params->data, 0);
}

void pg_params_release(struct pg_params *params)
{
    buf_release(&params->data);
}

/* Begin the next parameter. */
static void begin(struct pg_params *params)
{
    assert(params->count < PG_COMMIT_PARAMS);
    params->places[params->count] = params->data.size;
    params->values[params->count] = "";
    params->count++;
}

void pg_params_begin(struct pg_params *params, const struct store_fence *fence)
{
    buf_clear(&params->data);
    params->count = 0;
    pg_params_add_number(params, fence->timeline);
    pg_params_add_number(params, fence->epoch);
}

void pg_params_add_number(struct pg_params *params, uint64_t number)
{
    begin(params);
    put_u64(&params->data, number);
}

static void
add_leases(struct pg_params *params, const struct batch *batch, uint32_t type)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < batch->lease_count; i++) {
        count += batch->leases[i].is_end ? 0 : 1;
    }
    begin(params);
    put_array(&params->data, type, count);
    for (i = 0; i < batch->lease_count; i++) {
        if (!batch->leases[i].is_end) {
            put_lease(&params->data, batch, &batch->leases[i]);
        }
    }
    begin(params);
    put_array(&params->data, OID_INT8, batch->lease_count - count);
    for (i = 0; i < batch->lease_count; i++) {
        if (batch->leases[i].is_end) {
            put_u32(&params->data, sizeof(uint64_t));
            put_u64(&params->data, batch->leases[i].core.id);
        }
    }
}

void pg_params_add_batch(struct pg_params *params,
                         const struct batch *batch,
                         const struct pg_types *types)
{
    size_t i;

    add_leases(params, batch, types->lease);
    begin(params);
    put_array(&params->data, types->class_row, batch->class_count);
    for (i = 0; i < batch->class_count; i++) {
        put_class(&params->data, batch, &batch->classes[i]);
    }
    begin(params);
    if (batch->has_mode) {
        put_mode(&params->data, &batch->mode);
    } else {
        params->values[params->count - 1] = NULL;
    }
}

int pg_params_end(struct pg_params *params)
{
    int i;

    /* libpq counts a parameter in int, the server takes no more than 1 GiB. */
    if (buf_error(&params->data) != E_OK || params->data.size > INT_MAX) {
        return E_NOMEM;
    }
    for (i = 0; i < params->count; i++) {
        size_t end =
            i + 1 < params->count ? params->places[i + 1] : params->data.size;

        params->formats[i] = 1;
        params->lengths[i] = (int)(end - params->places[i]);
        if (params->values[i] != NULL) {
            params->values[i] = params->data.data + params->places[i];
        }
    }
    return E_OK;
}

/* ---- Back ------------------------------------------------------------- */

int64_t pg_rows_number(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

const char *pg_rows_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) != 0
               ? NULL
               : PQgetvalue(result, row, column);
}

int pg_rows_read_lease(const PGresult *result,
                       int row,
                       struct core_share shares[CORE_DEVICES_MAX],
                       struct store_lease *lease)
{
    const struct column_others others = {
        .shares = pg_rows_text(result, row, COLUMN_SHARES),
        .priority = pg_rows_number(result, row, COLUMN_PRIORITY),
        .watch_pid = pg_rows_number(result, row, COLUMN_WATCH_PID),
        .watch_started = pg_rows_number(result, row, COLUMN_WATCH_STARTED),
    };
    bool fits = true;
    int rc;
    int i;

    memset(lease, 0, sizeof *lease);
    lease->service_id = pg_rows_text(result, row, COLUMN_SERVICE);
    lease->job_id = pg_rows_text(result, row, COLUMN_JOB);
    lease->class_name = pg_rows_text(result, row, COLUMN_CLASS);
    lease->metadata = pg_rows_text(result, row, COLUMN_METADATA);
    lease->watches = pg_rows_text(result, row, COLUMN_WATCHES);
    for (i = COLUMN_NUMBERS; i < COLUMN_COUNT; i++) {
        fits = columns_set(&lease->core, i,
                           (uint64_t)pg_rows_number(result, row, i)) &&
               fits;
    }
    rc = columns_finish(lease, &others, shares);
    return fits ? rc : E_CORRUPT;
}
