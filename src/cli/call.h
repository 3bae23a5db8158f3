/* call.h - what the small commands have in common: one call, then its answer
 * as JSON or as a sentence; and leases named by operands or environment.
 */
#ifndef GPUCOORD_CLI_CALL_H
#define GPUCOORD_CLI_CALL_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/client.h"

#include <stdbool.h>
#include <stdint.h>

struct call {
    const char *path;  /* "/gpu/..." */
    const char *body;  /* NULL = a GET. */
    const char *what;  /* For messages: "cannot release lease 42". */
    uint64_t limit_ms; /* 0 = CLIENT_QUICK_MS. */
    bool prints_json;  /* Print the answer, also a refusal's, as it came. */
};

/* Make @call with a client of its own and return the exit status, having said
 * what went wrong.  @answer, made empty by its owner before, is filled. */
int call_make(const struct call *call, struct client_answer *answer);

/* Print the JSON text @body as one line on standard output. */
void call_print(const struct buf *body);

/* A lease as a command is told of it. */
struct lease_name {
    uint64_t lease;
    uint64_t token;
};

/* Read the operands LEASE TOKEN at @argv into @out; where there are none, the
 * environment's GPUCOORD_LEASE and GPUCOORD_TOKEN, as `run` sets them.
 *
 * Errors (said to the user):
 *   E_INVALID  one of the two is missing or not a number above 0.
 */
MUST_USE int
lease_name_read(int count, char *const *argv, struct lease_name *out);

/* Read @text as a lease's number: 1 to 2^53 - 1.
 *
 * Errors:
 *   E_INVALID  it is none.
 */
MUST_USE int lease_id_parse(const char *text, uint64_t *out);

#endif
