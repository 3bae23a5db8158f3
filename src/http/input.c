/* What a client sends, by the state of its connection. */
#include "http/server.h"

#include "http/guard.h"
#include "http/problem.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Give the parser back unless something is kept in it.  Not while the handler
 * looks at a request: that is in it. */
static void tidy(struct conn *conn)
{
    if (conn->parser != NULL && parser_ahead(conn->parser) == 0) {
        server_parser_give(conn->server, conn->parser);
        conn->parser = NULL;
    }
}

void input_refuse(struct conn *conn, int code)
{
    struct http_problem problem = {.code = code};

    if (code == E_FOREIGN_HOST) {
        problem.detail = "add the name in Host to 'hosts:' in the "
                         "configuration to accept it";
    } else if (code == E_UNSUPPORTED) {
        problem.detail = "the methods are GET, HEAD and POST";
    }
    conn->keeps_alive = false;
    conn->wants_head = false;
    conn_move(conn, CONN_PARKED);
    reply_refuse(conn, &problem);
}

/* Read a number of HTTP_PEER_HEADER at *@at, and move on; false where there is
 * none. */
static bool read_number(const char **at, unsigned long *out)
{
    char *end;

    if (**at != ' ' || isdigit((unsigned char)(*at)[1]) == 0) {
        return false;
    }
    errno = 0;
    *out = strtoul(*at + 1, &end, 10);
    *at = end;
    return errno == 0 && *out <= UINT32_MAX;
}

/* Who relays a request says who made it.  What cannot be read is from nobody
 * we know. */
static void read_peer(const char *text, struct http_request *request)
{
    static const char unix_word[] = "unix";
    unsigned long pid;
    unsigned long uid;
    unsigned long gid;
    const char *at = text + sizeof unix_word - 1;

    request->is_unix = false;
    request->pid = 0;
    request->uid = 0;
    request->gid = 0;
    if (strncmp(text, unix_word, sizeof unix_word - 1) != 0 ||
        !read_number(&at, &pid) || !read_number(&at, &uid) ||
        !read_number(&at, &gid) || *at != '\0') {
        return;
    }
    request->is_unix = true;
    request->pid = (pid_t)pid;
    request->uid = (uid_t)uid;
    request->gid = (gid_t)gid;
}

/* Fill in who has made @request. */
static void name_peer(const struct conn *conn, struct http_request *request)
{
    const char *relayed = NULL;

    request->is_unix = conn->is_unix;
    request->pid = conn->pid;
    request->uid = conn->uid;
    request->gid = conn->gid;
    if (conn->server->config.believes_relays && conn->is_unix &&
        (conn->uid == geteuid() || conn->uid == 0)) {
        relayed = http_header_find(request, HTTP_PEER_HEADER);
    }
    if (relayed != NULL) {
        read_peer(relayed, request);
    }
}

/* Hand over the request in the parser, which is whole. */
static void deliver(struct conn *conn, struct http_request *request)
{
    struct http_server *server = conn->server;

    request->conn = conn->id;
    name_peer(conn, request);
    conn->keeps_alive = conn->parser->keeps_alive;
    conn->wants_head = strcmp(request->method, "HEAD") == 0;
    conn_move(conn, CONN_PARKED);
    server->config.handler->on_request(server->config.arg, request);
    /* Answered, closed or waiting: it is not freed before on_later(). */
    parser_next(conn->parser);
    tidy(conn);
}

/* Check who asks, now that the headers are here. */
static int check_head(const struct conn *conn,
                      const struct http_request *request)
{
    const struct http_config *config = &conn->server->config;

    if (conn->is_unix) {
        return E_OK; /* No browser can connect there. */
    }
    return http_guard(http_header_find(request, "Host"),
                      http_header_find(request, "Origin"), config->hosts,
                      config->host_count);
}

/* Ask for the body; a client that waits for this sends nothing before. */
static void send_continue(struct conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t size = sizeof text - 1;

    /* The socket is empty at this point: it takes all or has failed, and then
     * reading from it tells. */
    (void)!send(event_get_fd(&conn->event), text, size, MSG_NOSIGNAL);
}

void input_run(struct conn *conn)
{
    struct http_server *server = conn->server;
    struct parser *parser = conn->parser;
    struct http_request request;
    int rc = parser_run(parser);

    if (rc == E_OK && parser->phase == PARSER_HEAD) {
        if (conn->state != CONN_HEAD) {
            conn_move(conn, CONN_HEAD);
        }
        return;
    }
    if (rc == E_OK) {
        parser_request(parser, &request, server->headers);
        if (conn->state != CONN_BODY) {
            rc = check_head(conn, &request);
        }
    }
    if (rc != E_OK) {
        input_refuse(conn, rc);
        return;
    }
    if (parser->phase == PARSER_DONE) {
        deliver(conn, &request);
        return;
    }
    if (conn->state != CONN_BODY) {
        if (parser_expects_continue(parser)) {
            send_continue(conn);
        }
        conn_move(conn, CONN_BODY);
    }
}

/* Keep @size bytes of the input. */
static int keep(struct conn *conn, size_t size)
{
    struct http_server *server = conn->server;

    if (conn->parser == NULL) {
        conn->parser = server_parser_take(server);
        if (conn->parser == NULL) {
            return E_NOMEM;
        }
    }
    return parser_add(conn->parser, server->input, size);
}

/* @size bytes of a request have come. */
static void take_request(struct conn *conn, size_t size)
{
    if (keep(conn, size) != E_OK) {
        conn_end(conn, NOTICE_NONE);
        return;
    }
    input_run(conn);
}

/* @size bytes have come ahead of the answer to the request before them. */
static void take_ahead(struct conn *conn, size_t size)
{
    enum conn_notice notice =
        conn->state == CONN_PARKED ? NOTICE_CLOSE : NOTICE_NONE;
    size_t held = conn->parser == NULL ? 0 : parser_ahead(conn->parser);

    if (held + size > conn->server->limits.held_bytes ||
        keep(conn, size) != E_OK) {
        conn_end(conn, notice);
    }
}

/* @size bytes have come up a stream, which goes down only. */
static void take_nothing(struct conn *conn, size_t size)
{
    conn->dropped += (uint32_t)size;
    if (conn->dropped > conn->server->limits.held_bytes) {
        conn_end(conn, NOTICE_CLOSE);
    }
}

/* The client has closed its side, or the socket failed. */
static void take_end(struct conn *conn)
{
    bool is_told = conn->state == CONN_PARKED || conn->state == CONN_STREAM ||
                   conn->state == CONN_FULL;

    conn_end(conn, is_told ? NOTICE_CLOSE : NOTICE_NONE);
}

void input_read(struct conn *conn)
{
    ssize_t size = recv(event_get_fd(&conn->event), conn->server->input,
                        sizeof conn->server->input, 0);

    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        take_end(conn);
        return;
    }
    switch (conn->state) {
    case CONN_IDLE:
    case CONN_HEAD:
    case CONN_BODY:
        take_request(conn, (size_t)size);
        return;
    case CONN_PARKED:
    case CONN_NEXT:
        take_ahead(conn, (size_t)size);
        return;
    case CONN_STREAM:
    case CONN_FULL:
        take_nothing(conn, (size_t)size);
        return;
    case CONN_LINGER:
        return;     /* Until the client closes, or its deadline passes. */
    case CONN_HELD: /* Ends before the loop reads. */
    case CONN_REPLYING:
    case CONN_CLOSING:
    case CONN_GONE:
    case CONN_STATES:
        break;
    }
    assert(false && "a state that does not read has read");
}
