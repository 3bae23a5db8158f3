#include "store/sqlite.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/rows.h"
#include "store/schema.h"
#include "store/sqlite_store.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    REFILL_MS = 1000 /* How often a full disk is looked at again. */
};

/* ---- Writing ---------------------------------------------------------- */

/* Run a bound statement that returns no rows; SQLite's result. */
static int run(struct sqlite_store *store, enum sqlite_stmt_id id)
{
    int rc;

    (void)sqlite3_step(store->stmts[id]);
    rc = sqlite3_reset(store->stmts[id]);
    return rc;
}

/* Say whether SQLite's result @rc means that what was synced is in doubt. */
static bool is_sync_failure(int rc)
{
    return rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC;
}

/* Translate the result of a write, note what it means for the store, and tell
 * people when it is another than that of the write before. */
static int settle(struct sqlite_store *store, int sqlite_rc)
{
    int rc = schema_error(store->db, sqlite_rc);

    if (is_sync_failure(sqlite_rc)) {
        store->is_broken = true;
    }
    if (rc != E_OK && rc != E_STORE_FULL && rc != E_NOMEM) {
        rc = E_STORE;
    }
    if (rc != E_OK && rc != E_STORE_FULL && rc != store->error) {
        log_error("cannot write to the store '%s': %s", store->path,
                  sqlite3_errmsg(store->db));
    }
    store->error = rc;
    return rc;
}

static int write_leases(struct sqlite_store *store)
{
    const struct batch *batch = &store->base.batch;
    int rc = SQLITE_OK;
    size_t i;

    for (i = 0; rc == SQLITE_OK && i < batch->lease_count; i++) {
        const struct batch_lease *lease = &batch->leases[i];

        if (lease->is_end) {
            (void)sqlite3_bind_int64(store->stmts[STMT_END_LEASE], 1,
                                     (sqlite3_int64)lease->core.id);
            rc = run(store, STMT_END_LEASE);
        } else {
            rows_bind_lease(store->stmts[STMT_PUT_LEASE], batch, lease);
            rc = run(store, STMT_PUT_LEASE);
        }
    }
    return rc;
}

static int write_classes(struct sqlite_store *store)
{
    const struct batch *batch = &store->base.batch;
    sqlite3_stmt *stmt = store->stmts[STMT_PUT_CLASS];
    int rc = SQLITE_OK;
    size_t i;

    for (i = 0; rc == SQLITE_OK && i < batch->class_count; i++) {
        const struct batch_class *row = &batch->classes[i];
        const char *name = batch_text(batch, row->name);

        (void)sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int64(stmt, 2, row->core.consecutive);
        (void)sqlite3_bind_int64(stmt, 3, row->core.credit);
        rc = run(store, STMT_PUT_CLASS);
    }
    return rc;
}

static int write_mode(struct sqlite_store *store)
{
    const struct core_mode_row *mode = &store->base.batch.mode;
    sqlite3_stmt *stmt = store->stmts[STMT_PUT_MODE];

    if (!store->base.batch.has_mode) {
        return SQLITE_OK;
    }
    (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)mode->bypass_until_ms);
    (void)sqlite3_bind_int64(stmt, 2, (sqlite3_int64)mode->drained);
    (void)sqlite3_bind_int(stmt, 3, mode->is_draining);
    return run(store, STMT_PUT_MODE);
}

static int write_batch(struct sqlite_store *store)
{
    int rc = write_leases(store);

    if (rc == SQLITE_OK) {
        rc = write_classes(store);
    }
    if (rc == SQLITE_OK) {
        rc = write_mode(store);
    }
    return rc;
}

/* The statement was bound by the caller. */
static int write_numbers(struct sqlite_store *store)
{
    return run(store, STMT_NUMBERS);
}

typedef int (*writer)(struct sqlite_store *store);

/* Run @write as one transaction, all or nothing.
 *
 * Errors: E_STORE_FULL, E_STORE, E_NOMEM. */
static int transact(struct sqlite_store *store, writer write)
{
    int sqlite_rc = run(store, STMT_BEGIN);
    int rc;

    if (sqlite_rc == SQLITE_OK) {
        sqlite_rc = write(store);
    }
    if (sqlite_rc == SQLITE_OK) {
        sqlite_rc = run(store, STMT_COMMIT);
    }
    rc = settle(store, sqlite_rc);
    if (!sqlite3_get_autocommit(store->db)) {
        /* A rollback cannot fail: it only forgets pages. */
        (void)run(store, STMT_ROLLBACK);
    }
    return rc;
}

/* ---- Room ------------------------------------------------------------- */

/* Copy the log into the database, so that the log starts again at its
 * beginning.  After a failed fsync nothing is copied any more: the log keeps
 * every change, and the next start copies them all from there. */
static int checkpoint(struct sqlite_store *store)
{
    int rc;

    if (store->is_broken) {
        return E_STORE;
    }
    rc = settle(store, sqlite3_wal_checkpoint_v2(store->db, NULL,
                                                 SQLITE_CHECKPOINT_PASSIVE,
                                                 NULL, NULL));
    if (rc == E_OK) {
        store->frames = 0;
    }
    return rc;
}

/* The disk is full: free the reserve, and with it empty the log, whose room
 * the next commits then use again. */
static void make_room(struct sqlite_store *store)
{
    if (!store->is_full) {
        log_error("the disk of the store '%s' is full: nothing new is accepted "
                  "until there is room",
                  store->path);
    }
    store->is_full = true;
    store->refill_at_ms = clock_mono_ms() + REFILL_MS;
    if (store->reserve.is_held) {
        reserve_give(&store->reserve);
    }
    (void)checkpoint(store);
}

/* Look whether there is room for the reserve again, and as much as a log. */
static void refill(struct sqlite_store *store)
{
    uint64_t now_ms = clock_mono_ms();

    if (now_ms < store->refill_at_ms) {
        return;
    }
    store->refill_at_ms = now_ms + REFILL_MS;
    if (reserve_hold(&store->reserve, SQLITE_STORE_RESERVE) == E_OK) {
        store->is_full = false;
        log_info("the disk of the store '%s' has room again", store->path);
    }
}

/* Run @write as one transaction, on a full disk once more with the room of
 * the reserve; then keep the log short. */
static int write_with_room(struct sqlite_store *store, writer write)
{
    int rc = transact(store, write);

    if (rc == E_STORE_FULL) {
        make_room(store);
        rc = transact(store, write);
    }
    if (store->frames >=
            (store->is_full ? SQLITE_STORE_FRAMES_FULL : SQLITE_STORE_FRAMES) &&
        checkpoint(store) == E_STORE_FULL && !store->is_full) {
        make_room(store);
    }
    return rc;
}

/* ---- The contract ----------------------------------------------------- */

static struct sqlite_store *store_of(struct store *base)
{
    return (struct sqlite_store *)base;
}

static bool is_broken(struct sqlite_store *store)
{
    return store->is_broken || syncer_has_failed(store->syncer);
}

/* Write the batch; the result but for the fsync. */
static int commit_batch(struct sqlite_store *store,
                        const struct store_commit *how)
{
    int rc = store->base.batch.error;

    if (rc != E_OK || how->number <= store->committed) {
        return rc;
    }
    if (how->needs_fsync && is_broken(store)) {
        return E_STORE;
    }
    if (!batch_is_empty(&store->base.batch)) {
        rc = write_with_room(store, write_batch);
    }
    if (rc == E_OK) {
        store->committed = how->number;
    }
    return rc;
}

static void sqlite_commit(struct store *base, const struct store_commit *how)
{
    struct sqlite_store *store = store_of(base);
    int rc = commit_batch(store, how);

    batch_clear(&base->batch);
    if (rc == E_OK && how->needs_fsync) {
        syncer_add(store->syncer, how->done, how->arg);
    } else {
        how->done(how->arg, rc);
    }
}

static size_t sqlite_pending(const struct store *base)
{
    return syncer_pending(((const struct sqlite_store *)base)->syncer);
}

static uint64_t sqlite_numbers(const struct store *base)
{
    return ((const struct sqlite_store *)base)->numbers;
}

static int sqlite_reserve_numbers(struct store *base, uint64_t end)
{
    struct sqlite_store *store = store_of(base);
    int rc;

    if (end <= store->numbers) {
        return E_OK;
    }
    if (is_broken(store)) {
        return E_STORE;
    }
    (void)sqlite3_bind_int64(store->stmts[STMT_NUMBERS], 1, (sqlite3_int64)end);
    /* FULL: SQLite itself syncs the log before the commit returns. */
    rc = settle(store, sqlite3_exec(store->db, "PRAGMA synchronous = FULL",
                                    NULL, NULL, NULL));
    if (rc == E_OK) {
        rc = write_with_room(store, write_numbers);
    }
    (void)sqlite3_exec(store->db, "PRAGMA synchronous = NORMAL", NULL, NULL,
                       NULL);
    if (rc == E_OK) {
        store->numbers = end;
    }
    return rc == E_NOMEM ? E_STORE : rc;
}

static int sqlite_state(struct store *base)
{
    struct sqlite_store *store = store_of(base);

    if (is_broken(store)) {
        return E_STORE;
    }
    if (store->is_full) {
        refill(store);
    }
    return store->is_full ? E_STORE_FULL : E_OK;
}

void sqlite_store_destroy(struct sqlite_store *store)
{
    int i;

    if (store == NULL) {
        return;
    }
    syncer_destroy(store->syncer);
    for (i = 0; i < STMTS; i++) {
        (void)sqlite3_finalize(store->stmts[i]);
    }
    (void)sqlite3_close(store->db);
    if (store->sync_fd >= 0) {
        (void)close(store->sync_fd);
    }
    if (store->lock_fd >= 0) {
        (void)close(store->lock_fd);
    }
    reserve_release(&store->reserve);
    batch_release(&store->base.batch);
    free(store->path);
    free(store);
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *store = store_of(base);

    /* SQLite copies the log into the database as it closes, unless that must
     * not be trusted: see checkpoint(). */
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
                            is_broken(store) ? 1 : 0, NULL);
    sqlite_store_destroy(store);
}

const struct store_ops sqlite_store_ops = {
    .load = sqlite_store_load,
    .commit = sqlite_commit,
    .pending = sqlite_pending,
    .numbers = sqlite_numbers,
    .reserve_numbers = sqlite_reserve_numbers,
    .state = sqlite_state,
    .close = sqlite_close,
};
