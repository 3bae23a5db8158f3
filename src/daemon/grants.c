#include "daemon/grants.h"

#include "core/lease.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"
#include "daemon/names.h"
#include "daemon/watching.h"

enum {
    RENEW_POLL_MS = 1000, /* For those who can be told in no other way. */
    RENEW_PARTS = 3       /* Of the ttl: two renewals may be lost. */
};

uint32_t grant_renew_in_ms(const struct daemon *daemon,
                           const struct core_lease_view *view)
{
    const struct core_lease_row *row = &view->row;
    uint32_t third_ms = row->ttl_ms / RENEW_PARTS;

    if ((row->flags & CORE_ROW_PREEMPTIBLE) == 0 ||
        (row->flags & CORE_ROW_BY_CONNECTION) != 0 ||
        control_is_heard(daemon, row->service)) {
        return third_ms;
    }
    return third_ms < RENEW_POLL_MS ? third_ms : RENEW_POLL_MS;
}

uint64_t grant_expires_in_ms(const struct daemon *daemon,
                             const struct core_lease_view *view)
{
    uint64_t now_ms = driver_now_ms(daemon->driver);
    uint64_t at_ms = view->expires_at_ms;

    if (view->row.state == LEASE_HELD && view->deadline_at_ms < at_ms) {
        at_ms = view->deadline_at_ms;
    }
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

uint32_t grant_priority(const struct daemon *daemon, uint32_t class_id)
{
    return class_id < CORE_PRIORITIES
               ? class_id
               : daemon->config->classes[class_id - CORE_PRIORITIES]
                     .core.priority;
}

void grant_fill(const struct daemon *daemon,
                const struct core_lease_view *view,
                struct grant *out)
{
    const struct core_lease_row *row = &view->row;
    struct api_grant *api = &out->api;
    uint32_t i;

    *api = (struct api_grant){
        .lease = row->id,
        .token = row->token,
        .guarantee = core_guarantee_name(watching_guarantee(daemon, view)),
        .service_id = names_service_name(daemon->names, row->service),
        .class_name = config_class_name(daemon->config, row->class_id),
        .priority = grant_priority(daemon, row->class_id),
        .ttl_ms = row->ttl_ms,
        .renew_in_ms = grant_renew_in_ms(daemon, view),
        .waited_ms = row->first_granted_at_ms - row->submitted_at_ms,
        .devices = out->devices,
    };
    for (i = 0; i < daemon->core_config.device_count; i++) {
        if ((row->granted >> i & 1) != 0) {
            out->devices[api->device_count] = (struct api_grant_device){
                .index = i,
                .vram_mib = core_row_share(row, i).charge_mib,
                .uuid = gpus_uuid(daemon, i),
            };
            api->device_count++;
        }
    }
}

/* Return the name of the service that a pause is for; NULL = an operator's. */
static const char *requester_name(const struct daemon *daemon, uint64_t lease)
{
    struct core_lease_view view;

    if (lease == 0 ||
        core_lease_view(driver_core(daemon->driver), lease, &view) != E_OK) {
        return NULL;
    }
    return names_service_name(daemon->names, view.row.service);
}

void grant_pause(const struct daemon *daemon,
                 const struct core_lease_view *view,
                 struct api_control *out)
{
    uint64_t now_ms = driver_now_ms(daemon->driver);
    uint64_t due_ms = view->deadline_at_ms;

    *out = (struct api_control){
        .type = API_CONTROL_PAUSE,
        .lease = view->row.id,
        .token = view->row.token,
        .deadline_ms = due_ms > now_ms ? due_ms - now_ms : 0,
        .release_mib = view->release_mib,
        .requester = requester_name(daemon, view->requester),
    };
}
