#include "cluster/relay.h"

#include "base/list.h"
#include "cluster/address.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum relay_state {
    RELAY_CONNECTING, /* The leader has not taken the connection. */
    RELAY_ASKING,     /* It has; nothing has come back. */
    RELAY_ANSWERING,  /* The client was sent something, or is about to be. */
    RELAY_ENDING      /* The leader has closed: what is left goes out. */
};

/* One end of a relay.  Reading and writing are two events, since the patience
 * is with the writing alone. */
struct side {
    struct event reading;
    struct event writing;
    int fd; /* -1 = closed. */
};

struct relay {
    struct list item;
    struct relays *relays;
    struct side client;
    struct side leader;
    struct buf request; /* Not yet taken by the leader. */
    struct buf answer;  /* Not yet taken by the client. */
    size_t dropped;     /* Bytes the client sent in vain. */
    enum relay_state state;
};

struct relays {
    struct event_base *base;
    struct list items;
    const char *refusal; /* NULL = none. */
    size_t refusal_size;
    size_t count;
    uint64_t total;
    char input[RELAY_BYTES];
};

static const struct timeval connect_patience = {.tv_sec =
                                                    RELAY_CONNECT_MS / 1000};
static const struct timeval write_patience = {.tv_sec = RELAY_WRITE_MS / 1000};
static const struct timeval linger_patience = {.tv_sec =
                                                   RELAY_LINGER_MS / 1000};

/* ---- Ends --------------------------------------------------------------- */

static void side_close(struct side *side)
{
    if (side->fd < 0) {
        return;
    }
    (void)event_del(&side->reading);
    (void)event_del(&side->writing);
    (void)close(side->fd);
    side->fd = -1;
}

static void relay_free(struct relay *relay)
{
    side_close(&relay->client);
    side_close(&relay->leader);
    buf_release(&relay->request);
    buf_release(&relay->answer);
    list_remove(&relay->item);
    relay->relays->count--;
    free(relay);
}

/* Send the refusal, as far as the socket takes it: it was empty. */
static void refuse(const struct relays *relays, int fd)
{
    if (relays->refusal != NULL) {
        (void)!send(fd, relays->refusal, relays->refusal_size,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/* The leader will say nothing more.  Who was told nothing is told so; who was
 * told a part gets what there is of it. */
static void leader_lost(struct relay *relay)
{
    side_close(&relay->leader);
    if (relay->state == RELAY_CONNECTING || relay->state == RELAY_ASKING) {
        refuse(relay->relays, relay->client.fd);
    }
    relay->state = RELAY_ENDING;
    if (relay->answer.size != 0) {
        return; /* client_write() goes on, and comes back. */
    }
    (void)event_del(&relay->client.writing);
    (void)shutdown(relay->client.fd, SHUT_WR);
    /* Until the client closes: a reset for what it may still send could take
     * the answer away. */
    if (event_add(&relay->client.reading, &linger_patience) != 0) {
        relay_free(relay);
    }
}

/* ---- The leader's side -------------------------------------------------- */

static void client_write(struct relay *relay);

/* Take what the leader has said. */
static void leader_read(struct relay *relay)
{
    struct relays *relays = relay->relays;
    ssize_t size = recv(relay->leader.fd, relays->input,
                        RELAY_BYTES - relay->answer.size, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size <= 0) {
        leader_lost(relay);
        return;
    }
    relay->state = RELAY_ANSWERING;
    buf_add(&relay->answer, relays->input, (size_t)size);
    if (buf_error(&relay->answer) != E_OK) {
        relay_free(relay);
        return;
    }
    client_write(relay);
}

/* Give the leader what it takes of the request. */
static void leader_write(struct relay *relay)
{
    ssize_t size = send(relay->leader.fd, relay->request.data,
                        relay->request.size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        leader_lost(relay);
        return;
    }
    buf_drop(&relay->request, size < 0 ? 0 : (size_t)size);
    if (relay->request.size == 0) {
        buf_release(&relay->request);
        (void)event_del(&relay->leader.writing);
    } else if (event_add(&relay->leader.writing, &write_patience) != 0) {
        leader_lost(relay);
    }
}

/* The connection is there, or will not come about. */
static void leader_connected(struct relay *relay)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(relay->leader.fd, SOL_SOCKET, SO_ERROR, &error, &size) !=
            0 ||
        error != 0 || event_add(&relay->leader.reading, NULL) != 0) {
        leader_lost(relay);
        return;
    }
    relay->state = RELAY_ASKING;
    leader_write(relay);
}

static void on_leader(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;

    (void)fd;
    if ((what & EV_TIMEOUT) != 0) {
        leader_lost(relay);
    } else if ((what & EV_READ) != 0) {
        leader_read(relay);
    } else if (relay->state == RELAY_CONNECTING) {
        leader_connected(relay);
    } else {
        leader_write(relay);
    }
}

/* ---- The client's side -------------------------------------------------- */

/* Read from the leader where there is room for it, and from then on again. */
static bool watch_leader(struct relay *relay)
{
    if (relay->leader.fd < 0 || relay->state == RELAY_CONNECTING) {
        return true;
    }
    if (relay->answer.size >= RELAY_BYTES) {
        (void)event_del(&relay->leader.reading);
        return true;
    }
    return event_add(&relay->leader.reading, NULL) == 0;
}

/* Give the client what it takes of the answer. */
static void client_write(struct relay *relay)
{
    ssize_t size = send(relay->client.fd, relay->answer.data,
                        relay->answer.size, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        relay_free(relay);
        return;
    }
    buf_drop(&relay->answer, size < 0 ? 0 : (size_t)size);
    if (relay->answer.size == 0) {
        (void)event_del(&relay->client.writing);
        if (relay->state == RELAY_ENDING) {
            leader_lost(relay);
            return;
        }
        buf_release(&relay->answer);
    } else if (event_add(&relay->client.writing, &write_patience) != 0) {
        relay_free(relay);
        return;
    }
    if (!watch_leader(relay)) {
        relay_free(relay);
    }
}

/* The client has gone, or sends what nobody will read. */
static void client_read(struct relay *relay)
{
    ssize_t size =
        recv(relay->client.fd, relay->relays->input, RELAY_BYTES, MSG_DONTWAIT);

    if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (size > 0) {
        relay->dropped += (size_t)size;
    }
    if (size <= 0 || relay->dropped > RELAY_DROPPED) {
        relay_free(relay); /* The leader sees it, too. */
    }
}

static void on_client(evutil_socket_t fd, short what, void *arg)
{
    struct relay *relay = arg;

    (void)fd;
    if ((what & EV_TIMEOUT) != 0) {
        relay_free(relay);
    } else if ((what & EV_READ) != 0) {
        client_read(relay);
    } else {
        client_write(relay);
    }
}

/* ---- Beginnings --------------------------------------------------------- */

/* Prepare the events of @side; nothing is watched yet. */
static bool side_init(struct relay *relay,
                      struct side *side,
                      int fd,
                      event_callback_fn callback)
{
    struct event_base *base = relay->relays->base;

    side->fd = fd;
    return event_assign(&side->reading, base, fd, EV_READ | EV_PERSIST,
                        callback, relay) == 0 &&
           event_assign(&side->writing, base, fd, EV_WRITE, callback, relay) ==
               0;
}

/* Connect to the leader; what comes of it is told by the loop. */
static int begin(struct relay *relay, const struct address *to)
{
    const struct sockaddr *where = (const struct sockaddr *)&to->where;
    int fd =
        socket(where->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return E_IO;
    }
    if (!side_init(relay, &relay->leader, fd, on_leader)) {
        (void)close(fd);
        relay->leader.fd = -1;
        return E_NOMEM;
    }
    if (connect(fd, where, to->size) != 0 && errno != EINPROGRESS) {
        return E_IO; /* Also a Unix socket whose queue is full. */
    }
    return event_add(&relay->leader.writing, &connect_patience) == 0 &&
                   event_add(&relay->client.reading, NULL) == 0
               ? E_OK
               : E_NOMEM;
}

/* Return a relay that has its client and nothing else; NULL = no memory. */
static struct relay *make(struct relays *relays, int client_fd)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (relay == NULL) {
        return NULL;
    }
    relay->relays = relays;
    relay->leader.fd = -1;
    buf_init(&relay->answer, 0);
    buf_init(&relay->request, 0);
    if (!side_init(relay, &relay->client, client_fd, on_client)) {
        free(relay);
        return NULL;
    }
    list_append(&relays->items, &relay->item);
    relays->count++;
    relays->total++;
    return relay;
}

int relays_open(struct relays *relays,
                const struct address *to,
                int client_fd,
                struct buf *request)
{
    struct relay *relay =
        relays->count < RELAYS_MAX ? make(relays, client_fd) : NULL;
    int rc;

    if (relay == NULL) {
        rc = relays->count < RELAYS_MAX ? E_NOMEM : E_LIMIT;
        refuse(relays, client_fd);
        (void)close(client_fd);
        buf_release(request);
        return rc;
    }
    relay->request = *request;
    buf_init(request, 0);
    rc = begin(relay, to);
    if (rc != E_OK) {
        leader_lost(relay);
    }
    return rc;
}

int relays_create(struct event_base *base, struct relays **out)
{
    struct relays *relays = calloc(1, sizeof *relays);

    if (relays == NULL) {
        return E_NOMEM;
    }
    relays->base = base;
    list_init(&relays->items);
    *out = relays;
    return E_OK;
}

void relays_destroy(struct relays *relays)
{
    if (relays == NULL) {
        return;
    }
    while (!list_is_empty(&relays->items)) {
        relay_free(CONTAINER_OF(relays->items.next, struct relay, item));
    }
    free(relays);
}

void relays_refuse_with(struct relays *relays, const char *bytes, size_t size)
{
    relays->refusal = bytes;
    relays->refusal_size = size;
}

void relays_end(struct relays *relays)
{
    struct list *at = relays->items.next;

    while (at != &relays->items) {
        struct relay *relay = CONTAINER_OF(at, struct relay, item);

        at = at->next;
        if (relay->state != RELAY_ENDING) {
            leader_lost(relay);
        }
    }
}

size_t relays_count(const struct relays *relays)
{
    return relays->count;
}

uint64_t relays_total(const struct relays *relays)
{
    return relays->total;
}
