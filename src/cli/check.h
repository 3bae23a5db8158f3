/* check.h - the parts of `gpucoord check`; private to check*.c.
 *
 * Each part adds what it found to one JSON object, which is the answer with
 * --json and what check_text() prints.
 */
#ifndef GPUCOORD_CLI_CHECK_H
#define GPUCOORD_CLI_CHECK_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

struct config;

/* What is looked at, and what came of it. */
struct check {
    const struct config *config;
    json_t *report;
    unsigned problems; /* What does not work and should. */
};

/* Add `devices`: the GPUs that the configuration names, and who uses them. */
void check_gpus(struct check *check);

/* Add `rungs` and `services`: what can be done to the processes of each. */
void check_rungs(struct check *check);

/* Add `paths` and `container`. */
void check_paths(struct check *check);

/* Append @report for people. */
void check_text(const json_t *report, struct buf *out);

/* Return @text as JSON, also where it is not UTF-8; null for NULL or "". */
json_t *check_string(const char *text);

#endif
