/* Any bytes, in pieces of any size, as a connection's input: nothing crashes,
 * and what is taken for a request is the same however it was cut into pieces.
 * The first byte of the input gives the size of the pieces. */
#include "http/guard.h"
#include "http/http.h"
#include "http/parser.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Small, so that the fuzzer reaches them. */
static const struct http_limits limits = {.url_bytes = 32,
                                          .header_bytes = 256,
                                          .header_count = 6,
                                          .body_bytes = 64};

/* Write what the request in @parser says to @out. */
static void describe(const struct parser *parser, struct buf *out)
{
    struct http_header headers[HTTP_HEADERS_MAX];
    struct http_request request;
    const char *host;
    size_t i;

    parser_request(parser, &request, headers);
    assert(request.path[0] == '/');
    assert(request.body_size <= limits.body_bytes);
    assert(request.header_count <= limits.header_count);
    buf_printf(out, "%s %s?%s\n", request.method, request.path, request.query);
    for (i = 0; i < request.header_count; i++) {
        buf_printf(out, "%s=%s\n", headers[i].name, headers[i].value);
    }
    buf_add(out, request.body, request.body_size);
    host = http_header_find(&request, "Host");
    assert(host != NULL);
    buf_printf(out, "\n%d\n",
               http_guard(host, http_header_find(&request, "Origin"), NULL, 0));
}

/* Read all requests in the input, cut into pieces of @piece bytes. */
static void run(const uint8_t *data, size_t size, size_t piece, struct buf *out)
{
    struct parser parser;
    size_t at;
    int rc = E_OK;

    parser_init(&parser, &limits);
    for (at = 0; at < size && rc == E_OK; at += piece) {
        size_t more = size - at < piece ? size - at : piece;

        rc = parser_add(&parser, (const char *)data + at, more);
        assert(rc == E_OK);
        rc = parser_run(&parser);
        while (rc == E_OK && parser.phase == PARSER_DONE) {
            describe(&parser, out);
            parser_next(&parser);
            rc = parser_run(&parser);
        }
    }
    parser_release(&parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole;
    struct buf pieces;

    if (size == 0) {
        return 0;
    }
    buf_init(&whole, 0);
    buf_init(&pieces, 0);
    run(data + 1, size - 1, size, &whole);
    run(data + 1, size - 1, (size_t)data[0] + 1, &pieces);
    assert(whole.size == pieces.size);
    assert(whole.size == 0 || memcmp(whole.data, pieces.data, whole.size) == 0);
    buf_release(&whole);
    buf_release(&pieces);
    return 0;
}
