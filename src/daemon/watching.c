#include "daemon/watching.h"

#include "base/log.h"
#include "control/watch.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "http/http.h"
#include "proto/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* All processes of @lease have died. */
static void on_gone(void *arg, uint64_t lease)
{
    struct daemon *daemon = arg;
    struct driver_owed *owed = calloc(1, sizeof *owed);

    if (owed == NULL) {
        log_error("out of memory: lease %" PRIu64 " has lost its holder, and "
                  "lasts until its TTL",
                  lease);
        return;
    }
    owed->event = (struct core_event){.type = CORE_PROCESS_GONE,
                                      .process_gone = {lease}};
    driver_owe(daemon->driver, owed);
}

int watching_create(struct daemon *daemon)
{
    return watch_create(loop_base(daemon->loop), PROC_ROOT, on_gone, daemon,
                        &daemon->watch);
}

int watching_open(struct daemon *daemon,
                  const struct http_request *request,
                  uint32_t pid,
                  struct watched **out,
                  struct api_error *error)
{
    int rc = E_FORBIDDEN;

    if (request->is_unix) {
        rc = watch_open(daemon->watch, pid == 0 ? request->pid : (pid_t)pid,
                        request->uid, out);
    }
    if (rc == E_OK || rc == E_NOMEM) {
        return rc;
    }
    error->code = E_INVALID;
    (void)snprintf(error->field, sizeof(error->field), "watch_pid");
    (void)snprintf(error->detail, sizeof(error->detail),
                   "not a process of yours, asked for over the Unix socket");
    return E_INVALID;
}
