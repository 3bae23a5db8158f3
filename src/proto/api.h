/* api.h - the bodies of the HTTP interface: bytes to structs and back.
 *
 * Pure: no connection, no configuration.  A body is checked for everything
 * that can be judged without knowing the daemon (types, ranges, names); what
 * needs its configuration (does the class exist, do class and priority agree,
 * is there such a device) is the daemon's.  Unknown fields are ignored, and a
 * field that is null is one that was not given.
 *
 * The few known fields of the hot calls are read by a scanner (scan.h); what
 * it does not understand at once goes to jansson.  Both accept and refuse the
 * same: tests/fuzz/api_diff_fuzz.c.
 */
#ifndef GPUCOORD_PROTO_API_H
#define GPUCOORD_PROTO_API_H

#include "base/buf.h"
#include "base/err.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    API_NAME_MAX = 64,       /* Bytes of a service_id or a class. */
    API_JOB_MAX = 128,       /* Bytes of a job_id. */
    API_UUID_MAX = 95,       /* Bytes of a device's UUID. */
    API_METADATA_MAX = 4096, /* Bytes of metadata, without its white space. */
    API_DETAIL_MAX = 255,    /* Bytes kept of the text of an error ack. */
    API_DEPTH_MAX = 16,      /* Objects and arrays within each other. */
    API_PRIORITY_MAX = 9,
    API_TTL_MS_MIN = 1000,
    API_TTL_MS_MAX = 600000,
    API_TIMEOUT_MS_MAX = 86400000,
    API_FOR_MS_MAX = 604800000, /* Longest bypass: a week. */
    API_VRAM_MIB_MAX = 1 << 24, /* 16 TiB a device. */
    API_PID_MAX = 1 << 22
};

#define API_NUMBER_MAX ((UINT64_C(1) << 53) - 1) /* Ids and tokens. */

/* What is wrong with a body, for the problem document. */
struct api_error {
    int code;         /* E_SYNTAX, E_INVALID, E_TOO_BIG or E_NOMEM. */
    char field[32];   /* The field to blame; "" = the body as a whole. */
    char detail[200]; /* A sentence for a person. */
};

/* ---- Bodies that come in ---------------------------------------------- */

/* Which optional fields of a body were given. */
enum api_fields {
    API_HAS_PRIORITY = (1 << 0),
    API_HAS_CLASS = (1 << 1),
    API_HAS_TIMEOUT = (1 << 2),
    API_HAS_TTL = (1 << 3),
    API_HAS_VRAM = (1 << 4),
    API_HAS_GPUS = (1 << 5),
    API_HAS_DEVICE = (1 << 6), /* .devices is not empty. */
    API_HAS_JOB = (1 << 7),
    API_HAS_METADATA = (1 << 8),
    API_HAS_PREEMPTIBLE = (1 << 9),
    API_HAS_WAIT = (1 << 10),
    API_HAS_HOLD = (1 << 11),
    API_HAS_WATCH_PID = (1 << 12),
    API_HAS_LADDER = (1 << 13)
};

/* A device as its user names it. */
struct api_device {
    uint32_t index;              /* Where .uuid is "". */
    char uuid[API_UUID_MAX + 1]; /* Letters, digits and . _ - / : */
};

/* A set of devices; a single one in JSON is a set of one here. */
struct api_devices {
    uint32_t count; /* 0 = any. */
    struct api_device items[CORE_DEVICES_MAX];
};

/* POST /gpu/request.  A field that was not given (.fields) has the value
 * stated here, which is the API's own default where it has one. */
struct api_request {
    uint32_t fields;                   /* enum api_fields. */
    uint32_t priority;                 /* 0 to 9; 2. */
    uint32_t ttl_ms;                   /* 1000 to 600000; 30000. */
    uint32_t vram_mib;                 /* Per device; 0 = alone; 0. */
    uint32_t gpus;                     /* 1 to 64; 1. */
    uint32_t watch_pid;                /* 0 = the socket's peer. */
    uint32_t ladder;                   /* Packed rungs; 0 = the service's. */
    uint64_t timeout_ms;               /* At most 24 h; 30000. */
    bool is_preemptible;               /* Not given: false, look at .fields. */
    bool waits;                        /* False = a durable task; true. */
    bool holds_by_connection;          /* False. */
    char service_id[API_NAME_MAX + 1]; /* Always given. */
    char class_name[API_NAME_MAX + 1]; /* "". */
    char job_id[API_JOB_MAX + 1];      /* "". */
    char metadata[API_METADATA_MAX + 1]; /* A JSON object as text; "{}". */
    struct api_devices devices;          /* It may use these, .gpus of them. */
};

/* POST /gpu/release: a lease with its token, or a service alone. */
struct api_release {
    uint64_t lease; /* 0 = not given; then .service_id is. */
    uint64_t token;
    char service_id[API_NAME_MAX + 1]; /* "" = not given. */
};

/* POST /gpu/renew. */
struct api_renew {
    uint64_t lease;
    uint64_t token;
    uint32_t ttl_ms;    /* 0 = not given. */
    uint32_t watch_pid; /* One more process of the holder; 0 = none. */
};

/* POST /gpu/ack. */
struct api_ack {
    uint64_t lease;
    uint64_t token;
    enum core_ack action;
    uint32_t vram_mib;               /* Still used, per device; 0. */
    char detail[API_DETAIL_MAX + 1]; /* What an error was about; "". */
};

/* POST /gpu/cancel. */
struct api_cancel {
    uint64_t lease;
};

enum api_admin_action {
    API_ADMIN_DRAIN,   /* {"device"?, "stop"?} */
    API_ADMIN_UNDRAIN, /* {"device"?} */
    API_ADMIN_REVOKE,  /* {"lease"} */
    API_ADMIN_PAUSE,   /* {"lease"} */
    API_ADMIN_RESUME,  /* {"lease"} */
    API_ADMIN_BYPASS,  /* {"on", "for_ms"?} */
    API_ADMIN_ACTIONS
};

/* POST /gpu/admin/...; only what the action has is ever set. */
struct api_admin {
    uint64_t lease;
    uint64_t for_ms; /* How long bypass lasts; 0 = until it is ended. */
    bool is_on;      /* Bypass. */
    bool stops;      /* Drain, and stop when the last holder has gone. */
    struct api_devices devices;
};

/* Return the name of @action as in its path ("drain"); static. */
const char *api_admin_name(enum api_admin_action action);

/* Read the body of a request into @out.
 *
 * @data is borrowed for the call.  On failure @error says what is wrong and
 * @out is undefined; so for all the functions below.
 *
 * Errors:
 *   E_SYNTAX   not a JSON object.
 *   E_INVALID  a field is missing, or its value is impossible.
 *   E_NOMEM    no memory.
 */
MUST_USE int api_parse_request(const char *data,
                               size_t size,
                               struct api_request *out,
                               struct api_error *error);

/* Read the body of a release; likewise. */
MUST_USE int api_parse_release(const char *data,
                               size_t size,
                               struct api_release *out,
                               struct api_error *error);

/* Read the body of a renewal; likewise. */
MUST_USE int api_parse_renew(const char *data,
                             size_t size,
                             struct api_renew *out,
                             struct api_error *error);

/* Read the body of an acknowledgement; likewise. */
MUST_USE int api_parse_ack(const char *data,
                           size_t size,
                           struct api_ack *out,
                           struct api_error *error);

/* Read the body of a cancellation; likewise. */
MUST_USE int api_parse_cancel(const char *data,
                              size_t size,
                              struct api_cancel *out,
                              struct api_error *error);

/* Read the body of an operator's call; likewise.  An empty body is taken for
 * an empty object. */
MUST_USE int api_parse_admin(const char *data,
                             size_t size,
                             enum api_admin_action action,
                             struct api_admin *out,
                             struct api_error *error);

/* Say whether @name is a well-formed service_id or class: 1 to 64 of
 * A-Z a-z 0-9 . _ - */
bool api_is_name(const char *name, size_t size);

/* ---- Answers and commands that go out --------------------------------- */

/* All strings are borrowed for the call and valid UTF-8. */

struct api_grant_device {
    uint32_t index;
    uint32_t vram_mib;
    const char *uuid;
};

/* The body of a granted request, and of `grant` and `resume`. */
struct api_grant {
    uint64_t lease;
    uint64_t token;
    const char *guarantee; /* core_guarantee_name(). */
    const char *service_id;
    const char *class_name; /* NULL = none. */
    uint32_t priority;
    uint32_t ttl_ms;
    uint32_t renew_in_ms;
    uint64_t waited_ms;
    const struct api_grant_device *devices;
    size_t device_count;
};

enum api_control_type {
    API_CONTROL_OFFER,    /* .lease .job_id */
    API_CONTROL_GRANT,    /* .grant */
    API_CONTROL_PAUSE,    /* .lease .token .requester .deadline_ms
                             .release_mib */
    API_CONTROL_RESUME,   /* .grant */
    API_CONTROL_UNLOAD,   /* .release_mib .deadline_ms */
    API_CONTROL_REVOKE,   /* .lease .token .reason */
    API_CONTROL_SHUTDOWN, /* .lease .token .deadline_ms */
    API_CONTROLS
};

/* A command to a service; only what its type has is looked at. */
struct api_control {
    enum api_control_type type;
    uint64_t lease;
    uint64_t token;
    uint64_t deadline_ms;  /* From now. */
    uint32_t release_mib;  /* Per device. */
    const char *job_id;    /* NULL = none. */
    const char *requester; /* The service in need; NULL = an operator. */
    const char *reason;
    const struct api_grant *grant;
};

/* Return the name of @type, as the event of a control stream ("pause");
 * static. */
const char *api_control_name(enum api_control_type type);

/* Append the answer to a granted request. */
void api_write_grant(struct buf *out, const struct api_grant *grant);

/* Append the answer to a task that waits: {"lease","state":"queued",...}. */
void api_write_queued(struct buf *out, uint64_t lease, uint64_t position);

/* Append the answer to a release or a cancellation that ended the lease:
 * {"state":"ended","reason","held_ms"}. */
void api_write_ended(struct buf *out, const char *reason, uint64_t held_ms);

/* Append the answer to an ack: {"lease","state"}. */
void api_write_state(struct buf *out, uint64_t lease, const char *state);

/* Append the answer to a renewal.  @control is a pause or a resume, or NULL
 * where there is no command. */
void api_write_renewed(struct buf *out,
                       uint64_t expires_in_ms,
                       uint64_t renew_in_ms,
                       const struct api_control *control);

/* Append the data of a control stream's event: one line of JSON. */
void api_write_control(struct buf *out, const struct api_control *control);

/* ---- The client's side ------------------------------------------------ */

/* Append the body of @request: the fields that are given. */
void api_write_request(struct buf *out, const struct api_request *request);

/* Append the body of a renewal that keeps its ttl; @watch_pid 0 is left
 * out. */
void api_write_renew(struct buf *out,
                     uint64_t lease,
                     uint64_t token,
                     uint32_t watch_pid);

/* Append the body of a release or a cancellation; @token 0 is left out:
 * {"lease","token"}. */
void api_write_lease(struct buf *out, uint64_t lease, uint64_t token);

/* Append the body of @ack. */
void api_write_ack(struct buf *out, const struct api_ack *ack);

/* Any answer or command, flattened: what a client may look at.  What is not
 * there is 0 or "". */
struct api_answer {
    uint64_t lease;
    uint64_t token;
    uint64_t position;
    uint64_t ttl_ms;
    uint64_t renew_in_ms;
    uint64_t expires_in_ms;
    uint64_t waited_ms;
    uint64_t held_ms;
    uint64_t deadline_ms;
    uint64_t release_mib;
    uint64_t retry_after_ms;
    uint64_t status; /* Of a problem document. */
    char state[16];  /* "held", "queued", "ended", ... */
    char reason[32]; /* Of an end or a revocation. */
    char guarantee[16];
    char action[16]; /* A renewal's command: "pause", "resume"; then the
                        command's other members are in here as well. */
    char requester[API_NAME_MAX + 1];
    char job_id[API_JOB_MAX + 1];
    char type[48]; /* Of a problem document: "/wait-timeout". */
    char title[80];
    char detail[API_DETAIL_MAX + 1];
    char field[32];
    struct api_devices devices; /* Of a grant: both index and UUID are set. */
};

/* Read an answer or the data of a command into @out.  Texts that are longer
 * than their place are cut.
 *
 * Errors:
 *   E_SYNTAX  not a JSON object.
 *   E_NOMEM   no memory.
 */
MUST_USE int
api_parse_answer(const char *data, size_t size, struct api_answer *out);

#endif
