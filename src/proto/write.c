/* Answers and commands, straight into the buffer: the shapes are fixed, so only
 * the texts need care. */
#include "proto/api.h"

#include "proto/put.h"

#include <assert.h>

static void put_devices(struct buf *out, const struct api_grant *grant)
{
    buf_text(out, ",\"devices\":[");
    for (size_t i = 0; i < grant->device_count; i++) {
        const struct api_grant_device *device = &grant->devices[i];

        put_number(out, i == 0 ? "{\"index\":" : ",{\"index\":", device->index);
        put_text(out, ",\"uuid\":", device->uuid);
        put_number(out, ",\"vram_mib\":", device->vram_mib);
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

/* Append a grant's members and the brace that ends them; @first is the name
 * of the first one. */
static void
put_grant(struct buf *out, const char *first, const struct api_grant *grant)
{
    put_number(out, first, grant->lease);
    put_number(out, ",\"token\":", grant->token);
    put_text(out, ",\"state\":\"held\",\"guarantee\":", grant->guarantee);
    put_text(out, ",\"service_id\":", grant->service_id);
    put_text(out, ",\"class\":", grant->class_name);
    put_number(out, ",\"priority\":", grant->priority);
    put_devices(out, grant);
    put_number(out, ",\"ttl_ms\":", grant->ttl_ms);
    put_number(out, ",\"renew_in_ms\":", grant->renew_in_ms);
    put_number(out, ",\"waited_ms\":", grant->waited_ms);
    buf_byte(out, '}');
}

void api_write_grant(struct buf *out, const struct api_grant *grant)
{
    put_grant(out, "{\"lease\":", grant);
}

void api_write_queued(struct buf *out, uint64_t lease, uint64_t position)
{
    put_number(out, "{\"lease\":", lease);
    put_number(out, ",\"state\":\"queued\",\"position\":", position);
    buf_byte(out, '}');
}

void api_write_ended(struct buf *out, const char *reason, uint64_t held_ms)
{
    put_text(out, "{\"state\":\"ended\",\"reason\":", reason);
    put_number(out, ",\"held_ms\":", held_ms);
    buf_byte(out, '}');
}

void api_write_state(struct buf *out, uint64_t lease, const char *state)
{
    put_number(out, "{\"lease\":", lease);
    put_text(out, ",\"state\":", state);
    buf_byte(out, '}');
}

void api_write_renewed(struct buf *out,
                       uint64_t expires_in_ms,
                       uint64_t renew_in_ms,
                       const struct api_control *control)
{
    put_number(out, "{\"expires_in_ms\":", expires_in_ms);
    put_number(out, ",\"renew_in_ms\":", renew_in_ms);
    if (control == NULL) {
        buf_text(out, ",\"control\":null}");
        return;
    }
    put_text(out, ",\"control\":{\"action\":", api_control_name(control->type));
    if (control->type == API_CONTROL_RESUME) {
        put_grant(out, ",\"lease\":", control->grant);
    } else {
        assert(control->type == API_CONTROL_PAUSE);
        put_number(out, ",\"deadline_ms\":", control->deadline_ms);
        put_number(out, ",\"release_mib\":", control->release_mib);
        buf_byte(out, '}');
    }
    buf_byte(out, '}');
}

static const char *const control_names[API_CONTROLS] = {
    [API_CONTROL_OFFER] = "offer",       [API_CONTROL_GRANT] = "grant",
    [API_CONTROL_PAUSE] = "pause",       [API_CONTROL_RESUME] = "resume",
    [API_CONTROL_UNLOAD] = "unload",     [API_CONTROL_REVOKE] = "revoke",
    [API_CONTROL_SHUTDOWN] = "shutdown",
};

const char *api_control_name(enum api_control_type type)
{
    assert(type < API_CONTROLS);
    return control_names[type];
}

void api_write_control(struct buf *out, const struct api_control *control)
{
    switch (control->type) {
    case API_CONTROL_GRANT:
    case API_CONTROL_RESUME:
        put_grant(out, "{\"lease\":", control->grant);
        return;
    case API_CONTROL_OFFER:
        put_number(out, "{\"lease\":", control->lease);
        put_text(out, ",\"job_id\":", control->job_id);
        break;
    case API_CONTROL_PAUSE:
        put_number(out, "{\"lease\":", control->lease);
        put_number(out, ",\"token\":", control->token);
        put_text(out, ",\"requester\":", control->requester);
        put_number(out, ",\"deadline_ms\":", control->deadline_ms);
        put_number(out, ",\"release_mib\":", control->release_mib);
        break;
    case API_CONTROL_UNLOAD:
        put_number(out, "{\"release_mib\":", control->release_mib);
        put_number(out, ",\"deadline_ms\":", control->deadline_ms);
        break;
    case API_CONTROL_REVOKE:
        put_number(out, "{\"lease\":", control->lease);
        put_number(out, ",\"token\":", control->token);
        put_text(out, ",\"reason\":", control->reason);
        break;
    case API_CONTROL_SHUTDOWN:
        put_number(out, "{\"lease\":", control->lease);
        put_number(out, ",\"token\":", control->token);
        put_number(out, ",\"deadline_ms\":", control->deadline_ms);
        break;
    case API_CONTROLS:
        break;
    }
    buf_byte(out, '}');
}
