/* Event streams: replies that go on. */
#include "http/server.h"

/* Send @data down a stream, or queue it; the stream's state follows. */
static int stream_write(struct conn *conn, const void *data, size_t size)
{
    int rc = reply_send(conn, data, size, NULL, 0);
    enum conn_state next = conn->out.size == 0 ? CONN_STREAM : CONN_FULL;

    if (rc == E_OK && conn->state != next) {
        conn_move(conn, next);
        rc = conn->state == CONN_GONE ? E_NOMEM : E_OK;
    }
    return rc;
}

void stream_comment(struct conn *conn)
{
    static const char comment[] = ": \n\n";

    if (stream_write(conn, comment, sizeof comment - 1) != E_OK) {
        if (conn->state != CONN_GONE) {
            conn_end(conn, NOTICE_CLOSE);
        }
    } else if (conn->state == CONN_STREAM) {
        conn_move(conn, CONN_STREAM); /* Its patience starts anew. */
    }
}

int http_stream_begin(struct http_server *server, uint64_t conn)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n"
                               "Content-Type: text/event-stream\r\n"
                               "Cache-Control: no-store\r\n"
                               "Connection: close\r\n\r\n";
    struct conn *found;
    int rc = reply_find(server, conn, &found);

    if (rc != E_OK) {
        return rc;
    }
    rc = stream_write(found, head, sizeof head - 1);
    if (rc != E_OK) {
        if (found->state != CONN_GONE) {
            conn_end(found, NOTICE_NONE);
        }
        found->notice = NOTICE_NONE;
    }
    return rc;
}

int http_stream_send(struct http_server *server,
                     uint64_t conn,
                     const void *data,
                     size_t size)
{
    struct conn *found = conn_find(server, conn);
    int rc = E_OK;

    if (found == NULL) {
        return E_NOT_FOUND;
    }
    if (found->state != CONN_STREAM && found->state != CONN_FULL) {
        return E_STATE;
    }
    if (found->state == CONN_STREAM) {
        rc = stream_write(found, data, size);
    } else {
        buf_add(&found->out, data, size);
        rc = buf_error(&found->out);
    }
    if (rc == E_OK && found->out.size > server->limits.stream_bytes) {
        rc = E_LIMIT;
    }
    if (rc != E_OK && found->state != CONN_GONE) {
        conn_end(found, NOTICE_CLOSE);
    }
    return rc;
}

void http_stream_drop(struct http_server *server, uint64_t conn)
{
    struct conn *found = conn_find(server, conn);

    if (found != NULL &&
        (found->state == CONN_STREAM || found->state == CONN_FULL)) {
        conn_end(found, NOTICE_CLOSE);
    }
}
