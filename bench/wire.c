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
    READ_SIZE = 65536,
    NS_A_US = 1000
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

/* ---- One call after the other ------------------------------------------- */

void wire_open(struct wire *wire, const char *path)
{
    wire->fd = wire_connect(path);
    buf_init(&wire->in, 0);
    buf_init(&wire->out, 0);
}

void wire_close(struct wire *wire)
{
    (void)close(wire->fd);
    buf_release(&wire->in);
    buf_release(&wire->out);
}

void wire_ask(struct wire *wire, const char *path, const char *body)
{
    wire_post(&wire->out, path, body);
    wire_send(wire->fd, &wire->out);
}

/* Read until the whole answer, a 200, is there; return its size. */
static size_t read_answer(struct wire *wire)
{
    struct buf *in = &wire->in;
    size_t size;

    while ((size = wire_answer_size(buf_string(in), in->size)) == 0) {
        wire_read(wire->fd, in);
    }
    if (strncmp(in->data, "HTTP/1.1 200 ", 13) != 0) {
        wire_die("refused: %s", in->data);
    }
    return size;
}

void wire_wait(struct wire *wire)
{
    buf_drop(&wire->in, read_answer(wire));
}

void wire_granted(struct wire *wire, struct wire_grant *out)
{
    size_t size = read_answer(wire);

    out->lease = wire_number(wire->in.data, size, "\"lease\":");
    out->token = wire_number(wire->in.data, size, "\"token\":");
    buf_drop(&wire->in, size);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

void wire_print(const char *name, uint64_t *samples_ns, size_t count)
{
    qsort(samples_ns, count, sizeof(samples_ns[0]), compare);
    printf("\"%s_p50_us\":%.1f,\"%s_p99_us\":%.1f", name,
           (double)samples_ns[count / 2] / NS_A_US, name,
           (double)samples_ns[count - 1 - count / 100] / NS_A_US);
}
