#include "cluster/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static const char unix_scheme[] = "unix://";
static const char http_scheme[] = "http://";

enum {
    HOST_SIZE = 46 /* An IPv6 address in text, with its NUL. */
};

static int parse_path(const char *path, struct address *out, struct buf *why)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    size_t size = strlen(path);

    if (path[0] != '/' || size >= sizeof where.sun_path) {
        buf_printf(why,
                   "'%s' is not the absolute path of a socket, at most %zu "
                   "bytes",
                   path, sizeof where.sun_path - 1);
        return E_INVALID;
    }
    memcpy(where.sun_path, path, size + 1);
    memcpy(&out->where, &where, sizeof where);
    out->size = sizeof where;
    out->is_unix = true;
    return E_OK;
}

/* Read the port after @colon; 0 where there is none. */
static uint16_t parse_port(const char *colon)
{
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);

    return colon[1] >= '0' && colon[1] <= '9' &&
                   (*end == '\0' || strcmp(end, "/") == 0) && port <= UINT16_MAX
               ? (uint16_t)port
               : 0;
}

/* Write the address @host with @port to @out; false where it is no literal. */
static bool set_host(const char *host, uint16_t port, struct address *out)
{
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons(port)};

    if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
        memcpy(&out->where, &four, sizeof four);
        out->size = sizeof four;
        return true;
    }
    if (inet_pton(AF_INET6, host, &six.sin6_addr) == 1) {
        memcpy(&out->where, &six, sizeof six);
        out->size = sizeof six;
        return true;
    }
    return false;
}

static bool is_loopback(const struct address *address)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (address->where.ss_family == AF_INET) {
        memcpy(&four, &address->where, sizeof four);
        return (ntohl(four.sin_addr.s_addr) >> 24) == 127;
    }
    memcpy(&six, &address->where, sizeof six);
    return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) != 0;
}

static int parse_tcp(const char *text, struct address *out, struct buf *why)
{
    const char *start = text + strlen(http_scheme);
    const char *colon = strrchr(start, ':');
    uint16_t port = colon == NULL ? 0 : parse_port(colon);
    size_t size = colon == NULL ? 0 : (size_t)(colon - start);
    char host[HOST_SIZE];

    if (size > 2 && start[0] == '[' && start[size - 1] == ']') {
        start++;
        size -= 2;
    }
    if (port == 0 || size == 0 || size >= sizeof host) {
        buf_printf(why, "'%s' is not http://ADDRESS:PORT", text);
        return E_INVALID;
    }
    memcpy(host, start, size);
    host[size] = '\0';
    if (!set_host(host, port, out)) {
        buf_printf(why, "'%s' is not an IP address", host);
        return E_INVALID;
    }
    if (!is_loopback(out)) {
        buf_printf(why,
                   "%s is beyond loopback, which needs 'auth', which this "
                   "version does not have",
                   host);
        return E_INVALID;
    }
    return E_OK;
}

int address_parse(const char *text, struct address *out, struct buf *why)
{
    *out = (struct address){.size = 0};
    if (strncmp(text, unix_scheme, strlen(unix_scheme)) == 0) {
        return parse_path(text + strlen(unix_scheme), out, why);
    }
    if (strncmp(text, http_scheme, strlen(http_scheme)) == 0) {
        return parse_tcp(text, out, why);
    }
    buf_printf(why, "'%s' is neither unix:///PATH nor http://127.0.0.1:PORT",
               text);
    return E_INVALID;
}
