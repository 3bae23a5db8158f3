/* request.c - POST /gpu/request: from a body to a request for the core. */
#include "control/watch.h"
#include "daemon/answer.h"
#include "daemon/census.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/gpus.h"
#include "daemon/ladders.h"
#include "daemon/names.h"
#include "daemon/routes.h"
#include "daemon/waiters.h"
#include "daemon/watching.h"
#include "http/http.h"
#include "proto/api.h"

#include <stdio.h>
#include <string.h>

/* Blame @field. */
static int blame(struct api_error *error, const char *field, const char *detail)
{
    error->code = E_INVALID;
    (void)snprintf(error->field, sizeof(error->field), "%s", field);
    (void)snprintf(error->detail, sizeof(error->detail), "%s", detail);
    return E_INVALID;
}

/* Fill in what the request leaves open. */
static int fill_defaults(const struct daemon *daemon,
                         const struct api_request *asked,
                         struct core_request *out,
                         struct api_error *error)
{
    uint32_t has = asked->fields;
    struct config_request request = {
        .service_id = asked->service_id,
        .class_name = (has & API_HAS_CLASS) != 0 ? asked->class_name : NULL,
        .timeout_ms =
            (has & API_HAS_TIMEOUT) != 0 ? asked->timeout_ms : CONFIG_UNSET_64,
        .priority =
            (has & API_HAS_PRIORITY) != 0 ? asked->priority : CONFIG_UNSET,
        .ttl_ms = (has & API_HAS_TTL) != 0 ? asked->ttl_ms : CONFIG_UNSET,
        .vram_mib = (has & API_HAS_VRAM) != 0 ? asked->vram_mib : CONFIG_UNSET,
        .is_durable = !asked->waits,
    };
    const char *field;

    if ((has & API_HAS_PREEMPTIBLE) != 0) {
        request.preemptible =
            asked->is_preemptible ? CONFIG_CHOICE_YES : CONFIG_CHOICE_NO;
    }
    if (config_request_resolve(daemon->config, &request, out, &field) != E_OK) {
        return blame(error, field,
                     strcmp(field, "class") == 0
                         ? "no class of this name is configured"
                         : "is not the priority of the class");
    }
    return E_OK;
}

/* Return the most VRAM that a lease can have on a device of the set. */
static uint32_t room_max_mib(const struct daemon *daemon, uint64_t devices)
{
    uint32_t most_mib = 0;
    uint32_t i;

    for (i = 0; i < daemon->core_config.device_count; i++) {
        const struct core_device_config *device =
            &daemon->core_config.devices[i];
        uint32_t room_mib = device->capacity_mib - device->reserve_mib;

        if ((devices == 0 || (devices >> i & 1) != 0) && room_mib > most_mib) {
            most_mib = room_mib;
        }
    }
    return most_mib;
}

/* Say what could never be granted, by its field. */
static int check_room(const struct daemon *daemon,
                      const struct core_request *request,
                      struct api_error *error)
{
    uint32_t most_mib = room_max_mib(daemon, request->devices);
    uint32_t count = daemon->core_config.device_count;
    char detail[sizeof(error->detail)];

    if (request->devices != 0) {
        count = (uint32_t)__builtin_popcountll(request->devices);
    }
    if (request->gpus > count) {
        (void)snprintf(detail, sizeof(detail), "there are only %u", count);
        return blame(error, "gpus", detail);
    }
    if (request->vram_mib > most_mib) {
        (void)snprintf(detail, sizeof(detail),
                       "no device can give more than %u MiB", most_mib);
        return blame(error, "vram_mib", detail);
    }
    return E_OK;
}

/* Say whether a holder can be made to give way though it has no stream: by a
 * signal to its process, or by a rung that needs no answer of it. */
static bool is_reachable(const struct daemon *daemon,
                         const struct api_request *asked,
                         const struct core_request *request)
{
    const struct config_service *service =
        config_service_find(daemon->config, asked->service_id);
    uint32_t rungs = request->rungs != 0 ? request->rungs : LADDER_DEFAULT;

    if (request->ladder != 0) {
        rungs = ladder_pack(&daemon->core_config.ladders[request->ladder - 1]);
    }
    return ladder_has(rungs, RUNG_CHECKPOINT) || ladder_has(rungs, RUNG_TERM) ||
           ladder_has(rungs, RUNG_KILL) || ladder_has(rungs, RUNG_RESTART) ||
           (service != NULL && service->signals.pause != 0 &&
            (asked->fields & API_HAS_WATCH_PID) != 0);
}

/* Take the ladder that the request brings: what may be done to processes is
 * said over the Unix socket, as whose they are. */
static int fill_ladder(const struct daemon *daemon,
                       const struct http_request *request,
                       const struct api_request *asked,
                       struct core_request *out,
                       struct api_error *error)
{
    if ((asked->fields & API_HAS_LADDER) != 0) {
        if (!request->is_unix) {
            return blame(error, "ladder", "is taken over the Unix socket only");
        }
        if (ladders_take(daemon->config, asked->service_id, asked->ladder, out,
                         error) != E_OK) {
            return E_INVALID;
        }
    }
    out->is_reachable = is_reachable(daemon, asked, out);
    return E_OK;
}

static int fill_core(const struct daemon *daemon,
                     const struct api_request *asked,
                     struct core_request *out,
                     struct api_error *error)
{
    int rc = fill_defaults(daemon, asked, out, error);

    if (rc != E_OK) {
        return rc;
    }
    if (gpus_find(daemon, &asked->devices, &out->devices) != E_OK) {
        return blame(error, "device", "there is no such device here");
    }
    out->gpus = asked->gpus;
    out->holds_by_connection = asked->holds_by_connection;
    return check_room(daemon, out, error);
}

/* Number the service and the job, and prepare what the lease is sent with. */
static int fill_names(struct daemon *daemon,
                      const struct api_request *asked,
                      struct waiters_request *out)
{
    struct core_request *core = &out->core;
    struct names_lease sent = {.job_id = asked->job_id,
                               .metadata = asked->metadata};
    int rc = names_service(daemon->names, asked->service_id, &core->service);

    if (rc != E_OK ||
        ((asked->fields & (API_HAS_JOB | API_HAS_METADATA)) == 0 &&
         out->watched == NULL)) {
        return rc;
    }
    if (out->watched != NULL) {
        const struct proc_id *id = &watch_set(out->watched)->id;

        sent.watch_pid = (uint32_t)id->pid;
        sent.watch_started = id->start_ticks;
        core->is_watched = true;
    }
    if ((asked->fields & API_HAS_JOB) != 0) {
        core->job = names_job_find(daemon->names, core->service, asked->job_id);
        if (core->job == 0) {
            core->job = names_job_next(daemon->names);
        }
    }
    sent.service = core->service;
    sent.job = core->job;
    return names_prepare(daemon->names, &sent, &out->binding);
}

static int open_watched(struct daemon *daemon,
                        const struct http_request *request,
                        const struct api_request *asked,
                        struct waiters_request *out,
                        struct api_error *error)
{
    return (asked->fields & API_HAS_WATCH_PID) == 0
               ? E_OK
               : watching_open(daemon, request, asked->watch_pid, &out->watched,
                               error);
}

void request_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct api_request asked;
    struct api_error error = {0};
    struct waiters_request ready = {.conn = request->conn};
    int rc;

    (void)last;
    if (daemon->phase != DAEMON_SERVING) {
        answer_later(daemon, request->conn, E_RESTARTING, NULL, 1000);
        return;
    }
    rc = api_parse_request(request->body, request->body_size, &asked, &error);
    if (rc == E_OK) {
        rc = fill_core(daemon, &asked, &ready.core, &error);
    }
    if (rc == E_OK) {
        rc = fill_ladder(daemon, request, &asked, &ready.core, &error);
    }
    if (rc == E_OK) {
        rc = open_watched(daemon, request, &asked, &ready, &error);
    }
    if (rc == E_OK) {
        rc = fill_names(daemon, &asked, &ready);
    }
    if (rc == E_OK) {
        census_hear(daemon, request->pid, ready.core.service);
    }
    if (rc != E_OK) {
        watch_drop(ready.watched);
        error.code = rc;
        answer_bad_body(daemon, request->conn, &error);
        return;
    }
    waiters_submit(daemon, &ready);
}
