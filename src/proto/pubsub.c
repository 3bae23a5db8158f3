#include "proto/pubsub.h"

#include "base/clock.h"
#include "proto/body.h"
#include "proto/json.h"
#include "proto/put.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const types[PUBSUB_TYPES] = {
    [PUBSUB_PAUSED] = "paused",   [PUBSUB_RESUMED] = "resumed",
    [PUBSUB_ERROR] = "error",     [PUBSUB_RENEW] = "renew",
    [PUBSUB_RELEASE] = "release", [PUBSUB_REQUEST] = "request",
    [PUBSUB_CLAIM] = "claim",
};

const char *pubsub_type_name(enum pubsub_type type)
{
    assert(type < PUBSUB_TYPES);
    return types[type];
}

/* ---- Single fields ----------------------------------------------------- */

static int
read_type(const json_t *root, enum pubsub_type *out, struct api_error *error)
{
    const char *name = json_string_value(json_object_get(root, "ack_type"));
    int i;

    for (i = 0; i < PUBSUB_TYPES && name != NULL; i++) {
        if (strcmp(types[i], name) == 0) {
            *out = (enum pubsub_type)i;
            return E_OK;
        }
    }
    return body_refuse(error, E_INVALID, "ack_type",
                       "\"ack_type\" must be \"paused\", \"resumed\", "
                       "\"error\", \"renew\", \"release\", \"request\" or "
                       "\"claim\"");
}

/* The name in the message, if there is one, is that of the channel. */
static int
read_service(const json_t *root, const char *service, struct api_error *error)
{
    const json_t *value = json_object_get(root, "service");
    const char *name = json_string_value(value);

    if (value == NULL || json_is_null(value) ||
        (name != NULL && strcmp(name, service) == 0)) {
        return E_OK;
    }
    return body_refuse(error, E_INVALID, "service",
                       "\"service\" must be that of the channel, \"%s\"",
                       service);
}

/* Read @value, a number or its digits, as an id or token; 0 = there is none.
 * False: it is something else. */
static bool read_id(const json_t *value, uint64_t *out)
{
    const char *text = json_string_value(value);
    uint64_t number = 0;
    size_t size;

    *out = 0;
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    if (json_is_integer(value) && json_integer_value(value) > 0) {
        number = (uint64_t)json_integer_value(value);
    } else if (text != NULL) {
        size = strspn(text, "0123456789");
        if (size != json_string_length(value) || size == 0 || size > 16) {
            return false;
        }
        number = strtoull(text, NULL, 10);
    }
    *out = number;
    return number > 0 && number <= API_NUMBER_MAX;
}

/* Find the metadata; *@out becomes NULL where there is none. */
static int
find_metadata(const json_t *root, json_t **out, struct api_error *error)
{
    json_t *value = json_object_get(root, "metadata");

    *out = NULL;
    if (value == NULL || json_is_null(value)) {
        return E_OK;
    }
    if (!json_is_object(value)) {
        return body_refuse(error, E_INVALID, "metadata",
                           "\"metadata\" must be an object");
    }
    *out = value;
    return E_OK;
}

/* ---- The body of the call ----------------------------------------------- */

/* Write @object to @out without the brace that begins it. */
static int write_rest(json_t *object, bool is_whole, struct buf *out)
{
    char *text = json_dumps(object, JSON_COMPACT);

    if (text == NULL) {
        return E_NOMEM;
    }
    buf_text(out, is_whole ? text : text + 1);
    free(text);
    return buf_error(out);
}

/* Give @to the member @name of @from, if that has one. */
static int take(json_t *to, const json_t *from, const char *name)
{
    json_t *value = json_object_get(from, name);

    return value == NULL || json_object_set(to, name, value) == 0 ? E_OK
                                                                  : E_NOMEM;
}

static int set_text(json_t *to, const char *name, const char *text)
{
    return json_object_set_new(to, name, json_string(text)) == 0 ? E_OK
                                                                 : E_NOMEM;
}

/* Fill @object with what follows lease and token in the body of the call. */
static int fill_call(json_t *object,
                     const json_t *root,
                     const json_t *metadata,
                     enum pubsub_type type,
                     struct api_error *error)
{
    const json_t *detail = json_object_get(root, "error");
    int rc = E_OK;

    if (type == PUBSUB_RENEW) {
        return take(object, metadata, "ttl_ms");
    }
    if (type == PUBSUB_RELEASE || type == PUBSUB_CLAIM) {
        return E_OK;
    }
    rc = set_text(object, "action", types[type]);
    if (rc == E_OK && type == PUBSUB_PAUSED) {
        rc = take(object, metadata, "vram_mib");
    }
    if (rc == E_OK && type == PUBSUB_ERROR && json_is_string(detail)) {
        rc = set_text(object, "detail", json_string_value(detail));
    } else if (rc == E_OK && type == PUBSUB_ERROR && detail != NULL &&
               !json_is_null(detail)) {
        rc = body_refuse(error, E_INVALID, "error",
                         "\"error\" must be a text, or null");
    }
    return rc;
}

/* Say that the value of @name, of @object, is neither missing nor @is_right. */
static bool is_other(const json_t *object, const char *name, bool is_right)
{
    const json_t *value = json_object_get(object, name);

    return value != NULL && !json_is_null(value) && !is_right;
}

/* Make the body of a request of its metadata: it is a task, since nobody waits
 * on a connection. */
static int fill_request(json_t *metadata,
                        const char *service,
                        struct pubsub_answer *out,
                        struct api_error *error)
{
    const char *name =
        json_string_value(json_object_get(metadata, "service_id"));
    const char *job = json_string_value(json_object_get(metadata, "job_id"));

    if (job != NULL && strlen(job) <= API_JOB_MAX) {
        memcpy(out->job_id, job, strlen(job) + 1);
    }
    if (is_other(metadata, "service_id",
                 name != NULL && strcmp(name, service) == 0)) {
        return body_refuse(error, E_INVALID, "service_id",
                           "\"service_id\" must be that of the channel, "
                           "\"%s\"",
                           service);
    }
    if (is_other(metadata, "wait",
                 json_is_false(json_object_get(metadata, "wait")))) {
        return body_refuse(error, E_INVALID, "wait",
                           "\"wait\" must be false: the answer is the command "
                           "\"grant\"");
    }
    if (set_text(metadata, "service_id", service) != E_OK ||
        json_object_set_new(metadata, "wait", json_false()) != 0) {
        return E_NOMEM;
    }
    return write_rest(metadata, true, &out->body);
}

static int read_rest(const json_t *root,
                     const char *service,
                     struct pubsub_answer *out,
                     struct api_error *error)
{
    json_t *metadata;
    json_t *object;
    int rc = find_metadata(root, &metadata, error);

    if (rc != E_OK) {
        return rc;
    }
    if (out->type == PUBSUB_REQUEST && metadata != NULL) {
        return fill_request(metadata, service, out, error);
    }
    if (out->type == PUBSUB_REQUEST) {
        return body_refuse(error, E_INVALID, "metadata",
                           "\"metadata\" is required: the body of the request");
    }
    if (out->type == PUBSUB_CLAIM &&
        (!read_id(json_object_get(metadata, "lease"), &out->lease) ||
         out->lease == 0)) {
        return body_refuse(error, E_INVALID, "lease",
                           "\"lease\", in \"metadata\", must be the number of "
                           "the lease that was offered");
    }
    object = json_object();
    rc = object == NULL ? E_NOMEM
                        : fill_call(object, root, metadata, out->type, error);
    rc = rc != E_OK ? rc : write_rest(object, false, &out->body);
    json_decref(object);
    return rc;
}

int pubsub_parse(const char *data,
                 size_t size,
                 const char *service,
                 struct pubsub_answer *out,
                 struct api_error *error)
{
    json_t *root;
    int rc;

    *out = (struct pubsub_answer){.type = PUBSUB_TYPES};
    buf_init(&out->body, 0);
    if (size > PUBSUB_SIZE_MAX) {
        return body_refuse(error, E_TOO_BIG, NULL, "larger than %d bytes",
                           PUBSUB_SIZE_MAX);
    }
    rc = json_object_read(data, size, &root, error);
    if (rc != E_OK) {
        return rc;
    }
    rc = read_type(root, &out->type, error);
    rc = rc != E_OK ? rc : read_service(root, service, error);
    if (rc == E_OK &&
        !read_id(json_object_get(root, "session_id"), &out->token)) {
        rc = body_refuse(error, E_INVALID, "session_id",
                         "\"session_id\" must be a token, in digits");
    }
    if (rc == E_OK && out->token == 0 && out->type != PUBSUB_REQUEST &&
        out->type != PUBSUB_CLAIM) {
        rc = body_refuse(error, E_INVALID, "session_id",
                         "\"session_id\" is required: the token of the grant");
    }
    rc = rc != E_OK ? rc : read_rest(root, service, out, error);
    json_decref(root);
    if (rc == E_NOMEM) {
        return body_refuse(error, E_NOMEM, NULL, "no memory to read it");
    }
    return rc;
}

void pubsub_release(struct pubsub_answer *answer)
{
    buf_release(&answer->body);
}

void pubsub_write_body(struct buf *out,
                       const struct pubsub_answer *answer,
                       uint64_t lease,
                       uint64_t token)
{
    const char *rest = buf_string(&answer->body);

    if (answer->type != PUBSUB_REQUEST) {
        put_number(out, "{\"lease\":", lease);
        put_number(out, ",\"token\":", token);
        buf_text(out, rest[0] == '}' ? "" : ",");
    }
    buf_add(out, rest, answer->body.size);
}

/* ---- Commands ----------------------------------------------------------- */

/* Append a member with a number, or null where it is 0. */
static void put_id(struct buf *out, const char *name, uint64_t number)
{
    if (number == 0) {
        buf_text(out, name);
        buf_text(out, "null");
    } else {
        put_number(out, name, number);
    }
}

/* Append a member with a text; nothing where that is NULL. */
static void put_maybe(struct buf *out, const char *name, const char *text)
{
    if (text != NULL) {
        put_text(out, name, text);
    }
}

void pubsub_write(struct buf *out, const struct pubsub_command *command)
{
    char when[CLOCK_TEXT_SIZE];

    clock_text(command->wall_ms, when);
    put_text(out, "{\"command\":", command->name);
    if (command->token == 0) {
        buf_text(out, ",\"session_id\":null");
    } else {
        put_number(out, ",\"session_id\":\"", command->token);
        buf_byte(out, '"');
    }
    put_text(out, ",\"requester\":", command->requester);
    put_text(out, ",\"timestamp\":", when);
    put_number(out, ",\"timeout_ms\":", command->timeout_ms);
    put_id(out, ",\"lease\":", command->lease);
    put_id(out, ",\"token\":", command->token);
    put_number(out, ",\"release_mib\":", command->release_mib);
    put_maybe(out, ",\"job_id\":", command->job_id);
    put_maybe(out, ",\"reason\":", command->reason);
    put_maybe(out, ",\"error\":", command->error);
    put_maybe(out, ",\"detail\":", command->detail);
    put_maybe(out, ",\"field\":", command->field);
    if (command->grant != NULL) {
        buf_text(out, ",\"grant\":");
        api_write_grant(out, command->grant);
    }
    buf_byte(out, '}');
}
