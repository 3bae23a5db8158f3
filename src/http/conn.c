#include "http/server.h"

#include "base/clock.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TO(state) (1u << CONN_##state)

static const struct {
    unsigned next; /* Bit set of the states it may move to. */
    short events;  /* What the loop watches the socket for. */
} table[CONN_STATES] = {
    [CONN_IDLE] = {TO(HEAD) | TO(BODY) | TO(PARKED) | TO(GONE), EV_READ},
    [CONN_HEAD] = {TO(BODY) | TO(PARKED) | TO(GONE), EV_READ},
    [CONN_BODY] = {TO(PARKED) | TO(GONE), EV_READ},
    [CONN_PARKED] = {TO(IDLE) | TO(NEXT) | TO(HELD) | TO(REPLYING) |
                         TO(STREAM) | TO(FULL) | TO(CLOSING) | TO(LINGER) |
                         TO(GONE),
                     EV_READ},
    [CONN_HELD] = {TO(IDLE) | TO(NEXT) | TO(REPLYING) | TO(CLOSING) |
                       TO(LINGER) | TO(GONE),
                   EV_READ},
    [CONN_REPLYING] = {TO(IDLE) | TO(NEXT) | TO(LINGER) | TO(GONE), EV_WRITE},
    [CONN_NEXT] = {TO(HEAD) | TO(BODY) | TO(PARKED) | TO(GONE), EV_READ},
    [CONN_STREAM] = {TO(STREAM) | TO(FULL) | TO(LINGER) | TO(GONE), EV_READ},
    [CONN_FULL] = {TO(STREAM) | TO(CLOSING) | TO(GONE), EV_READ | EV_WRITE},
    [CONN_CLOSING] = {TO(LINGER) | TO(GONE), EV_WRITE},
    [CONN_LINGER] = {TO(GONE), EV_READ},
    [CONN_GONE] = {0, 0},
};

/* Return how long a connection may stay in @state; 0 = without limit. */
static uint32_t patience_ms(const struct http_limits *limits,
                            enum conn_state state)
{
    switch (state) {
    case CONN_IDLE:
        return limits->idle_ms;
    case CONN_HEAD:
        return limits->head_ms;
    case CONN_BODY:
        return limits->body_ms;
    case CONN_REPLYING:
    case CONN_FULL:
    case CONN_CLOSING:
        return limits->write_ms;
    case CONN_LINGER:
        return limits->linger_ms;
    case CONN_STREAM:
        return limits->stream_ms;
    case CONN_PARKED: /* The handler decides. */
    case CONN_HELD:   /* Ends in this turn. */
    case CONN_NEXT:   /* Likewise. */
    case CONN_GONE:   /* Likewise. */
    case CONN_STATES:
        break;
    }
    return 0;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct conn *conn = arg;

    (void)fd;
    if ((what & EV_WRITE) != 0) {
        reply_flush(conn);
    }
    /* Writing may have ended it, or changed what it waits for. */
    if ((what & table[conn->state].events & EV_READ) != 0) {
        input_read(conn);
    }
}

/* Watch the socket for what the state asks for. */
static int watch(struct conn *conn, int fd)
{
    short events = table[conn->state].events;

    if (event_assign(&conn->event, conn->server->base, fd,
                     (short)(events | EV_PERSIST), on_event, conn) != 0 ||
        event_add(&conn->event, NULL) != 0) {
        return E_NOMEM;
    }
    return E_OK;
}

static void start_patience(struct conn *conn)
{
    uint32_t patience = patience_ms(&conn->server->limits, conn->state);

    conn->deadline_ms = UINT64_MAX;
    if (patience != 0) {
        conn->deadline_ms = clock_mono_ms() + patience;
        server_wake_at(conn->server, conn->deadline_ms);
    }
}

int conn_open(struct http_server *server, int fd, bool is_unix)
{
    struct conn *conn = calloc(1, sizeof *conn);
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (conn == NULL || idmap_reserve(&server->ids) != E_OK) {
        goto err;
    }
    conn->server = server;
    conn->state = CONN_IDLE;
    conn->is_unix = is_unix;
    buf_init(&conn->out, 0);
    if (is_unix && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
        conn->pid = peer.pid;
        conn->uid = peer.uid;
        conn->gid = peer.gid;
    }
    if (watch(conn, fd) != E_OK) {
        goto err;
    }
    conn->id = ++server->last_id;
    idmap_put(&server->ids, 0, conn->id, conn);
    list_append(&server->conns[CONN_IDLE], &conn->item);
    start_patience(conn);
    return E_OK;

err:
    free(conn);
    (void)close(fd);
    return E_NOMEM;
}

void conn_move(struct conn *conn, enum conn_state next)
{
    short events = table[conn->state].events;

    assert((table[conn->state].next & (1u << next)) != 0);
    list_remove(&conn->item);
    list_append(&conn->server->conns[next], &conn->item);
    conn->state = next;
    start_patience(conn);
    if (next == CONN_NEXT || next == CONN_GONE) {
        server_later(conn->server);
    }
    if (next != CONN_GONE && table[next].events != events) {
        (void)event_del(&conn->event);
        if (watch(conn, event_get_fd(&conn->event)) != E_OK) {
            bool is_stream = next == CONN_STREAM || next == CONN_FULL;

            conn_end(conn, is_stream ? NOTICE_CLOSE : NOTICE_NONE);
        }
    }
}

void conn_end(struct conn *conn, enum conn_notice notice)
{
    (void)event_del(&conn->event);
    (void)close(event_get_fd(&conn->event));
    buf_release(&conn->out);
    conn->notice = notice;
    conn_move(conn, CONN_GONE);
}

int conn_take(struct conn *conn)
{
    int fd = event_get_fd(&conn->event);

    (void)event_del(&conn->event);
    buf_release(&conn->out);
    conn->notice = NOTICE_NONE;
    conn_move(conn, CONN_GONE);
    return fd;
}

struct conn *conn_find(const struct http_server *server, uint64_t id)
{
    struct conn *conn = idmap_find(&server->ids, 0, id);

    return conn == NULL || conn->state == CONN_GONE ? NULL : conn;
}

static void forget(struct conn *conn)
{
    list_remove(&conn->item);
    (void)idmap_remove(&conn->server->ids, 0, conn->id);
    server_parser_give(conn->server, conn->parser);
    free(conn);
}

void conn_reap(struct conn *conn)
{
    const struct http_handler *handler = conn->server->config.handler;
    void *arg = conn->server->config.arg;
    enum conn_notice notice = conn->notice;
    uint64_t id = conn->id;
    uint64_t tag = conn->tag;

    assert(conn->state == CONN_GONE);
    forget(conn);
    if (notice == NOTICE_CLOSE && handler->on_close != NULL) {
        handler->on_close(arg, id);
    }
    if (notice == NOTICE_REPLY_LOST && handler->on_reply_lost != NULL) {
        handler->on_reply_lost(arg, id, tag);
    }
}

void conn_destroy(struct conn *conn)
{
    if (conn->state != CONN_GONE) {
        (void)event_del(&conn->event);
        (void)close(event_get_fd(&conn->event));
    }
    buf_release(&conn->out);
    forget(conn);
}

void conn_expire(struct conn *conn)
{
    switch (conn->state) {
    case CONN_HEAD:
    case CONN_BODY:
        input_refuse(conn, E_SLOW);
        return;
    case CONN_REPLYING:
        conn_end(conn, NOTICE_REPLY_LOST);
        return;
    case CONN_FULL:
        conn_end(conn, NOTICE_CLOSE);
        return;
    case CONN_STREAM:
        stream_comment(conn);
        return;
    case CONN_IDLE:
    case CONN_CLOSING:
    case CONN_LINGER:
        conn_end(conn, NOTICE_NONE);
        return;
    case CONN_PARKED:
    case CONN_HELD:
    case CONN_NEXT:
    case CONN_GONE:
    case CONN_STATES:
        break;
    }
    assert(false && "a state without a deadline has none to pass");
}
