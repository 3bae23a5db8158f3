#include "http/parser_head.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    /* Chunks of one byte take six on the wire; extensions and trailers are
     * ignored, so what they may add is bounded here. */
    WIRE_PER_BODY_BYTE = 8
};

/* Make the callback, and with it llhttp, stop. */
static int refuse(struct parser *parser, int error)
{
    parser->error = error;
    return -1;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t size)
{
    struct parser *parser = llhttp->data;

    if (parser->url_end == 0) {
        parser->url = parser_offset(parser, at);
    }
    parser->url_end = parser_offset(parser, at) + size;
    if (parser->url_end - parser->url > parser->limits->url_bytes) {
        return refuse(parser, E_URL_SIZE);
    }
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t size)
{
    struct parser *parser = llhttp->data;
    struct parser_header *header = &parser->headers[parser->header_count];

    if (parser->phase != PARSER_HEAD) {
        return 0; /* A trailer. */
    }
    if (parser->header_count == parser->limits->header_count ||
        parser_offset(parser, at) + size > parser->limits->header_bytes) {
        return refuse(parser, E_HEADER_SIZE);
    }
    if (header->name_end == 0) {
        header->name = (uint16_t)parser_offset(parser, at);
    }
    header->name_end = (uint16_t)(parser_offset(parser, at) + size);
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct parser *parser = llhttp->data;
    struct parser_header *header = &parser->headers[parser->header_count];

    /* An empty value is reported where the next line begins. */
    if (parser->phase != PARSER_HEAD || size == 0) {
        return 0;
    }
    if (parser_offset(parser, at) + size > parser->limits->header_bytes) {
        return refuse(parser, E_HEADER_SIZE);
    }
    if (header->value_end == 0) {
        header->value = (uint16_t)parser_offset(parser, at);
    }
    header->value_end = (uint16_t)(parser_offset(parser, at) + size);
    return 0;
}

static int on_header_value_complete(llhttp_t *llhttp)
{
    struct parser *parser = llhttp->data;
    struct parser_header *header = &parser->headers[parser->header_count];
    const char *bytes = parser->bytes.data;

    if (parser->phase != PARSER_HEAD) {
        return 0;
    }
    if (header->name_end == header->name) {
        return refuse(parser, E_HTTP); /* llhttp takes ": value". */
    }
    if (header->value_end == 0) {
        header->value = header->name_end;
        header->value_end = header->name_end;
    }
    while (header->value_end > header->value &&
           (bytes[header->value_end - 1] == ' ' ||
            bytes[header->value_end - 1] == '\t')) {
        header->value_end--;
    }
    parser->header_count++;
    if (parser->header_count < HTTP_HEADERS_MAX) {
        parser->headers[parser->header_count] = (struct parser_header){0};
    }
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct parser *parser = llhttp->data;

    if (llhttp->http_major != 1 || llhttp->http_minor > 1) {
        return refuse(parser, E_HTTP_VERSION);
    }
    parser->body = parser_head_end(parser);
    parser->body_end = parser->body;
    if (parser->body == 0) {
        return refuse(parser, E_HTTP);
    }
    if (parser->body > parser->limits->header_bytes) {
        return refuse(parser, E_HEADER_SIZE);
    }
    parser_head_terminate(parser);
    if (!parser_head_is_clear(parser) || !parser_head_split_url(parser)) {
        return refuse(parser, E_HTTP);
    }
    if (llhttp->content_length > parser->limits->body_bytes) {
        return refuse(parser, E_TOO_BIG);
    }
    llhttp->upgrade = 0; /* We speak nothing else: read it as a request. */
    parser->keeps_alive = llhttp_should_keep_alive(llhttp) != 0;
    parser->phase = PARSER_BODY;
    return 0;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct parser *parser = llhttp->data;

    /* The chunk's size: no need to wait until so much has come. */
    if (llhttp->content_length >
        parser->limits->body_bytes - parser_body_size(parser)) {
        return refuse(parser, E_TOO_BIG);
    }
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t size)
{
    struct parser *parser = llhttp->data;

    assert(size <= parser->limits->body_bytes - parser_body_size(parser));
    /* A chunk moves down over its framing, which llhttp has done with. */
    memmove(parser->bytes.data + parser->body_end, at, size);
    parser->body_end += size;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct parser *parser = llhttp->data;

    parser->phase = PARSER_DONE;
    return HPE_PAUSED; /* What follows is another request. */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* Ready for a request at the start of the buffer. */
static void restart(struct parser *parser)
{
    llhttp_reset(&parser->llhttp);
    parser->phase = PARSER_HEAD;
    parser->keeps_alive = false;
    parser->error = E_OK;
    parser->parsed = 0;
    parser->url = 0;
    parser->url_end = 0;
    parser->body = 0;
    parser->body_end = 0;
    parser->wire = 0;
    parser->header_count = 0;
    parser->headers[0] = (struct parser_header){0};
}

void parser_init(struct parser *parser, const struct http_limits *limits)
{
    assert(limits->header_count <= HTTP_HEADERS_MAX);
    assert(limits->header_bytes <= UINT16_MAX);

    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
    parser->limits = limits;
    buf_init(&parser->bytes, 0);
    restart(parser);
}

void parser_release(struct parser *parser)
{
    buf_release(&parser->bytes);
}

void parser_reset(struct parser *parser)
{
    buf_clear(&parser->bytes);
    restart(parser);
}

int parser_add(struct parser *parser, const char *bytes, size_t size)
{
    buf_add(&parser->bytes, bytes, size);
    return buf_error(&parser->bytes);
}

/* Drop the framing of a body's pieces: it ends where the next piece comes. */
static void drop_framing(struct parser *parser)
{
    parser->bytes.size = parser->body_end;
    parser->bytes.data[parser->body_end] = '\0';
    parser->parsed = parser->body_end;
}

/* Say whether the first word of the input, as far as it has come, is a method
 * that nobody knows, and not something else altogether. */
static bool is_method(const struct parser *parser)
{
    static const char marks[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, 5.6.2. */
    const char *at = parser->bytes.data;
    const char *end = at + parser->bytes.size;
    const char *word;

    while (at < end && (*at == '\r' || *at == '\n')) {
        at++;
    }
    word = at;
    while (at < end && (isalnum((unsigned char)*at) != 0 ||
                        (*at != '\0' && strchr(marks, *at) != NULL))) {
        at++;
    }
    return at > word && (at == end || *at == ' ');
}

/* Say which of our errors a refusal by llhttp is. */
static int error_of(const struct parser *parser, llhttp_errno_t why)
{
    if (parser->error != E_OK) {
        return parser->error;
    }
    if (why == HPE_INVALID_METHOD && is_method(parser)) {
        return E_UNSUPPORTED;
    }
    if (why == HPE_INVALID_VERSION || why == HPE_PAUSED_H2_UPGRADE) {
        return E_HTTP_VERSION;
    }
    return E_HTTP;
}

/* Check what a request has taken on the wire, however it was cut. */
static int check_wire(const struct parser *parser)
{
    const struct http_limits *limits = parser->limits;

    return parser->wire > limits->header_bytes +
                              (size_t)limits->body_bytes * WIRE_PER_BODY_BYTE
               ? E_TOO_BIG
               : E_OK;
}

/* Check what the callbacks cannot: limits on a part that is not complete. */
static int check_unfinished(const struct parser *parser)
{
    const struct http_limits *limits = parser->limits;

    if (parser->phase == PARSER_BODY) {
        return check_wire(parser);
    }
    if (parser->parsed > limits->header_bytes) {
        return E_HEADER_SIZE;
    }
    /* HTTP/0.9 has no version and no headers: nothing more would come. */
    if (parser->url_end != 0 && parser->url_end < parser->parsed &&
        parser->bytes.data[parser->url_end] != ' ') {
        return E_HTTP_VERSION;
    }
    return E_OK;
}

int parser_run(struct parser *parser)
{
    size_t size = parser->bytes.size - parser->parsed;
    const char *start = parser->bytes.data + parser->parsed;
    enum llhttp_errno why;

    assert(parser->phase != PARSER_DONE);
    if (size == 0) {
        return E_OK;
    }
    why = llhttp_execute(&parser->llhttp, start, size);
    if (parser->phase == PARSER_DONE && parser->error == E_OK) {
        parser->parsed =
            parser_offset(parser, llhttp_get_error_pos(&parser->llhttp));
        parser->wire += (size_t)(parser->bytes.data + parser->parsed - start);
        return check_wire(parser);
    }
    if (why != HPE_OK) {
        return error_of(parser, why);
    }
    parser->wire += size;
    parser->parsed = parser->bytes.size;
    if (parser->phase == PARSER_BODY) {
        drop_framing(parser);
    }
    return check_unfinished(parser);
}

void parser_request(const struct parser *parser,
                    struct http_request *request,
                    struct http_header headers[HTTP_HEADERS_MAX])
{
    const char *bytes = parser->bytes.data;
    uint32_t i;

    assert(parser->phase != PARSER_HEAD);
    for (i = 0; i < parser->header_count; i++) {
        headers[i].name = bytes + parser->headers[i].name;
        headers[i].value = bytes + parser->headers[i].value;
    }
    request->method =
        llhttp_method_name((llhttp_method_t)parser->llhttp.method);
    request->path = bytes + parser->url;
    request->query = bytes + parser->query;
    request->headers = headers;
    request->header_count = parser->header_count;
    request->body = bytes + parser->body;
    request->body_size = parser_body_size(parser);
}

const char *http_header_find(const struct http_request *request,
                             const char *name)
{
    size_t i;

    for (i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0) {
            return request->headers[i].value;
        }
    }
    return NULL;
}

bool parser_expects_continue(const struct parser *parser)
{
    uint32_t i;

    for (i = 0; i < parser->header_count; i++) {
        const struct parser_header *header = &parser->headers[i];

        if (strcasecmp(parser->bytes.data + header->name, "Expect") == 0) {
            return parser->llhttp.http_minor == 1 &&
                   strcasecmp(parser->bytes.data + header->value,
                              "100-continue") == 0;
        }
    }
    return false;
}

size_t parser_ahead(const struct parser *parser)
{
    assert(parser->phase != PARSER_BODY);
    return parser->bytes.size - parser->parsed;
}

void parser_next(struct parser *parser)
{
    assert(parser->phase == PARSER_DONE);
    buf_drop(&parser->bytes, parser->parsed);
    restart(parser);
}
