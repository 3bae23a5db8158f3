/* Listening on TCP. */
#include "http/server.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PEER_LOST_MS = 15000, /* A peer that is silent so long has gone. */
    PROBE_S = 5           /* Three probes fit into it. */
};

/* Read a port, 0 to 65535, at @text. */
static bool read_port(const char *text, uint16_t *port)
{
    unsigned long number = strtoul(text, NULL, 10);

    *port = (uint16_t)number;
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0' &&
           number <= UINT16_MAX;
}

/* Read @text, "1.2.3.4:5" or "[::1]:5"; false where it has another form. */
static bool
read_address(const char *text, struct sockaddr_storage *out, socklen_t *size)
{
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN];
    bool is_bracketed = text[0] == '[';
    size_t length;
    uint16_t port;

    if (colon == NULL || (size_t)(colon - text) >= sizeof host ||
        !read_port(colon + 1, &port)) {
        return false;
    }
    length = (size_t)(colon - text);
    memcpy(host, text, length);
    host[length] = '\0';
    *out = (struct sockaddr_storage){.ss_family = AF_INET};
    if (!is_bracketed) {
        in->sin_port = htons(port);
        *size = sizeof *in;
        return inet_pton(AF_INET, host, &in->sin_addr) == 1;
    }
    if (host[length - 1] != ']') {
        return false;
    }
    host[length - 1] = '\0';
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    *size = sizeof *in6;
    return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1;
}

/* Set what the accepted connections inherit.  Keep-alive finds a peer that is
 * gone while we wait, TCP_USER_TIMEOUT one that takes no more data. */
static int set_options(int fd)
{
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, PROBE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, PEER_LOST_MS},
    };
    size_t i;

    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                       sizeof options[i].value) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Return the port of the bound socket @fd. */
static uint16_t port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address = {.in6 = {0}};
    socklen_t size = sizeof address;

    if (getsockname(fd, &address.any, &size) != 0) {
        return 0;
    }
    return address.any.sa_family == AF_INET6 ? ntohs(address.in6.sin6_port)
                                             : ntohs(address.in.sin_port);
}

int http_listen_tcp(struct http_server *server,
                    const char *address,
                    uint16_t *port)
{
    struct sockaddr_storage where;
    socklen_t size;
    int fd;
    int error;

    if (!read_address(address, &where, &size)) {
        log_error("cannot listen on '%s': not an address and a port", address);
        return E_INVALID;
    }
    fd = socket(where.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || set_options(fd) != 0 ||
        bind(fd, (struct sockaddr *)&where, size) != 0 ||
        listen(fd, SOMAXCONN) != 0) {
        error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        log_error("cannot listen on '%s': %s", address, strerror(error));
        return error == EADDRINUSE ? E_BUSY : E_IO;
    }
    if (port != NULL) {
        *port = port_of(fd);
    }
    return listener_add(server, fd, NULL);
}
