#include "bench/wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_SIZE = 65536
};

void wire_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

int wire_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path)) {
        wire_die("'%s' is too long for a socket", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (fd < 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        wire_die("cannot connect to '%s': %s", path, strerror(errno));
    }
    return fd;
}

void wire_send(int fd, struct buf *out)
{
    /* Calls are small and one at a time, so that the socket takes them. */
    ssize_t sent = send(fd, out->data, out->size, MSG_NOSIGNAL);

    if (buf_error(out) != E_OK || sent != (ssize_t)out->size) {
        wire_die("cannot send: %s", strerror(errno));
    }
    buf_clear(out);
}

void wire_read(int fd, struct buf *in)
{
    char *room = buf_room(in, READ_SIZE);
    ssize_t got;

    if (room == NULL) {
        wire_die("an answer is too large");
    }
    got = read(fd, room, READ_SIZE);
    if (got <= 0) {
        wire_die("the server hung up: %s", got < 0 ? strerror(errno) : "end");
    }
    buf_grown(in, (size_t)got);
}

void wire_post(struct buf *out, const char *path, const char *body)
{
    buf_printf(out,
               "POST %s HTTP/1.1\r\nHost: localhost\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               path, strlen(body), body);
}

size_t wire_answer_size(const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n\r\n", 4);
    size_t head;
    size_t body;

    if (end == NULL) {
        return 0;
    }
    head = (size_t)(end - data) + 4;
    body = (size_t)wire_number(data, head, "Content-Length: ");
    return size - head >= body ? head + body : 0;
}

uint64_t wire_number(const char *data, size_t size, const char *key)
{
    const char *at = memmem(data, size, key, strlen(key));

    if (at == NULL) {
        wire_die("no '%s' in: %.*s", key, (int)size, data);
    }
    return strtoull(at + strlen(key), NULL, 10);
}
