#include "daemon/waiters.h"

#include "base/list.h"
#include "control/watch.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/grants.h"
#include "daemon/names.h"
#include "daemon/parked.h"
#include "daemon/redis.h"
#include "daemon/views.h"
#include "daemon/watching.h"
#include "http/http.h"

#include <stdlib.h>

struct waiter {
    struct driver_owed owed; /* First: what its end brings about. */
    struct parked parked;    /* PARKED_WAITER, then perhaps PARKED_HOLDER. */
    struct list all;         /* Of daemon->waiters, in order of arrival. */
    struct core_request request;
    uint64_t lease; /* 0 until it is submitted. */
    uint64_t arrived_at_ms;
};

/* Take @waiter off all lists but that of the parked. */
static void waiter_unlink(struct daemon *daemon, struct waiter *waiter)
{
    if (waiter->parked.kind == PARKED_HOLDER) {
        (void)idmap_remove(&daemon->holders, 0, waiter->lease);
    }
    list_remove(&waiter->all);
}

/* Forget a waiter that is about to get its answer; return its connection. */
static uint64_t waiter_end(struct daemon *daemon, struct waiter *waiter)
{
    uint64_t conn = waiter->parked.conn;

    parked_remove(daemon, conn);
    waiter_unlink(daemon, waiter);
    free(waiter);
    return conn;
}

/* Find the waiter or holder of @conn; NULL where @kind is another. */
static struct waiter *waiter_find_kind(const struct daemon *daemon,
                                       uint64_t conn,
                                       enum parked_kind kind)
{
    struct parked *parked = parked_find_kind(daemon, conn, kind);

    return parked == NULL ? NULL : CONTAINER_OF(parked, struct waiter, parked);
}

static struct waiter *waiter_find(const struct daemon *daemon, uint64_t conn)
{
    return waiter_find_kind(daemon, conn, PARKED_WAITER);
}

/* The client went: a task stays, anything else is withdrawn or left AWAY. */
static void on_close(struct daemon *daemon, struct parked *parked)
{
    struct waiter *waiter = CONTAINER_OF(parked, struct waiter, parked);

    waiter_unlink(daemon, waiter);
    if (waiter->request.is_durable) {
        free(waiter);
        return;
    }
    waiter->owed.event =
        (struct core_event){.type = CORE_DETACH,
                            .detach = {.lease = waiter->lease,
                                       .ref = parked->conn,
                                       .service = waiter->request.service}};
    driver_owe(daemon->driver, &waiter->owed);
}

/* ---- Submitting ------------------------------------------------------- */

/* A task is answered as soon as it is stored, and has the GPU later. */
static void answer_task(struct daemon *daemon, uint64_t conn, uint64_t lease)
{
    struct buf *body = answer_buf(daemon);
    struct core_lease_view view;
    struct core_why why = {0};
    const struct core *core = driver_core(daemon->driver);
    struct grant grant;

    if (!redis_is_asking(daemon, lease) &&
        core_lease_view(core, lease, &view) == E_OK &&
        (view.row.state == LEASE_HELD || view.row.state == LEASE_PAUSING)) {
        grant_fill(daemon, &view, &grant);
        api_write_grant(body, &grant.api);
        (void)answer_json(daemon, conn, 200, body, 0);
        return;
    }
    if (core_why(core, lease, &why) != E_OK) {
        why.position = 0;
    }
    api_write_queued(body, lease, why.position);
    (void)answer_json(daemon, conn, 202, body, 0);
}

/* The request is stored, or the commit failed. */
static void on_submitted(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;
    struct waiter *waiter = waiter_find(daemon, reply->conn);

    if (waiter == NULL) {
        return;
    }
    if (reply->rc != E_OK) {
        answer_problem(daemon, waiter_end(daemon, waiter), reply->rc, NULL,
                       NULL);
    } else if (waiter->request.is_durable) {
        answer_task(daemon, waiter_end(daemon, waiter), reply->lease);
    }
}

static int submit(struct daemon *daemon,
                  struct waiter *waiter,
                  struct names_binding *binding)
{
    struct driver_reply reply = {
        .send = on_submitted, .arg = daemon, .conn = waiter->parked.conn};

    return driver_submit(daemon->driver, &waiter->request, binding, &reply,
                         &waiter->lease);
}

static struct waiter *waiter_create(struct daemon *daemon,
                                    const struct waiters_request *request)
{
    struct waiter *waiter = calloc(1, sizeof(*waiter));

    if (waiter == NULL) {
        return NULL;
    }
    waiter->parked.conn = request->conn;
    waiter->parked.kind = PARKED_WAITER;
    waiter->parked.on_close = on_close;
    waiter->request = request->core;
    waiter->request.ref = request->core.is_durable ? 0 : request->conn;
    waiter->arrived_at_ms = driver_now_ms(daemon->driver);
    if (parked_add(daemon, &waiter->parked) != E_OK) {
        free(waiter);
        return NULL;
    }
    list_append(&daemon->waiters, &waiter->all);
    return waiter;
}

void waiters_submit(struct daemon *daemon, struct waiters_request *request)
{
    struct waiter *waiter = waiter_create(daemon, request);
    int rc;

    if (waiter == NULL) {
        names_binding_destroy(request->binding);
        watch_drop(request->watched);
        answer_problem(daemon, request->conn, E_NOMEM, NULL, NULL);
        return;
    }
    rc = submit(daemon, waiter, request->binding);
    if (rc != E_OK) {
        watch_drop(request->watched);
        answer_problem(daemon, waiter_end(daemon, waiter), rc, NULL, NULL);
    } else if (request->watched != NULL) {
        watching_begin(daemon, request->watched, waiter->lease,
                       waiter->request.service);
    }
}

/* Copy what the lease was sent with, for its next number; NULL = nothing. */
static int copy_binding(struct daemon *daemon,
                        const struct waiter *waiter,
                        struct names_binding **out)
{
    const struct names_lease *sent =
        names_lease_find(daemon->names, waiter->lease);

    *out = NULL;
    return sent == NULL ? E_OK : names_prepare(daemon->names, sent, out);
}

/* Submit @waiter again, for what is left of its time. */
static int submit_again(struct daemon *daemon, struct waiter *waiter)
{
    uint64_t before = waiter->lease;
    uint64_t waited_ms = driver_now_ms(daemon->driver) - waiter->arrived_at_ms;
    uint64_t timeout_ms = waiter->request.timeout_ms;
    struct names_binding *binding;
    int rc = copy_binding(daemon, waiter, &binding);

    if (rc != E_OK) {
        return rc;
    }
    if (timeout_ms != CORE_FOREVER) {
        waiter->request.timeout_ms =
            timeout_ms > waited_ms ? timeout_ms - waited_ms : 0;
    }
    rc = submit(daemon, waiter, binding);
    waiter->request.timeout_ms = timeout_ms;
    if (rc == E_OK && waiter->lease != before) {
        names_forget(daemon->names, before);
        watch_rename(daemon->watch, before, waiter->lease);
    }
    return rc;
}

void waiters_submit_all(struct daemon *daemon)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &daemon->waiters) {
        struct waiter *waiter = CONTAINER_OF(at, struct waiter, all);
        int rc = E_OK;

        if (waiter->parked.kind == PARKED_WAITER) {
            rc = submit_again(daemon, waiter);
        }
        if (rc != E_OK) {
            answer_problem(daemon, waiter_end(daemon, waiter), rc, NULL, NULL);
        }
    }
}

/* ---- Answers ---------------------------------------------------------- */

/* Take back what nobody received. */
static void undo(struct daemon *daemon, uint64_t lease, uint64_t token)
{
    struct core_event event = {.type = CORE_RELEASE,
                               .release = {.lease = lease, .token = token}};

    (void)driver_feed(daemon->driver, &event, NULL);
}

void waiters_reply_lost(struct daemon *daemon, uint64_t lease)
{
    struct core_lease_view view;

    if (core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK) {
        undo(daemon, lease, view.row.token);
    }
}

/* Open the stream that holds a lease, and say on it what was granted.  The
 * waiter lives on as the holder; where that fails the lease is given back. */
static void
begin_holding(struct daemon *daemon, struct waiter *waiter, struct grant *grant)
{
    struct buf *text = answer_buf(daemon);
    uint64_t conn = waiter->parked.conn;

    buf_text(text, "event: grant\ndata: ");
    api_write_grant(text, &grant->api);
    buf_text(text, "\n\n");
    if (buf_error(text) != E_OK || idmap_reserve(&daemon->holders) != E_OK ||
        http_stream_begin(daemon->http, conn) != E_OK) {
        parked_closed(daemon, conn);
        http_close(daemon->http, conn);
        return;
    }
    waiter->parked.kind = PARKED_HOLDER;
    idmap_put(&daemon->holders, 0, waiter->lease, waiter);
    /* A failure here closes the connection: on_close() gives the lease back. */
    (void)!http_stream_send(daemon->http, conn, text->data, text->size);
}

static int answer_grant(struct daemon *daemon,
                        struct waiter *waiter,
                        const struct core_lease_view *view)
{
    struct buf *body = answer_buf(daemon);
    struct grant grant;

    grant_fill(daemon, view, &grant);
    if (waiter->request.holds_by_connection) {
        begin_holding(daemon, waiter, &grant);
        return E_OK;
    }
    api_write_grant(body, &grant.api);
    return answer_json(daemon, waiter_end(daemon, waiter), 200, body,
                       view->row.id);
}

static void tell_grant(struct daemon *daemon,
                       const struct core_message *message)
{
    struct waiter *waiter = waiter_find(daemon, message->ref);
    struct core_lease_view view;

    if (waiter == NULL) {
        undo(daemon, message->lease, message->token);
        return;
    }
    if (core_lease_view(driver_core(daemon->driver), message->lease, &view) !=
            E_OK ||
        view.row.token != message->token ||
        !lease_state_holds((enum lease_state)view.row.state)) {
        answer_problem(daemon, waiter_end(daemon, waiter), E_REVOKED,
                       "granted, and taken back before this answer left", NULL);
        return;
    }
    if (answer_grant(daemon, waiter, &view) != E_OK) {
        undo(daemon, message->lease, message->token);
    }
}

static void tell_refusal(struct daemon *daemon,
                         const struct core_message *message)
{
    struct waiter *waiter = waiter_find(daemon, message->ref);
    struct buf detail;

    if (waiter == NULL) {
        return;
    }
    buf_init(&detail, 0);
    if (message->error == E_TIMEOUT) {
        views_in_the_way(daemon, waiter->request.devices, &detail);
    }
    answer_later(daemon, waiter_end(daemon, waiter), message->error,
                 detail.size == 0 || buf_error(&detail) != E_OK
                     ? NULL
                     : buf_string(&detail),
                 message->retry_after_ms);
    buf_release(&detail);
}

/* A newer connection speaks for the lease. */
static void tell_superseded(struct daemon *daemon, uint64_t conn)
{
    struct waiter *waiter = waiter_find(daemon, conn);
    struct waiter *holder = waiter_find_kind(daemon, conn, PARKED_HOLDER);

    if (waiter != NULL) {
        answer_problem(daemon, waiter_end(daemon, waiter), E_SUPERSEDED, NULL,
                       NULL);
    } else if (holder != NULL) {
        http_close(daemon->http, waiter_end(daemon, holder));
    }
}

void waiters_tell(struct daemon *daemon, const struct core_message *message)
{
    if (message->ref == 0) {
        return;
    }
    if (message->type == CORE_MSG_GRANT) {
        tell_grant(daemon, message);
    } else if (message->type == CORE_MSG_REFUSE) {
        tell_refusal(daemon, message);
    } else if (message->type == CORE_MSG_SUPERSEDED) {
        tell_superseded(daemon, message->ref);
    }
}

/* ---- Holders by connection -------------------------------------------- */

void waiters_send_holder(struct daemon *daemon,
                         uint64_t lease,
                         const struct buf *text)
{
    const struct waiter *waiter = idmap_find(&daemon->holders, 0, lease);

    if (waiter != NULL) {
        answer_event(daemon, waiter->parked.conn, text);
    }
}

void waiters_lease_ended(struct daemon *daemon, uint64_t lease)
{
    struct waiter *waiter = idmap_find(&daemon->holders, 0, lease);

    if (waiter != NULL) {
        http_close(daemon->http, waiter_end(daemon, waiter));
    }
}

void waiters_refuse_all(struct daemon *daemon, int code)
{
    while (!list_is_empty(&daemon->waiters)) {
        struct waiter *waiter =
            CONTAINER_OF(daemon->waiters.next, struct waiter, all);
        bool is_holder = waiter->parked.kind == PARKED_HOLDER;
        uint64_t conn = waiter_end(daemon, waiter);

        if (is_holder) {
            http_close(daemon->http, conn);
        } else {
            answer_later(daemon, conn, code, NULL, 1000);
        }
    }
}
