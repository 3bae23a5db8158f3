/* follow_request.h - a request as the leader is to read it. */
#ifndef GPUCOORD_DAEMON_FOLLOW_REQUEST_H
#define GPUCOORD_DAEMON_FOLLOW_REQUEST_H

#include "base/buf.h"

struct http_request;

/* Append @request, borrowed for the call, as HTTP/1.1 to @out: with who made
 * it, without what concerns only the connection that it came on, and as the
 * last on the one that it goes on. */
void follow_request_write(const struct http_request *request, struct buf *out);

#endif
