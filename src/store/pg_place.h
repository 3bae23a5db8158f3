/* pg_place.h - which database, and a connection to it.
 *
 * The URL is libpq's, with everything that libpq takes (several hosts,
 * sslmode, service, options=-csearch_path%3D…).  What it leaves open is set so
 * that a dead server is noticed: keep-alive, TCP_USER_TIMEOUT, a limit of time
 * for connecting, and only a server that writes.  Passwords come from a file.
 *
 * Used by the store, and by the leadership of a cluster.
 */
#ifndef GPUCOORD_STORE_PG_PLACE_H
#define GPUCOORD_STORE_PG_PLACE_H

#include "base/err.h"
#include "store/files.h"

#include <libpq-fe.h>

enum {
    PG_PLACE_KEYS_MAX = 64,
    PG_CONNECT_MS = 10000 /* A connection that takes longer is given up. */
};

struct pg_place {
    char *url;                               /* Owned; without secrets. */
    PQconninfoOption *options;               /* Owned: what .values uses. */
    const char *keywords[PG_PLACE_KEYS_MAX]; /* As PQconnectdbParams() */
    const char *values[PG_PLACE_KEYS_MAX];   /*   takes them. */
};

/* Read @url, copied.
 *
 * Errors (@msg says why; release it all the same):
 *   E_INVALID  libpq does not take it, or it has a password in it.
 *   E_NOMEM    no memory.
 */
MUST_USE int pg_place_init(struct pg_place *place,
                           const char *url,
                           struct store_message *msg);

/* Free what @place owns. */
void pg_place_release(struct pg_place *place);

/* Connect and set the session up, waiting for it: at most PG_CONNECT_MS a host.
 * The connection is returned to the caller.
 *
 * Errors (@msg says why):
 *   E_STORE        no server, or it refuses us.
 *   E_UNSUPPORTED  a server that is too old, or an encoding other than UTF8.
 *   E_NOMEM        no memory.
 */
MUST_USE int pg_place_connect(const struct pg_place *place,
                              PGconn **out,
                              struct store_message *msg);

/* Begin to connect without waiting; NULL without memory.  Then PQconnectPoll()
 * as usual, pg_place_check(), and pg_place_session as the first statement. */
PGconn *pg_place_start(const struct pg_place *place);

/* Check the server of the made connection @conn.
 *
 * Errors (@msg says why):
 *   E_UNSUPPORTED  a server that is too old, or an encoding other than UTF8.
 */
MUST_USE int pg_place_check(const PGconn *conn, struct store_message *msg);

/* Makes the session ours: what an administrator has set for others must not end
 * a commit, or make it less than durable. */
extern const char pg_place_session[];

/* Run one statement whose rows nobody wants, waiting for it.
 *
 * Errors (@msg says why):
 *   E_STORE  it failed.
 */
MUST_USE int
pg_place_run(PGconn *conn, const char *sql, struct store_message *msg);

/* Copy the newest error of @conn, one line of it, to @msg. */
void pg_place_error(const PGconn *conn, struct store_message *msg);

#endif
