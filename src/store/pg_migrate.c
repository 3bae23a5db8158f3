/* pg_migrate.c - from one version of the schema to the next. */
#include "base/buf.h"
#include "base/log.h"
#include "store/pg_place.h"
#include "store/pg_schema.h"

#include <stdlib.h>

/* The lock has the name of the schema: there may be several in a database. */
static const char lock_sql[] = "SELECT pg_advisory_xact_lock(hashtextextended("
                               "'gpucoord schema ' || current_schema(), 0))";

/* Ask a question whose answer is one number. */
static int
ask(PGconn *conn, const char *sql, int *number, struct store_message *msg)
{
    PGresult *result = PQexec(conn, sql);
    int rc = E_OK;

    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) {
        pg_place_error(conn, msg);
        rc = E_STORE;
    } else {
        *number = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
    }
    PQclear(result);
    return rc;
}

/* Find the version; 0 where there is no schema of ours. */
static int find_version(PGconn *conn, int *version, struct store_message *msg)
{
    int count = 0;
    /* Not to_regclass(): it may remember that there was none before the lock
     * was waited for. */
    int rc = ask(conn,
                 "SELECT count(*)::int FROM pg_class"
                 " WHERE relname = 'gpu_schema' AND pg_table_is_visible(oid)",
                 &count, msg);

    *version = 0;
    return rc == E_OK && count != 0
               ? ask(conn, "SELECT version FROM gpu_schema", version, msg)
               : rc;
}

/* Refuse to change the tables under a coordinator that works with them. */
static int check_idle(PGconn *conn, struct store_message *msg)
{
    int is_idle = 0;
    int rc = ask(conn,
                 "SELECT (pg_try_advisory_xact_lock(gpu_lock_key()) AND NOT"
                 " EXISTS (SELECT FROM gpu_leader"
                 " WHERE expires > clock_timestamp()))::int",
                 &is_idle, msg);

    if (rc == E_OK && is_idle == 0) {
        store_message_set(msg, "its schema is older, and another coordinator "
                               "has it open");
        rc = E_BUSY;
    }
    return rc;
}

static int migrate(PGconn *conn, int version, struct store_message *msg)
{
    const char *const *sql = pg_migrations[version].statements;
    struct buf set;
    int rc = version == 0 ? E_OK : check_idle(conn, msg);

    for (; rc == E_OK && *sql != NULL; sql++) {
        rc = pg_place_run(conn, *sql, msg);
    }
    if (rc == E_OK) {
        buf_init(&set, 0);
        buf_printf(&set, "UPDATE gpu_schema SET version = %d", version + 1);
        rc = buf_error(&set) != E_OK
                 ? E_NOMEM
                 : pg_place_run(conn, buf_string(&set), msg);
        buf_release(&set);
    }
    return rc;
}

/* Take one step, in one transaction; *@version becomes what it is then. */
static int step(PGconn *conn, int *version, struct store_message *msg)
{
    struct store_message nobody = {.text = (char[1]){0}, .size = 1};
    int rc = pg_place_run(conn, "BEGIN", msg);

    rc = rc != E_OK ? rc : pg_place_run(conn, lock_sql, msg);
    rc = rc != E_OK ? rc : find_version(conn, version, msg);
    if (rc == E_OK && *version < pg_schema_version) {
        rc = migrate(conn, *version, msg);
        if (rc == E_OK) {
            (*version)++;
        }
    }
    if (rc == E_OK) {
        return pg_place_run(conn, "COMMIT", msg);
    }
    (void)!pg_place_run(conn, "ROLLBACK", &nobody);
    return rc;
}

int pg_schema_apply(PGconn *conn, struct store_message *msg)
{
    int version = 0;
    int rc = find_version(conn, &version, msg);

    while (rc == E_OK && version < pg_schema_version) {
        rc = step(conn, &version, msg);
    }
    if (rc == E_OK && version > pg_schema_version) {
        store_message_set(msg,
                          "its schema has version %d, which is newer than the "
                          "%d of this program",
                          version, pg_schema_version);
        rc = E_VERSION;
    }
    return rc;
}
