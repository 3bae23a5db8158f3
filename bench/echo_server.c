/* A bare HTTP server on the daemon's own HTTP layer: the floor under every
 * measurement of the coordinator.  It answers any request with a fixed JSON
 * object, at once, or with --batch after all requests of a turn of the loop, as
 * the daemon does that commits once a turn.  See the usage text below. */
#include "base/err.h"
#include "http/http.h"

#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: echo_server [--tcp ADDRESS] [--unix PATH] [--batch]\n";

enum {
    BATCH_MAX = 16384
};

struct echo {
    struct event_base *base;
    struct http_server *server;
    struct event *commit; /* NULL without --batch. */
    uint64_t waiting[BATCH_MAX];
    size_t waiting_count;
};

static const char body[] = "{\"lease\":1,\"token\":1,\"state\":\"held\"}";

static void answer(struct echo *echo, uint64_t conn)
{
    const struct http_response response = {.status = 200,
                                           .content_type = "application/json",
                                           .body = body,
                                           .body_size = sizeof body - 1};

    /* Who has gone needs no answer. */
    (void)!http_reply(echo->server, conn, &response);
}

static void on_commit(evutil_socket_t fd, short what, void *arg)
{
    struct echo *echo = arg;
    size_t i;

    (void)fd;
    (void)what;
    for (i = 0; i < echo->waiting_count; i++) {
        answer(echo, echo->waiting[i]);
    }
    echo->waiting_count = 0;
}

static void on_request(void *arg, const struct http_request *request)
{
    struct echo *echo = arg;

    if (echo->commit == NULL || echo->waiting_count == BATCH_MAX) {
        answer(echo, request->conn);
        return;
    }
    if (echo->waiting_count == 0) {
        event_active(echo->commit, EV_TIMEOUT, 0);
    }
    echo->waiting[echo->waiting_count++] = request->conn;
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)event_base_loopbreak(arg);
}

static int listen_on(struct echo *echo, int argc, char **argv)
{
    static const struct option options[] = {
        {"tcp", required_argument, NULL, 't'},
        {"unix", required_argument, NULL, 'u'},
        {"batch", no_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    int rc = E_OK;
    int option;

    while (rc == E_OK &&
           (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 't') {
            rc = http_listen_tcp(echo->server, optarg, NULL);
        } else if (option == 'u') {
            rc = http_listen_unix(echo->server, optarg, 0660);
        } else if (option == 'b') {
            echo->commit = event_new(echo->base, -1, 0, on_commit, echo);
            rc = echo->commit == NULL ? E_NOMEM : E_OK;
        } else {
            (void)fputs(usage, stderr);
            rc = E_INVALID;
        }
    }
    return rc;
}

int main(int argc, char **argv)
{
    static const struct http_handler handler = {.on_request = on_request};
    static struct echo echo;
    struct http_config config = {.handler = &handler, .arg = &echo};
    struct event *stop[2] = {NULL, NULL};
    int rc = E_NOMEM;

    echo.base = event_base_new();
    if (echo.base == NULL) {
        return err_exit(rc);
    }
    stop[0] = evsignal_new(echo.base, SIGTERM, on_signal, echo.base);
    stop[1] = evsignal_new(echo.base, SIGINT, on_signal, echo.base);
    if (stop[0] != NULL && stop[1] != NULL &&
        evsignal_add(stop[0], NULL) == 0 && evsignal_add(stop[1], NULL) == 0) {
        rc = http_server_create(echo.base, &config, &echo.server);
    }
    if (rc == E_OK) {
        rc = listen_on(&echo, argc, argv);
    }
    if (rc == E_OK) {
        (void)event_base_dispatch(echo.base);
    }
    http_server_destroy(echo.server);
    if (echo.commit != NULL) {
        event_free(echo.commit);
    }
    if (stop[0] != NULL) {
        event_free(stop[0]);
    }
    if (stop[1] != NULL) {
        event_free(stop[1]);
    }
    event_base_free(echo.base);
    return err_exit(rc);
}
