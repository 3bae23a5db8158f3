#include "base/log.h"
#include "store/files.h"
#include "store/rows.h"
#include "store/schema.h"
#include "store/sqlite.h"
#include "store/sqlite_file.h"
#include "store/sqlite_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const statements[STMTS] = {
    [STMT_BEGIN] = "BEGIN",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_PUT_LEASE] = NULL, /* rows.c makes it. */
    [STMT_END_LEASE] = "DELETE FROM lease WHERE id = ?",
    [STMT_PUT_CLASS] = "INSERT OR REPLACE INTO class VALUES (?, ?, ?)",
    [STMT_PUT_MODE] = "INSERT OR REPLACE INTO mode VALUES (1, ?, ?, ?)",
    [STMT_NUMBERS] = "UPDATE numbers SET reserved = ?",
};

/* Count the frames of the log; checkpoint() in sqlite.c goes by them. */
static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct sqlite_store *store = arg;

    (void)db;
    (void)name;
    store->frames = frames;
    return SQLITE_OK;
}

/* Note that the disk is full: sqlite_state() looks for room again. */
static void note_full(struct sqlite_store *store)
{
    store->is_full = true;
    log_error("the disk of the store '%s' is full: nothing new is accepted "
              "until there is room",
              store->path);
}

/* Make the reserve; without one the store works until the disk is full. */
static int hold_reserve(struct sqlite_store *store)
{
    char *name = files_join(store->path, "-reserve");
    int rc = E_NOMEM;

    if (name != NULL) {
        rc = reserve_init(&store->reserve, name, SQLITE_STORE_RESERVE);
    }
    free(name);
    if (rc == E_OK && reserve_hold(&store->reserve, 0) == E_STORE_FULL) {
        note_full(store);
    }
    return rc;
}

/* Copy an earlier run's log into the database, synced on both sides, so that
 * what that run could not sync is on the disk now.  A full disk may wait. */
static int settle_log(struct sqlite_store *store, struct store_message *msg)
{
    int rc = schema_error(store->db,
                          sqlite3_wal_checkpoint_v2(store->db, NULL,
                                                    SQLITE_CHECKPOINT_TRUNCATE,
                                                    NULL, NULL));

    if (rc == E_STORE_FULL && store->reserve.is_held) {
        reserve_give(&store->reserve);
        note_full(store);
        return settle_log(store, msg);
    }
    if (rc != E_OK && rc != E_STORE_FULL) {
        store_message_set(msg, "%s", sqlite3_errmsg(store->db));
        return rc;
    }
    return files_sync_directory(store->path, msg);
}

static int prepare_all(struct sqlite_store *store, struct store_message *msg)
{
    int rc = rows_prepare_put_lease(store->db, &store->stmts[STMT_PUT_LEASE]);
    int i;

    for (i = 0; rc == SQLITE_OK && i < STMTS; i++) {
        if (statements[i] != NULL) {
            rc = sqlite3_prepare_v3(store->db, statements[i], -1,
                                    SQLITE_PREPARE_PERSISTENT, &store->stmts[i],
                                    NULL);
        }
    }
    if (rc != SQLITE_OK) {
        store_message_set(msg, "%s", sqlite3_errmsg(store->db));
    }
    return schema_error(store->db, rc);
}

/* Start the thread that syncs the log, with a descriptor of its own: each open
 * file is told of a write error once, so nobody else may take it. */
static int start_syncer(struct sqlite_store *store,
                        struct event_base *loop,
                        struct store_message *msg)
{
    char *name = files_join(store->path, "-wal");
    int rc;

    if (name == NULL) {
        return E_NOMEM;
    }
    store->sync_fd = open(name, O_RDWR | O_CLOEXEC);
    if (store->sync_fd < 0) {
        store_message_set(msg, "cannot open its log: %s", strerror(errno));
        rc = E_STORE;
    } else {
        rc = syncer_create(store->sync_fd, loop, &store->syncer);
    }
    free(name);
    return rc;
}

/* Everything after the lock. */
static int start(struct sqlite_store *store,
                 const struct store_options *options,
                 struct store_message *msg)
{
    int version = 0;
    int rc = E_OK;

    if (options->moves_aside) {
        rc = files_move_aside(store->path, msg);
    }
    if (rc == E_OK) {
        rc = files_make_private(store->path, msg);
    }
    if (rc == E_OK) {
        rc = sqlite_file_look(store, &version, msg);
    }
    if (rc == E_OK) {
        rc = sqlite_file_bring_up(store, version, msg);
    }
    if (rc == E_OK) {
        rc = hold_reserve(store);
    }
    if (rc == E_OK) {
        rc = settle_log(store, msg);
    }
    if (rc == E_OK) {
        (void)sqlite3_wal_hook(store->db, on_commit, store);
        rc = sqlite_file_run(store, "PRAGMA synchronous = NORMAL", msg);
    }
    if (rc == E_OK) {
        rc = sqlite_file_read(store, "SELECT reserved FROM numbers", msg,
                              &store->numbers);
    }
    if (rc == E_OK) {
        rc = prepare_all(store, msg);
    }
    if (rc == E_OK) {
        rc = start_syncer(store, options->loop, msg);
    }
    return rc;
}

/* Say what is wrong with the store and what to do about it. */
static void explain(const char *path,
                    int rc,
                    const struct store_message *why,
                    struct store_message *msg)
{
    static const char way_out[] =
        "'gpucoord serve --move-aside-store' keeps it "
        "under another name and starts anew";

    if (rc == E_CORRUPT) {
        store_message_set(msg, "the store '%s' is damaged: %s; %s", path,
                          why->text, way_out);
    } else if (rc == E_VERSION) {
        store_message_set(msg,
                          "cannot use the store '%s': %s; run that version, or "
                          "%s",
                          path, why->text, way_out);
    } else {
        store_message_set(msg, "cannot open the store '%s': %s", path,
                          rc == E_NOMEM ? "out of memory" : why->text);
    }
}

/* Return an allocated store for @path, with nothing open. */
static struct sqlite_store *make(const char *path)
{
    struct sqlite_store *store = calloc(1, sizeof *store);

    if (store == NULL) {
        return NULL;
    }
    store->base.ops = &sqlite_store_ops;
    batch_init(&store->base.batch);
    store->lock_fd = -1;
    store->sync_fd = -1;
    /* SQLite takes "file:" and ":memory:" at the start for more than names. */
    store->path = files_join(path[0] == '/' ? "" : "./", path);
    if (store->path == NULL) {
        sqlite_store_destroy(store);
        return NULL;
    }
    return store;
}

int sqlite_open(const char *path,
                const struct store_options *options,
                struct store **out,
                char *msg,
                size_t msg_size)
{
    char text[256] = "";
    struct store_message why = {.text = text, .size = sizeof text};
    struct store_message told = {.size = msg_size};
    struct sqlite_store *store;
    int rc;

    told.text = msg;
    if (path[0] == '\0' || path[strlen(path) - 1] == '/') {
        store_message_set(&told, "the store 'sqlite:%s' names no file", path);
        return E_INVALID;
    }
    store = make(path);
    rc = store == NULL ? E_NOMEM : files_make_directory(store->path, &why);
    if (rc == E_OK) {
        rc = files_lock(store->path, &why, &store->lock_fd);
    }
    if (rc == E_OK) {
        rc = start(store, options, &why);
    }
    if (rc != E_OK) {
        explain(path, rc, &why, &told);
        sqlite_store_destroy(store);
        return rc;
    }
    *out = &store->base;
    return E_OK;
}
