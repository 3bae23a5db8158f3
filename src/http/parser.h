/* parser.h - bytes into one HTTP/1.x request, piece by piece.
 *
 * A parser keeps the bytes of one request, and whatever followed it on the
 * connection, in one buffer: headers are offsets into it, a chunked body is
 * put together in place.  llhttp does the reading; what it lets pass and a
 * proxy in front could read otherwise (obs-fold, doubled Host, any
 * Transfer-Encoding but "chunked") is refused here.
 *
 *   parser_add()      bytes from the socket go in
 *   parser_run()      reads as far as they reach; `phase` says how far
 *   parser_request()  gives the request once that is PARSER_DONE
 *   parser_next()     drops it and keeps what follows
 */
#ifndef GPUCOORD_HTTP_PARSER_H
#define GPUCOORD_HTTP_PARSER_H

#include "base/buf.h"
#include "base/err.h"
#include "http/http.h"

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum parser_phase {
    PARSER_HEAD, /* The headers are not complete. */
    PARSER_BODY, /* The headers are known, the body is not complete. */
    PARSER_DONE, /* The request is whole. */
};

struct parser_header {
    uint16_t name; /* Offsets in the buffer. */
    uint16_t name_end;
    uint16_t value;
    uint16_t value_end;
};

struct parser {
    llhttp_t llhttp;
    const struct http_limits *limits;
    struct buf bytes;
    enum parser_phase phase;
    bool keeps_alive; /* May another request follow?  Valid from PARSER_BODY. */
    int error;        /* E_* found in a callback. */
    size_t parsed;    /* Bytes given to llhttp so far. */
    size_t url;       /* Offset of the URL. */
    size_t url_end;   /* 0 before it came. */
    size_t query;     /* Offset of what follows the '?'. */
    size_t body;      /* Offset of the body; valid from PARSER_BODY on. */
    size_t body_end;  /* As far as it is put together. */
    size_t wire;      /* Bytes since `body`, framing included. */
    uint32_t header_count;
    struct parser_header headers[HTTP_HEADERS_MAX];
};

/* Make an empty parser; @limits are borrowed until parser_release(). */
void parser_init(struct parser *parser, const struct http_limits *limits);

/* Free what the parser owns. */
void parser_release(struct parser *parser);

/* Forget everything; keep the memory. */
void parser_reset(struct parser *parser);

/* Append @size bytes from the connection, borrowed for the call.
 *
 * Errors:
 *   E_NOMEM  no memory; the parser is of no more use.
 */
MUST_USE int parser_add(struct parser *parser, const char *bytes, size_t size);

/* Read on; `phase` says how far that went.
 *
 * Errors: (the connection cannot be used for another request)
 *   E_HTTP          not a request, or one that could be read in two ways.
 *   E_UNSUPPORTED   a method that HTTP does not have.
 *   E_HTTP_VERSION  neither HTTP/1.0 nor HTTP/1.1.
 *   E_URL_SIZE      over a limit: the URL,
 *   E_HEADER_SIZE     the headers,
 *   E_TOO_BIG         the body.
 */
MUST_USE int parser_run(struct parser *parser);

/* Fill the fields of @request that come from its bytes, in PARSER_BODY (the
 * body is then not complete) and PARSER_DONE.  They point into the parser,
 * until the next call, and to @headers, which the caller provides. */
void parser_request(const struct parser *parser,
                    struct http_request *request,
                    struct http_header headers[HTTP_HEADERS_MAX]);

/* Say whether the client expects "100 Continue" before it sends the body. */
bool parser_expects_continue(const struct parser *parser);

/* Return how many bytes of the body are there. */
static inline size_t parser_body_size(const struct parser *parser)
{
    return parser->body_end - parser->body;
}

/* Return how many bytes wait for parser_run() behind a whole request, or in
 * PARSER_HEAD before the first. */
size_t parser_ahead(const struct parser *parser);

/* Drop the whole request; what followed it is the start of the next. */
void parser_next(struct parser *parser);

#endif
