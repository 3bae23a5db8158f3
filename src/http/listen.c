/* Accepting connections, and not accepting them while descriptors are short. */
#include "http/server.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 64, /* So that a flood does not keep others waiting. */
    SAY_AGAIN_MS = 60000,
    RETRY_MS = 1000 /* Where the descriptors that are short are not ours:
                     * nothing tells when they are back. */
};

/* A pending connection would wake the loop without end, so nobody looks. */
static void pause_all(struct http_server *server, const char *why)
{
    static const struct timeval wait = {.tv_sec = RETRY_MS / 1000};
    uint64_t now_ms = clock_mono_ms();
    struct list *at;

    if (server->pause_said_ms == 0 ||
        now_ms - server->pause_said_ms >= SAY_AGAIN_MS) {
        log_warn("no connection is accepted for now: %s", why);
        server->pause_said_ms = now_ms;
    }
    server->state = SERVER_PAUSED;
    LIST_EACH (at, &server->listeners) {
        (void)event_del(&CONTAINER_OF(at, struct listener, item)->event);
    }
    (void)event_add(&server->retry, &wait);
}

void listeners_resume(struct http_server *server)
{
    struct list *at;

    assert(server->state == SERVER_PAUSED);
    server->state = SERVER_OPEN;
    (void)event_del(&server->retry);
    LIST_EACH (at, &server->listeners) {
        (void)event_add(&CONTAINER_OF(at, struct listener, item)->event, NULL);
    }
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    listeners_resume(arg);
}

/* Say whether accept4() failed for want of something that may come back; any
 * other failure is one of the connection it was about. */
static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS ||
           error == ENOMEM;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *listener = arg;
    struct http_server *server = listener->server;
    int i;

    (void)what;
    for (i = 0; i < ACCEPTS_PER_TURN && server->state == SERVER_OPEN; i++) {
        int accepted;

        if (http_connection_count(server) >= server->limits.connections) {
            pause_all(server, "as many as 'connections' allows are open");
            return;
        }
        accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0 && is_shortage(errno)) {
            pause_all(server, strerror(errno));
            return;
        }
        if (accepted < 0 && errno == EAGAIN) {
            return;
        }
        if (accepted >= 0 &&
            conn_open(server, accepted, listener->path != NULL) != E_OK) {
            pause_all(server, err_text(E_NOMEM));
        }
    }
}

void listeners_init(struct http_server *server)
{
    list_init(&server->listeners);
    (void)event_assign(&server->retry, server->base, -1, EV_TIMEOUT, on_retry,
                       server);
}

static void listener_free(struct listener *listener)
{
    (void)close(listener->fd);
    free(listener->path);
    free(listener);
}

int listener_add(struct http_server *server, int fd, const char *path)
{
    struct listener *listener = calloc(1, sizeof *listener);
    struct stat status;

    if (listener == NULL) {
        (void)close(fd);
        return E_NOMEM;
    }
    listener->server = server;
    listener->fd = fd;
    if (path != NULL) {
        listener->path = strdup(path);
        if (listener->path == NULL) {
            goto err;
        }
        if (lstat(path, &status) == 0) {
            listener->dev = status.st_dev;
            listener->ino = status.st_ino;
        }
    }
    if (event_assign(&listener->event, server->base, fd, EV_READ | EV_PERSIST,
                     on_accept, listener) != 0 ||
        event_add(&listener->event, NULL) != 0) {
        goto err;
    }
    list_append(&server->listeners, &listener->item);
    return E_OK;

err:
    listener_free(listener);
    return E_NOMEM;
}

/* Remove the socket's name, unless somebody has put another there. */
static void remove_name(const struct listener *listener)
{
    struct stat status;

    if (listener->path != NULL && lstat(listener->path, &status) == 0 &&
        status.st_dev == listener->dev && status.st_ino == listener->ino) {
        (void)unlink(listener->path);
    }
}

void listeners_close(struct http_server *server)
{
    (void)event_del(&server->retry);
    while (!list_is_empty(&server->listeners)) {
        struct listener *listener =
            CONTAINER_OF(server->listeners.next, struct listener, item);

        (void)event_del(&listener->event);
        list_remove(&listener->item);
        remove_name(listener);
        listener_free(listener);
    }
}
