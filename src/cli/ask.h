/* ask.h - the options that say what GPU is wanted: `request` and `run`. */
#ifndef GPUCOORD_CLI_ASK_H
#define GPUCOORD_CLI_ASK_H

#include "base/err.h"
#include "cli/args.h"
#include "proto/api.h"

#include <stdint.h>

struct ask {
    const char *service; /* NULL = not given; likewise the other texts. */
    const char *class_name;
    const char *device;
    const char *job;
    const char *metadata;
    uint64_t priority; /* ARGS_UNSET = not given; likewise the others. */
    uint64_t timeout_ms;
    uint64_t ttl_ms;
    uint64_t vram_mib;
    uint64_t gpus;
};

#define ASK_NONE                                                         \
    {                                                                    \
        .priority = ARGS_UNSET, .timeout_ms = ARGS_UNSET,                \
        .ttl_ms = ARGS_UNSET, .vram_mib = ARGS_UNSET, .gpus = ARGS_UNSET \
    }

/* The rows of a command whose values, `struct TYPE`, have a `struct ask ask`.
 */
#define ASK_OPTIONS(type)                                                   \
    {"service", ARGS_TEXT,  offsetof(struct type, ask.service),             \
     "NAME",    "who asks", 0},                                             \
        {"class",                                                           \
         ARGS_TEXT,                                                         \
         offsetof(struct type, ask.class_name),                             \
         "NAME",                                                            \
         "the kind of job, as configured",                                  \
         0},                                                                \
        {"priority",                                                        \
         ARGS_COUNT,                                                        \
         offsetof(struct type, ask.priority),                               \
         "N",                                                               \
         "0 (first) to 9, instead of a class",                              \
         API_PRIORITY_MAX},                                                 \
        {"vram",                                                            \
         ARGS_SIZE,                                                         \
         offsetof(struct type, ask.vram_mib),                               \
         "SIZE",                                                            \
         "share each gpu, with this much of it",                            \
         API_VRAM_MIB_MAX},                                                 \
        {"gpus", ARGS_COUNT,      offsetof(struct type, ask.gpus),          \
         "N",    "how many gpus", CORE_DEVICES_MAX},                        \
        {"device",                                                          \
         ARGS_TEXT,                                                         \
         offsetof(struct type, ask.device),                                 \
         "LIST",                                                            \
         "which of them: indexes or UUIDs",                                 \
         0},                                                                \
        {"timeout",                                                         \
         ARGS_TIME,                                                         \
         offsetof(struct type, ask.timeout_ms),                             \
         "TIME",                                                            \
         "longest wait; 0 = now or not at all",                             \
         API_TIMEOUT_MS_MAX},                                               \
        {"ttl",                                                             \
         ARGS_TIME,                                                         \
         offsetof(struct type, ask.ttl_ms),                                 \
         "TIME",                                                            \
         "the lease ends unless renewed within it",                         \
         API_TTL_MS_MAX},                                                   \
        {"job",                                                             \
         ARGS_TEXT,                                                         \
         offsetof(struct type, ask.job),                                    \
         "ID",                                                              \
         "the service's own name for the job",                              \
         0},                                                                \
    {                                                                       \
        "metadata", ARGS_TEXT, offsetof(struct type, ask.metadata), "JSON", \
            "an object that is stored and shown", 0                         \
    }

/* Fill @out with what was given.
 *
 * Errors (said to the user):
 *   E_INVALID  a name, the metadata or the list of devices is malformed.
 */
MUST_USE int ask_fill(const struct ask *ask, struct api_request *out);

#endif
