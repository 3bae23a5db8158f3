/* guard.h - whose web page may talk to us: checks of Host and Origin.
 *
 * A browser can be led to send requests to a loopback port under a foreign
 * name (DNS rebinding) or from a foreign page.  Neither can forge these two
 * headers, so a name that only a public DNS could have given is refused.
 */
#ifndef GPUCOORD_HTTP_GUARD_H
#define GPUCOORD_HTTP_GUARD_H

#include "base/err.h"

#include <stddef.h>

/* Check the Host header's value @host and the Origin header's @origin (NULL
 * where it was not sent).  @names are the configured further names.  All are
 * borrowed for the call.
 *
 * Accepted in Host, each with or without a port: an IP literal, a name without
 * a dot, "host.docker.internal", one of @names.  An Origin must be that very
 * host, over http or https.
 *
 * Errors:
 *   E_HTTP            @host is no host at all.
 *   E_FOREIGN_HOST    @host is none of ours.
 *   E_FOREIGN_ORIGIN  @origin is not @host.
 */
MUST_USE int http_guard(const char *host,
                        const char *origin,
                        const char *const *names,
                        size_t name_count);

#endif
