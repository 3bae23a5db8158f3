/* pg_answer.c - what the server says: to the set-up of a connection, and to the
 * commits. */
#include "base/clock.h"
#include "base/log.h"
#include "store/pg_schema.h"
#include "store/pg_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FULL_AGAIN_MS = 1000 /* How often a full disk is tried again. */
};

/* ---- Setting up ------------------------------------------------------- */

void pg_answer_set_up(struct pg_store *store)
{
    char fence[2][24];
    char pid[16];
    char why[sizeof store->why];
    struct store_message msg = {why, sizeof why};
    const char *values[] = {fence[0], fence[1], store->is_alone ? "t" : "f",
                            pid, store->backend_started};
    PGconn *conn = store->conn;

    if (pg_place_check(conn, &msg) != E_OK) {
        pg_link_lose(store, why);
        return;
    }
    (void)snprintf(fence[0], sizeof fence[0], "%" PRIu64,
                   store->fence.timeline);
    (void)snprintf(fence[1], sizeof fence[1], "%" PRIu64, store->fence.epoch);
    (void)snprintf(pid, sizeof pid, "%d", store->backend_pid);
    if (PQsetnonblocking(conn, 1) != 0 || PQenterPipelineMode(conn) == 0 ||
        PQsendQueryParams(conn, pg_place_session, 0, NULL, NULL, NULL, NULL,
                          0) == 0 ||
        PQsendQueryParams(conn, "SELECT gpu_resume($1, $2, $3, $4, $5)", 5,
                          NULL, values, NULL, NULL, 0) == 0 ||
        PQsendQueryParams(conn, pg_store_started, 0, NULL, NULL, NULL, NULL,
                          0) == 0 ||
        PQsendPrepare(conn, "gpu_commit", pg_store_commit, 0, NULL) == 0 ||
        PQsendPrepare(conn, "gpu_reserve", pg_store_reserve, 0, NULL) == 0 ||
        PQpipelineSync(conn) == 0) {
        pg_link_lose_it(store);
        return;
    }
    store->syncs = 1;
    store->answer = E_OK;
    store->phase = PG_SETTING_UP;
    store->due_ms = clock_mono_ms() + PG_CONNECT_MS;
}

static void become_ready(struct pg_store *store)
{
    log_info("the store is back");
    store->phase = PG_READY;
    store->backend_pid = PQbackendPID(store->conn);
    store->why[0] = '\0';
    pg_link_send_all(store);
    pg_link_tell_state(store);
}

/* ---- Answers ---------------------------------------------------------- */

/* Return the first entry whose end the server still owes. */
static struct pg_entry *first_sent(struct pg_store *store)
{
    struct list *at;

    LIST_EACH (at, &store->pending) {
        if (pg_entry_of(at)->is_sent) {
            return pg_entry_of(at);
        }
    }
    return NULL;
}

/* Translate what the server says of a statement that failed; E_OK means that
 * the connection, not the statement, is what has failed. */
static int error_of(struct pg_store *store, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (state == NULL || strncmp(state, "57P", 3) == 0 ||
        strcmp(state, "25006") == 0) {
        return E_OK; /* Ended by an administrator, or a standby by now. */
    }
    if (strcmp(state, PG_STATE_FENCED) == 0) {
        return E_NO_LEADER;
    }
    if (strcmp(state, "53100") == 0) {
        store->full_until_ms = clock_mono_ms() + FULL_AGAIN_MS;
        return E_STORE_FULL;
    }
    return strcmp(state, "53200") == 0 ? E_NOMEM : E_STORE;
}

/* Take one failed result; false where the connection is gone with it. */
static bool take_failure(struct pg_store *store, const PGresult *result)
{
    int rc = error_of(store, result);

    if (rc == E_OK || rc == E_NO_LEADER || store->phase == PG_SETTING_UP) {
        pg_link_fail(store, result);
        return false;
    }
    log_error("cannot write to the store: %s",
              PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    store->answer = rc;
    return true;
}

/* The end of a statement, or of the set-up. */
static void take_end(struct pg_store *store)
{
    struct pg_entry *entry = first_sent(store);
    int answer = store->answer;

    store->syncs--;
    store->answer = E_OK;
    if (store->phase == PG_SETTING_UP) {
        become_ready(store);
        return;
    }
    pg_link_finish_idle(store);
    if (entry != NULL) {
        if (answer == E_OK) {
            store->full_until_ms = 0;
        }
        pg_link_finish(store, entry, answer);
    }
    pg_link_finish_idle(store);
}

/* Take @result; false where the connection is gone with it. */
static bool take_result(struct pg_store *store, const PGresult *result)
{
    switch ((int)PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        take_end(store);
        return store->conn != NULL;
    case PGRES_TUPLES_OK:
        if (store->phase == PG_SETTING_UP && PQnfields(result) == 4) {
            pg_store_note_session(store, result);
        }
        return true;
    case PGRES_COMMAND_OK:
    case PGRES_PIPELINE_ABORTED: /* What failed came before it. */
        return true;
    default:
        return take_failure(store, result);
    }
}

void pg_answer_read(struct pg_store *store)
{
    bool goes_on = true;

    while (goes_on && store->syncs > 0 && PQisBusy(store->conn) == 0) {
        PGresult *result = PQgetResult(store->conn);

        goes_on = result == NULL || take_result(store, result);
        PQclear(result);
    }
}
