#include "http/server.h"

#include "base/clock.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

const struct http_limits http_limits_default = {
    .url_bytes = 4096,
    .header_bytes = 16384,
    .header_count = HTTP_HEADERS_MAX,
    .body_bytes = 65536,
    .held_bytes = 65536,
    .stream_bytes = 262144,
    .connections = 16384,
    .idle_ms = 60000,
    .head_ms = 10000,
    .body_ms = 30000,
    .write_ms = 30000,
    .stream_ms = 15000,
    .linger_ms = 2000,
};

static void reap_gone(struct http_server *server)
{
    struct list *gone = &server->conns[CONN_GONE];

    /* What is told may end further connections. */
    while (!list_is_empty(gone)) {
        conn_reap(CONTAINER_OF(gone->next, struct conn, item));
    }
}

/* Run what was read ahead: of each connection one request, so that one that
 * sends a thousand does not keep the others waiting. */
static void run_next(struct http_server *server)
{
    struct list *next = &server->conns[CONN_NEXT];
    struct list *last = next->prev;
    struct list *at;

    while (!list_is_empty(next)) {
        at = next->next;
        input_run(CONTAINER_OF(at, struct conn, item));
        if (at == last) {
            break;
        }
    }
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;

    (void)fd;
    (void)what;
    run_next(server);
    reap_gone(server);
    if (server->state == SERVER_PAUSED) {
        listeners_resume(server);
    }
    if (server->state == SERVER_DRAINING && idmap_count(&server->ids) == 0) {
        server->state = SERVER_DRAINED;
        if (server->config.handler->on_drained != NULL) {
            server->config.handler->on_drained(server->config.arg);
        }
    }
}

void server_later(struct http_server *server)
{
    event_active(&server->later, EV_TIMEOUT, 0);
}

/* End the patience with the connections of a list whose deadline has come, and
 * return the earliest deadline that has not; UINT64_MAX where there is none. */
static uint64_t expire_list(struct list *conns, uint64_t now_ms)
{
    while (!list_is_empty(conns)) {
        struct conn *conn = CONTAINER_OF(conns->next, struct conn, item);

        if (conn->deadline_ms > now_ms) {
            return conn->deadline_ms;
        }
        conn_expire(conn);
    }
    return UINT64_MAX;
}

/* Do so with all connections. */
static uint64_t expire(struct http_server *server, uint64_t now_ms)
{
    uint64_t earliest_ms = UINT64_MAX;
    int state;

    for (state = 0; state < CONN_STATES; state++) {
        uint64_t next_ms = expire_list(&server->conns[state], now_ms);

        if (next_ms < earliest_ms) {
            earliest_ms = next_ms;
        }
    }
    return earliest_ms;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;
    uint64_t earliest_ms;

    (void)fd;
    (void)what;
    server->timer_at_ms = UINT64_MAX;
    earliest_ms = expire(server, clock_mono_ms());
    if (earliest_ms != UINT64_MAX) {
        server_wake_at(server, earliest_ms);
    }
}

void server_wake_at(struct http_server *server, uint64_t deadline_ms)
{
    uint64_t now_ms;
    uint64_t wait_ms;
    struct timeval wait;

    if (deadline_ms >= server->timer_at_ms) {
        return;
    }
    now_ms = clock_mono_ms();
    wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    wait.tv_sec = (time_t)(wait_ms / 1000);
    wait.tv_usec = (suseconds_t)(wait_ms % 1000 * 1000);
    if (event_add(&server->timer, &wait) == 0) {
        server->timer_at_ms = deadline_ms;
    }
}

struct parser *server_parser_take(struct http_server *server)
{
    struct parser *parser = server->spare;

    server->spare = NULL;
    if (parser == NULL) {
        parser = malloc(sizeof *parser);
        if (parser != NULL) {
            parser_init(parser, &server->limits);
        }
    }
    return parser;
}

void server_parser_give(struct http_server *server, struct parser *parser)
{
    if (parser == NULL) {
        return;
    }
    if (server->spare == NULL) {
        parser_reset(parser);
        server->spare = parser;
        return;
    }
    parser_release(parser);
    free(parser);
}

int http_server_create(struct event_base *base,
                       const struct http_config *config,
                       struct http_server **out)
{
    struct http_server *server = calloc(1, sizeof *server);
    int state;

    if (server == NULL) {
        return E_NOMEM;
    }
    server->base = base;
    server->config = *config;
    server->limits =
        config->limits == NULL ? http_limits_default : *config->limits;
    for (state = 0; state < CONN_STATES; state++) {
        list_init(&server->conns[state]);
    }
    listeners_init(server);
    idmap_init(&server->ids, &alloc_libc);
    buf_init(&server->reply, 0);
    server->timer_at_ms = UINT64_MAX;
    if (event_assign(&server->later, base, -1, 0, on_later, server) != 0 ||
        event_assign(&server->timer, base, -1, 0, on_timer, server) != 0) {
        http_server_destroy(server);
        return E_NOMEM;
    }
    *out = server;
    return E_OK;
}

void http_server_set_hosts(struct http_server *server,
                           const char *const *hosts,
                           size_t count)
{
    server->config.hosts = hosts;
    server->config.host_count = count;
}

void http_server_destroy(struct http_server *server)
{
    int state;

    if (server == NULL) {
        return;
    }
    listeners_close(server);
    for (state = 0; state < CONN_STATES; state++) {
        struct list *conns = &server->conns[state];

        while (!list_is_empty(conns)) {
            conn_destroy(CONTAINER_OF(conns->next, struct conn, item));
        }
    }
    (void)event_del(&server->later);
    (void)event_del(&server->timer);
    if (server->spare != NULL) {
        parser_release(server->spare);
        free(server->spare);
    }
    idmap_release(&server->ids);
    buf_release(&server->reply);
    free(server);
}

void http_drain(struct http_server *server)
{
    struct list *idle = &server->conns[CONN_IDLE];

    if (server->state == SERVER_DRAINING || server->state == SERVER_DRAINED) {
        return;
    }
    server->state = SERVER_DRAINING;
    listeners_close(server);
    while (!list_is_empty(idle)) {
        conn_end(CONTAINER_OF(idle->next, struct conn, item), NOTICE_NONE);
    }
    server_later(server); /* There may be none left. */
}

size_t http_connection_count(const struct http_server *server)
{
    return idmap_count(&server->ids);
}
