/* endpoint.h - where a coordinator may be found.
 *
 * GPUCOORD_URL names it: `unix:///path`, `http://host:port`, several with
 * commas, tried in this order, are the coordinators of one cluster; `off` for
 * none at all.  Without it the user's own socket is tried, then the system's.
 */
#ifndef GPUCOORD_CLI_ENDPOINT_H
#define GPUCOORD_CLI_ENDPOINT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ENDPOINTS_MAX = 8,
    ENDPOINT_TEXT_MAX = 255,
    ENDPOINT_SOCKET_MAX = 107 /* sun_path, without its NUL. */
};

struct endpoint {
    char text[ENDPOINT_TEXT_MAX + 1];     /* As given, for messages. */
    char socket[ENDPOINT_SOCKET_MAX + 1]; /* Path; "" = over TCP. */
    char base[ENDPOINT_TEXT_MAX + 1];     /* Before "/gpu/..." in a URL. */
};

struct endpoints {
    struct endpoint items[ENDPOINTS_MAX];
    size_t count;    /* 0 = off. */
    bool is_cluster; /* Several were named: coordinators of one cluster. */
};

/* Read @urls, the value of GPUCOORD_URL, into @out.
 *
 * Errors (said to the user):
 *   E_INVALID  not `off` and not URLs as above, too long or too many.
 */
MUST_USE int endpoints_parse(const char *urls, struct endpoints *out);

/* Fill @out from the environment: GPUCOORD_URL, else the two sockets.
 *
 * Errors: as endpoints_parse(), and
 *   E_NOMEM  no memory.
 */
MUST_USE int endpoints_find(struct endpoints *out);

/* Say whether the user has switched the coordinator off. */
bool endpoints_are_off(void);

/* Say whether the user has named several coordinators. */
bool endpoints_are_several(void);

#endif
