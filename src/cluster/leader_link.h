/* leader_link.h - a connection to PostgreSQL that is there again: one question
 * at a time.
 *
 * While it is down it is tried again, with a back-off that grows to a second.
 * A question that is not answered within LEADER_QUERY_MS takes the connection
 * down: a leader has no time to wait for TCP.
 */
#ifndef GPUCOORD_CLUSTER_LEADER_LINK_H
#define GPUCOORD_CLUSTER_LEADER_LINK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base; /* libevent's. */
struct link;       /* Opaque; leader_link.c. */

/* Told by the loop. */
struct link_handler {
    void (*on_link)(void *arg);   /* It came up, or went down. */
    void (*on_answer)(void *arg); /* The answer is there, also an error. */
};

/* Open a link to the database @url, copied; down until link_attach().
 *
 * Errors (the log says why):
 *   E_INVALID      libpq does not take the URL, or it has a password in it.
 *   E_UNSUPPORTED  built without PostgreSQL.
 *   E_NOMEM        no memory.
 */
MUST_USE int link_open(const char *url, struct link **out);

/* Make the tables and functions, where they are missing, when it comes up. */
void link_make_schema(struct link *link, bool makes_schema);

/* Close it; NULL is allowed. */
void link_close(struct link *link);

/* Have @base drive it and tell @handler, all borrowed until link_detach().
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int link_attach(struct link *link,
                         struct event_base *base,
                         const struct link_handler *handler,
                         void *arg);

/* Let go of the loop; the connection stays. */
void link_detach(struct link *link);

/* Say whether a question can be asked. */
bool link_is_up(const struct link *link);

/* Ask @sql with @count parameters as texts, borrowed for the call; nothing
 * was asked before, or it was answered.  Where the link is down nothing
 * happens. */
void link_ask(struct link *link,
              const char *sql,
              int count,
              const char *const *values);

/* Wait, without the loop, until nothing is under way, up to @limit_ms; the
 * answer is then there.  False where the link is down. */
MUST_USE bool link_rest(struct link *link, uint64_t limit_ms);

/* Of the newest answer: was it an error, */
bool link_has_failed(const struct link *link);

/* of this SQLSTATE; */
bool link_has_state(const struct link *link, const char *state);

/* how many rows has it, */
int link_rows(const struct link *link);

/* and what is in them; "" for null. */
const char *link_value(const struct link *link, int row, int column);

/* Return what is wrong, for people: of the link where it is down, else of the
 * newest answer. */
const char *link_trouble(const struct link *link);

#endif
