/* Replies that leave together, once all of them are written. */
#include "http/server.h"

#include <assert.h>
#include <string.h>

void http_cork(struct http_server *server)
{
    assert(server->cork.count == 0);
    server->cork.is_in = true;
}

bool cork_hold(struct conn *conn, const struct http_response *response)
{
    struct cork *cork = &conn->server->cork;
    const struct buf *head = &conn->server->reply;
    size_t body_size = conn->wants_head ? 0 : response->body_size;
    struct held *held;

    if (!cork->is_in || cork->count == CORK_REPLIES_MAX ||
        cork->size + head->size + body_size > sizeof cork->bytes) {
        return false;
    }
    held = &cork->held[cork->count++];
    *held = (struct held){.conn = conn->id,
                          .start = cork->size,
                          .size = head->size + body_size,
                          .is_missed = response->tag != 0};
    memcpy(cork->bytes + held->start, head->data, head->size);
    if (body_size != 0) {
        memcpy(cork->bytes + held->start + head->size, response->body,
               body_size);
    }
    cork->size += held->size;
    conn->tag = response->tag;
    conn->notice = NOTICE_REPLY_LOST;
    conn_move(conn, CONN_HELD);
    return true;
}

static struct conn *held_conn(struct http_server *server,
                              const struct held *held)
{
    struct conn *conn = conn_find(server, held->conn);

    return conn == NULL || conn->state != CONN_HELD ? NULL : conn;
}

static void send_held(struct http_server *server, const struct held *held)
{
    struct conn *conn = held_conn(server, held);

    if (conn != NULL && reply_send(conn, server->cork.bytes + held->start,
                                   held->size, NULL, 0) != E_OK) {
        conn_end(conn, conn->notice);
    }
}

/* The rest of a reply, if any, is written as the socket takes it. */
static void finish_held(struct http_server *server, const struct held *held)
{
    struct conn *conn = held_conn(server, held);
    enum conn_notice notice;

    if (conn == NULL) {
        return;
    }
    if (conn->out.size == 0) {
        reply_finish(conn);
        return;
    }
    notice = conn->notice;
    conn_move(conn, notice == NOTICE_NONE ? CONN_CLOSING : CONN_REPLYING);
    if (conn->state == CONN_GONE) {
        conn->notice = notice; /* It could not be watched. */
    }
}

static void send_all(struct http_server *server, bool is_missed)
{
    const struct cork *cork = &server->cork;
    size_t i;

    for (i = 0; i < cork->count; i++) {
        if (cork->held[i].is_missed == is_missed) {
            send_held(server, &cork->held[i]);
        }
    }
}

/* The sends come in one go, since each wakes a client: one that is still awake
 * from the reply before costs no wake-up. */
void http_uncork(struct http_server *server)
{
    struct cork *cork = &server->cork;
    size_t i;

    cork->is_in = false;
    send_all(server, true);
    send_all(server, false);
    for (i = 0; i < cork->count; i++) {
        finish_held(server, &cork->held[i]);
    }
    cork->count = 0;
    cork->size = 0;
}
