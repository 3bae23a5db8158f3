/* await.h - how `run` waits for its grant: through restarts of the
 * coordinator, and telling the user on whom it waits.
 */
#ifndef GPUCOORD_CLI_AWAIT_H
#define GPUCOORD_CLI_AWAIT_H

#include "cli/client.h"
#include "cli/wake.h"
#include "proto/api.h"

#include <stdint.h>

#define AWAIT_FOREVER UINT64_MAX

/* Ask with @request, which has a job_id, until it is granted.
 *
 * The wait ends after @timeout_ms (AWAIT_FOREVER = never), at a signal that
 * ends a program, or at a refusal.  On a grant @answer has it and @sent_ms is
 * the clock_boot_ms() at which its request was sent.
 *
 * Returns 0 for a grant, else the exit status, having said why. */
int await_grant(struct client *client,
                struct wake *wake,
                struct api_request *request,
                uint64_t timeout_ms,
                struct client_answer *answer,
                uint64_t *sent_ms);

/* Start a call that asks with @request, waiting up to @wait_ms.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int await_start(struct client *client,
                         struct api_request *request,
                         uint64_t wait_ms);

/* Say whether asking again with the same job_id may help after @answer: the
 * coordinator restarts, or its answer was lost. */
bool await_may_retry(const struct client_answer *answer);

#endif
