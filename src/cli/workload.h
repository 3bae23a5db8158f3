/* workload.h - the jobs of a trace, and background work that never ends, as
 * small machines.
 *
 * `simulate` drives them against the core in virtual time, `replay` against a
 * coordinator over sockets; this file does not know which.  The driver tells
 * what happened to a job (granted, asked to pause, released) and when; the
 * machines answer with calls through `struct workload_calls`, which are made
 * from workload_run() alone.
 *
 * Each class is one model.  A job first loads it where it is not on the card,
 * then works in chunks; asked to pause it ends its chunk, offloads the model
 * and says so.  Who has the card alone drives the other models off it.
 *
 *   FUTURE -> WAITING -> LOADING -> RUNNING ------------> RELEASING -> DONE
 *      ^                 ^  |          |                      |
 *      |           grant |  +----------+-> OFFLOADING         |
 *      |                 |                      |             |
 *      |                 +------------------- PAUSED          |
 *      +----------------- background: the next job -----------+
 */
#ifndef GPUCOORD_CLI_WORKLOAD_H
#define GPUCOORD_CLI_WORKLOAD_H

#include "base/buf.h"
#include "base/err.h"
#include "base/heap.h"
#include "proto/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORKLOAD_CLASSES_MAX = 64,
    WORKLOAD_SERVICES_MAX = 64
};

enum workload_state {
    WORKLOAD_FUTURE,     /* Will be submitted. */
    WORKLOAD_WAITING,    /* Submitted. */
    WORKLOAD_LOADING,    /* Granted; the model comes to the card. */
    WORKLOAD_RUNNING,    /* In a chunk. */
    WORKLOAD_OFFLOADING, /* The model leaves the card. */
    WORKLOAD_PAUSED,
    WORKLOAD_RELEASING, /* Given back; not yet confirmed. */
    WORKLOAD_DONE
};

struct workload_job {
    struct heap_node timer;
    struct heap_node renewal;
    enum workload_state state;
    uint32_t class_index;
    uint32_t service;  /* Index in .services. */
    uint32_t vram_mib; /* 0 = the whole device. */
    uint32_t work_ms;  /* In all. */
    uint32_t left_ms;  /* Not yet worked. */
    uint32_t device;   /* Of the newest grant. */
    uint32_t round;    /* Background: how many jobs came before. */
    bool is_background;
    bool must_pause; /* Asked, in LOADING or RUNNING. */
    uint64_t submitted_at_ms;
    uint64_t granted_at_ms; /* First; CORE_FOREVER = never. */
    uint64_t charged_at_ms; /* Newest grant. */
    uint64_t ended_at_ms;
};

struct workload_class {
    char name[API_NAME_MAX + 1];
    uint64_t loaded; /* Set of devices its model is on. */
    uint64_t held_ms;
    uint64_t swap_ms; /* Loading and offloading. */
    uint64_t grants;
    uint64_t pauses;
    uint64_t refusals;
    uint64_t *waits_ms; /* One per first grant. */
    size_t wait_count;
    size_t wait_capacity;
};

/* What a machine asks of its driver; @job is its index.
 *
 * A failure ends workload_run(), which returns it. */
struct workload_calls {
    int (*submit)(void *arg, uint32_t job);
    int (*release)(void *arg, uint32_t job);
    int (*paused)(void *arg, uint32_t job); /* The model is off the card. */
    int (*renew)(void *arg, uint32_t job);
    void *arg;
};

struct workload_options {
    uint64_t chunk_ms;      /* At least 1: what a job ends before it pauses. */
    uint64_t job_ms;        /* At least 1: length of a background job. */
    uint64_t load_ms;       /* Model to the card. */
    uint64_t offload_ms;    /* Model off the card. */
    uint64_t backlog;       /* Jobs of a background class that ask at once. */
    uint64_t seed;          /* Varies the length of background jobs by up to a
                               half; 0 = all are alike. */
    uint64_t until_ms;      /* Jobs of the trace before it only; 0 = all. */
    bool is_preemptible;    /* Else nobody is asked to pause. */
    uint64_t renew_ms;      /* Between renewals; set by the driver. */
    const char *background; /* Classes with commas; "" = none. */
};

struct workload {
    struct workload_options options;
    struct workload_calls calls;
    struct workload_job *jobs; /* Foreground first, in the trace's order. */
    size_t job_count;
    size_t foreground_count;
    size_t foreground_left; /* Not yet DONE. */
    struct workload_class classes[WORKLOAD_CLASSES_MAX];
    uint32_t class_count;
    char services[WORKLOAD_SERVICES_MAX][API_NAME_MAX + 1];
    uint32_t service_count;
    struct heap timers;
    struct heap renewals;
};

/* Make the machines of @trace, borrowed for the call, and of the background.
 *
 * Errors:
 *   E_INVALID  a background class is no name, or there are too many classes
 *              or services; said to the user.
 *   E_NOMEM    no memory.
 */
MUST_USE int workload_init(struct workload *work,
                           const struct trace *trace,
                           const struct workload_options *options,
                           const struct workload_calls *calls);

/* Free what @work owns; nothing where it is all zero, as it is afterwards. */
void workload_release(struct workload *work);

/* Return when workload_run() has something to do; CORE_FOREVER for never. */
uint64_t workload_next(const struct workload *work);

/* Say whether all jobs of the trace have ended. */
bool workload_is_over(const struct workload *work);

/* Do everything that is due at @now_ms.
 *
 * Errors: those of the calls.
 */
MUST_USE int workload_run(struct workload *work, uint64_t now_ms);

/* Take a grant or a resume of job @index on @device.
 *
 * Errors:
 *   E_NOMEM  no memory to remember the wait.
 */
MUST_USE int workload_granted(struct workload *work,
                              uint32_t index,
                              uint32_t device,
                              uint64_t now_ms);

/* Take the command that job @index is to pause; nothing happens where it holds
 * no device any more. */
void workload_pause(struct workload *work, uint32_t index);

/* Take the confirmation that the lease of job @index has ended as asked. */
void workload_released(struct workload *work, uint32_t index, uint64_t now_ms);

/* Take the news that the lease of job @index was refused or revoked: it is
 * counted and not asked for again, but a background class goes on with its next
 * job. */
void workload_lost(struct workload *work, uint32_t index, uint64_t now_ms);

/* Close the books at @now_ms: who still holds a device is charged. */
void workload_finish(struct workload *work, uint64_t now_ms);

#endif
