/* What a client is sent in answer to a request. */
#include "http/server.h"

#include "http/problem.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    REPLY_COPIED_MAX = 2048 /* Bytes; larger answers are sent from where they
                               lie. */
};

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } reasons[] = {
        {200, "OK"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
    };
    size_t i;

    for (i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return ""; /* It may be empty; only the number counts. */
}

static struct iovec part_of(const void *data, size_t size)
{
    /* sendmsg() only reads, but its type does not say so. */
    union {
        const void *in;
        void *out;
    } data_of = {.in = data};

    return (struct iovec){.iov_base = data_of.out, .iov_len = size};
}

/* Send two parts as one: an answer of the usual size is cheaper to copy than
 * to describe to the kernel in pieces. */
static ssize_t send_parts(int fd, const struct iovec parts[2])
{
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    size_t size = parts[0].iov_len + parts[1].iov_len;
    struct iovec copy[2] = {parts[0], parts[1]};
    struct msghdr message = {.msg_iov = copy, .msg_iovlen = 2};
    char whole[REPLY_COPIED_MAX];

    if (size > sizeof whole) {
        return sendmsg(fd, &message, flags);
    }
    memcpy(whole, parts[0].iov_base, parts[0].iov_len);
    if (parts[1].iov_len > 0) {
        memcpy(whole + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
    }
    return send(fd, whole, size, flags);
}

int reply_send(struct conn *conn,
               const void *head,
               size_t head_size,
               const void *body,
               size_t body_size)
{
    const struct iovec parts[2] = {part_of(head, head_size),
                                   part_of(body, body_size)};
    ssize_t sent = send_parts(event_get_fd(&conn->event), parts);
    size_t taken;
    size_t i;

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return E_IO;
    }
    taken = sent < 0 ? 0 : (size_t)sent;
    if (taken == head_size + body_size) {
        return E_OK;
    }
    for (i = 0; i < (body_size == 0 ? 1u : 2u); i++) {
        size_t part = taken < parts[i].iov_len ? taken : parts[i].iov_len;

        buf_add(&conn->out, (const char *)parts[i].iov_base + part,
                parts[i].iov_len - part);
        taken -= part;
    }
    return buf_error(&conn->out);
}

void reply_linger(struct conn *conn)
{
    buf_release(&conn->out);
    (void)shutdown(event_get_fd(&conn->event), SHUT_WR);
    conn_move(conn, CONN_LINGER);
}

void reply_finish(struct conn *conn)
{
    buf_release(&conn->out);
    if (!conn->keeps_alive || conn->server->state == SERVER_DRAINING) {
        reply_linger(conn);
    } else if (conn->parser != NULL && parser_ahead(conn->parser) != 0) {
        conn_move(conn, CONN_NEXT);
    } else {
        conn_move(conn, CONN_IDLE);
    }
}

/* Write the head of a reply to the server's buffer for it. */
static int write_head(struct conn *conn, const struct http_response *response)
{
    struct buf *head = &conn->server->reply;

    buf_clear(head);
    buf_text(head, "HTTP/1.1 ");
    buf_u64(head, (uint64_t)response->status);
    buf_byte(head, ' ');
    buf_text(head, reason(response->status));
    if (response->content_type != NULL) {
        buf_text(head, "\r\nContent-Type: ");
        buf_text(head, response->content_type);
    }
    buf_text(head, "\r\nContent-Length: ");
    buf_u64(head, response->body_size);
    buf_text(head, "\r\n");
    if (response->headers != NULL) {
        buf_text(head, response->headers);
    }
    if (!conn->keeps_alive) {
        buf_text(head, "Connection: close\r\n");
    }
    buf_text(head, "\r\n");
    return buf_error(head);
}

/* Write @response; the rest is written in the state @rest. */
static int write_reply(struct conn *conn,
                       const struct http_response *response,
                       enum conn_state rest)
{
    struct buf *head = &conn->server->reply;
    int rc;

    assert(conn->state == CONN_PARKED);
    if (conn->server->state == SERVER_DRAINING) {
        conn->keeps_alive = false;
    }
    rc = write_head(conn, response);
    if (rc == E_OK && rest == CONN_REPLYING && cork_hold(conn, response)) {
        return E_OK;
    }
    if (rc == E_OK) {
        rc = reply_send(conn, head->data, head->size, response->body,
                        conn->wants_head ? 0 : response->body_size);
    }
    if (rc != E_OK) {
        conn_end(conn, NOTICE_NONE);
        return rc;
    }
    if (conn->out.size == 0) {
        reply_finish(conn);
        return E_OK;
    }
    conn->tag = response->tag;
    conn_move(conn, rest);
    return conn->state == CONN_GONE ? E_NOMEM : E_OK;
}

int reply_find(const struct http_server *server, uint64_t id, struct conn **out)
{
    *out = conn_find(server, id);
    if (*out == NULL) {
        return E_NOT_FOUND;
    }
    return (*out)->state == CONN_PARKED ? E_OK : E_STATE;
}

int http_reply(struct http_server *server,
               uint64_t conn,
               const struct http_response *response)
{
    struct conn *found;
    int rc = reply_find(server, conn, &found);

    return rc != E_OK ? rc : write_reply(found, response, CONN_REPLYING);
}

int http_take(struct http_server *server, uint64_t conn, int *fd)
{
    struct conn *found;
    int rc = reply_find(server, conn, &found);

    if (rc == E_OK) {
        *fd = conn_take(found);
    }
    return rc;
}

/* Write @problem and what its reply needs to @body and @response; the headers
 * go to @headers. */
static void problem_response(const struct http_problem *problem,
                             struct buf *headers,
                             struct buf *body,
                             struct http_response *response)
{
    http_problem_write(problem, body);
    if (problem->retry_after_ms != 0) {
        /* In whole seconds, and not before the time. */
        buf_printf(headers, "Retry-After: %llu\r\n",
                   (unsigned long long)(problem->retry_after_ms + 999) / 1000);
    }
    if (problem->allow != NULL) {
        buf_printf(headers, "Allow: %s\r\n", problem->allow);
    }
    *response = (struct http_response){.status = err_http(problem->code),
                                       .content_type = HTTP_PROBLEM_TYPE,
                                       .headers = buf_string(headers),
                                       .body = body->data,
                                       .body_size = body->size};
}

/* Answer @conn, PARKED, with @problem. */
static int write_problem(struct conn *conn,
                         const struct http_problem *problem,
                         uint64_t tag,
                         enum conn_state rest)
{
    struct http_response response;
    struct buf headers;
    struct buf body;
    int rc;

    buf_init(&headers, 0);
    buf_init(&body, 0);
    problem_response(problem, &headers, &body, &response);
    response.tag = tag;
    rc = buf_error(&headers) != E_OK ? buf_error(&headers) : buf_error(&body);
    if (rc == E_OK) {
        rc = write_reply(conn, &response, rest);
    } else {
        conn_end(conn, NOTICE_NONE);
    }
    buf_release(&headers);
    buf_release(&body);
    return rc;
}

int http_reply_problem(struct http_server *server,
                       uint64_t conn,
                       const struct http_problem *problem,
                       uint64_t tag)
{
    struct conn *found;
    int rc = reply_find(server, conn, &found);

    return rc != E_OK ? rc : write_problem(found, problem, tag, CONN_REPLYING);
}

void reply_refuse(struct conn *conn, const struct http_problem *problem)
{
    /* Where it fails the connection is closed, which says as much. */
    (void)!write_problem(conn, problem, 0, CONN_CLOSING);
}

void http_close(struct http_server *server, uint64_t conn)
{
    struct conn *found = idmap_find(&server->ids, 0, conn);

    if (found == NULL) {
        return;
    }
    switch (found->state) {
    case CONN_STREAM:
        reply_linger(found);
        return;
    case CONN_FULL:
        conn_move(found, CONN_CLOSING);
        return;
    case CONN_GONE:
        found->notice = NOTICE_NONE;
        return;
    case CONN_HELD:
        found->keeps_alive = false; /* Its reply leaves first. */
        found->notice = NOTICE_NONE;
        return;
    case CONN_CLOSING:
    case CONN_LINGER:
        return; /* It is closing. */
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_PARKED:
    case CONN_REPLYING:
    case CONN_NEXT:
    case CONN_STATES:
        break;
    }
    conn_end(found, NOTICE_NONE);
}

void reply_flush(struct conn *conn)
{
    ssize_t sent = send(event_get_fd(&conn->event), conn->out.data,
                        conn->out.size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        conn_expire(conn); /* It would only fail again until then. */
        return;
    }
    buf_drop(&conn->out, sent < 0 ? 0 : (size_t)sent);
    if (conn->out.size != 0) {
        return;
    }
    if (conn->state == CONN_REPLYING) {
        reply_finish(conn);
    } else if (conn->state == CONN_CLOSING) {
        reply_linger(conn);
    } else {
        buf_release(&conn->out);
        conn_move(conn, CONN_STREAM);
    }
}
