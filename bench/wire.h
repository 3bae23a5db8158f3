/* wire.h - the little that the load clients need of sockets and HTTP.
 *
 * Anything unexpected ends the program with a message: a benchmark that goes
 * on after an error measures something else.
 */
#ifndef GPUCOORD_BENCH_WIRE_H
#define GPUCOORD_BENCH_WIRE_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Print the message as printf() does, and exit with 1. */
_Noreturn void wire_die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Connect to the Unix socket @path; the descriptor is the caller's. */
int wire_connect(const char *path);

/* Send @out whole and clear it. */
void wire_send(int fd, struct buf *out);

/* Read what is there, at least one byte, to the end of @in. */
void wire_read(int fd, struct buf *in);

/* Append a POST of @body to @path. */
void wire_post(struct buf *out, const char *path, const char *body);

/* Return the size of the HTTP answer with which @data begins; 0 while it is
 * not whole. */
size_t wire_answer_size(const char *data, size_t size);

/* Return the number that follows @key in the first @size bytes of @data; die
 * where there is none. */
uint64_t wire_number(const char *data, size_t size, const char *key);

/* A connection for one call after the other. */
struct wire {
    int fd;
    struct buf in;
    struct buf out;
};

struct wire_grant {
    uint64_t lease;
    uint64_t token;
};

/* Connect @wire to the Unix socket @path. */
void wire_open(struct wire *wire, const char *path);

/* Hang up and free what it owns. */
void wire_close(struct wire *wire);

/* Send a POST of @body to @path. */
void wire_ask(struct wire *wire, const char *path, const char *body);

/* Wait for the whole answer, a 200. */
void wire_wait(struct wire *wire);

/* Likewise for that to a request. */
void wire_granted(struct wire *wire, struct wire_grant *out);

/* Sort @samples_ns and print "NAME_p50_us":…,"NAME_p99_us":… of them. */
void wire_print(const char *name, uint64_t *samples_ns, size_t count);

#endif
