#include "daemon/look.h"

#include "base/list.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "daemon/parked.h"
#include "daemon/query.h"
#include "daemon/routes.h"
#include "daemon/views.h"
#include "http/http.h"
#include "proto/api.h"

#include <event2/event.h>
#include <stdlib.h>

enum {
    LOOK_MS_MAX = 600000 /* The longest wait; more is cut to it. */
};

struct look {
    struct parked parked;
    struct list all;   /* Of daemon->looking. */
    struct look *next; /* At the same lease. */
    struct daemon *daemon;
    struct event *timer;
    uint64_t lease;
};

static void write_lease(struct daemon *daemon, uint64_t conn, uint64_t lease)
{
    struct core_lease_view view;
    struct buf *body = answer_buf(daemon);
    int rc = core_lease_view(driver_core(daemon->driver), lease, &view);

    if (rc != E_OK) {
        answer_problem(daemon, conn, rc, NULL, NULL);
        return;
    }
    views_lease(daemon, &view, body);
    (void)answer_json(daemon, conn, 200, body, 0);
}

static void send_settled(void *arg, const struct driver_reply *reply)
{
    if (reply->rc != E_OK) {
        answer_problem(arg, reply->conn, reply->rc, NULL, NULL);
    } else {
        write_lease(arg, reply->conn, reply->lease);
    }
}

/* Whoever looks learns of a grant as whoever waits does: when it is stored. */
static void answer_lease(struct daemon *daemon, uint64_t conn, uint64_t lease)
{
    const struct driver_reply reply = {
        .send = send_settled, .arg = daemon, .conn = conn, .lease = lease};

    if (driver_is_settled(daemon->driver, lease)) {
        write_lease(daemon, conn, lease);
    } else if (driver_when_settled(daemon->driver, &reply) != E_OK) {
        answer_problem(daemon, conn, E_NOMEM, NULL, NULL);
    }
}

/* Free @look, whose connection has no owner any more. */
static void look_destroy(struct look *look)
{
    struct idmap *looks = &look->daemon->looks;
    struct look *first = idmap_remove(looks, 0, look->lease);
    struct look **link = &first;

    while (*link != look) {
        link = &(*link)->next;
    }
    *link = look->next;
    if (first != NULL) {
        idmap_put(looks, 0, look->lease, first);
    }
    list_remove(&look->all);
    event_free(look->timer);
    free(look);
}

static void look_answer(struct look *look)
{
    struct daemon *daemon = look->daemon;
    uint64_t conn = look->parked.conn;
    uint64_t lease = look->lease;

    parked_remove(daemon, conn);
    look_destroy(look);
    answer_lease(daemon, conn, lease);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look_answer(arg);
}

static void on_close(struct daemon *daemon, struct parked *parked)
{
    (void)daemon;
    look_destroy(CONTAINER_OF(parked, struct look, parked));
}

/* Wait on @conn for a change of @lease, or until @wait_ms have passed.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
static int
park(struct daemon *daemon, uint64_t conn, uint64_t lease, uint64_t wait_ms)
{
    struct timeval delay = {.tv_sec = (time_t)(wait_ms / 1000),
                            .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};
    struct look *look = calloc(1, sizeof(*look));

    if (look == NULL || idmap_reserve(&daemon->looks) != E_OK) {
        free(look);
        return E_NOMEM;
    }
    look->parked = (struct parked){conn, PARKED_LOOK, on_close};
    look->daemon = daemon;
    look->lease = lease;
    look->timer = evtimer_new(loop_base(daemon->loop), on_timer, look);
    if (look->timer == NULL || event_add(look->timer, &delay) != 0 ||
        parked_add(daemon, &look->parked) != E_OK) {
        if (look->timer != NULL) {
            event_free(look->timer);
        }
        free(look);
        return E_NOMEM;
    }
    look->next = idmap_remove(&daemon->looks, 0, lease);
    idmap_put(&daemon->looks, 0, lease, look);
    list_append(&daemon->looking, &look->all);
    return E_OK;
}

void look_handle(struct daemon *daemon,
                 const struct http_request *request,
                 const char *last)
{
    uint64_t wait_ms = 0;
    struct core_lease_view view;
    uint64_t lease;
    int rc;

    if (!query_number(last, API_NUMBER_MAX, &lease)) {
        answer_problem(daemon, request->conn, E_INVALID, "a lease is a number",
                       "lease");
        return;
    }
    if (!query_find_number(request->query, "wait_ms", API_NUMBER_MAX,
                           &wait_ms)) {
        answer_problem(daemon, request->conn, E_INVALID,
                       "must be a number of milliseconds", "wait_ms");
        return;
    }
    rc = core_lease_view(driver_core(daemon->driver), lease, &view);
    if (rc == E_OK && wait_ms > 0 && view.row.state != LEASE_ENDED) {
        rc = park(daemon, request->conn, lease,
                  wait_ms < LOOK_MS_MAX ? wait_ms : LOOK_MS_MAX);
        if (rc == E_OK) {
            return;
        }
    }
    if (rc != E_OK) {
        answer_problem(daemon, request->conn, rc, NULL, NULL);
        return;
    }
    answer_lease(daemon, request->conn, lease);
}

void look_tell(struct daemon *daemon, uint64_t lease)
{
    struct look *look;

    while ((look = idmap_find(&daemon->looks, 0, lease)) != NULL) {
        look_answer(look);
    }
}

void look_end_all(struct daemon *daemon)
{
    while (!list_is_empty(&daemon->looking)) {
        look_answer(CONTAINER_OF(daemon->looking.next, struct look, all));
    }
}
