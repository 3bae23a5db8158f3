#include "http/guard.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum {
    HOST_SIZE = 256 /* A DNS name has up to 253 bytes. */
};

static bool is_port(const char *text)
{
    size_t digits = strspn(text, "0123456789");

    return digits <= 5 && text[digits] == '\0';
}

static bool is_name(const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (!isalnum(byte) && strchr("-._", byte) == NULL) {
            return false;
        }
    }
    return true;
}

/* Copy @host without its port to @name; false where it is no host. */
static bool split_host(const char *host, char name[HOST_SIZE])
{
    bool is_bracketed = host[0] == '[';
    const char *start = host + (is_bracketed ? 1 : 0);
    size_t size = strcspn(start, is_bracketed ? "]" : ":");
    const char *rest = start + size;

    if (size == 0 || size >= HOST_SIZE) {
        return false;
    }
    if (is_bracketed && *rest++ != ']') {
        return false;
    }
    if (*rest != '\0' && (*rest != ':' || !is_port(rest + 1))) {
        return false;
    }
    memcpy(name, start, size);
    name[size] = '\0';
    if (is_bracketed) {
        struct in6_addr ignored;

        return inet_pton(AF_INET6, name, &ignored) == 1;
    }
    return is_name(name);
}

/* Say whether only this machine or its own network can have given @name. */
static bool is_ours(const char *name, const char *const *names, size_t count)
{
    struct in_addr ignored;
    size_t i;

    if (strpbrk(name, ".") == NULL || inet_pton(AF_INET, name, &ignored) == 1 ||
        strcasecmp(name, "host.docker.internal") == 0) {
        return true;
    }
    for (i = 0; i < count; i++) {
        if (strcasecmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Say whether @origin is "http://" or "https://" and @host. */
static bool is_same(const char *origin, const char *host)
{
    static const char *const schemes[] = {"http://", "https://"};
    size_t i;

    for (i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t size = strlen(schemes[i]);

        if (strncasecmp(origin, schemes[i], size) == 0) {
            return strcasecmp(origin + size, host) == 0;
        }
    }
    return false;
}

int http_guard(const char *host,
               const char *origin,
               const char *const *names,
               size_t name_count)
{
    char name[HOST_SIZE];

    if (!split_host(host, name)) {
        return E_HTTP;
    }
    /* A bracketed address is a literal: it has no dot unless it embeds IPv4. */
    if (host[0] != '[' && !is_ours(name, names, name_count)) {
        return E_FOREIGN_HOST;
    }
    if (origin != NULL && !is_same(origin, host)) {
        return E_FOREIGN_ORIGIN;
    }
    return E_OK;
}
