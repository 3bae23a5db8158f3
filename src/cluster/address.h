/* address.h - where a coordinator of a cluster can be reached by the others.
 *
 * `unix:///path` or `http://127.0.0.1:port`: on this host alone, since there
 * is no authentication yet.
 */
#ifndef GPUCOORD_CLUSTER_ADDRESS_H
#define GPUCOORD_CLUSTER_ADDRESS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage where;
    socklen_t size;
    bool is_unix;
};

/* Read @text into @out; what is wrong with it is appended to @why.
 *
 * Errors:
 *   E_INVALID  it is neither, or beyond loopback.
 */
MUST_USE int
address_parse(const char *text, struct address *out, struct buf *why);

#endif
