/* pg_load.c - reading, on a connection of its own: the one that commits is in
 * pipeline mode, where nothing can be waited for. */
#include "base/log.h"
#include "store/columns.h"
#include "store/pg_schema.h"
#include "store/pg_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
    const struct store_reader *reader;
    uint64_t time_max_ms; /* So far. */
};

/* Give one row to the reader.  E_CORRUPT, or what that returned. */
typedef int (*row_reader)(const PGresult *result, struct loading *loading);

static int read_mode(const PGresult *result, struct loading *loading)
{
    const struct core_mode_row mode = {
        .bypass_until_ms = (uint64_t)pg_rows_number(result, 0, 0),
        .drained = (uint64_t)pg_rows_number(result, 0, 1),
        .is_draining = pg_rows_number(result, 0, 2) != 0,
    };

    return loading->reader->mode(loading->reader->arg, &mode);
}

static int read_class(const PGresult *result, struct loading *loading)
{
    int64_t consecutive = pg_rows_number(result, 0, 1);
    const struct store_class row = {
        .core =
            {
                .consecutive = (uint32_t)consecutive,
                .credit = pg_rows_number(result, 0, 2),
            },
        .name = pg_rows_text(result, 0, 0),
    };

    if (row.name == NULL || row.core.consecutive != consecutive) {
        return E_CORRUPT;
    }
    return loading->reader->class_row(loading->reader->arg, &row);
}

static int read_lease(const PGresult *result, struct loading *loading)
{
    struct store_lease lease;
    struct core_share shares[CORE_DEVICES_MAX];
    const uint64_t *times[] = {&lease.core.submitted_at_ms,
                               &lease.core.granted_at_ms,
                               &lease.core.first_granted_at_ms};
    size_t i;
    int rc = pg_rows_read_lease(result, 0, shares, &lease);

    if (rc != E_OK) {
        log_error("the store's row of lease %" PRIu64 " is damaged",
                  lease.core.id);
        return rc;
    }
    for (i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (*times[i] > loading->time_max_ms) {
            loading->time_max_ms = *times[i];
        }
    }
    return loading->reader->lease(loading->reader->arg, &lease);
}

/* Run @sql and give its rows, one at a time, to the reader through @read. */
static int read_all(PGconn *conn,
                    const char *sql,
                    row_reader read,
                    struct loading *loading)
{
    int rc = E_OK;
    PGresult *result;

    if (PQsendQuery(conn, sql) == 0 || PQsetSingleRowMode(conn) == 0) {
        return E_STORE;
    }
    /* All results are taken, so that the connection can be used again. */
    while ((result = PQgetResult(conn)) != NULL) {
        ExecStatusType status = PQresultStatus(result);

        if (status == PGRES_SINGLE_TUPLE && rc == E_OK) {
            rc = read(result, loading);
        } else if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK) {
            log_error("cannot read the store: %s",
                      PQresultErrorMessage(result));
            rc = rc == E_OK ? E_STORE : rc;
        }
        PQclear(result);
    }
    return rc;
}

/* Connect; the log says why that failed. */
static int open_reader(const struct pg_store *store, PGconn **out)
{
    char why[256] = "";
    struct store_message msg = {why, sizeof why};
    int rc = pg_place_connect(&store->place, out, &msg);

    if (rc == E_OK || rc == E_NOMEM) {
        return rc;
    }
    log_error("cannot read the store: %s", why);
    return E_STORE;
}

/* Say whether the store still is the one that we have. */
static int check_fence(const struct pg_store *store, PGconn *conn)
{
    PGresult *result =
        PQexec(conn, "SELECT timeline, epoch, gpu_timeline() FROM gpu_leader");
    int rc = E_STORE;

    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
        uint64_t timeline = (uint64_t)pg_rows_number(result, 0, 0);

        rc =
            timeline == store->fence.timeline &&
                    timeline == (uint64_t)pg_rows_number(result, 0, 2) &&
                    store->fence.epoch == (uint64_t)pg_rows_number(result, 0, 1)
                ? E_OK
                : E_NO_LEADER;
    }
    PQclear(result);
    return rc;
}

static int read_tables(PGconn *conn, struct loading *loading)
{
    struct buf sql;
    int rc;

    buf_init(&sql, 0);
    buf_text(&sql, "SELECT ");
    columns_names(&sql);
    buf_text(&sql, " FROM gpu_lease ORDER BY seq");
    rc = buf_error(&sql);
    if (rc == E_OK) {
        rc = read_all(conn,
                      "SELECT bypass_until_ms, drained, is_draining::int "
                      "FROM gpu_mode",
                      read_mode, loading);
    }
    if (rc == E_OK) {
        rc = read_all(conn,
                      "SELECT name, consecutive, credit FROM gpu_class "
                      "ORDER BY name COLLATE \"C\"",
                      read_class, loading);
    }
    if (rc == E_OK) {
        rc = read_all(conn, buf_string(&sql), read_lease, loading);
    }
    buf_release(&sql);
    return rc;
}

int pg_store_load(struct store *base,
                  const struct store_reader *reader,
                  uint64_t *time_max_ms)
{
    const struct pg_store *store = (const struct pg_store *)base;
    struct loading loading = {.reader = reader};
    char why[256];
    struct store_message msg = {why, sizeof why};
    PGconn *conn = NULL;
    int rc = open_reader(store, &conn);

    if (rc != E_OK) {
        return rc;
    }
    rc = pg_place_run(conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                      &msg);
    rc = rc != E_OK ? rc : check_fence(store, conn);
    rc = rc != E_OK ? rc : read_tables(conn, &loading);
    PQfinish(conn);
    *time_max_ms = loading.time_max_ms;
    return rc;
}

/* Ask one question, with up to three numbers, whose answer is one.
 *
 * Errors: E_INVALID where the numbers are used up, E_NO_LEADER, E_STORE. */
static int ask_number(const struct pg_store *store,
                      const char *sql,
                      const uint64_t numbers[3],
                      int count,
                      uint64_t *answer)
{
    char texts[3][24];
    const char *values[3] = {texts[0], texts[1], texts[2]};
    PGconn *conn = NULL;
    PGresult *result;
    const char *state;
    int rc = open_reader(store, &conn);
    int i;

    if (rc != E_OK) {
        return E_STORE;
    }
    for (i = 0; i < count; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "%" PRIu64, numbers[i]);
    }
    result = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        *answer = (uint64_t)pg_rows_number(result, 0, 0);
    } else if (state != NULL && strcmp(state, PG_STATE_NUMBERS) == 0) {
        rc = E_INVALID;
    } else if (state != NULL && strcmp(state, PG_STATE_FENCED) == 0) {
        rc = E_NO_LEADER;
    } else {
        log_error("cannot use the store: %s", PQerrorMessage(conn));
        rc = E_STORE;
    }
    PQclear(result);
    PQfinish(conn);
    return rc;
}

int pg_store_hold_ms(struct store *base, uint64_t longest_ms, uint64_t *hold_ms)
{
    return ask_number((const struct pg_store *)base, "SELECT gpu_hold_ms($1)",
                      (const uint64_t[3]){longest_ms}, 1, hold_ms);
}

int pg_store_raise_numbers(struct store *base, uint64_t end)
{
    struct pg_store *store = (struct pg_store *)base;

    return end <= store->numbers
               ? E_OK
               : ask_number(store, "SELECT gpu_raise_numbers($1, $2, $3)",
                            (const uint64_t[3]){store->fence.timeline,
                                                store->fence.epoch, end},
                            3, &store->numbers);
}
