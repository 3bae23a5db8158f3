/* The tables of the bodies that come in, and what no table can say. */
#include "proto/api.h"

#include "proto/body.h"

#include <assert.h>

#define PLACE(type, member)                  \
    .offset = offsetof(struct type, member), \
    .width = sizeof(((struct type *)0)->member)

static const char *const hold_words[] = {"lease", "connection", NULL};
static const char *const ack_words[] = {
    [CORE_ACK_PAUSED] = "paused",
    [CORE_ACK_RESUMED] = "resumed",
    [CORE_ACK_ERROR] = "error",
    NULL,
};

/* clang-format off */
static const struct field request_fields[] = {
    {"service_id", FIELD_NAME, true,
     PLACE(api_request, service_id)},
    {"priority", FIELD_NUMBER, .flag = API_HAS_PRIORITY,
     PLACE(api_request, priority), .max = API_PRIORITY_MAX},
    {"class", FIELD_NAME, .flag = API_HAS_CLASS,
     PLACE(api_request, class_name)},
    {"timeout_ms", FIELD_NUMBER, .flag = API_HAS_TIMEOUT,
     PLACE(api_request, timeout_ms), .max = API_TIMEOUT_MS_MAX},
    {"ttl_ms", FIELD_NUMBER, .flag = API_HAS_TTL,
     PLACE(api_request, ttl_ms), .min = API_TTL_MS_MIN, .max = API_TTL_MS_MAX},
    {"vram_mib", FIELD_NUMBER, .flag = API_HAS_VRAM,
     PLACE(api_request, vram_mib), .max = API_VRAM_MIB_MAX},
    {"gpus", FIELD_NUMBER, .flag = API_HAS_GPUS,
     PLACE(api_request, gpus), .min = 1, .max = CORE_DEVICES_MAX},
    {"device", FIELD_DEVICES, .flag = API_HAS_DEVICE,
     PLACE(api_request, devices)},
    {"job_id", FIELD_TEXT, .flag = API_HAS_JOB,
     PLACE(api_request, job_id)},
    {"metadata", FIELD_OBJECT, .flag = API_HAS_METADATA,
     PLACE(api_request, metadata)},
    {"preemptible", FIELD_BOOL, .flag = API_HAS_PREEMPTIBLE,
     PLACE(api_request, is_preemptible)},
    {"wait", FIELD_BOOL, .flag = API_HAS_WAIT,
     PLACE(api_request, waits)},
    {"hold", FIELD_WORD, .flag = API_HAS_HOLD,
     PLACE(api_request, holds_by_connection),
     .words = hold_words, .words_text = "\"lease\" or \"connection\""},
    {"watch_pid", FIELD_NUMBER, .flag = API_HAS_WATCH_PID,
     PLACE(api_request, watch_pid), .max = API_PID_MAX},
    {"ladder", FIELD_RUNGS, .flag = API_HAS_LADDER,
     PLACE(api_request, ladder)},
};

/* Whether a release has what it needs is more than a table can say. */
enum {
    RELEASE_LEASE = (1 << 0),
    RELEASE_TOKEN = (1 << 1),
    RELEASE_SERVICE = (1 << 2)
};

static const struct field release_fields[] = {
    {"lease", FIELD_NUMBER, .flag = RELEASE_LEASE,
     PLACE(api_release, lease), .min = 1, .max = API_NUMBER_MAX},
    {"token", FIELD_NUMBER, .flag = RELEASE_TOKEN,
     PLACE(api_release, token), .min = 1, .max = API_NUMBER_MAX},
    {"service_id", FIELD_NAME, .flag = RELEASE_SERVICE,
     PLACE(api_release, service_id)},
};

static const struct field renew_fields[] = {
    {"lease", FIELD_NUMBER, true,
     PLACE(api_renew, lease), .min = 1, .max = API_NUMBER_MAX},
    {"token", FIELD_NUMBER, true,
     PLACE(api_renew, token), .min = 1, .max = API_NUMBER_MAX},
    {"ttl_ms", FIELD_NUMBER,
     PLACE(api_renew, ttl_ms), .min = API_TTL_MS_MIN, .max = API_TTL_MS_MAX},
    {"watch_pid", FIELD_NUMBER,
     PLACE(api_renew, watch_pid), .min = 1, .max = API_PID_MAX},
};

static const struct field ack_fields[] = {
    {"lease", FIELD_NUMBER, true,
     PLACE(api_ack, lease), .min = 1, .max = API_NUMBER_MAX},
    {"token", FIELD_NUMBER, true,
     PLACE(api_ack, token), .min = 1, .max = API_NUMBER_MAX},
    {"action", FIELD_WORD, true,
     PLACE(api_ack, action),
     .words = ack_words, .words_text = "\"paused\", \"resumed\" or \"error\""},
    {"vram_mib", FIELD_NUMBER,
     PLACE(api_ack, vram_mib), .max = API_VRAM_MIB_MAX},
    {"detail", FIELD_DETAIL,
     PLACE(api_ack, detail)},
};

static const struct field cancel_fields[] = {
    {"lease", FIELD_NUMBER, true,
     PLACE(api_cancel, lease), .min = 1, .max = API_NUMBER_MAX},
};

static const struct field drain_fields[] = {
    {"device", FIELD_DEVICES, PLACE(api_admin, devices)},
    {"stop", FIELD_BOOL, PLACE(api_admin, stops)},
};

static const struct field undrain_fields[] = {
    {"device", FIELD_DEVICES, PLACE(api_admin, devices)},
};

static const struct field lease_fields[] = {
    {"lease", FIELD_NUMBER, true,
     PLACE(api_admin, lease), .min = 1, .max = API_NUMBER_MAX},
};

static const struct field bypass_fields[] = {
    {"on", FIELD_BOOL, true, PLACE(api_admin, is_on)},
    {"for_ms", FIELD_NUMBER,
     PLACE(api_admin, for_ms), .min = 1, .max = API_FOR_MS_MAX},
};
/* clang-format on */

#define BODY(table)                               \
    {                                             \
        table, sizeof(table) / sizeof((table)[0]) \
    }

const struct body body_request = BODY(request_fields);
const struct body body_release = BODY(release_fields);
const struct body body_renew = BODY(renew_fields);
const struct body body_ack = BODY(ack_fields);
const struct body body_cancel = BODY(cancel_fields);
const struct body body_drain = BODY(drain_fields);
const struct body body_undrain = BODY(undrain_fields);
const struct body body_lease = BODY(lease_fields);
const struct body body_bypass = BODY(bypass_fields);

static const struct {
    const char *name;
    const struct body *body;
} admin[API_ADMIN_ACTIONS] = {
    [API_ADMIN_DRAIN] = {"drain", &body_drain},
    [API_ADMIN_UNDRAIN] = {"undrain", &body_undrain},
    [API_ADMIN_REVOKE] = {"revoke", &body_lease},
    [API_ADMIN_PAUSE] = {"pause", &body_lease},
    [API_ADMIN_RESUME] = {"resume", &body_lease},
    [API_ADMIN_BYPASS] = {"bypass", &body_bypass},
};

const char *api_admin_name(enum api_admin_action action)
{
    assert(action < API_ADMIN_ACTIONS);
    return admin[action].name;
}

/* Not a compound literal: that would clear all of the large arrays. */
static void request_defaults(struct api_request *request)
{
    request->priority = 2;
    request->ttl_ms = 30000;
    request->vram_mib = 0;
    request->gpus = 1;
    request->watch_pid = 0;
    request->ladder = 0;
    request->timeout_ms = 30000;
    request->is_preemptible = false;
    request->waits = true;
    request->holds_by_connection = false;
    request->class_name[0] = '\0';
    request->job_id[0] = '\0';
    memcpy(request->metadata, "{}", sizeof "{}");
    request->devices.count = 0;
}

int api_parse_request(const char *data,
                      size_t size,
                      struct api_request *out,
                      struct api_error *error)
{
    int rc;

    request_defaults(out);
    rc = body_read(&body_request, data, size, out, &out->fields, error);
    if (rc != E_OK) {
        return rc;
    }
    if (!out->waits && (out->fields & API_HAS_JOB) == 0) {
        return body_refuse(error, E_INVALID, "job_id",
                           "\"job_id\" is required where \"wait\" is false: "
                           "the task is found again by it");
    }
    if (!out->waits && out->holds_by_connection) {
        return body_refuse(error, E_INVALID, "hold",
                           "\"hold\" must be \"lease\" where \"wait\" is "
                           "false: the connection ends with the answer");
    }
    if (out->devices.count != 0 && out->gpus > out->devices.count) {
        return body_refuse(error, E_INVALID, "gpus",
                           "\"gpus\" must be at most %u, the devices that "
                           "\"device\" names, not %u",
                           out->devices.count, out->gpus);
    }
    return E_OK;
}

int api_parse_release(const char *data,
                      size_t size,
                      struct api_release *out,
                      struct api_error *error)
{
    uint32_t given;
    int rc;

    *out = (struct api_release){0};
    rc = body_read(&body_release, data, size, out, &given, error);
    if (rc != E_OK) {
        return rc;
    }
    if ((given & (RELEASE_LEASE | RELEASE_TOKEN)) == RELEASE_LEASE) {
        return body_refuse(error, E_INVALID, "token",
                           "\"token\" is required beside \"lease\"");
    }
    if ((given & (RELEASE_LEASE | RELEASE_TOKEN)) == RELEASE_TOKEN) {
        return body_refuse(error, E_INVALID, "lease",
                           "\"lease\" is required beside \"token\"");
    }
    if (given == 0) {
        return body_refuse(error, E_INVALID, "lease",
                           "\"lease\" and \"token\" are required, or "
                           "\"service_id\" alone");
    }
    return E_OK;
}

int api_parse_renew(const char *data,
                    size_t size,
                    struct api_renew *out,
                    struct api_error *error)
{
    uint32_t given;

    *out = (struct api_renew){0};
    return body_read(&body_renew, data, size, out, &given, error);
}

int api_parse_ack(const char *data,
                  size_t size,
                  struct api_ack *out,
                  struct api_error *error)
{
    uint32_t given;

    *out = (struct api_ack){0};
    return body_read(&body_ack, data, size, out, &given, error);
}

int api_parse_cancel(const char *data,
                     size_t size,
                     struct api_cancel *out,
                     struct api_error *error)
{
    uint32_t given;

    *out = (struct api_cancel){0};
    return body_read(&body_cancel, data, size, out, &given, error);
}

int api_parse_admin(const char *data,
                    size_t size,
                    enum api_admin_action action,
                    struct api_admin *out,
                    struct api_error *error)
{
    uint32_t given;

    assert(action < API_ADMIN_ACTIONS);
    *out = (struct api_admin){0};
    if (size == 0) {
        data = "{}";
        size = 2;
    }
    return body_read(admin[action].body, data, size, out, &given, error);
}
