/* trace.h - recorded workloads: who asked for the GPU when, and for how long.
 *
 * Two formats of CSV, told apart by their first line: the project's own
 * (docs/traces.md) and the Azure LLM inference traces, whose token counts are
 * turned into GPU time.  Pure: the bytes come from the caller.
 */
#ifndef GPUCOORD_PROTO_TRACE_H
#define GPUCOORD_PROTO_TRACE_H

#include "base/err.h"
#include "proto/api.h"

#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_ROWS_MAX = 1000000,
    TRACE_WORK_MS_MAX = 86400000, /* A day. */
    TRACE_PROMPT_US = 330,        /* A 7B model in 16 bit on an RTX 3090: */
    TRACE_GENERATED_US = 22000    /*   microseconds per token. */
};

/* How to read a trace. */
struct trace_options {
    uint32_t every;         /* Keep the first of every so many rows; >= 1. */
    uint32_t prompt_us;     /* Azure: GPU time per prompt token ... */
    uint32_t generated_us;  /* ... and per generated token. */
    const char *class_name; /* Azure: of all rows; well-formed, borrowed. */
};

struct trace_row {
    uint64_t at_ms;    /* Since the first row of the file; never falls. */
    uint32_t work_ms;  /* At least 1. */
    uint32_t vram_mib; /* 0 = the whole device. */
    char class_name[API_NAME_MAX + 1];
    char service_id[API_NAME_MAX + 1]; /* The class, where not given. */
};

struct trace {
    struct trace_row *rows;
    size_t count;
    size_t capacity;
};

struct trace_error {
    size_t line; /* From 1; 0 = the file as a whole. */
    char detail[160];
};

/* The defaults: every row, the figures above, class `chatbot`. */
extern const struct trace_options trace_defaults;

/* Read a trace from @data, borrowed for the call, into @out, which the caller
 * releases; on failure @error says where and why and @out is empty.
 *
 * Errors:
 *   E_INVALID  the file breaks its format.
 *   E_TOO_BIG  more than TRACE_ROWS_MAX rows are left after thinning.
 *   E_NOMEM    no memory.
 */
MUST_USE int trace_parse(const char *data,
                         size_t size,
                         const struct trace_options *options,
                         struct trace *out,
                         struct trace_error *error);

/* Free what the trace owns. */
void trace_release(struct trace *trace);

#endif
