#include "base/log.h"
#include "store/pg.h"
#include "store/pg_schema.h"
#include "store/pg_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char pg_store_commit[] = "SELECT gpu_commit($1, $2, $3, $4, $5, $6, $7)";
const char pg_store_reserve[] = "SELECT gpu_reserve($1, $2, $3)";

/* Four columns, by which pg_link.c knows the result. */
const char pg_store_started[] =
    "SELECT 'gpu_lease'::regtype::oid, 'gpu_class'::regtype::oid,"
    " 'gpu_mode'::regtype::oid, (SELECT backend_start FROM pg_stat_activity"
    " WHERE pid = pg_backend_pid())";

void pg_store_note_session(struct pg_store *store, const PGresult *result)
{
    const char *started = pg_rows_text(result, 0, 3);

    store->types = (struct pg_types){
        .lease = (uint32_t)pg_rows_number(result, 0, 0),
        .class_row = (uint32_t)pg_rows_number(result, 0, 1),
        .mode = (uint32_t)pg_rows_number(result, 0, 2),
    };
    (void)snprintf(store->backend_started, sizeof store->backend_started, "%s",
                   started == NULL ? "-infinity" : started);
}

/* Translate what the server says of a failed statement. */
static int
explain(PGconn *conn, const PGresult *result, struct store_message *msg)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (why == NULL) {
        pg_place_error(conn, msg);
        return E_STORE;
    }
    store_message_set(msg, "%s", why);
    if (strcmp(state, PG_STATE_BUSY) == 0) {
        return E_BUSY;
    }
    if (strcmp(state, PG_STATE_FENCED) == 0) {
        return E_NO_LEADER;
    }
    return strcmp(state, "53100") == 0 ? E_STORE_FULL : E_STORE;
}

/* Run @sql, whose result has at least one row, with @count parameters. */
static int ask(PGconn *conn,
               const char *sql,
               int count,
               const char *const *values,
               PGresult **out,
               struct store_message *msg)
{
    PGresult *result =
        PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
    int rc = E_OK;

    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) == 0) {
        rc = explain(conn, result, msg);
        PQclear(result);
        return rc;
    }
    *out = result;
    return E_OK;
}

/* Become the one who writes: under the fence that was given, or alone. */
static int take_store(struct pg_store *store,
                      const struct store_fence *fence,
                      struct store_message *msg)
{
    char numbers[2][24];
    const char *values[] = {numbers[0], numbers[1]};
    PGresult *result = NULL;
    int rc;

    store->is_alone = fence == NULL;
    if (fence == NULL) {
        rc = ask(store->conn,
                 "SELECT timeline, epoch, 0 FROM gpu_lead_alone("
                 "current_setting('application_name'))",
                 0, NULL, &result, msg);
    } else {
        (void)snprintf(numbers[0], sizeof numbers[0], "%" PRIu64,
                       fence->timeline);
        (void)snprintf(numbers[1], sizeof numbers[1], "%" PRIu64, fence->epoch);
        rc = ask(store->conn,
                 "SELECT $1::bigint, $2::bigint,"
                 " (SELECT number FROM gpu_batch WHERE epoch = $2::bigint)"
                 " FROM gpu_fence($1::bigint, $2::bigint)",
                 2, values, &result, msg);
    }
    if (rc == E_OK) {
        store->fence.timeline = (uint64_t)pg_rows_number(result, 0, 0);
        store->fence.epoch = (uint64_t)pg_rows_number(result, 0, 1);
        store->number_base = (uint64_t)pg_rows_number(result, 0, 2);
        store->committed = store->number_base;
        PQclear(result);
    }
    return rc;
}

/* Find the numbers reserved so far, and what the session needs. */
static int look(struct pg_store *store, struct store_message *msg)
{
    char timeline[24];
    const char *values[] = {timeline};
    PGresult *result = NULL;
    int rc;

    (void)snprintf(timeline, sizeof timeline, "%" PRIu64,
                   store->fence.timeline);
    rc =
        ask(store->conn, "SELECT gpu_numbers_end($1)", 1, values, &result, msg);
    if (rc != E_OK) {
        return rc;
    }
    store->numbers = (uint64_t)pg_rows_number(result, 0, 0);
    store->asked = store->numbers;
    PQclear(result);
    rc = ask(store->conn, pg_store_started, 0, NULL, &result, msg);
    if (rc == E_OK) {
        pg_store_note_session(store, result);
        store->backend_pid = PQbackendPID(store->conn);
        PQclear(result);
    }
    return rc;
}

static int prepare(PGconn *conn,
                   const char *name,
                   const char *sql,
                   struct store_message *msg)
{
    PGresult *result = PQprepare(conn, name, sql, 0, NULL);
    int rc = PQresultStatus(result) == PGRES_COMMAND_OK
                 ? E_OK
                 : explain(conn, result, msg);

    PQclear(result);
    return rc;
}

/* Everything after the URL. */
static int start(struct pg_store *store,
                 const struct store_options *options,
                 struct store_message *msg)
{
    int rc = pg_place_connect(&store->place, &store->conn, msg);

    rc = rc != E_OK ? rc : pg_schema_apply(store->conn, msg);
    rc = rc != E_OK ? rc : take_store(store, options->fence, msg);
    rc = rc != E_OK ? rc : look(store, msg);
    rc = rc != E_OK ? rc
                    : prepare(store->conn, "gpu_commit", pg_store_commit, msg);
    rc = rc != E_OK
             ? rc
             : prepare(store->conn, "gpu_reserve", pg_store_reserve, msg);
    if (rc == E_OK && (PQsetnonblocking(store->conn, 1) != 0 ||
                       PQenterPipelineMode(store->conn) == 0)) {
        pg_place_error(store->conn, msg);
        rc = E_STORE;
    }
    if (rc == E_OK) {
        pg_link_begin(store);
    }
    return rc;
}

static struct pg_store *make(struct event_base *loop)
{
    struct pg_store *store = calloc(1, sizeof *store);

    if (store != NULL) {
        store->base.ops = &pg_store_ops;
        store->base.syncs_all = true;
        batch_init(&store->base.batch);
        pg_params_init(&store->params);
        list_init(&store->pending);
        list_init(&store->spare);
        store->loop = loop;
    }
    return store;
}

void pg_store_destroy(struct pg_store *store)
{
    if (store == NULL) {
        return;
    }
    pg_link_end(store, E_STORE);
    batch_release(&store->base.batch);
    pg_params_release(&store->params);
    pg_place_release(&store->place);
    free(store);
}

int pg_open(const char *url,
            const struct store_options *options,
            struct store **out,
            char *msg,
            size_t msg_size)
{
    char text[STORE_MESSAGE_SIZE / 2] = "";
    struct store_message why = {.text = text, .size = sizeof text};
    struct pg_store *store = make(options->loop);
    int rc = E_NOMEM;

    if (options->moves_aside) {
        rc = E_INVALID;
        store_message_set(&why, "a database is not moved aside: empty its "
                                "schema, or name another");
    } else if (store != NULL) {
        rc = pg_place_init(&store->place, url, &why);
    }
    if (rc == E_OK) {
        rc = start(store, options, &why);
    }
    if (rc != E_OK) {
        /* A URL that has a secret in it is not repeated. */
        (void)snprintf(msg, msg_size, "cannot open the store '%.200s': %s",
                       rc == E_INVALID ? "postgresql:…" : url,
                       rc == E_NOMEM ? err_text(rc) : text);
        pg_store_destroy(store);
        return rc;
    }
    *out = &store->base;
    return E_OK;
}
