#include "daemon/routes.h"

#include "base/err.h"
#include "daemon/answer.h"
#include "http/http.h"
#include "proto/body.h"

#include <stdbool.h>
#include <string.h>

#define JSON   "application/json"
#define EVENTS "text/event-stream"

static const struct route table[] = {
    {"POST", "/gpu/request", request_handle,
     "ask for the GPU; blocks up to timeout_ms", JSON, &body_request, NULL},
    {"POST", "/gpu/release", release_handle, "give a lease back", JSON,
     &body_release, NULL},
    {"POST", "/gpu/renew", renew_handle,
     "extend a lease; the answer carries a pending command", JSON, &body_renew,
     NULL},
    {"POST", "/gpu/ack", ack_handle,
     "say that a pause or a resume is done, or cannot be", JSON, &body_ack,
     NULL},
    {"POST", "/gpu/cancel", cancel_handle, "withdraw a waiting request", JSON,
     &body_cancel, NULL},
    {"GET", "/gpu/status", status_handle,
     "devices with measured VRAM, holders, waiters, classes, counts", JSON,
     NULL, NULL},
    {"GET", "/gpu/leases/{lease}", look_handle,
     "one lease, and why it waits; wait_ms blocks until its state changes",
     JSON, NULL, "wait_ms"},
    {"GET", "/gpu/control/{service_id}", control_handle,
     "the commands to a service, as they come", EVENTS, NULL, NULL},
    {"GET", "/gpu/events", events_handle,
     "everything that happens; Last-Event-ID goes on where a reader was",
     EVENTS, NULL, NULL},
    {"GET", "/gpu/cluster", cluster_handle,
     "the coordinators of the cluster, and which of them leads", JSON, NULL,
     NULL},
    {"POST", "/gpu/admin/drain", admin_drain_handle,
     "grant nothing new; with stop, leave when the holders have gone", JSON,
     &body_drain, NULL},
    {"POST", "/gpu/admin/undrain", admin_undrain_handle, "grant again", JSON,
     &body_undrain, NULL},
    {"POST", "/gpu/admin/revoke", admin_revoke_handle,
     "take a lease back by force", JSON, &body_lease, NULL},
    {"POST", "/gpu/admin/pause", admin_pause_handle,
     "ask a holder to pause, and keep it paused", JSON, &body_lease, NULL},
    {"POST", "/gpu/admin/resume", admin_resume_handle,
     "let a paused lease go on", JSON, &body_lease, NULL},
    {"POST", "/gpu/admin/bypass", admin_bypass_handle,
     "grant everything at once, and pause and revoke nobody", JSON,
     &body_bypass, NULL},
    {"GET", "/metrics", metrics_handle, "counts for Prometheus",
     "text/plain; version=0.0.4", NULL, NULL},
    {"GET", "/healthz", healthz_handle, "the process serves", JSON, NULL, NULL},
    {"GET", "/readyz", readyz_handle, "requests are taken", JSON, NULL, NULL},
    {"GET", "/version", version_handle, "the version of this coordinator", JSON,
     NULL, NULL},
    {"GET", "/openapi.json", openapi_handle, "this interface, as OpenAPI 3.1",
     JSON, NULL, NULL},
};

const struct route *routes_table(size_t *count)
{
    *count = sizeof(table) / sizeof(table[0]);
    return table;
}

/* Say whether @path is of the form @pattern; *@last becomes the text of its
 * last segment where that is in braces, else "". */
static bool
path_matches(const char *pattern, const char *path, const char **last)
{
    size_t fixed = strcspn(pattern, "{");

    *last = "";
    if (pattern[fixed] == '\0') {
        return strcmp(pattern, path) == 0;
    }
    if (strncmp(pattern, path, fixed) != 0 || path[fixed] == '\0' ||
        strchr(path + fixed, '/') != NULL) {
        return false;
    }
    *last = path + fixed;
    return true;
}

/* Return the methods of @route as in Allow.  A GET without end has no HEAD. */
static const char *methods_of(const struct route *route)
{
    bool has_head = strcmp(route->method, "GET") == 0 &&
                    strcmp(route->answer_type, EVENTS) != 0;

    return has_head ? "GET, HEAD" : route->method;
}

static bool route_takes(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 &&
            strcmp(methods_of(route), "GET, HEAD") == 0);
}

void routes_dispatch(struct daemon *daemon, const struct http_request *request)
{
    const char *allowed = NULL;
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct route *route = &table[i];
        const char *last;

        if (!path_matches(route->path, request->path, &last)) {
            continue;
        }
        if (route_takes(route, request->method)) {
            route->handle(daemon, request, last);
            return;
        }
        allowed = methods_of(route);
    }
    if (allowed == NULL) {
        answer_problem(daemon, request->conn, E_NOT_FOUND,
                       "there is no such path; /openapi.json lists them", NULL);
        return;
    }
    answer_method(daemon, request->conn, allowed);
}
