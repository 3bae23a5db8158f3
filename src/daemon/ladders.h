/* ladders.h - ladders that requests bring, beside those of the file. */
#ifndef GPUCOORD_DAEMON_LADDERS_H
#define GPUCOORD_DAEMON_LADDERS_H

#include "base/err.h"

#include <stdint.h>

struct api_error;
struct config;
struct core_request;

/* Give @request, of @service_id, the ladder with the rungs @rungs, packed: the
 * service's own where it has these rungs, else one whose rungs have the
 * deadline `defaults.rung_grace`.
 *
 * Errors, with what is wrong in @error:
 *   E_INVALID  it has `restart`, and the service has no such command.
 */
MUST_USE int ladders_take(const struct config *config,
                          const char *service_id,
                          uint32_t rungs,
                          struct core_request *request,
                          struct api_error *error);

/* Return the number of the ladder of @service_id where that has the rungs
 * @rungs, packed; 0 where it has others, or none. */
uint8_t ladders_find(const struct config *config,
                     const char *service_id,
                     uint32_t rungs);

#endif
