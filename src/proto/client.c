/* The client's side: bodies that go to the coordinator, answers that come
 * back. */
#include "proto/api.h"

#include "proto/json.h"
#include "proto/put.h"

#include <jansson.h>

static void put_flag(struct buf *out, const char *name, bool value)
{
    buf_text(out, name);
    buf_text(out, value ? "true" : "false");
}

static void put_devices(struct buf *out, const struct api_devices *devices)
{
    buf_text(out, ",\"device\":[");
    for (uint32_t i = 0; i < devices->count; i++) {
        if (i != 0) {
            buf_byte(out, ',');
        }
        if (devices->items[i].uuid[0] != '\0') {
            buf_json(out, devices->items[i].uuid);
        } else {
            buf_u64(out, devices->items[i].index);
        }
    }
    buf_byte(out, ']');
}

/* Append the ladder @rungs, packed. */
static void put_rungs(struct buf *out, uint32_t rungs)
{
    const char *before = "";

    buf_text(out, ",\"ladder\":[");
    for (int rung = RUNG_NONE + 1; rung < RUNGS; rung++) {
        if (ladder_has(rungs, (enum rung)rung)) {
            buf_text(out, before);
            buf_json(out, rung_name((enum rung)rung));
            before = ",";
        }
    }
    buf_byte(out, ']');
}

void api_write_request(struct buf *out, const struct api_request *request)
{
    uint32_t fields = request->fields;

    put_text(out, "{\"service_id\":", request->service_id);
    if ((fields & API_HAS_PRIORITY) != 0) {
        put_number(out, ",\"priority\":", request->priority);
    }
    if ((fields & API_HAS_CLASS) != 0) {
        put_text(out, ",\"class\":", request->class_name);
    }
    if ((fields & API_HAS_TIMEOUT) != 0) {
        put_number(out, ",\"timeout_ms\":", request->timeout_ms);
    }
    if ((fields & API_HAS_TTL) != 0) {
        put_number(out, ",\"ttl_ms\":", request->ttl_ms);
    }
    if ((fields & API_HAS_VRAM) != 0) {
        put_number(out, ",\"vram_mib\":", request->vram_mib);
    }
    if ((fields & API_HAS_GPUS) != 0) {
        put_number(out, ",\"gpus\":", request->gpus);
    }
    if ((fields & API_HAS_DEVICE) != 0) {
        put_devices(out, &request->devices);
    }
    if ((fields & API_HAS_JOB) != 0) {
        put_text(out, ",\"job_id\":", request->job_id);
    }
    if ((fields & API_HAS_METADATA) != 0) {
        buf_text(out, ",\"metadata\":");
        buf_text(out, request->metadata);
    }
    if ((fields & API_HAS_PREEMPTIBLE) != 0) {
        put_flag(out, ",\"preemptible\":", request->is_preemptible);
    }
    if ((fields & API_HAS_WAIT) != 0) {
        put_flag(out, ",\"wait\":", request->waits);
    }
    if ((fields & API_HAS_HOLD) != 0) {
        put_text(out, ",\"hold\":",
                 request->holds_by_connection ? "connection" : "lease");
    }
    if ((fields & API_HAS_WATCH_PID) != 0) {
        put_number(out, ",\"watch_pid\":", request->watch_pid);
    }
    if ((fields & API_HAS_LADDER) != 0) {
        put_rungs(out, request->ladder);
    }
    buf_byte(out, '}');
}

void api_write_lease(struct buf *out, uint64_t lease, uint64_t token)
{
    put_number(out, "{\"lease\":", lease);
    if (token != 0) {
        put_number(out, ",\"token\":", token);
    }
    buf_byte(out, '}');
}

void api_write_renew(struct buf *out,
                     uint64_t lease,
                     uint64_t token,
                     uint32_t watch_pid)
{
    put_number(out, "{\"lease\":", lease);
    put_number(out, ",\"token\":", token);
    if (watch_pid != 0) {
        put_number(out, ",\"watch_pid\":", watch_pid);
    }
    buf_byte(out, '}');
}

void api_write_ack(struct buf *out, const struct api_ack *ack)
{
    put_number(out, "{\"lease\":", ack->lease);
    put_number(out, ",\"token\":", ack->token);
    switch (ack->action) {
    case CORE_ACK_PAUSED:
        put_number(out, ",\"action\":\"paused\",\"vram_mib\":", ack->vram_mib);
        break;
    case CORE_ACK_RESUMED:
        buf_text(out, ",\"action\":\"resumed\"");
        break;
    case CORE_ACK_ERROR:
        put_text(out, ",\"action\":\"error\",\"detail\":", ack->detail);
        break;
    }
    buf_byte(out, '}');
}

/* ---- Answers ---------------------------------------------------------- */

#define NUMBER(member)                               \
    {                                                \
#member, offsetof(struct api_answer, member) \
    }
#define TEXT(member)                                  \
    {                                                 \
#member, offsetof(struct api_answer, member), \
            sizeof(((struct api_answer *)0)->member)  \
    }

static const struct {
    const char *name;
    size_t offset;
} numbers[] = {
    NUMBER(lease),       NUMBER(token),          NUMBER(position),
    NUMBER(ttl_ms),      NUMBER(renew_in_ms),    NUMBER(expires_in_ms),
    NUMBER(waited_ms),   NUMBER(held_ms),        NUMBER(deadline_ms),
    NUMBER(release_mib), NUMBER(retry_after_ms), NUMBER(status),
};

static const struct {
    const char *name;
    size_t offset;
    size_t width;
} texts[] = {
    TEXT(state),  TEXT(reason), TEXT(guarantee), TEXT(action), TEXT(requester),
    TEXT(job_id), TEXT(type),   TEXT(title),     TEXT(detail), TEXT(field),
};

static void read_devices(struct api_devices *out, const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *item = json_array_get(array, i);
        const json_t *uuid = json_object_get(item, "uuid");
        json_int_t index = json_integer_value(json_object_get(item, "index"));
        struct api_device *device = &out->items[out->count];

        if (out->count == CORE_DEVICES_MAX || index < 0 ||
            index >= CORE_DEVICES_MAX) {
            return;
        }
        device->index = (uint32_t)index;
        if (json_is_string(uuid)) {
            (void)snprintf(device->uuid, sizeof device->uuid, "%s",
                           json_string_value(uuid));
        }
        out->count++;
    }
}

/* Take what @root has over what is in @out already. */
static void read_members(struct api_answer *out, const json_t *root)
{
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        const json_t *json = json_object_get(root, numbers[i].name);

        if (json_is_integer(json) && json_integer_value(json) >= 0) {
            uint64_t number = (uint64_t)json_integer_value(json);

            memcpy((char *)out + numbers[i].offset, &number, sizeof number);
        }
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const json_t *json = json_object_get(root, texts[i].name);

        if (json_is_string(json)) {
            (void)snprintf((char *)out + texts[i].offset, texts[i].width, "%s",
                           json_string_value(json));
        }
    }
    read_devices(&out->devices, json_object_get(root, "devices"));
}

int api_parse_answer(const char *data, size_t size, struct api_answer *out)
{
    struct api_error error;
    json_t *root;
    int rc;

    *out = (struct api_answer){0};
    rc = json_object_read(data, size, &root, &error);
    if (rc == E_INVALID) {
        return E_SYNTAX; /* A number that no answer of ours has. */
    }
    if (rc != E_OK) {
        return rc;
    }
    read_members(out, root);
    read_members(out, json_object_get(root, "control"));
    json_decref(root);
    return E_OK;
}
