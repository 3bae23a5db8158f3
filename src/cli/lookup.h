/* lookup.h - leases by the name of their service. */
#ifndef GPUCOORD_CLI_LOOKUP_H
#define GPUCOORD_CLI_LOOKUP_H

#include <jansson.h>
#include <stdint.h>

/* Get the coordinator's status as JSON; return the exit status, having said
 * what went wrong.  @out is returned to the caller, who drops it. */
int lookup_status(json_t **out);

/* Get the live leases of @service, or all that wait where it is NULL, from
 * @status as an array; NULL without memory.  It is returned to the caller. */
json_t *lookup_leases(const json_t *status, const char *service);

/* Read @text, a lease's number or a service that has exactly one lease, into
 * @out; return the exit status, having said what went wrong. */
int lookup_lease(const char *text, uint64_t *out);

#endif
