/* sqlite_store.h - the inside of the SQLite store: sqlite_open.c (with
 * sqlite_file.c) brings it up, sqlite.c runs it, sqlite_load.c reads it. */
#ifndef GPUCOORD_STORE_SQLITE_STORE_H
#define GPUCOORD_STORE_SQLITE_STORE_H

#include "store/ops.h"
#include "store/reserve.h"
#include "store/syncer.h"

#include <sqlite3.h>

enum {
    SQLITE_STORE_PAGE = 1024,
    /* Frames (a page and 24 bytes each) in the log before a checkpoint; the
     * measurements are in docs/store.md. */
    SQLITE_STORE_FRAMES = 2000,
    /* The same while the disk is full, so that the log does not grow. */
    SQLITE_STORE_FRAMES_FULL = 64,
    /* A checkpoint lets the database grow by at most the pages in the log; what
     * is above that is for the log itself. */
    SQLITE_STORE_RESERVE = SQLITE_STORE_FRAMES * SQLITE_STORE_PAGE + (256 << 10)
};

enum sqlite_stmt_id {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_PUT_LEASE,
    STMT_END_LEASE,
    STMT_PUT_CLASS,
    STMT_PUT_MODE,
    STMT_NUMBERS, /* Reserve. */
    STMTS
};

struct sqlite_store {
    struct store base; /* First: the contract. */
    char *path;
    int lock_fd; /* -1 = not taken. */
    int sync_fd; /* The log once more, for the thread; -1 = not open. */
    sqlite3 *db;
    sqlite3_stmt *stmts[STMTS];
    struct syncer *syncer;
    struct reserve reserve;
    uint64_t committed;    /* The highest batch number. */
    uint64_t numbers;      /* End of the reserved ones. */
    uint64_t refill_at_ms; /* While .is_full: when to look for room again. */
    int frames;            /* In the log after the last commit. */
    int error;             /* Of the last write, so that each is told once. */
    bool is_full;          /* New requests are refused. */
    bool is_broken;        /* SQLite's own fsync has failed. */
};

extern const struct store_ops sqlite_store_ops;

/* Give all rows to @reader: store_load() (sqlite_load.c).
 *
 * Errors: as store_load().
 */
MUST_USE int sqlite_store_load(struct store *base,
                               const struct store_reader *reader,
                               uint64_t *time_max_ms);

/* Forget everything and free @store, at whatever point its opening ended;
 * NULL is allowed. */
void sqlite_store_destroy(struct sqlite_store *store);

#endif
