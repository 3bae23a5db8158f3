#include "http/parser_head.h"

#include <string.h>
#include <strings.h>

size_t parser_head_end(const struct parser *parser)
{
    const char *bytes = parser->bytes.data;
    const char *end = bytes + parser->bytes.size;
    const char *at = bytes + parser->url_end;

    for (;;) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (at == NULL || at[-1] != '\r' || end - at < 3 || at[1] == ' ' ||
            at[1] == '\t') {
            return 0;
        }
        at++;
        if (at[0] == '\r' && at[1] == '\n') {
            return parser_offset(parser, at) + 2;
        }
    }
}

void parser_head_terminate(struct parser *parser)
{
    char *bytes = parser->bytes.data;
    char *mark;
    uint32_t i;

    bytes[parser->url_end] = '\0';
    parser->query = parser->url_end;
    mark = strchr(bytes + parser->url, '?');
    if (mark != NULL) {
        *mark = '\0';
        parser->query = parser_offset(parser, mark) + 1;
    }
    for (i = 0; i < parser->header_count; i++) {
        bytes[parser->headers[i].name_end] = '\0';
        bytes[parser->headers[i].value_end] = '\0';
    }
}

bool parser_head_is_clear(const struct parser *parser)
{
    uint32_t hosts = 0;
    uint32_t origins = 0;
    uint32_t codings = 0;
    uint32_t i;

    for (i = 0; i < parser->header_count; i++) {
        const char *name = parser->bytes.data + parser->headers[i].name;
        const char *value = parser->bytes.data + parser->headers[i].value;

        if (strcasecmp(name, "Host") == 0) {
            hosts++;
        } else if (strcasecmp(name, "Origin") == 0) {
            origins++;
        } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
            codings++;
            if (strcasecmp(value, "chunked") != 0 ||
                parser->llhttp.http_minor == 0) {
                return false;
            }
        }
    }
    return hosts == 1 && origins <= 1 && codings <= 1;
}

bool parser_head_split_url(struct parser *parser)
{
    static const char scheme[] = "http://";
    char *url = parser->bytes.data + parser->url;
    char *host = url + sizeof scheme - 1;
    char *path;
    uint32_t i;

    if (url[0] == '/') {
        return true;
    }
    if (strncasecmp(url, scheme, sizeof scheme - 1) != 0) {
        return false;
    }
    path = strchr(host, '/');
    if (path == NULL) {
        return false;
    }
    memmove(host - 1, host, (size_t)(path - host));
    path[-1] = '\0';
    parser->url = parser_offset(parser, path);
    for (i = 0; i < parser->header_count; i++) {
        struct parser_header *header = &parser->headers[i];

        if (strcasecmp(parser->bytes.data + header->name, "Host") == 0) {
            header->value = (uint16_t)parser_offset(parser, host - 1);
            header->value_end = (uint16_t)(parser->url - 1);
        }
    }
    return true;
}
