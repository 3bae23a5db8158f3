/* rig.h - a server and its clients in one thread, for tests.
 *
 * Clients are plain sockets that do not block.  Whatever a test waits for, it
 * waits for in rig_pump(), which runs the server's loop once and gives up, with
 * the name of the test's line, after a time no working server needs.
 *
 * What the handler does with a request is said by its path:
 *
 *   /now     answers at once, with the body it got
 *   /park    answers never; `parked` has its connection
 *   /stream  begins an event stream; `parked` has its connection
 *   /close   closes the connection
 *   /size/N  answers at once with N bytes
 *   /who     answers at once with who asks: "unix PID UID GID" or "tcp"
 */
#ifndef GPUCOORD_TESTS_UNIT_HTTP_RIG_H
#define GPUCOORD_TESTS_UNIT_HTTP_RIG_H

#include "base/buf.h"
#include "http/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RIG_PATH_SIZE = 64
};

struct rig {
    struct event_base *base;
    struct http_server *server;
    uint16_t port;
    char directory[RIG_PATH_SIZE - 2]; /* Of the socket; the server makes it. */
    char path[RIG_PATH_SIZE];          /* Of the Unix socket. */
    uint64_t give_up_at_ms;
    unsigned requests;
    uint64_t parked; /* The connection that was parked last. */
    unsigned parked_count;
    unsigned closed;      /* Calls of on_close(), */
    uint64_t closed_conn; /*   and what the last one said. */
    unsigned lost;        /* Calls of on_reply_lost(), likewise. */
    uint64_t lost_tag;
    unsigned drained;
    char who[64];            /* What /who has answered. */
    bool is_short_of_memory; /* Set by a test: calls may fail. */
    struct buf seen;         /* Of the last request: a line each, see rig.c. */
};

/* Limits like the default ones, for tests that change some. */
struct http_limits rig_limits(void);

/* Start a server on a free port and a socket of its own; @limits NULL = the
 * default. */
void rig_start(struct rig *rig, const struct http_limits *limits);

/* Stop it. */
void rig_stop(struct rig *rig);

/* Return a connected client. */
int rig_connect_tcp(struct rig *rig);
int rig_connect_unix(struct rig *rig);

/* Run the loop once, without waiting; fails the test at @file and @line when
 * this has gone on for long. */
void rig_pump_at(struct rig *rig, const char *file, int line);

/* Start counting anew what rig_pump_at() calls long. */
void rig_patience(struct rig *rig);

/* Run the loop until @condition holds. */
#define rig_until(rig, condition)                   \
    do {                                            \
        rig_patience(rig);                          \
        while (!(condition)) {                      \
            rig_pump_at((rig), __FILE__, __LINE__); \
        }                                           \
    } while (0)

/* Send everything; false when the server has closed meanwhile. */
bool rig_send(struct rig *rig, int fd, const void *data, size_t size);
bool rig_send_text(struct rig *rig, int fd, const char *text);

/* Read what is there, without waiting, to the end of @in; true at the end of
 * the connection. */
bool rig_read(int fd, struct buf *in);

/* Read until @count whole replies are there, or the connection ends; write
 * their statuses, and "close" where it ended, to @out: "200 400 close". */
void rig_replies(struct rig *rig, int fd, unsigned count, struct buf *out);

/* Send @request, and check that the replies to it are @expected. */
void rig_expect(struct rig *rig,
                int fd,
                const char *request,
                const char *expected);

#endif
