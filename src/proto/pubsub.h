/* pubsub.h - what is published in Redis: commands out, answers of services in.
 *
 * Pure, like api.h.  An answer is turned into the body of the HTTP call that
 * does the same, and goes the same way from there on: what that call takes and
 * refuses is decided in one place.
 */
#ifndef GPUCOORD_PROTO_PUBSUB_H
#define GPUCOORD_PROTO_PUBSUB_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/api.h"

enum {
    PUBSUB_SIZE_MAX = 65536 /* Bytes of an answer; as of a body. */
};

/* ---- Answers that come in --------------------------------------------- */

enum pubsub_type {
    PUBSUB_PAUSED,  /* POST /gpu/ack ... */
    PUBSUB_RESUMED, /* ... */
    PUBSUB_ERROR,   /* ... */
    PUBSUB_RENEW,   /* POST /gpu/renew */
    PUBSUB_RELEASE, /* POST /gpu/release */
    PUBSUB_REQUEST, /* POST /gpu/request, as a durable task */
    PUBSUB_CLAIM,   /* No call: "I attend what I was offered." */
    PUBSUB_TYPES
};

struct pubsub_answer {
    enum pubsub_type type;
    uint64_t token;               /* session_id; 0 = none. */
    uint64_t lease;               /* CLAIM; else 0. */
    char job_id[API_JOB_MAX + 1]; /* REQUEST; "" = none that is one. */
    struct buf body; /* REQUEST: of the call; of the others what follows the
                        lease and the token there, with the brace. */
};

/* Read an answer that came on the channel of @service, a name.
 *
 * @out is the caller's to release, on an error too; then its type is set where
 * that was understood.
 *
 * Errors, with what is wrong in @error:
 *   E_SYNTAX   not a JSON object.
 *   E_INVALID  a field is missing, or its value is impossible.
 *   E_TOO_BIG  larger than PUBSUB_SIZE_MAX.
 *   E_NOMEM    no memory.
 */
MUST_USE int pubsub_parse(const char *data,
                          size_t size,
                          const char *service,
                          struct pubsub_answer *out,
                          struct api_error *error);

/* Free what @answer owns. */
void pubsub_release(struct pubsub_answer *answer);

/* Append the body of the call that @answer makes for @lease with @token; both
 * are not looked at for a REQUEST. */
void pubsub_write_body(struct buf *out,
                       const struct pubsub_answer *answer,
                       uint64_t lease,
                       uint64_t token);

/* Return the name of @type as in .ack_type ("paused"); static. */
const char *pubsub_type_name(enum pubsub_type type);

/* ---- Commands that go out --------------------------------------------- */

/* All strings are borrowed for the call and valid UTF-8. */
struct pubsub_command {
    const char *name;      /* "pause". */
    uint64_t token;        /* 0 = null. */
    uint64_t lease;        /* 0 = null. */
    const char *requester; /* The service in need; NULL = nobody. */
    uint64_t wall_ms;      /* When it is said. */
    uint64_t timeout_ms;   /* How long it is said again; 0 = it is not. */
    uint32_t release_mib;  /* Per device. */
    const char *job_id;    /* NULL = none; then it is left out. */
    const char *reason;    /* Likewise. */
    const char *error;     /* Of a refusal, likewise; err_type(). */
    const char *detail;    /* Likewise. */
    const char *field;     /* Likewise. */
    const struct api_grant *grant; /* Likewise. */
};

/* Append @command: one line of JSON. */
void pubsub_write(struct buf *out, const struct pubsub_command *command);

#endif
