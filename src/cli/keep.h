/* keep.h - how `run` keeps its lease while its child lives.
 *
 * It renews it, and trusts it no longer than the coordinator certainly keeps
 * it: until the time at which the newest renewal that was answered had been
 * *sent*, plus the TTL, less a margin, counted by a clock that runs on while
 * the machine sleeps.  What happens to the child when that time is over, or
 * when the lease is taken back, is the user's to say.
 */
#ifndef GPUCOORD_CLI_KEEP_H
#define GPUCOORD_CLI_KEEP_H

#include "cli/child.h"
#include "cli/client.h"
#include "cli/container.h"
#include "cli/wake.h"
#include "proto/api.h"

#include <stdbool.h>
#include <stdint.h>

enum on_lost {
    ON_LOST_CONTINUE, /* The child goes on. */
    ON_LOST_STOP,     /* It is stopped until the lease, or a new one, is held.
                       */
    ON_LOST_TERM      /* It is told to end (SIGTERM, later SIGKILL). */
};

struct keep {
    struct client *client;       /* Borrowed. */
    struct wake *wake;           /* Borrowed. */
    struct api_request *request; /* Borrowed: as asked, to ask again. */
    enum on_lost on_lost;
    struct child child;
    uint32_t watch_pid; /* Named by the next renewal; 0 = said, or nobody. */
    const struct container_wait *then; /* Run after the child, silently; NULL =
                                          nothing. */
    uint64_t lease; /* 0 = it has ended; the next call asks for another. */
    uint64_t token;
    uint64_t ttl_ms;
    uint64_t trust_until_ms; /* Of clock_boot_ms(), as all instants here. */
    uint64_t sent_at_ms;     /* The call in progress. */
    uint64_t next_at_ms;     /* The next call, UINT64_MAX = none. */
    uint64_t kill_at_ms;     /* UINT64_MAX = never. */
    bool is_trusted;
    bool stops_child; /* The child was handed a SIGTSTP that it had not. */
    bool said_away;   /* That renewals fail. */
};

/* Say until when a lease of @ttl_ms may be trusted whose renewal, or request,
 * was sent at @sent_ms: a tenth of the TTL, at most a second, is left. */
uint64_t keep_trust_until(uint64_t sent_ms, uint64_t ttl_ms);

/* Begin with the grant in @said, whose request was sent at @sent_ms; the
 * members above .child are the caller's to set before.
 *
 * A grant that was waited for does not say when it was given, so it is renewed
 * once here.  Returns 0, or the exit status where the coordinator says that it
 * is none, having said so. */
int keep_begin(struct keep *keep,
               const struct api_answer *said,
               uint64_t sent_ms);

/* Have the coordinator watch the child, which has been started, from now on:
 * this process may be killed.  One that is not on this machine cannot. */
void keep_watch_child(struct keep *keep);

/* Renew until the child, which has been started, has ended, and what comes
 * after it; then release the lease.  Returns the child's exit status. */
int keep_run(struct keep *keep);

/* Release the lease, unless it has ended. */
void keep_release(struct keep *keep);

#endif
