/* store_fixture.h - a store of its own, for tests: a SQLite file in a
 * directory, or a schema of a PostgreSQL server (pg_server.h).
 *
 * Rows are made from a number and compared as text.
 */
#ifndef GPUCOORD_TESTS_CONTRACT_STORE_FIXTURE_H
#define GPUCOORD_TESTS_CONTRACT_STORE_FIXTURE_H

#include "base/buf.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;

struct fixture {
    char directory[128]; /* "" = PostgreSQL. */
    char url[200];
    const char *path;       /* Inside .url: the file. */
    uint64_t numbers_first; /* Below it no new store gives any. */
    char msg[STORE_MESSAGE_SIZE];
    struct event_base *loop;
    struct store *store;
    struct buf text;
    uint64_t number; /* Of the last commit. */
    uint64_t time_max_ms;
};

/* Use PostgreSQL from now on, whose server runs. */
void fixture_use_postgres(void);

/* Setup and teardown of a cmocka test: *@state is a struct fixture with an
 * open, empty store. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Open the store again; the result of store_open(), its text in .msg. */
int fixture_open(struct fixture *fx, bool moves_aside);

/* Close it, if it is open, and open it again, which must work. */
void fixture_reopen(struct fixture *fx);

/* Run the loop until *@rc is not FIXTURE_WAITS. */
void fixture_wait(struct fixture *fx, const int *rc);

enum {
    FIXTURE_WAITS = 1
};

/* A store_done whose argument is an int for the result. */
void fixture_done(void *arg, int rc);

/* Commit under the next number, wait, and return the result. */
int fixture_commit(struct fixture *fx, bool needs_fsync);

/* Fill @lease with values that are a function of @id, each field another. */
void fixture_lease(struct store_lease *lease, uint64_t id);

/* Put fixture_lease(@id). */
void fixture_put(struct fixture *fx, uint64_t id);

/* Load all rows as text into .text; the result of store_load(), or E_NOMEM. */
int fixture_load(struct fixture *fx);

/* Return all rows as text, valid until the next call. */
const char *fixture_dump(struct fixture *fx);

/* Return the ids of the leases in the order of loading, as "1 2 3". */
const char *fixture_ids(struct fixture *fx);

/* Run @body in a child process with the store closed here; the child is
 * killed by SIGKILL when @body returns. */
void fixture_in_child(struct fixture *fx, void (*body)(struct fixture *fx));

#endif
