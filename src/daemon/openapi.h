/* openapi.h - the interface described for programs: OpenAPI 3.1. */
#ifndef GPUCOORD_DAEMON_OPENAPI_H
#define GPUCOORD_DAEMON_OPENAPI_H

#include "base/buf.h"

/* Append the description, a JSON object made from the table of routes and the
 * tables of their bodies' fields. */
void openapi_write(struct buf *out);

#endif
