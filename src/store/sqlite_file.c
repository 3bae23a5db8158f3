#include "store/sqlite_file.h"

#include "base/clock.h"
#include "store/schema.h"

#include <stdio.h>
#include <string.h>

/* Before anything is read: hold the file alone.  With it SQLite keeps the
 * index of the log in memory, not in a file shared with others. */
static const char hold_alone[] = "PRAGMA locking_mode = EXCLUSIVE;"
                                 "PRAGMA trusted_schema = OFF;"
                                 "PRAGMA temp_store = MEMORY;"
                                 "PRAGMA secure_delete = OFF;";

/* A new file: pages of SQLITE_STORE_PAGE, because a commit writes whole pages
 * and changes a row or two in each. */
static const char shape_new[] = "PRAGMA page_size = 1024;"
                                "PRAGMA auto_vacuum = NONE;";

_Static_assert(SQLITE_STORE_PAGE == 1024, "the same page as above");

int sqlite_file_run(struct sqlite_store *store,
                    const char *sql,
                    struct store_message *msg)
{
    int rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    if (rc != SQLITE_OK) {
        store_message_set(msg, "%s", sqlite3_errmsg(store->db));
    }
    return schema_error(store->db, rc);
}

int sqlite_file_read(struct sqlite_store *store,
                     const char *sql,
                     struct store_message *text,
                     uint64_t *number)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
    }
    if (rc == SQLITE_ROW) {
        const unsigned char *value = sqlite3_column_text(stmt, 0);

        /* Without memory for its text a value reads as NULL, and so as 0. */
        if (value == NULL && sqlite3_errcode(store->db) == SQLITE_NOMEM) {
            rc = SQLITE_NOMEM;
        }
        store_message_set(text, "%s", value == NULL ? "" : (const char *)value);
        *number = (uint64_t)sqlite3_column_int64(stmt, 0);
    } else {
        store_message_set(text, "%s", sqlite3_errmsg(store->db));
    }
    (void)sqlite3_finalize(stmt);
    if (rc == SQLITE_DONE) {
        return E_CORRUPT; /* No row where there is always one. */
    }
    return schema_error(store->db, rc);
}

/* Read every page, so that damage is found now and not under load. */
static int check_pages(struct sqlite_store *store, struct store_message *msg)
{
    uint64_t ignored;
    int rc = sqlite_file_read(store, "PRAGMA quick_check(1)", msg, &ignored);

    if (rc == E_OK && strcmp(msg->text, "ok") != 0) {
        rc = E_CORRUPT;
    }
    return rc;
}

int sqlite_file_look(struct sqlite_store *store,
                     int *version,
                     struct store_message *msg)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc;

    rc = sqlite3_open_v2(store->path, &store->db, flags, NULL);
    if (rc != SQLITE_OK) {
        store_message_set(msg, "%s",
                          store->db == NULL ? "out of memory"
                                            : sqlite3_errmsg(store->db));
        return store->db == NULL ? E_NOMEM : schema_error(store->db, rc);
    }
    /* Until the file is accepted, closing must not write to it either. */
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                            NULL);
    rc = sqlite_file_run(store, hold_alone, msg);
    if (rc == E_OK) {
        rc = schema_version(store->db, version, msg);
    }
    if (rc == E_OK && *version > schema_current.version) {
        store_message_set(msg,
                          "a newer version of this program wrote it (schema "
                          "%d; this one knows %d)",
                          *version, schema_current.version);
        return E_VERSION;
    }
    if (rc == E_OK && *version != 0) {
        rc = check_pages(store, msg);
    }
    return rc;
}

/* The numbers of a store whose predecessor was moved aside begin above all
 * that it can have given: a million for each second since 1970, while a start
 * reserves a million and takes longer than a second. */
static uint64_t numbers_after_move(void)
{
    return clock_wall_ms() * 1000;
}

/* Where nothing was reserved yet, begin above a predecessor moved aside.  Not
 * only where the file is new: its making may have ended before this. */
static int begin_numbers(struct sqlite_store *store, struct store_message *msg)
{
    char sql[64];
    uint64_t reserved = 0;
    bool was_moved = false;
    int rc =
        sqlite_file_read(store, "SELECT reserved FROM numbers", msg, &reserved);

    if (rc == E_OK && reserved == 0) {
        rc = files_were_moved_aside(store->path, msg, &was_moved);
    }
    if (rc == E_OK && was_moved) {
        (void)snprintf(sql, sizeof sql, "UPDATE numbers SET reserved = %llu",
                       (unsigned long long)numbers_after_move());
        rc = sqlite_file_run(store, sql, msg);
    }
    return rc;
}

int sqlite_file_bring_up(struct sqlite_store *store,
                         int version,
                         struct store_message *msg)
{
    uint64_t ignored;
    int rc = version == 0 ? sqlite_file_run(store, shape_new, msg) : E_OK;

    if (rc == E_OK) {
        rc =
            sqlite_file_read(store, "PRAGMA journal_mode = WAL", msg, &ignored);
    }
    if (rc == E_OK && strcmp(msg->text, "wal") != 0) {
        store_message_set(msg, "its file system has no write-ahead log");
        rc = E_STORE;
    }
    if (rc == E_OK) {
        rc = sqlite_file_run(
            store, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0",
            msg);
    }
    if (rc == E_OK) {
        rc = schema_migrate(store->db, &schema_current, store->path, version,
                            msg);
    }
    if (rc == E_OK) {
        rc = begin_numbers(store, msg);
    }
    return rc;
}
