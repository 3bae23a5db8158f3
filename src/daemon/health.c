/* health.c - GET /healthz, /readyz and /version: probes. */
#include "daemon/answer.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/members.h"
#include "daemon/routes.h"
#include "http/http.h"

void healthz_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct buf *body = answer_buf(daemon);

    (void)last;
    buf_text(body, "{\"status\":\"ok\"}");
    (void)answer_json(daemon, request->conn, 200, body, 0);
}

void readyz_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last)
{
    struct buf *body = answer_buf(daemon);
    int rc = driver_store_state(daemon->driver);
    struct core_stats stats;

    (void)last;
    core_stats(driver_core(daemon->driver), &stats);
    if (daemon->phase != DAEMON_SERVING) {
        rc = E_RESTARTING;
    } else if (stats.is_draining || stats.is_stopping) {
        rc = E_DRAINING;
    }
    if (rc != E_OK) {
        answer_later(daemon, request->conn, rc, NULL, 1000);
        return;
    }
    buf_text(body, "{\"status\":\"ready\"}");
    (void)answer_json(daemon, request->conn, 200, body, 0);
}

void version_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct buf *body = answer_buf(daemon);

    (void)last;
    buf_text(body, "{\"name\":\"gpucoord\"");
    member_text(body, "version", GPUCOORD_VERSION);
    buf_byte(body, '}');
    (void)answer_json(daemon, request->conn, 200, body, 0);
}
