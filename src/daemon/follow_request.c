#include "daemon/follow_request.h"

#include "http/http.h"

#include <stdbool.h>
#include <strings.h>

/* Say whether the header is not handed on: it is about one connection, or says
 * what we say ourselves. */
static bool is_left_out(const char *name)
{
    static const char *const names[] = {
        "Connection",     "Content-Length",    "Expect",
        "Keep-Alive",     "Proxy-Connection",  "TE",
        "Trailer",        "Transfer-Encoding", "Upgrade",
        HTTP_PEER_HEADER,
    };
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

void follow_request_write(const struct http_request *request, struct buf *out)
{
    size_t i;

    buf_printf(out, "%s %s%s%s HTTP/1.1\r\n", request->method, request->path,
               request->query[0] != '\0' ? "?" : "", request->query);
    for (i = 0; i < request->header_count; i++) {
        if (!is_left_out(request->headers[i].name)) {
            buf_printf(out, "%s: %s\r\n", request->headers[i].name,
                       request->headers[i].value);
        }
    }
    if (request->is_unix) {
        buf_printf(out, HTTP_PEER_HEADER ": unix %ld %lu %lu\r\n",
                   (long)request->pid, (unsigned long)request->uid,
                   (unsigned long)request->gid);
    } else {
        buf_text(out, HTTP_PEER_HEADER ": tcp\r\n");
    }
    buf_printf(out, "Content-Length: %zu\r\nConnection: close\r\n\r\n",
               request->body_size);
    buf_add(out, request->body, request->body_size);
}
