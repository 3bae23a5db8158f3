/* leader.h - who leads, as one row in PostgreSQL says.
 *
 * The row (leader, epoch, expires) is judged by the database's clock: a
 * leadership lasts 3 s and is renewed each second; who follows tries to win it
 * every 500 ms, and at the instant at which it ends.  The SQL functions are
 * the store's (src/store/pg_schema.c), and so is the fence: whoever has led
 * writes nothing more, whatever is believed here.
 *
 *   FOLLOWING ──won──► LEADING ──► LOST
 *
 * A leadership is lost when the database says that another has won, or when it
 * has not said for so long that another may have.  That is counted from when
 * the last renewal that was granted had been *sent*, by a clock that runs on
 * while the machine sleeps.
 *
 * It has a connection of its own, so that a long commit does not keep a
 * renewal waiting, and is driven by the loop.
 */
#ifndef GPUCOORD_CLUSTER_LEADER_H
#define GPUCOORD_CLUSTER_LEADER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base; /* libevent's. */
struct leader;     /* Opaque; leader.c. */

enum {
    LEADER_TTL_MS = 3000,
    LEADER_START_TTL_MS = 10000, /* The first: the queue is read meanwhile. */
    LEADER_RENEW_MS = 1000,
    LEADER_TRY_MS = 500,
    LEADER_QUERY_MS = 1000,  /* Then the connection counts as lost. */
    LEADER_MEMBERS_MAX = 16, /* Shown; more may take part. */
    LEADER_NAME_SIZE = 65,
    LEADER_URL_SIZE = 256,
    LEADER_GPUS_SIZE = 1024,
    LEADER_TEXT_SIZE = 512
};

enum leader_role {
    LEADER_FOLLOWING,
    LEADER_LEADING,
    LEADER_LOST /* It has led, and does no more. */
};

struct leader_member {
    char name[LEADER_NAME_SIZE];
    char advertise[LEADER_URL_SIZE];
    char gpus[LEADER_GPUS_SIZE]; /* UUIDs, with commas. */
    uint64_t seen_ms;            /* How long ago, at the time of the look. */
    bool leads;
};

/* What is known of the cluster. */
struct leader_view {
    enum leader_role role;
    bool is_connected;              /* The database answers. */
    char trouble[LEADER_TEXT_SIZE]; /* Why not, or why this one may not lead;
                                     * "" = nothing is wrong. */
    char name[LEADER_NAME_SIZE];    /* Who leads; "" = nobody, or not known. */
    char advertise[LEADER_URL_SIZE];
    uint64_t epoch; /* Of that leadership, or of the last one. */
    uint32_t timeline;
    struct leader_member members[LEADER_MEMBERS_MAX];
    size_t member_count;
    uint64_t looked_at_ms; /* Of clock_boot_ms(); 0 = never. */
};

/* What is told, by the loop, never from inside a call. */
struct leader_handler {
    /* Something in the view has changed: the role, who leads, or trouble.  The
     * leader may be moved or closed here. */
    void (*on_change)(void *arg);
};

struct leader_options {
    const char *url;  /* Of the database, for libpq; copied, as the next. */
    const char *name; /* Of this member. */
    const char *advertise; /* Where others reach it. */
    const char *gpus;      /* UUIDs, sorted, as an array of SQL: {"GPU-1"}. */
};

/* Open a follower; nothing is connected before leader_attach().
 *
 * Errors:
 *   E_INVALID      the URL is none, or has a password in it; the log says why.
 *   E_UNSUPPORTED  built without PostgreSQL.
 *   E_NOMEM        no memory.
 */
MUST_USE int leader_open(const struct leader_options *options,
                         struct leader **out);

/* Close the connection and free @leader; its leadership ends with its time.
 * NULL is allowed. */
void leader_close(struct leader *leader);

/* Have @base, borrowed until leader_detach(), drive it, and tell @handler.
 *
 * Errors:
 *   E_NOMEM  no memory; nothing drives it.
 */
MUST_USE int leader_attach(struct leader *leader,
                           struct event_base *base,
                           const struct leader_handler *handler,
                           void *arg);

/* Let go of the loop; a query under way is waited for after the next
 * leader_attach(). */
void leader_detach(struct leader *leader);

/* Follow again, after LEADER_LOST, and do not try to lead for @pause_ms. */
void leader_follow(struct leader *leader, uint64_t pause_ms);

/* Return what is known, borrowed until the next turn of the loop. */
const struct leader_view *leader_look(const struct leader *leader);

/* Say whether nobody else can lead yet.  Cheap: for each renewal. */
bool leader_is_valid(const struct leader *leader);

/* The store says that another leads by now: so it is.  Nobody is told. */
void leader_doubt(struct leader *leader);

/* Renew while no loop runs, waiting for the answer up to LEADER_QUERY_MS.
 *
 * Errors:
 *   E_NO_LEADER  another leads, or may by now; the role is LEADER_LOST.
 *   E_STORE      the database did not answer; the leadership is still ours.
 */
MUST_USE int leader_renew_now(struct leader *leader);

/* Give the leadership away, if it is ours, so that the next one need not wait
 * for its end, and say that this member has gone; up to LEADER_QUERY_MS. */
void leader_resign(struct leader *leader);

#endif
