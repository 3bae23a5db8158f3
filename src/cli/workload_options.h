/* workload_options.h - the options that `simulate` and `replay` share. */
#ifndef GPUCOORD_CLI_WORKLOAD_OPTIONS_H
#define GPUCOORD_CLI_WORKLOAD_OPTIONS_H

#include "cli/args.h"
#include "cli/workload.h"
#include "cli/workload_report.h"
#include "proto/trace.h"

/* What the command line says, in the words of args.h. */
struct workload_values {
    const char *trace; /* Path; required. */
    const char *jobs;  /* Path of the list of jobs; NULL = none. */
    const char *background;
    const char *class_name;
    uint64_t every;
    uint64_t prompt_us;
    uint64_t generated_us;
    uint64_t until_ms;
    uint64_t chunk_ms;
    uint64_t job_ms;
    uint64_t load_ms;
    uint64_t offload_ms;
    uint64_t backlog;
    uint64_t seed;
    bool no_preempt;
    bool json;
};

/* The rows of the options; @type is the command's struct of values, which has
 * them as its member .work. */
#define WORKLOAD_OPTIONS(type)                                    \
    {"trace",                                                     \
     ARGS_TEXT,                                                   \
     offsetof(type, work.trace),                                  \
     "FILE",                                                      \
     "who asks for the gpu and when (docs/traces.md)",            \
     0},                                                          \
        {"every",                                                 \
         ARGS_COUNT,                                              \
         offsetof(type, work.every),                              \
         "N",                                                     \
         "keep every nth row (1)",                                \
         UINT32_MAX},                                             \
        {"until",                                                 \
         ARGS_TIME,                                               \
         offsetof(type, work.until_ms),                           \
         "TIME",                                                  \
         "keep the rows before this time",                        \
         0},                                                      \
        {"class",                                                 \
         ARGS_TEXT,                                               \
         offsetof(type, work.class_name),                         \
         "NAME",                                                  \
         "class of an Azure trace's rows (chatbot)",              \
         0},                                                      \
        {"prompt-us",                                             \
         ARGS_COUNT,                                              \
         offsetof(type, work.prompt_us),                          \
         "N",                                                     \
         "Azure: gpu microseconds per prompt token (330)",        \
         1000000},                                                \
        {"generated-us",                                          \
         ARGS_COUNT,                                              \
         offsetof(type, work.generated_us),                       \
         "N",                                                     \
         "Azure: and per generated token (22000)",                \
         1000000},                                                \
        {"background",                                            \
         ARGS_TEXT,                                               \
         offsetof(type, work.background),                         \
         "LIST",                                                  \
         "classes that always have work, with commas; none "      \
         "(transcription,summarization)",                         \
         0},                                                      \
        {"backlog",                                               \
         ARGS_COUNT,                                              \
         offsetof(type, work.backlog),                            \
         "N",                                                     \
         "jobs of each of them that ask at once (2)",             \
         1000},                                                   \
        {"job",                                                   \
         ARGS_TIME,                                               \
         offsetof(type, work.job_ms),                             \
         "TIME",                                                  \
         "work of a background job (60s)",                        \
         TRACE_WORK_MS_MAX / 2},                                  \
        {"chunk",                                                 \
         ARGS_TIME,                                               \
         offsetof(type, work.chunk_ms),                           \
         "TIME",                                                  \
         "what a job ends before it pauses (2s)",                 \
         TRACE_WORK_MS_MAX},                                      \
        {"load",                                                  \
         ARGS_TIME,                                               \
         offsetof(type, work.load_ms),                            \
         "TIME",                                                  \
         "a model's way to the card (1s)",                        \
         TRACE_WORK_MS_MAX},                                      \
        {"offload",                                               \
         ARGS_TIME,                                               \
         offsetof(type, work.offload_ms),                         \
         "TIME",                                                  \
         "a model's way off the card (500ms)",                    \
         TRACE_WORK_MS_MAX},                                      \
        {"no-preempt",                                            \
         ARGS_FLAG,                                               \
         offsetof(type, work.no_preempt),                         \
         NULL,                                                    \
         "ask nobody to pause",                                   \
         0},                                                      \
        {"seed",                                                  \
         ARGS_COUNT,                                              \
         offsetof(type, work.seed),                               \
         "N",                                                     \
         "varies the background jobs' length; 0 = all alike (1)", \
         0},                                                      \
        {"jobs",                                                  \
         ARGS_TEXT,                                               \
         offsetof(type, work.jobs),                               \
         "FILE",                                                  \
         "write each job's times to this file",                   \
         0},                                                      \
    {                                                             \
        "json", ARGS_FLAG, offsetof(type, work.json), NULL,       \
            "print the result as JSON", 0                         \
    }

/* The defaults of all of them. */
extern const struct workload_values workload_defaults;

/* Read the trace that @values name into @out, which the caller releases.
 *
 * Errors (said to the user):
 *   E_INVALID  --trace is missing, a value is impossible, or the file has a
 *              mistake.
 *   E_IO       the file cannot be read.
 *   E_NOMEM    no memory.
 */
MUST_USE int workload_open_trace(const struct workload_values *values,
                                 struct trace *out);

/* Return the options of the machines; .renew_ms is left 0. */
struct workload_options
workload_options_get(const struct workload_values *values);

/* Print the result of a run as @values say, and write the list of jobs.
 *
 * Errors (said to the user):
 *   E_IO     a file or standard output could not be written.
 *   E_NOMEM  no memory.
 */
MUST_USE int workload_print(const struct workload_values *values,
                            struct workload *work,
                            const struct workload_run *run);

#endif
