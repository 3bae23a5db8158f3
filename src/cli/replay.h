/* replay.h - inside `gpucoord replay`: the jobs' side and the command's.
 *
 * replay_jobs.c  calls of the jobs, and what comes back
 * replay.c       options, the run, and how it leaves
 */
#ifndef GPUCOORD_CLI_REPLAY_H
#define GPUCOORD_CLI_REPLAY_H

#include "base/idmap.h"
#include "cli/crowd.h"
#include "cli/workload.h"

enum {
    REPLAY_TTL_MS = API_TTL_MS_MAX, /* Real time, not the trace's. */
    REPLAY_EARLY_MAX = 64
};

/* What the coordinator knows a job by. */
struct replay_lease {
    uint64_t lease; /* 0 = none. */
    uint64_t token;
    uint32_t job;
};

struct replay {
    struct workload work;
    struct crowd *crowd;
    struct replay_lease *leases; /* By job. */
    struct idmap by_lease;
    uint64_t early[REPLAY_EARLY_MAX]; /* Leases whose pause came before their
                                         grant: they travel on different
                                         connections. */
    size_t early_count; /* Ever; the newest REPLAY_EARLY_MAX are kept. */
    uint64_t speed;
    uint64_t start_ns;
    bool has_complained;
};

/* The calls of the jobs, and the handler of what comes back. */
struct workload_calls replay_calls(struct replay *replay);
struct crowd_handler replay_handler(struct replay *replay);

/* Return the trace's time. */
uint64_t replay_now_ms(const struct replay *replay);

/* Start the release of @job's lease.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int replay_release(struct replay *replay, uint32_t job);

#endif
