#include "store/rows.h"

#include "store/columns.h"

#include <string.h>

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
    columns_names(&sql);
    buf_text(&sql, ") VALUES(?");
    for (i = 1; i < COLUMN_COUNT; i++) {
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
    columns_names(&sql);
    buf_text(&sql, " FROM lease ORDER BY seq");
    return prepare(db, &sql, out);
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

    bind_text(stmt, COLUMN_SERVICE, batch_text(batch, lease->service_id));
    bind_text(stmt, COLUMN_JOB, batch_text(batch, lease->job_id));
    bind_text(stmt, COLUMN_CLASS, batch_text(batch, lease->class_name));
    bind_text(stmt, COLUMN_METADATA, batch_text(batch, lease->metadata));
    bind_text(stmt, COLUMN_WATCHES, batch_text(batch, lease->watches));
    bind_text(stmt, COLUMN_SHARES, batch_text(batch, lease->shares));
    (void)sqlite3_bind_int64(stmt, COLUMN_WATCH_PID + 1, lease->watch_pid);
    (void)sqlite3_bind_int64(stmt, COLUMN_WATCH_STARTED + 1,
                             (sqlite3_int64)lease->watch_started);
    if (lease->class_name == BATCH_NO_TEXT) {
        (void)sqlite3_bind_int64(stmt, COLUMN_PRIORITY + 1,
                                 lease->core.class_id);
    } else {
        (void)sqlite3_bind_null(stmt, COLUMN_PRIORITY + 1);
    }
    for (i = COLUMN_NUMBERS; i < COLUMN_COUNT; i++) {
        /* As two's complement: CORE_FOREVER is kept as -1. */
        (void)sqlite3_bind_int64(stmt, i + 1,
                                 (sqlite3_int64)columns_get(&lease->core, i));
    }
}

static const char *text_at(sqlite3_stmt *stmt, int column)
{
    return (const char *)sqlite3_column_text(stmt, column);
}

int rows_read_lease(sqlite3_stmt *stmt,
                    struct core_share shares[CORE_DEVICES_MAX],
                    struct store_lease *lease)
{
    const struct column_others others = {
        .shares = text_at(stmt, COLUMN_SHARES),
        .priority = sqlite3_column_int64(stmt, COLUMN_PRIORITY),
        .watch_pid = sqlite3_column_int64(stmt, COLUMN_WATCH_PID),
        .watch_started = sqlite3_column_int64(stmt, COLUMN_WATCH_STARTED),
    };
    bool fits = true;
    int rc;
    int i;

    memset(lease, 0, sizeof *lease);
    lease->service_id = text_at(stmt, COLUMN_SERVICE);
    lease->job_id = text_at(stmt, COLUMN_JOB);
    lease->class_name = text_at(stmt, COLUMN_CLASS);
    lease->metadata = text_at(stmt, COLUMN_METADATA);
    lease->watches = text_at(stmt, COLUMN_WATCHES);
    for (i = COLUMN_NUMBERS; i < COLUMN_COUNT; i++) {
        fits = columns_set(&lease->core, i,
                           (uint64_t)sqlite3_column_int64(stmt, i)) &&
               fits;
    }
    rc = columns_finish(lease, &others, shares);
    return fits ? rc : E_CORRUPT;
}
