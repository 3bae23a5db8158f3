/* ladders.h - ladders that requests bring, beside those of the file. */
#ifndef GPUCOORD_DAEMON_LADDERS_H
#define GPUCOORD_DAEMON_LADDERS_H

#include "base/err.h"

#include <stdint.h>

struct api_error;
struct daemon;

/* Number the ladder with the rungs @rungs, packed, for a request of @service_id
 * as in a core_request: the service's own where it has these rungs, else one
 * with the deadline `defaults.rung_grace`, which the core is told of.
 *
 * Errors, with what is wrong in @error:
 *   E_INVALID  it has `restart`, and the service has no such command.
 *   E_LIMIT    CORE_LADDERS_MAX others are in use.
 *   E_NOMEM    no memory.
 */
MUST_USE int ladders_number(struct daemon *daemon,
                            const char *service_id,
                            uint32_t rungs,
                            uint8_t *out,
                            struct api_error *error);

#endif
