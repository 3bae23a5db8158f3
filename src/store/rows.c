#include "store/rows.h"

#include "core/lease.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of the states are what is stored (and what the view names). */
_Static_assert(LEASE_AWAY == 0 && LEASE_QUEUED == 1 && LEASE_CLEARING == 2 &&
                   LEASE_HELD == 3 && LEASE_PAUSING == 4 && LEASE_PAUSED == 5 &&
                   LEASE_RECLAIMING == 6 && LEASE_ENDED == 7,
               "a change of these needs a migration");

enum width {
    U8,
    U32,
    U64
};

/* The columns of numbers, after those below. */
static const struct {
    const char *name;
    size_t offset; /* In struct core_lease_row. */
    enum width width;
} numbers[] = {
#define COLUMN(name, width)                                 \
    {                                                       \
#name, offsetof(struct core_lease_row, name), width \
    }
    COLUMN(id, U64),
    COLUMN(token, U64),
    COLUMN(token_before, U64),
    COLUMN(seq, U64),
    COLUMN(devices, U64),
    COLUMN(granted, U64),
    COLUMN(submitted_at_ms, U64),
    COLUMN(granted_at_ms, U64),
    COLUMN(first_granted_at_ms, U64),
    COLUMN(timeout_ms, U64),
    COLUMN(state, U8),
    COLUMN(vram_mib, U32),
    COLUMN(gpus, U32),
    COLUMN(ttl_ms, U32),
    COLUMN(pause_grace_ms, U32),
    COLUMN(max_hold_ms, U32),
    COLUMN(charge_mib, U32),
    COLUMN(footprint_mib, U32),
    COLUMN(flags, U32),
    COLUMN(rungs, U32),
    COLUMN(rung, U8),
#undef COLUMN
};

/* Places of the others; the numbers follow. */
enum {
    SERVICE,
    JOB,
    CLASS,
    PRIORITY,
    METADATA,
    WATCHES,
    WATCH_PID,
    WATCH_STARTED,
    SHARES,
    NUMBERS
};

static const char other_names[] = "service_id,job_id,class,priority,metadata,"
                                  "watches,watch_pid,watch_started,shares";

enum {
    NUMBER_COUNT = (int)(sizeof numbers / sizeof numbers[0])
};

static void add_names(struct buf *sql)
{
    int i;

    buf_text(sql, other_names);
    for (i = 0; i < NUMBER_COUNT; i++) {
        buf_printf(sql, ",%s", numbers[i].name);
    }
}

/* Prepare @sql, which is released. */
static int prepare(sqlite3 *db, struct buf *sql, sqlite3_stmt **out)
{
    int rc = SQLITE_NOMEM;

    if (buf_error(sql) == E_OK) {
        rc = sqlite3_prepare_v3(db, buf_string(sql), -1,
                                SQLITE_PREPARE_PERSISTENT, out, NULL);
    }
    buf_release(sql);
    return rc;
}

int rows_prepare_put_lease(sqlite3 *db, sqlite3_stmt **out)
{
    struct buf sql;
    int i;

    buf_init(&sql, 0);
    buf_text(&sql, "INSERT OR REPLACE INTO lease(");
    add_names(&sql);
    buf_text(&sql, ") VALUES(?");
    for (i = 1; i < NUMBERS + NUMBER_COUNT; i++) {
        buf_text(&sql, ",?");
    }
    buf_text(&sql, ")");
    return prepare(db, &sql, out);
}

int rows_prepare_read_leases(sqlite3 *db, sqlite3_stmt **out)
{
    struct buf sql;

    buf_init(&sql, 0);
    buf_text(&sql, "SELECT ");
    add_names(&sql);
    buf_text(&sql, " FROM lease ORDER BY seq");
    return prepare(db, &sql, out);
}

/* Return the number of column @i in @row. */
static uint64_t number_of(const struct core_lease_row *row, int i)
{
    const char *at = (const char *)row + numbers[i].offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;

    switch (numbers[i].width) {
    case U8:
        return (unsigned char)*at;
    case U32:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    case U64:
        memcpy(&wide, at, sizeof wide);
        break;
    }
    return wide;
}

/* Bind a string, NULL allowed.  (Binding to a column that exists and is not
 * being stepped cannot fail where SQLite copies nothing.) */
static void bind_text(sqlite3_stmt *stmt, int column, const char *text)
{
    (void)sqlite3_bind_text(stmt, column + 1, text, -1, SQLITE_STATIC);
}

void rows_bind_lease(sqlite3_stmt *stmt,
                     const struct batch *batch,
                     const struct batch_lease *lease)
{
    int i;

    bind_text(stmt, SERVICE, batch_text(batch, lease->service_id));
    bind_text(stmt, JOB, batch_text(batch, lease->job_id));
    bind_text(stmt, CLASS, batch_text(batch, lease->class_name));
    bind_text(stmt, METADATA, batch_text(batch, lease->metadata));
    bind_text(stmt, WATCHES, batch_text(batch, lease->watches));
    bind_text(stmt, SHARES, batch_text(batch, lease->shares));
    (void)sqlite3_bind_int64(stmt, WATCH_PID + 1, lease->watch_pid);
    (void)sqlite3_bind_int64(stmt, WATCH_STARTED + 1,
                             (sqlite3_int64)lease->watch_started);
    if (lease->class_name == BATCH_NO_TEXT) {
        (void)sqlite3_bind_int64(stmt, PRIORITY + 1, lease->core.class_id);
    } else {
        (void)sqlite3_bind_null(stmt, PRIORITY + 1);
    }
    for (i = 0; i < NUMBER_COUNT; i++) {
        /* As two's complement: CORE_FOREVER is kept as -1. */
        (void)sqlite3_bind_int64(stmt, NUMBERS + i + 1,
                                 (sqlite3_int64)number_of(&lease->core, i));
    }
}

/* Store @value in column @i of @row; false where it does not fit. */
static bool set_number(struct core_lease_row *row, int i, uint64_t value)
{
    char *at = (char *)row + numbers[i].offset;
    uint32_t narrow = (uint32_t)value;

    switch (numbers[i].width) {
    case U8:
        *at = (char)(unsigned char)value;
        return value <= UINT8_MAX;
    case U32:
        memcpy(at, &narrow, sizeof narrow);
        return narrow == value;
    case U64:
        memcpy(at, &value, sizeof value);
        break;
    }
    return true;
}

static const char *text_at(sqlite3_stmt *stmt, int column)
{
    return (const char *)sqlite3_column_text(stmt, column);
}

/* Read the shares of a gang, "4096/0,2048/0": charge and footprint of each
 * of its devices.  False where @text is none. */
static bool read_shares(const char *text,
                        struct core_share shares[CORE_DEVICES_MAX],
                        uint32_t count)
{
    char *end = NULL;
    uint32_t i;

    for (i = 0; i < count; i++) {
        unsigned long charge = strtoul(text, &end, 10);
        unsigned long footprint;

        if (end == text || *end != '/') {
            return false;
        }
        text = end + 1;
        footprint = strtoul(text, &end, 10);
        if (end == text || *end != (i + 1 < count ? ',' : '\0') ||
            charge > UINT32_MAX || footprint > UINT32_MAX) {
            return false;
        }
        text = end + 1;
        shares[i] = (struct core_share){(uint32_t)charge, (uint32_t)footprint};
    }
    return true;
}

/* Read what of a row is neither a number of the core nor a name of it. */
static bool read_others(sqlite3_stmt *stmt,
                        struct core_share shares[CORE_DEVICES_MAX],
                        struct store_lease *lease)
{
    const char *text = text_at(stmt, SHARES);
    sqlite3_int64 pid = sqlite3_column_int64(stmt, WATCH_PID);

    lease->watches = text_at(stmt, WATCHES);
    lease->watch_pid = (uint32_t)pid;
    lease->watch_started = (uint64_t)sqlite3_column_int64(stmt, WATCH_STARTED);
    if (text != NULL) {
        lease->core.shares = shares;
        return lease->watch_pid == pid && lease->core.gpus > 1 &&
               lease->core.gpus <= CORE_DEVICES_MAX &&
               read_shares(text, shares, lease->core.gpus);
    }
    return lease->watch_pid == pid;
}

int rows_read_lease(sqlite3_stmt *stmt,
                    struct core_share shares[CORE_DEVICES_MAX],
                    struct store_lease *lease)
{
    sqlite3_int64 priority = sqlite3_column_int64(stmt, PRIORITY);
    bool fits = true;
    int i;

    memset(lease, 0, sizeof *lease);
    lease->service_id = text_at(stmt, SERVICE);
    lease->job_id = text_at(stmt, JOB);
    lease->class_name = text_at(stmt, CLASS);
    lease->metadata = text_at(stmt, METADATA);
    for (i = 0; i < NUMBER_COUNT; i++) {
        fits = set_number(&lease->core, i,
                          (uint64_t)sqlite3_column_int64(stmt, NUMBERS + i)) &&
               fits;
    }
    fits = fits && read_others(stmt, shares, lease);
    if (lease->class_name == NULL) {
        fits = fits && priority >= 0 && priority < CORE_PRIORITIES;
        lease->core.class_id = (uint32_t)priority;
    }
    return fits && lease->service_id != NULL && lease->core.id != 0 &&
                   lease->core.state < LEASE_ENDED
               ? E_OK
               : E_CORRUPT;
}
