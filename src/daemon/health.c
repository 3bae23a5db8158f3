/* health.c - GET /healthz, /readyz and /version: probes. */
#include "daemon/answer.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/members.h"
#include "daemon/routes.h"
#include "http/http.h"

#include <stdbool.h>

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
    const char *why = rc == E_OK ? NULL : driver_store_why(daemon->driver);
    struct core_stats stats;

    (void)last;
    core_stats(driver_core(daemon->driver), &stats);
    if (daemon->phase != DAEMON_SERVING) {
        rc = E_RESTARTING;
        why = NULL;
    } else if (rc == E_OK && (stats.is_draining || stats.is_stopping)) {
        rc = E_DRAINING;
    }
    if (rc != E_OK) {
        answer_later(daemon, request->conn, rc, why, 1000);
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
    struct buf dir;
    bool is_known;

    (void)last;
    buf_init(&dir, 0);
    is_known = config_state_dir(daemon->config, &dir) == E_OK;
    buf_text(body, "{\"name\":\"gpucoord\"");
    member_text(body, "version", GPUCOORD_VERSION);
    /* Where `gpucoord thaw` has to look.  Of no use from elsewhere. */
    member_text(body, "state_dir",
                request->is_unix && is_known ? buf_string(&dir) : NULL);
    buf_byte(body, '}');
    buf_release(&dir);
    (void)answer_json(daemon, request->conn, 200, body, 0);
}
