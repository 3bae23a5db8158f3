/* admin.c - POST /gpu/admin/...: what an operator does. */
#include "base/log.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"
#include "daemon/members.h"
#include "daemon/routes.h"
#include "http/http.h"
#include "proto/api.h"

enum {
    HOLDERS_PERCENT = 30 /* Of the time for a shutdown; the rest is ours. */
};

/* Answer with the lease's new state, or with the modes as they are now. */
static void send_done(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;
    struct buf *body = answer_buf(daemon);
    struct core_lease_view view;
    struct core_stats stats;
    const struct core *core = driver_core(daemon->driver);

    if (reply->rc != E_OK) {
        answer_problem(daemon, reply->conn, reply->rc, NULL, NULL);
        return;
    }
    if (reply->lease != 0 &&
        core_lease_view(core, reply->lease, &view) == E_OK) {
        api_write_state(body, reply->lease,
                        lease_state_name((enum lease_state)view.row.state));
    } else {
        core_stats(core, &stats);
        buf_text(body, "{\"done\":true");
        member_bool(body, "draining", stats.is_draining);
        member_bool(body, "stopping", stats.is_stopping);
        member_bool(body, "bypass", stats.bypass_until_ms != 0);
        buf_byte(body, '}');
    }
    (void)answer_json(daemon, reply->conn, 200, body, 0);
}

/* Fill the parts of @event that @admin has and the action needs. */
static void fill_event(const struct daemon *daemon,
                       enum api_admin_action action,
                       const struct api_admin *admin,
                       struct core_event *event)
{
    static const enum core_admin actions[API_ADMIN_ACTIONS] = {
        [API_ADMIN_DRAIN] = CORE_DRAIN,   [API_ADMIN_UNDRAIN] = CORE_UNDRAIN,
        [API_ADMIN_REVOKE] = CORE_REVOKE, [API_ADMIN_PAUSE] = CORE_PAUSE,
        [API_ADMIN_RESUME] = CORE_RESUME, [API_ADMIN_BYPASS] = CORE_BYPASS,
    };
    uint64_t now_ms = driver_now_ms(daemon->driver);

    event->type = CORE_ADMIN;
    event->admin.action = actions[action];
    event->admin.lease = admin->lease;
    if (admin->stops) {
        event->admin.action = CORE_SHUTDOWN;
        event->admin.until_ms = now_ms + (uint64_t)daemon->config->shutdown_ms *
                                             HOLDERS_PERCENT / 100;
    } else if (action == API_ADMIN_BYPASS && admin->is_on) {
        event->admin.until_ms =
            admin->for_ms == 0 ? CORE_FOREVER : now_ms + admin->for_ms;
    }
}

/* Return what keeps an operator from doing @action to the lease @id, as a
 * sentence for people; NULL where nothing is known of it. */
static const char *
why_not(struct daemon *daemon, enum api_admin_action action, uint64_t id)
{
    struct core_lease_view view;

    if (core_lease_view(driver_core(daemon->driver), id, &view) != E_OK) {
        return NULL;
    }
    if (action == API_ADMIN_REVOKE) {
        return "it was taken back already";
    }
    if (action == API_ADMIN_RESUME) {
        return "it is not paused";
    }
    if (view.row.state != LEASE_HELD) {
        return "it holds no gpu";
    }
    if ((view.row.flags & CORE_ROW_PREEMPTIBLE) == 0) {
        return "it is not preemptible: it was asked for so";
    }
    return view.can_hear ? NULL
                         : "it would not hear: its service has no control "
                           "stream open, and it has not renewed lately";
}

static void handle(struct daemon *daemon,
                   const struct http_request *request,
                   enum api_admin_action action)
{
    struct driver_reply reply = {
        .send = send_done, .arg = daemon, .conn = request->conn};
    struct core_event event = {0};
    struct api_admin admin;
    struct api_error error;
    int rc;

    if (!request->is_unix) {
        answer_problem(daemon, request->conn, E_FORBIDDEN,
                       "operators call over the Unix socket", NULL);
        return;
    }
    if (api_parse_admin(request->body, request->body_size, action, &admin,
                        &error) != E_OK) {
        answer_bad_body(daemon, request->conn, &error);
        return;
    }
    if (gpus_find(daemon, &admin.devices, &event.admin.devices) != E_OK) {
        answer_problem(daemon, request->conn, E_INVALID,
                       "there is no such device here", "device");
        return;
    }
    fill_event(daemon, action, &admin, &event);
    log_info("operator (uid %d): %s", (int)request->uid,
             api_admin_name(action));
    rc = driver_feed(daemon->driver, &event, &reply);
    if (rc != E_OK) {
        answer_problem(
            daemon, request->conn, rc,
            rc == E_STATE ? why_not(daemon, action, admin.lease) : NULL, NULL);
    }
}

void admin_drain_handle(struct daemon *daemon,
                        const struct http_request *request,
                        const char *last)
{
    (void)last;
    handle(daemon, request, API_ADMIN_DRAIN);
}

void admin_undrain_handle(struct daemon *daemon,
                          const struct http_request *request,
                          const char *last)
{
    (void)last;
    handle(daemon, request, API_ADMIN_UNDRAIN);
}

void admin_revoke_handle(struct daemon *daemon,
                         const struct http_request *request,
                         const char *last)
{
    (void)last;
    handle(daemon, request, API_ADMIN_REVOKE);
}

void admin_pause_handle(struct daemon *daemon,
                        const struct http_request *request,
                        const char *last)
{
    (void)last;
    handle(daemon, request, API_ADMIN_PAUSE);
}

void admin_resume_handle(struct daemon *daemon,
                         const struct http_request *request,
                         const char *last)
{
    (void)last;
    handle(daemon, request, API_ADMIN_RESUME);
}

void admin_bypass_handle(struct daemon *daemon,
                         const struct http_request *request,
                         const char *last)
{
    (void)last;
    handle(daemon, request, API_ADMIN_BYPASS);
}
