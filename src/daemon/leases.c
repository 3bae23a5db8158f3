/* leases.c - POST /gpu/release, renew, ack and cancel: calls about a lease. */
#include "base/log.h"
#include "control/watch.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/grants.h"
#include "daemon/names.h"
#include "daemon/observed.h"
#include "daemon/redis.h"
#include "daemon/routes.h"
#include "daemon/watching.h"
#include "http/http.h"
#include "proto/api.h"

#include <inttypes.h>

/* Feed @event; @send answers once it is stored, an error is answered now. */
static int feed(struct daemon *daemon,
                struct core_event *event,
                const struct driver_reply *reply)
{
    int rc = driver_feed(daemon->driver, event, reply);

    if (rc != E_OK) {
        answer_problem(daemon, reply->conn, rc, NULL, NULL);
    }
    return rc;
}

/* Look at the lease of @reply.  Where the call failed in the end, or the lease
 * is forgotten, the client has its answer already. */
static int look(struct daemon *daemon,
                const struct driver_reply *reply,
                struct core_lease_view *view)
{
    int rc = reply->rc;

    if (rc == E_OK) {
        rc = core_lease_view(driver_core(daemon->driver), reply->lease, view);
    }
    if (rc != E_OK) {
        answer_problem(daemon, reply->conn, rc, NULL, NULL);
    } else {
        redis_heard(daemon, reply->lease);
    }
    return rc;
}

/* ---- Release and cancel ----------------------------------------------- */

static void send_ended(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;
    struct core_lease_view view;
    struct buf *body;

    if (look(daemon, reply, &view) == E_OK) {
        body = answer_buf(daemon);
        api_write_ended(body, core_reason_name(view.reason), view.held_ms);
        (void)answer_json(daemon, reply->conn, 200, body, 0);
    }
}

/* Find the only lease of a service, which releases it by its name alone. */
static int find_by_service(struct daemon *daemon, struct api_release *release)
{
    const struct core *core = driver_core(daemon->driver);
    struct core_lease_view view;
    size_t count;

    release->lease = core_service_lease(
        core, names_service_find(daemon->names, release->service_id), &count);
    if (release->lease == 0 ||
        core_lease_view(core, release->lease, &view) != E_OK) {
        return E_AMBIGUOUS;
    }
    release->token = view.row.token;
    return E_OK;
}

void release_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct driver_reply reply = {
        .send = send_ended, .arg = daemon, .conn = request->conn};
    struct core_event event = {.type = CORE_RELEASE};
    struct api_release release;
    struct api_error error;

    (void)last;
    if (api_parse_release(request->body, request->body_size, &release,
                          &error) != E_OK) {
        answer_bad_body(daemon, request->conn, &error);
        return;
    }
    if (release.lease == 0 && find_by_service(daemon, &release) != E_OK) {
        answer_problem(daemon, request->conn, E_AMBIGUOUS, NULL, NULL);
        return;
    }
    event.release.lease = release.lease;
    event.release.token = release.token;
    (void)feed(daemon, &event, &reply);
}

void cancel_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last)
{
    struct driver_reply reply = {
        .send = send_ended, .arg = daemon, .conn = request->conn};
    struct core_event event = {.type = CORE_CANCEL};
    struct api_cancel cancel;
    struct api_error error;

    (void)last;
    if (api_parse_cancel(request->body, request->body_size, &cancel, &error) !=
        E_OK) {
        answer_bad_body(daemon, request->conn, &error);
        return;
    }
    event.cancel.lease = cancel.lease;
    (void)feed(daemon, &event, &reply);
}

/* ---- Renew ------------------------------------------------------------ */

/* Fill @control with what a holder that renews is to do, and @grant, which it
 * may point to; false where that is nothing. */
static bool fill_control(struct daemon *daemon,
                         const struct driver_reply *reply,
                         const struct core_lease_view *view,
                         struct grant *grant,
                         struct api_control *control)
{
    if (view->row.token != reply->token) {
        /* It was resumed, and does not know yet. */
        grant_fill(daemon, view, grant);
        control->type = API_CONTROL_RESUME;
        control->grant = &grant->api;
        return true;
    }
    if (view->row.state == LEASE_PAUSING && view->acked_at_ms == 0) {
        grant_pause(daemon, view, control);
        return true;
    }
    return false;
}

static void send_renewed(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;
    struct core_lease_view view;
    struct api_control control = {0};
    bool has_control = false;
    struct grant grant;
    struct buf *body;

    if (look(daemon, reply, &view) != E_OK) {
        return;
    }
    /* While Redis is asked for the key nobody knows what to tell. */
    if (!redis_is_asking(daemon, view.row.id)) {
        has_control = fill_control(daemon, reply, &view, &grant, &control);
    }
    body = answer_buf(daemon);
    api_write_renewed(body, grant_expires_in_ms(daemon, &view),
                      grant_renew_in_ms(daemon, &view),
                      has_control ? &control : NULL);
    (void)answer_json(daemon, reply->conn, 200, body, 0);
}

void renew_handle(struct daemon *daemon,
                  const struct http_request *request,
                  const char *last)
{
    struct driver_reply reply = {
        .send = send_renewed, .arg = daemon, .conn = request->conn};
    struct core_event event = {.type = CORE_RENEW};
    struct watched *watched = NULL;
    struct api_renew renew;
    struct api_error error = {0};
    int rc;

    (void)last;
    rc = api_parse_renew(request->body, request->body_size, &renew, &error);
    if (rc == E_OK && renew.watch_pid != 0) {
        rc = watching_open(daemon, request, renew.watch_pid, &watched, &error);
    }
    if (rc != E_OK) {
        error.code = rc;
        answer_bad_body(daemon, request->conn, &error);
        return;
    }
    event.renew.lease = renew.lease;
    event.renew.token = renew.token;
    event.renew.ttl_ms = renew.ttl_ms;
    reply.token = renew.token;
    if (feed(daemon, &event, &reply) != E_OK) {
        watch_drop(watched);
    } else if (watched != NULL) {
        watching_join(daemon, watched, renew.lease);
    }
}

/* ---- Acknowledge ------------------------------------------------------ */

static void send_state(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;
    struct core_lease_view view;
    struct buf *body;

    if (look(daemon, reply, &view) == E_OK) {
        if (view.row.state == LEASE_HELD) {
            observed_end(daemon->observed, view.row.id, view.row.service,
                         OBSERVED_RESUME, driver_now_ms(daemon->driver));
        }
        body = answer_buf(daemon);
        api_write_state(body, view.row.id,
                        lease_state_name((enum lease_state)view.row.state));
        (void)answer_json(daemon, reply->conn, 200, body, 0);
    }
}

void ack_handle(struct daemon *daemon,
                const struct http_request *request,
                const char *last)
{
    struct driver_reply reply = {
        .send = send_state, .arg = daemon, .conn = request->conn};
    struct core_event event = {.type = CORE_ACK};
    struct api_ack ack;
    struct api_error error;

    (void)last;
    if (api_parse_ack(request->body, request->body_size, &ack, &error) !=
        E_OK) {
        answer_bad_body(daemon, request->conn, &error);
        return;
    }
    if (ack.action == CORE_ACK_ERROR) {
        log_warn("lease %" PRIu64 " cannot pause: %s", ack.lease,
                 ack.detail[0] == '\0' ? "no reason given" : ack.detail);
    }
    event.ack.lease = ack.lease;
    event.ack.token = ack.token;
    event.ack.action = ack.action;
    event.ack.vram_mib = ack.vram_mib;
    (void)feed(daemon, &event, &reply);
}
