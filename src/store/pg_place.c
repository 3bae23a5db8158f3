#include "store/pg_place.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION_MIN = 140000 /* Pipelines are the client's; time-outs of idle
                            sessions are known from 14 on. */
};

/* What the URL may override. */
static const struct {
    const char *keyword;
    const char *value;
} defaults[] = {
    {"fallback_application_name", "gpucoord"},
    {"target_session_attrs", "read-write"},
    {"connect_timeout", "10"},
    {"keepalives_idle", "5"},
    {"keepalives_interval", "3"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "10000"},
};

/* A commit that the server calls done is on its disk; where the server has more
 * than that configured (standbys), it stays.  A plan made for an empty table
 * must not scan one that has grown.  The statement has one row: settings, then
 * the types of struct pg_types, then what tells this backend from a later one
 * of the same number. */
const char pg_place_session[] =
    "SELECT set_config('synchronous_commit', CASE"
    " current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
    " ELSE current_setting('synchronous_commit') END, false),"
    " set_config('default_transaction_isolation', 'read committed', false),"
    " set_config('default_transaction_deferrable', 'off', false),"
    " set_config('statement_timeout', '0', false),"
    " set_config('lock_timeout', '0', false),"
    " set_config('idle_in_transaction_session_timeout', '0', false),"
    " set_config('idle_session_timeout', '0', false),"
    " set_config('client_min_messages', 'warning', false),"
    " set_config('enable_seqscan', 'off', false),"
    " set_config('jit', 'off', false)";

static bool is_secret(const PQconninfoOption *option)
{
    return strcmp(option->keyword, "password") == 0 ||
           strcmp(option->keyword, "sslpassword") == 0;
}

/* Set @keyword unless the URL has. */
static void set_default(struct pg_place *place,
                        size_t *count,
                        const char *keyword,
                        const char *value)
{
    size_t i;

    for (i = 0; i < *count; i++) {
        if (strcmp(place->keywords[i], keyword) == 0) {
            return;
        }
    }
    place->keywords[*count] = keyword;
    place->values[*count] = value;
    (*count)++;
}

/* Gather what the URL says; E_INVALID where that is a secret. */
static int gather(struct pg_place *place, struct store_message *msg)
{
    const PQconninfoOption *option;
    size_t count = 0;
    size_t i;

    for (option = place->options; option->keyword != NULL; option++) {
        if (option->val == NULL || option->val[0] == '\0') {
            continue;
        }
        if (is_secret(option)) {
            store_message_set(msg, "the URL of the store has a password in it, "
                                   "which others can read; put it into a file "
                                   "(~/.pgpass, or passfile=PATH in the URL)");
            return E_INVALID;
        }
        if (count + sizeof defaults / sizeof defaults[0] + 2 >=
            PG_PLACE_KEYS_MAX) {
            store_message_set(msg, "the URL of the store has too many parts");
            return E_INVALID;
        }
        place->keywords[count] = option->keyword;
        place->values[count] = option->val;
        count++;
    }
    for (i = 0; i < sizeof defaults / sizeof defaults[0]; i++) {
        set_default(place, &count, defaults[i].keyword, defaults[i].value);
    }
    set_default(place, &count, "client_encoding", "UTF8");
    return E_OK;
}

int pg_place_init(struct pg_place *place,
                  const char *url,
                  struct store_message *msg)
{
    char *why = NULL;

    memset(place, 0, sizeof *place);
    place->options = PQconninfoParse(url, &why);
    if (place->options == NULL) {
        store_message_set(msg,
                          "the URL of the store is not one of PostgreSQL: "
                          "%.*s",
                          why == NULL ? 13 : (int)strcspn(why, "\n"),
                          why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return why == NULL ? E_NOMEM : E_INVALID;
    }
    place->url = strdup(url);
    return place->url == NULL ? E_NOMEM : gather(place, msg);
}

void pg_place_release(struct pg_place *place)
{
    PQconninfoFree(place->options);
    free(place->url);
    place->options = NULL;
    place->url = NULL;
}

void pg_place_error(const PGconn *conn, struct store_message *msg)
{
    const char *text = PQerrorMessage(conn);

    store_message_set(msg, "%.*s", (int)strcspn(text, "\n"), text);
}

int pg_place_check(const PGconn *conn, struct store_message *msg)
{
    const char *encoding = PQparameterStatus(conn, "server_encoding");

    if (PQserverVersion(conn) < VERSION_MIN) {
        store_message_set(msg, "the server is older than PostgreSQL %d",
                          VERSION_MIN / 10000);
        return E_UNSUPPORTED;
    }
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        store_message_set(msg, "the encoding of the database is %s, not UTF8",
                          encoding == NULL ? "unknown" : encoding);
        return E_UNSUPPORTED;
    }
    return E_OK;
}

int pg_place_run(PGconn *conn, const char *sql, struct store_message *msg)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        pg_place_error(conn, msg);
        return E_STORE;
    }
    return E_OK;
}

/* The server's warnings come with the errors that we tell. */
static void keep_quiet(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

int pg_place_connect(const struct pg_place *place,
                     PGconn **out,
                     struct store_message *msg)
{
    PGconn *conn = PQconnectdbParams(place->keywords, place->values, 0);
    int rc = E_STORE;

    if (conn == NULL) {
        return E_NOMEM;
    }
    (void)PQsetNoticeProcessor(conn, keep_quiet, NULL);
    if (PQstatus(conn) == CONNECTION_OK) {
        rc = pg_place_check(conn, msg);
        rc = rc != E_OK ? rc : pg_place_run(conn, pg_place_session, msg);
    } else {
        pg_place_error(conn, msg);
    }
    if (rc != E_OK) {
        PQfinish(conn);
        return rc;
    }
    *out = conn;
    return E_OK;
}

PGconn *pg_place_start(const struct pg_place *place)
{
    PGconn *conn = PQconnectStartParams(place->keywords, place->values, 0);

    if (conn != NULL) {
        (void)PQsetNoticeProcessor(conn, keep_quiet, NULL);
    }
    return conn;
}
