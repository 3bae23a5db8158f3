/* http.h - an HTTP/1.1 server on libevent: connections, requests, replies.
 *
 * It knows connections and nothing of GPUs.  A request is handed to
 * `on_request` once it is whole; the answer is given during that call or any
 * time later, by the connection's id, never by pointer: ids are not used
 * again, and one that is gone is a normal case (E_NOT_FOUND).  In between the
 * connection is *parked*: it costs a few hundred bytes, has no deadline, and is
 * still read, so that a client that goes away is noticed at once.  A parked
 * client that closes its sending half counts as gone.
 *
 * Replies are written at once, one system call each, by http_reply() itself.  A
 * driver that commits once per turn of the loop therefore keeps its answers,
 * commits, and then calls http_reply() for each, best between http_cork() and
 * http_uncork(); event_active() on an event of its own, from the first
 * on_request() of a turn, runs it after all requests of that turn.
 *
 * Callbacks come from the loop, never from inside a call to this module, so a
 * caller's data does not change under its feet.  A callback may call anything
 * here but http_server_destroy().
 *
 * Bad requests never reach the handler: they are answered as problem documents
 * (problem.h) or closed here.  See guard.h for Host and Origin.
 */
#ifndef GPUCOORD_HTTP_HTTP_H
#define GPUCOORD_HTTP_HTTP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct event_base;
struct http_problem;
struct http_server; /* Opaque; server.h. */

struct http_header {
    const char *name; /* As sent; compare without case. */
    const char *value;
};

/* A whole request.  Everything in it is borrowed for the call. */
struct http_request {
    uint64_t conn;      /* Names the connection in the reply. */
    const char *method; /* "GET", "POST" ... */
    const char *path;   /* Begins with '/'; not percent-decoded. */
    const char *query;  /* What follows the '?'; "" where there is none. */
    const struct http_header *headers;
    size_t header_count;
    const char *body; /* Not terminated; never NULL. */
    size_t body_size; /* Bytes. */
    bool is_unix;     /* Came over the Unix socket, also that of who relays it:
                       * the next three are set. */
    pid_t pid;        /* Of the peer when it connected; else 0. */
    uid_t uid;
    gid_t gid;
};

/* Return the value of the header @name, whatever its case; NULL where there is
 * none, the first where there are several.  Borrowed like @request. */
const char *http_header_find(const struct http_request *request,
                             const char *name);

/* What is told.  Callbacks but on_request may be NULL. */
struct http_handler {
    /* A request is whole.  Answer it now or later, exactly once. */
    void (*on_request)(void *arg, const struct http_request *request);

    /* A parked request's client, or a stream's reader, has gone: @conn is no
     * more.  Not called after http_close(). */
    void (*on_close)(void *arg, uint64_t conn);

    /* A reply that http_reply() accepted could not be written whole; @tag is
     * the one given there.  The client must be taken as not having it. */
    void (*on_reply_lost)(void *arg, uint64_t conn, uint64_t tag);

    /* After http_drain(): the last connection is gone. */
    void (*on_drained)(void *arg);
};

/* Every limit is one on what a client can make the server keep or wait for.
 * Deadlines are total: a drip of bytes does not extend them. */
struct http_limits {
    uint32_t url_bytes;    /* Above: 414. */
    uint32_t header_bytes; /* Request line and headers, up to 65,535; above:
                            * 431. */
    uint32_t header_count; /* Up to HTTP_HEADERS_MAX; above: 431. */
    uint32_t body_bytes;   /* Above: 413. */
    uint32_t held_bytes;   /* Read ahead from a parked client; above: closed. */
    uint32_t stream_bytes; /* Queued for a stream; above: closed. */
    uint32_t connections;  /* At once; above: they wait in the backlog. */
    uint32_t idle_ms;      /* Without a request. */
    uint32_t head_ms;      /* First byte to the end of the headers. */
    uint32_t body_ms;      /* End of the headers to the end of the body. */
    uint32_t write_ms;     /* A reply, or what a stream's queue holds. */
    uint32_t stream_ms;    /* From one comment on a stream to the next. */
    uint32_t linger_ms;    /* Reading on after a last reply, so that it is not
                            * lost in a reset. */
};

enum {
    HTTP_HEADERS_MAX = 64
};

/* 4 KiB of URL, 16 KiB and 64 headers, bodies of 64 KiB; 16,384 connections; 10
 * s for headers, 30 s for a body, 60 s idle; a comment on a stream each 15 s.
 */
extern const struct http_limits http_limits_default;

/* How a server is set up. */
struct http_config {
    const struct http_limits *limits; /* Copied; NULL = the default. */
    const char *const *hosts; /* Further names accepted in Host; borrowed until
                               * the server is destroyed or given others. */
    size_t host_count;
    const struct http_handler *handler; /* Borrowed, likewise. */
    void *arg;                          /* Given to the handler. */
    /* Believe HTTP_PEER_HEADER from Unix peers of our own user, or of root:
     * they relay for others. */
    bool believes_relays;
};

/* Who has made the call that is relayed: "unix PID UID GID" or "tcp". */
#define HTTP_PEER_HEADER "Gpucoord-Peer"

/* Create a server that listens nowhere yet, returned to the caller in @out.
 * @base is borrowed until the server is destroyed.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int http_server_create(struct event_base *base,
                                const struct http_config *config,
                                struct http_server **out);

/* Close everything without telling anybody, remove the Unix socket, free the
 * server; NULL is allowed. */
void http_server_destroy(struct http_server *server);

/* Accept @hosts in Host from now on instead of those before; borrowed likewise.
 */
void http_server_set_hosts(struct http_server *server,
                           const char *const *hosts,
                           size_t count);

/* Listen on @address, "127.0.0.1:4780" or "[::1]:4780"; port 0 takes a free
 * one.  @port receives the port; NULL is allowed.  Failures are logged.
 *
 * Errors:
 *   E_INVALID  @address is not a numeric address with a port.
 *   E_BUSY     the address is taken.
 *   E_IO       any other failure of the system.
 *   E_NOMEM    no memory.
 */
MUST_USE int http_listen_tcp(struct http_server *server,
                             const char *address,
                             uint16_t *port);

/* Listen on a Unix socket at @path with @mode, as 0660.  Its directory is
 * created where it is missing (that one only); a socket that nobody serves is
 * replaced.  Failures are logged.
 *
 * Errors:
 *   E_INVALID  @path is too long for a socket, or something else lies there.
 *   E_BUSY     another process serves it; the log names its pid.
 *   E_IO       any other failure of the system.
 *   E_NOMEM    no memory.
 */
MUST_USE int
http_listen_unix(struct http_server *server, const char *path, mode_t mode);

/* Answer.  Everything is borrowed for the call. */
struct http_response {
    int status;               /* 200 to 599. */
    const char *content_type; /* NULL = none, where there is no body. */
    const char *headers;      /* Further header lines, each ending in CR LF, as
                               * "Retry-After: 3\r\n"; NULL = none. */
    const void *body;         /* NULL where @body_size is 0. */
    size_t body_size;
    uint64_t tag; /* Given to on_reply_lost(). */
};

/* Answer the request that is parked on @conn.
 *
 * 0 says that the whole reply was given to the system or waits for the socket
 * to take the rest; on_reply_lost() follows should that fail.
 *
 * Errors: (nothing follows them)
 *   E_NOT_FOUND  the connection is gone.
 *   E_STATE      no request of it waits for an answer.
 *   E_IO         the reply could not be written; the connection is closed.
 *   E_NOMEM      likewise, for want of memory.
 */
MUST_USE int http_reply(struct http_server *server,
                        uint64_t conn,
                        const struct http_response *response);

/* Hold replies back from now on, until http_uncork(), which must follow before
 * the caller returns to the loop.  http_reply() returns 0 for a reply that is
 * held; what fails then is told by on_reply_lost().  There is room for 64
 * replies of together 32 KiB; what has no room is sent at once. */
void http_cork(struct http_server *server);

/* Send the replies that are held: first those with a tag, whose loss somebody
 * would be told of, since they are what a client waits for. */
void http_uncork(struct http_server *server);

/* Answer as http_reply() does, with a problem document and, where the problem
 * has `retry_after_ms` or `allow`, their headers.  @problem is borrowed for the
 * call, @tag as in http_response.
 *
 * Errors: as http_reply().
 */
MUST_USE int http_reply_problem(struct http_server *server,
                                uint64_t conn,
                                const struct http_problem *problem,
                                uint64_t tag);

/* Answer the parked request with the head of an event stream (200,
 * text/event-stream).  The stream lasts until http_close() or on_close().  It
 * carries a comment each `stream_ms`, so that what lies between keeps it open,
 * and a reader that has vanished is noticed.
 *
 * Errors: as http_reply().
 */
MUST_USE int http_stream_begin(struct http_server *server, uint64_t conn);

/* Send @size bytes down a stream; what the reader is slow to take is queued up
 * to `stream_bytes`.  After an error the connection is closed, and on_close()
 * follows from the loop.
 *
 * Errors:
 *   E_NOT_FOUND  the connection is gone.
 *   E_STATE      it is not a stream.
 *   E_LIMIT      the reader does not read: it was dropped.
 *   E_IO         the socket failed.
 *   E_NOMEM      no memory.
 */
MUST_USE int http_stream_send(struct http_server *server,
                              uint64_t conn,
                              const void *data,
                              size_t size);

/* Drop a stream at once; on_close() follows from the loop.  Nothing happens
 * where @conn is gone or no stream. */
void http_stream_drop(struct http_server *server, uint64_t conn);

/* Close a connection: a stream after what is queued for it, one whose reply is
 * held after the reply, any other at once.  Nothing is told; a connection that
 * is gone already is fine. */
void http_close(struct http_server *server, uint64_t conn);

/* Take the connection of a parked request out of the server: *@fd, its socket,
 * is the caller's from now on, does not block, and is the caller's to close.
 * Nothing is told.  What the client has sent ahead of the answer is dropped.
 *
 * Errors:
 *   E_NOT_FOUND  the connection is gone.
 *   E_STATE      no request of it waits for an answer.
 */
MUST_USE int http_take(struct http_server *server, uint64_t conn, int *fd);

/* Stop listening and close idle connections; those with a request get their
 * answer first, with "Connection: close".  Streams and parked requests are the
 * caller's to end.  on_drained() says when all is over. */
void http_drain(struct http_server *server);

/* Return how many connections there are, for the metrics. */
size_t http_connection_count(const struct http_server *server);

#endif
