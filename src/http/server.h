/* server.h - the server from inside: its connections and their states.
 *
 *              first bytes      headers complete     whole
 *   IDLE ─────────► HEAD ─────────► BODY ─────────► PARKED ──► on_request()
 *    ▲                ▲               ▲               │
 *    │ nothing        └───── NEXT ────┘     answered  ├──► STREAM ◄──► FULL
 *    │ read ahead             ▲ read ahead            │      │ close    │ close
 *    ├──────────────────────┬─┘                       │      │          ▼
 *    └── written whole ── REPLYING ◄── written in part┤      │       CLOSING
 *                           │ last reply              ▼      ▼          │
 *                           └─────────────────────► LINGER ◄────────────┘
 *
 * (IDLE and NEXT reach any later state of the first row at once.  Between
 * http_cork() and http_uncork() an answer is HELD on its way.)  Every state
 * leads to GONE: the socket is closed; what the handler is told of it and the
 * memory wait for on_later(), so that no call finds a connection freed under
 * it.  A refused request goes through PARKED to the reply that refuses it.
 *
 * A connection is on exactly one list, the one of its state; a state has one
 * patience, so each list is in the order of its deadlines and one timer serves
 * all.  conn_move() alone changes the state.
 */
#ifndef GPUCOORD_HTTP_SERVER_H
#define GPUCOORD_HTTP_SERVER_H

#include "base/buf.h"
#include "base/idmap.h"
#include "base/list.h"
#include "http/http.h"
#include "http/parser.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum conn_state {
    CONN_IDLE,     /* No byte of a request is here. */
    CONN_HEAD,     /* Reading the headers. */
    CONN_BODY,     /* Reading the body. */
    CONN_PARKED,   /* The handler has the request and has not answered. */
    CONN_HELD,     /* Answered; the reply waits for http_uncork(). */
    CONN_REPLYING, /* `out` has the rest of a reply that is told when lost. */
    CONN_NEXT,     /* Answered; the next request was read ahead. */
    CONN_STREAM,   /* An event stream, nothing queued. */
    CONN_FULL,     /* An event stream; `out` waits for its reader. */
    CONN_CLOSING,  /* `out` has the last bytes; nobody is told of them. */
    CONN_LINGER,   /* All is written; waits for the client to close. */
    CONN_GONE,     /* The socket is closed. */
    CONN_STATES
};

/* What the handler is told of the end of a connection. */
enum conn_notice {
    NOTICE_NONE,
    NOTICE_CLOSE,      /* on_close() */
    NOTICE_REPLY_LOST, /* on_reply_lost() */
};

struct conn {
    struct event event;
    struct http_server *server;
    struct list item;      /* On the list of its state. */
    struct parser *parser; /* NULL while nothing is kept of the input. */
    struct buf out;        /* REPLYING, FULL, CLOSING: bytes not yet taken. */
    uint64_t id;
    uint64_t deadline_ms; /* On clock_mono_ms(); UINT64_MAX = none. */
    uint64_t tag;         /* HELD, REPLYING and on: for on_reply_lost(). */
    uint32_t dropped;     /* STREAM, FULL: bytes the client sent in vain. */
    enum conn_state state;
    enum conn_notice notice; /* GONE; HELD: should its reply be lost. */
    bool keeps_alive;        /* From PARKED on: another request may follow. */
    bool wants_head;         /* From PARKED on: HEAD, the reply has no body. */
    bool is_unix;
    pid_t pid; /* Of the peer where is_unix, else 0, like the next two. */
    uid_t uid;
    gid_t gid;
};

enum server_state {
    SERVER_OPEN,     /* Listens, once it was told where. */
    SERVER_PAUSED,   /* The listeners wait for a free descriptor. */
    SERVER_DRAINING, /* Listens no more; connections come to their end. */
    SERVER_DRAINED,  /* on_drained() was called. */
};

enum {
    SERVER_INPUT_SIZE = 16384, /* Bytes read at a time. */
    CORK_REPLIES_MAX = 64,     /* More are sent at once, */
    CORK_BYTES = 32768         /*   and larger ones. */
};

/* A reply that waits for http_uncork(). */
struct held {
    uint64_t conn;
    size_t start; /* In the cork's `bytes`. */
    size_t size;
    bool is_missed; /* Somebody waits for its content: it has a tag. */
};

struct cork {
    bool is_in;
    size_t count;
    size_t size; /* Of the bytes used. */
    struct held held[CORK_REPLIES_MAX];
    char bytes[CORK_BYTES];
};

struct http_server {
    struct event_base *base;
    struct http_limits limits;
    struct http_config config;
    struct list conns[CONN_STATES];
    struct list listeners;
    struct idmap ids;
    uint64_t last_id;
    struct event later;     /* Runs what must not run inside a call. */
    struct event timer;     /* For the earliest deadline. */
    uint64_t timer_at_ms;   /* UINT64_MAX = not armed. */
    struct event retry;     /* Resumes paused listeners. */
    uint64_t pause_said_ms; /* When a pause was logged last; 0 = never. */
    enum server_state state;
    struct parser *spare; /* Serves requests that come in one piece. */
    struct buf reply;     /* The head of the reply being written. */
    struct http_header headers[HTTP_HEADERS_MAX]; /* For on_request(). */
    char input[SERVER_INPUT_SIZE];
    struct cork cork;
};

/* conn.c */

/* Take over @fd, an accepted socket: its connection is IDLE afterwards.
 *
 * Errors:
 *   E_NOMEM  no memory; @fd is closed.
 */
MUST_USE int conn_open(struct http_server *server, int fd, bool is_unix);

/* Move @conn to @next, which the table allows, and start its patience.  Where
 * the loop cannot watch its socket any more it is GONE instead. */
void conn_move(struct conn *conn, enum conn_state next);

/* Close the socket of @conn; it is GONE and @notice given from the loop. */
void conn_end(struct conn *conn, enum conn_notice notice);

/* Return the connection @id; NULL where it is gone. */
struct conn *conn_find(const struct http_server *server, uint64_t id);

/* Tell what is to be told of @conn, which is GONE, and free it. */
void conn_reap(struct conn *conn);

/* Forget @conn without closing its socket, which is returned to the caller. */
int conn_take(struct conn *conn);

/* Free @conn and close its socket, telling nobody. */
void conn_destroy(struct conn *conn);

/* Do what the passing of the deadline of @conn asks for. */
void conn_expire(struct conn *conn);

/* input.c */

/* Read what the socket of @conn has. */
void input_read(struct conn *conn);

/* Read on in what is kept of the input of @conn. */
void input_run(struct conn *conn);

/* Answer the request that @conn is sending with the problem @code, and end. */
void input_refuse(struct conn *conn, int code);

/* reply.c */

/* Give @head and @body, borrowed for the call, to the socket; what it does not
 * take goes to `out`.
 *
 * Errors:
 *   E_IO     the socket failed.
 *   E_NOMEM  the rest could not be kept.
 */
MUST_USE int reply_send(struct conn *conn,
                        const void *head,
                        size_t head_size,
                        const void *body,
                        size_t body_size);

/* Find the connection @id, whose request waits for an answer.
 *
 * Errors:
 *   E_NOT_FOUND  it is gone.
 *   E_STATE      no request of it waits.
 */
MUST_USE int
reply_find(const struct http_server *server, uint64_t id, struct conn **out);

/* Let the client read the last reply, which was written whole, before a reset
 * for what it may still send could take it away. */
void reply_linger(struct conn *conn);

/* Write what `out` of @conn holds, as far as the socket takes it. */
void reply_flush(struct conn *conn);

/* Answer @conn, which is PARKED, with @problem as its last reply; nobody is
 * told whether it could be written. */
void reply_refuse(struct conn *conn, const struct http_problem *problem);

/* The reply of @conn was written whole: the next request may come. */
void reply_finish(struct conn *conn);

/* cork.c */

/* Keep the reply of @conn, PARKED, whose head is in the server's `reply`, until
 * http_uncork(); false = not now, or no room: nothing has changed. */
MUST_USE bool cork_hold(struct conn *conn,
                        const struct http_response *response);

/* stream.c */

/* Send a comment down @conn, in STREAM, or end it. */
void stream_comment(struct conn *conn);

/* server.c */

/* Have on_later() run in this turn of the loop. */
void server_later(struct http_server *server);

/* Have the timer run at @deadline_ms at the latest. */
void server_wake_at(struct http_server *server, uint64_t deadline_ms);

/* Return a parser with nothing in it, taken by the caller; NULL without
 * memory. */
struct parser *server_parser_take(struct http_server *server);

/* Give @parser, taken, back; NULL is allowed. */
void server_parser_give(struct http_server *server, struct parser *parser);

/* listen.c */

struct listener {
    struct event event;
    struct http_server *server;
    struct list item; /* On the server's `listeners`. */
    int fd;
    char *path; /* Of the Unix socket; NULL = TCP. */
    dev_t dev;  /* What lay at `path` when it was ours. */
    ino_t ino;
};

/* Prepare for listening. */
void listeners_init(struct http_server *server);

/* Accept connections from @fd, taken and closed on failure.  @path, where it is
 * a Unix socket, is copied; NULL = TCP.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int listener_add(struct http_server *server, int fd, const char *path);

/* Accept again after a pause. */
void listeners_resume(struct http_server *server);

/* Stop listening for good. */
void listeners_close(struct http_server *server);

#endif
