/* pg_store.h - the inside of the PostgreSQL store: pg_open.c brings it up,
 * pg.c takes the commits, pg_link.c sends them and keeps the connection,
 * pg_answer.c hears what became of them, pg_load.c reads.
 */
#ifndef GPUCOORD_STORE_PG_STORE_H
#define GPUCOORD_STORE_PG_STORE_H

#include "base/list.h"
#include "store/ops.h"
#include "store/pg_place.h"
#include "store/pg_rows.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* Where the connection stands:
 *
 *   WAITING -> CONNECTING -> SETTING_UP -> READY
 *      ^            |             |          |
 *      +------------+-------------+----------+  lost
 *                                 +----------+-> DEPOSED, for good
 */
enum pg_phase {
    PG_WAITING,    /* For the next attempt, at .due_ms. */
    PG_CONNECTING, /* Until .due_ms at the latest; likewise the next. */
    PG_SETTING_UP, /* Fence, lock and statements. */
    PG_READY,
    PG_DEPOSED /* Another coordinator has the store. */
};

enum pg_work {
    PG_WORK_BATCH,
    PG_WORK_NUMBERS, /* Reserve numbers up to .number. */
    PG_WORK_NOTHING  /* Is done when all before it are. */
};

/* A commit that is not answered yet. */
struct pg_entry {
    struct list link; /* Of .pending, in the order of their commits. */
    struct batch batch;
    uint64_t number; /* Of the batch, as the server is told it. */
    uint64_t began_ms;
    store_done done; /* NULL = nobody waits. */
    void *arg;
    enum pg_work work;
    bool is_sent; /* On this connection. */
};

/* Return the entry whose .link is @link. */
static inline struct pg_entry *pg_entry_of(struct list *link)
{
    return CONTAINER_OF(link, struct pg_entry, link);
}

struct pg_store {
    struct store base; /* First: the contract. */
    struct pg_place place;
    struct store_fence fence;
    struct pg_types types;
    struct event_base *loop;
    struct event io;    /* On the connection's socket, where .io_what != 0. */
    struct event timer; /* At .due_ms, or when to say that nobody answers. */
    PGconn *conn;       /* NULL while WAITING or DEPOSED. */
    PostgresPollingStatusType polling; /* While CONNECTING: what it awaits. */
    struct list pending;               /* Of struct pg_entry. */
    struct list spare;                 /* Likewise, with their memory. */
    size_t pending_count;
    size_t syncs; /* Ends of statements that the server still owes. */
    int answer;   /* Of the statement whose end is awaited. */
    struct pg_params params;
    uint64_t committed;   /* The highest number done. */
    uint64_t number_base; /* What this epoch had before we opened. */
    uint64_t numbers;     /* End of the reserved ones. */
    uint64_t asked;       /* End of those that are being reserved. */
    uint64_t due_ms;
    uint64_t back_off_ms;
    uint64_t full_until_ms; /* New requests are refused so long. */
    int backend_pid;        /* Of the newest connection that was READY. */
    char backend_started[64];
    char why[256]; /* What is wrong with it; "" = nothing. */
    int io_fd;
    short io_what;
    enum pg_phase phase;
    bool is_alone;      /* Without a cluster: the lock of the session. */
    bool was_answering; /* As last told through base.changed. */
};

extern const struct store_ops pg_store_ops;

/* ---- pg_link.c --------------------------------------------------------- */

/* Begin to keep the connection, which is made and set up, on the loop. */
void pg_link_begin(struct pg_store *store);

/* Append @entry, taken, and send it if that is possible now. */
void pg_link_add(struct pg_store *store, struct pg_entry *entry);

/* Return an entry with an empty batch; NULL without memory. */
struct pg_entry *pg_link_entry(struct pg_store *store);

/* Wait, without the loop, until nothing is pending or @wait_ms have passed, or
 * the store is deposed. */
void pg_link_drain(struct pg_store *store, uint64_t wait_ms);

/* Send nothing more, and fail what is pending: another may have the store. */
void pg_link_abandon(struct pg_store *store);

/* Forget who waits for what is pending with the argument @arg. */
void pg_link_forget(struct pg_store *store, const void *arg);

/* Say whether a commit has waited for long, and so perhaps for nobody. */
bool pg_link_is_silent(const struct pg_store *store);

/* Take @entry off the pending ones and tell its result. */
void pg_link_finish(struct pg_store *store, struct pg_entry *entry, int rc);

/* Tell those whose turn has come and who have nothing to send. */
void pg_link_finish_idle(struct pg_store *store);

/* Send what is not sent yet; a failure of libpq is one of the connection. */
void pg_link_send_all(struct pg_store *store);

/* The connection is lost, or was not made, because of @why, of the newest error
 * of libpq, or of what the server said: try again later, each time later, and
 * not all coordinators at once.  The last deposes where the server says so. */
void pg_link_lose(struct pg_store *store, const char *why);
void pg_link_lose_it(struct pg_store *store);
void pg_link_fail(struct pg_store *store, const PGresult *result);

/* Tell whoever asked that store_state() may be another. */
void pg_link_tell_state(struct pg_store *store);

/* Close the connection, fail what is pending with @rc, free the entries. */
void pg_link_end(struct pg_store *store, int rc);

/* ---- pg_answer.c ------------------------------------------------------- */

/* The connection is made: have the session set up, the fence checked, the lock
 * taken again and the statements prepared, in one go. */
void pg_answer_set_up(struct pg_store *store);

/* Take all answers that are there; the connection may be gone afterwards. */
void pg_answer_read(struct pg_store *store);

/* ---- pg_load.c --------------------------------------------------------- */

/* Load all rows, on a connection of its own.
 *
 * Errors: as store_load().
 */
MUST_USE int pg_store_load(struct store *base,
                           const struct store_reader *reader,
                           uint64_t *time_max_ms);

/* Find how long nothing may be granted, likewise.
 *
 * Errors: as store_hold_ms().
 */
MUST_USE int
pg_store_hold_ms(struct store *base, uint64_t longest_ms, uint64_t *hold_ms);

/* Have all numbers lie at @end or above, likewise.
 *
 * Errors: as store_raise_numbers().
 */
MUST_USE int pg_store_raise_numbers(struct store *base, uint64_t end);

/* ---- pg_open.c --------------------------------------------------------- */

/* The statements that are prepared on each connection, and the one whose
 * result pg_store_note_session() keeps. */
extern const char pg_store_commit[];
extern const char pg_store_reserve[];
extern const char pg_store_started[];

/* Keep what @result says of the session. */
void pg_store_note_session(struct pg_store *store, const PGresult *result);

/* Forget everything and free @store, at whatever point its opening ended;
 * NULL is allowed. */
void pg_store_destroy(struct pg_store *store);

#endif
