/* client.h - calls to the coordinator over HTTP, one at a time.
 *
 * A call is started, then waited for, so that a command can watch something
 * else meanwhile (`run` its child and its signals).  The first coordinator
 * that takes the connection gets the call, in the order of the endpoints.  One
 * that answers /no-leader or /restarting has not carried it out: the next gets
 * it.  In a cluster (several URLs) so it is where the answer was lost, if the
 * call can be made twice; and whether the coordinator of a call that blocks
 * still lives is asked in between.
 */
#ifndef GPUCOORD_CLI_CLIENT_H
#define GPUCOORD_CLI_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/api.h"

#include <stdbool.h>
#include <stdint.h>

struct client; /* Opaque; client.c. */

enum {
    CLIENT_QUICK_MS = 15000,  /* Limit of a call that does not block. */
    CLIENT_PERSIST_MS = 10000 /* How long client_call() tries again: twice what
                                 a new leader takes. */
};

/* What came back. */
struct client_answer {
    int error;              /* 0, the problem's code, or E_UNREACHABLE. */
    struct api_answer said; /* The body's known members. */
    struct buf body;        /* As sent; empty where nothing came. */
    struct buf trouble;     /* A sentence why nothing came; else empty. */
    bool was_sent;          /* A coordinator took the connection. */
};

/* Make @answer empty; client_answer_release() frees what a call put there. */
void client_answer_init(struct client_answer *answer);

/* Free what @answer owns; it can be used again. */
void client_answer_release(struct client_answer *answer);

/* Open a client for the environment's coordinator; nothing is sent yet.
 *
 * Errors (said to the user):
 *   E_INVALID      GPUCOORD_URL or GPUCOORD_AUTH_FILE is wrong.
 *   E_UNREACHABLE  GPUCOORD_URL is `off`.
 *   E_NOMEM        no memory.
 */
MUST_USE int client_open(struct client **out);

/* Close the client, its connection and the call in progress; NULL is allowed.
 */
void client_close(struct client *client);

/* Say whether the newest call went over a Unix socket, whose peer the
 * coordinator knows; before the first call, whether the next one will.  In a
 * cluster: whether it would, whoever took it. */
bool client_is_local(const struct client *client);

/* Say whether several coordinators were named, of which any may come to lead.
 */
bool client_is_cluster(const struct client *client);

/* Return a time between half of @most_ms and all of it, by chance: those who
 * lost their coordinator together do not come back together. */
uint64_t client_jitter_ms(uint64_t most_ms);

/* Start a call, dropping one in progress.
 *
 * @path begins with "/gpu/"; @body is copied, NULL makes it a GET, else a
 * POST.  The call fails by itself after @limit_ms.  Each endpoint is tried
 * once; who wants more starts again.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int client_start(struct client *client,
                          const char *path,
                          const char *body,
                          uint64_t limit_ms);

/* Wait for the call in progress up to @wait_ms, or until @wake_fd (-1 = none)
 * can be read, and fill @answer, made empty by its owner before.
 *
 * Without a call in progress only the waiting is done.
 *
 * Errors:
 *   E_TIMEOUT  no answer yet: woken, or the time is over.  The call goes on.
 */
MUST_USE int client_wait(struct client *client,
                         int wake_fd,
                         uint64_t wait_ms,
                         struct client_answer *answer);

/* Wait for the call in progress to its end, at the latest that of its own
 * limit; do nothing where there is none. */
void client_finish(struct client *client, struct client_answer *answer);

/* Drop the call in progress, if any, and its connection: the coordinator sees
 * that its client has gone. */
void client_drop(struct client *client);

/* Make a whole call: client_start() and client_wait().  What is worth another
 * try is tried again for CLIENT_PERSIST_MS.  All failures are in
 * @answer->error. */
void client_call(struct client *client,
                 const char *path,
                 const char *body,
                 uint64_t limit_ms,
                 struct client_answer *answer);

#endif
