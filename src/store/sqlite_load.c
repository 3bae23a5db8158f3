#include "base/log.h"
#include "store/rows.h"
#include "store/sqlite_store.h"

struct loading {
    const struct store_reader *reader;
    uint64_t time_max_ms; /* So far. */
};

/* Read one row of its query for @reader.  E_CORRUPT, or what that returned. */
typedef int (*row_reader)(sqlite3_stmt *stmt, struct loading *loading);

static int read_mode(sqlite3_stmt *stmt, struct loading *loading)
{
    const struct core_mode_row mode = {
        .bypass_until_ms = (uint64_t)sqlite3_column_int64(stmt, 0),
        .drained = (uint64_t)sqlite3_column_int64(stmt, 1),
        .is_draining = sqlite3_column_int(stmt, 2) != 0,
    };

    return loading->reader->mode(loading->reader->arg, &mode);
}

static int read_class(sqlite3_stmt *stmt, struct loading *loading)
{
    sqlite3_int64 consecutive = sqlite3_column_int64(stmt, 1);
    const struct store_class row = {
        .core =
            {
                .consecutive = (uint32_t)consecutive,
                .credit = sqlite3_column_int64(stmt, 2),
            },
        .name = (const char *)sqlite3_column_text(stmt, 0),
    };

    if (row.name == NULL || row.core.consecutive != consecutive) {
        return E_CORRUPT;
    }
    return loading->reader->class_row(loading->reader->arg, &row);
}

static int read_lease(sqlite3_stmt *stmt, struct loading *loading)
{
    struct store_lease lease;
    struct core_share shares[CORE_DEVICES_MAX];
    const uint64_t *times[] = {&lease.core.submitted_at_ms,
                               &lease.core.granted_at_ms,
                               &lease.core.first_granted_at_ms};
    size_t i;
    int rc = rows_read_lease(stmt, shares, &lease);

    if (rc != E_OK) {
        log_error("the store's row of lease %llu is damaged",
                  (unsigned long long)lease.core.id);
        return rc;
    }
    for (i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (*times[i] > loading->time_max_ms) {
            loading->time_max_ms = *times[i];
        }
    }
    return loading->reader->lease(loading->reader->arg, &lease);
}

/* Give all rows of @stmt, taken, to the reader through @read.  @rc is the
 * result of the statement's making. */
static int
read_all(sqlite3_stmt *stmt, int rc, row_reader read, struct loading *loading)
{
    int result = E_OK;

    while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        result = read(stmt, loading);
        /* A string for which there was no memory reads as NULL. */
        if (sqlite3_errcode(sqlite3_db_handle(stmt)) == SQLITE_NOMEM) {
            result = E_NOMEM;
        }
        rc = result == E_OK ? SQLITE_OK : SQLITE_DONE;
    }
    (void)sqlite3_finalize(stmt);
    if (rc == SQLITE_DONE) {
        return result;
    }
    return rc == SQLITE_NOMEM ? E_NOMEM : E_STORE;
}

int sqlite_store_load(struct store *base,
                      const struct store_reader *reader,
                      uint64_t *time_max_ms)
{
    static const char mode_sql[] =
        "SELECT bypass_until_ms, drained, is_draining FROM mode";
    static const char class_sql[] =
        "SELECT name, consecutive, credit FROM class ORDER BY name";
    sqlite3 *db = ((const struct sqlite_store *)base)->db;
    struct loading loading = {.reader = reader};
    sqlite3_stmt *stmt = NULL;
    int rc;

    rc = sqlite3_prepare_v2(db, mode_sql, -1, &stmt, NULL);
    rc = read_all(stmt, rc, read_mode, &loading);
    if (rc == E_OK) {
        rc = sqlite3_prepare_v2(db, class_sql, -1, &stmt, NULL);
        rc = read_all(stmt, rc, read_class, &loading);
    }
    if (rc == E_OK) {
        stmt = NULL;
        rc = rows_prepare_read_leases(db, &stmt);
        rc = read_all(stmt, rc, read_lease, &loading);
    }
    *time_max_ms = loading.time_max_ms;
    return rc;
}
