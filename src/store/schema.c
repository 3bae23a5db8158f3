#include "store/schema.h"

#include "base/kill.h"
#include "base/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x67707563 /* "gpuc". */
};

/* Numbers, not words, in the tables: a lease is written with every change of
 * its state.  People read the view. */
static const char version_1[] =
    "CREATE TABLE lease ("
    " id INTEGER PRIMARY KEY,"
    " service_id TEXT NOT NULL,"
    " job_id TEXT,"
    " class TEXT," /* NULL: the implicit class of .priority. */
    " priority INTEGER,"
    " metadata TEXT,"
    " token INTEGER NOT NULL,"
    " token_before INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " devices INTEGER NOT NULL,"
    " granted INTEGER NOT NULL,"
    " submitted_at_ms INTEGER NOT NULL,"
    " granted_at_ms INTEGER NOT NULL,"
    " first_granted_at_ms INTEGER NOT NULL,"
    " timeout_ms INTEGER NOT NULL," /* -1: none. */
    " state INTEGER NOT NULL,"
    " vram_mib INTEGER NOT NULL,"
    " gpus INTEGER NOT NULL,"
    " ttl_ms INTEGER NOT NULL,"
    " pause_grace_ms INTEGER NOT NULL,"
    " max_hold_ms INTEGER NOT NULL,"
    " charge_mib INTEGER NOT NULL,"
    " footprint_mib INTEGER NOT NULL,"
    " flags INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE class ("
    " name TEXT PRIMARY KEY,"
    " consecutive INTEGER NOT NULL,"
    " credit INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"

    /* One row. */
    "CREATE TABLE mode ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " bypass_until_ms INTEGER NOT NULL," /* 0: off; -1: without end. */
    " drained INTEGER NOT NULL,"
    " is_draining INTEGER NOT NULL"
    ") STRICT;"

    /* One row: no lease id or token from .reserved on was ever given. */
    "CREATE TABLE numbers ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " reserved INTEGER NOT NULL"
    ") STRICT;"
    "INSERT INTO numbers VALUES (1, 0);"

    /* For people. */
    "CREATE VIEW gpu_queue AS SELECT"
    " id AS lease, service_id, job_id,"
    " coalesce(class, 'priority-' || priority) AS class,"
    " CASE state WHEN 0 THEN 'away' WHEN 1 THEN 'queued'"
    "  WHEN 2 THEN 'clearing' WHEN 3 THEN 'held' WHEN 4 THEN 'pausing'"
    "  WHEN 5 THEN 'paused' WHEN 6 THEN 'reclaiming' END AS state,"
    " nullif(token, 0) AS token, vram_mib, gpus, charge_mib,"
    " flags & 1 AS preemptible, (flags >> 1) & 1 AS durable,"
    " (flags >> 3) & 1 AS paused_by_operator,"
    " metadata"
    " FROM lease ORDER BY seq;"

    "PRAGMA application_id = 1735423331;"; /* APPLICATION_ID. */

/* What a gang is charged on each of its devices, the ladder, the watched
 * process.  A gang of version 1 has no shares: the larger charge counts on all
 * its devices until it ends. */
static const char version_2[] =
    "ALTER TABLE lease ADD COLUMN shares TEXT;" /* "4096/0,2048/0". */
    "ALTER TABLE lease ADD COLUMN ladder TEXT;"
    "ALTER TABLE lease ADD COLUMN rungs INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lease ADD COLUMN rung INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lease ADD COLUMN watch_pid INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE lease ADD COLUMN watch_started INTEGER NOT NULL DEFAULT 0;";

/* Which further processes are watched.  What .ladder was for, .rungs says. */
static const char version_3[] =
    "ALTER TABLE lease ADD COLUMN watches TEXT;"; /* "812/77,813/78". */

static const char *const migrations[] = {version_1, version_2, version_3};

const struct schema schema_current = {
    .migrations = migrations,
    .version = (int)(sizeof migrations / sizeof migrations[0]),
};

/* Return the errno of the last system call that failed on a file of @db, which
 * @pointer names. */
static int last_errno(sqlite3 *db, int pointer)
{
    sqlite3_file *file = NULL;
    int error = 0;

    if (sqlite3_file_control(db, NULL, pointer, &file) == SQLITE_OK &&
        file != NULL && file->pMethods != NULL) {
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO,
                                           &error);
    }
    return error;
}

/* SQLite tells a full disk from other failures, but not an exhausted quota. */
static bool is_over_quota(sqlite3 *db, int rc)
{
    return rc == SQLITE_IOERR_WRITE &&
           (last_errno(db, SQLITE_FCNTL_JOURNAL_POINTER) == EDQUOT ||
            last_errno(db, SQLITE_FCNTL_FILE_POINTER) == EDQUOT);
}

int schema_error(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return E_OK;
    case SQLITE_NOMEM:
        return E_NOMEM;
    case SQLITE_FULL:
        return E_STORE_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return E_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return E_CORRUPT;
    default:
        return is_over_quota(db, rc) ? E_STORE_FULL : E_STORE;
    }
}

/* Read the first column of the first row of @sql, a number. */
static int read_number(sqlite3 *db, const char *sql, int *number)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        *number = rc == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
    }
    (void)sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

int schema_version(sqlite3 *db, int *version, struct store_message *msg)
{
    int application = 0;
    int objects = 0;
    int rc;

    rc = read_number(db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (rc == SQLITE_OK) {
        rc = read_number(db, "PRAGMA application_id", &application);
    }
    if (rc == SQLITE_OK) {
        rc = read_number(db, "PRAGMA user_version", version);
    }
    if (rc != SQLITE_OK) {
        store_message_set(msg, "%s", sqlite3_errmsg(db));
        return schema_error(db, rc);
    }
    if (*version == 0 ? objects != 0 || application != 0
                      : application != APPLICATION_ID) {
        store_message_set(msg, "it is a database of another program");
        return E_CORRUPT;
    }
    return E_OK;
}

/* Copy @db to @copy, through a name beside it so that a copy is never half. */
static int copy_to(sqlite3 *db, const char *copy, struct store_message *msg)
{
    char *part = files_join(copy, ".part");
    char *sql = sqlite3_mprintf("VACUUM INTO %Q", part);
    int rc = E_NOMEM;

    if (part != NULL && sql != NULL) {
        (void)unlink(part);
        rc = files_make_private(part, msg);
    }
    if (rc == E_OK) {
        rc = schema_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
        if (rc == E_OK && rename(part, copy) == 0) {
            rc = files_sync_directory(copy, msg);
        } else {
            rc = rc == E_OK ? E_STORE : rc;
            store_message_set(msg, "cannot copy it to '%s' first: %s", copy,
                              sqlite3_errmsg(db));
        }
    }
    sqlite3_free(sql);
    free(part);
    return rc;
}

/* Copy the file at @path, of version @version, before it is changed. */
static int copy_before(sqlite3 *db,
                       const char *path,
                       int version,
                       struct store_message *msg)
{
    char suffix[32];
    char *copy;
    int rc;

    (void)snprintf(suffix, sizeof suffix, ".before-v%d", version + 1);
    copy = files_join(path, suffix);
    if (copy == NULL) {
        return E_NOMEM;
    }
    rc = copy_to(db, copy, msg);
    if (rc == E_OK) {
        log_info("copied the store to '%s' before its migration", copy);
    }
    free(copy);
    return rc;
}

/* Apply the migration to @version, all or nothing. */
static int
apply(sqlite3 *db, const char *sql, int version, struct store_message *msg)
{
    char *all = sqlite3_mprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d",
                                sql, version);
    int rc;

    if (all == NULL) {
        return E_NOMEM;
    }
    rc = schema_error(db, sqlite3_exec(db, all, NULL, NULL, NULL));
    if (rc == E_OK) {
        kill_here(KILL_IN_MIGRATION);
        rc = schema_error(db, sqlite3_exec(db, "COMMIT", NULL, NULL, NULL));
    }
    if (rc != E_OK) {
        store_message_set(msg, "cannot bring it to version %d: %s", version,
                          sqlite3_errmsg(db));
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    sqlite3_free(all);
    return rc;
}

int schema_migrate(sqlite3 *db,
                   const struct schema *schema,
                   const char *path,
                   int version,
                   struct store_message *msg)
{
    int rc = E_OK;

    if (version != 0 && version < schema->version) {
        rc = copy_before(db, path, version, msg);
    }
    for (; rc == E_OK && version < schema->version; version++) {
        rc = apply(db, schema->migrations[version], version + 1, msg);
    }
    return rc;
}
