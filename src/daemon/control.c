#include "daemon/control.h"

#include "base/alloc.h"
#include "base/list.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/census.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/grants.h"
#include "daemon/names.h"
#include "daemon/parked.h"
#include "daemon/redis.h"
#include "daemon/routes.h"
#include "daemon/waiters.h"
#include "http/http.h"
#include "proto/api.h"

#include <stdlib.h>
#include <string.h>

/* A service with at least one stream. */
struct listener {
    struct list all;     /* Of daemon->listeners. */
    struct list streams; /* Of struct stream. */
    uint32_t service;
    uint32_t count;
};

struct stream {
    struct driver_owed owed; /* First: what its end brings about. */
    struct parked parked;
    struct list link; /* Of its listener. */
    struct listener *listener;
    struct buf greeting; /* What its service was under when it came. */
    bool is_lost;        /* A core built anew does not know it. */
    bool is_greeted;     /* What came before that is in the greeting. */
};

static struct listener *listener_find(const struct daemon *daemon,
                                      uint32_t service)
{
    return idmap_find(&daemon->services, 0, service);
}

/* Return the listener of @service, made where there is none; NULL where there
 * is no memory. */
static struct listener *listener_get(struct daemon *daemon, uint32_t service)
{
    struct listener *listener = listener_find(daemon, service);

    if (listener != NULL) {
        return listener;
    }
    if (idmap_reserve(&daemon->services) != E_OK) {
        return NULL;
    }
    listener = calloc(1, sizeof(*listener));
    if (listener == NULL) {
        return NULL;
    }
    listener->service = service;
    list_init(&listener->streams);
    list_append(&daemon->listeners, &listener->all);
    idmap_put(&daemon->services, 0, service, listener);
    return listener;
}

/* Free @listener if it has no stream any more. */
static void listener_put(struct daemon *daemon, struct listener *listener)
{
    if (listener->count == 0) {
        (void)idmap_remove(&daemon->services, 0, listener->service);
        list_remove(&listener->all);
        free(listener);
    }
}

bool control_is_heard(const struct daemon *daemon, uint32_t service)
{
    return listener_find(daemon, service) != NULL ||
           redis_hears(daemon, service);
}

static struct stream *
stream_create(struct daemon *daemon, uint32_t service, uint64_t conn)
{
    struct listener *listener = listener_get(daemon, service);
    struct stream *stream;

    if (listener == NULL) {
        return NULL;
    }
    stream = calloc(1, sizeof(*stream));
    if (stream != NULL) {
        stream->parked.conn = conn;
        stream->parked.kind = PARKED_CONTROL;
        stream->listener = listener;
        buf_init(&stream->greeting, 0);
        if (parked_add(daemon, &stream->parked) == E_OK) {
            list_append(&listener->streams, &stream->link);
            listener->count++;
            return stream;
        }
        free(stream);
    }
    listener_put(daemon, listener);
    return NULL;
}

/* Take @stream, whose connection has no owner any more, off its listener. */
static void stream_unlink(struct daemon *daemon, struct stream *stream)
{
    struct listener *listener = stream->listener;

    list_remove(&stream->link);
    buf_release(&stream->greeting);
    listener->count--;
    listener_put(daemon, listener);
}

/* Free it, likewise. */
static void stream_destroy(struct daemon *daemon, struct stream *stream)
{
    stream_unlink(daemon, stream);
    free(stream);
}

static void on_close(struct daemon *daemon, struct parked *parked)
{
    struct stream *stream = CONTAINER_OF(parked, struct stream, parked);

    if (stream->is_lost) {
        stream_destroy(daemon, stream);
        return;
    }
    stream->owed.event = (struct core_event){
        .type = CORE_DETACH, .detach = {.service = stream->listener->service}};
    stream_unlink(daemon, stream);
    driver_owe(daemon->driver, &stream->owed);
}

/* ---- Commands --------------------------------------------------------- */

static uint64_t time_left(const struct daemon *daemon, uint64_t at_ms)
{
    uint64_t now_ms = driver_now_ms(daemon->driver);

    return at_ms > now_ms ? at_ms - now_ms : 0;
}

/* Fill in the job that is offered and the service that needs the room. */
static void fill_texts(const struct daemon *daemon,
                       const struct core_message *message,
                       struct api_control *out)
{
    const struct names_lease *sent =
        names_lease_find(daemon->names, message->lease);
    struct core_lease_view view;

    if (sent != NULL && sent->job != 0) {
        out->job_id = sent->job_id;
    }
    if (message->requester != 0 &&
        core_lease_view(driver_core(daemon->driver), message->requester,
                        &view) == E_OK) {
        out->requester = names_service_name(daemon->names, view.row.service);
    }
}

/* Say which command @message is; API_CONTROLS = none. */
static enum api_control_type control_type(const struct core_message *message)
{
    switch (message->type) {
    case CORE_MSG_GRANT:
        return API_CONTROL_GRANT;
    case CORE_MSG_RESUME:
        return API_CONTROL_RESUME;
    case CORE_MSG_OFFER:
        return API_CONTROL_OFFER;
    case CORE_MSG_PAUSE:
        return API_CONTROL_PAUSE;
    case CORE_MSG_UNLOAD:
        return API_CONTROL_UNLOAD;
    case CORE_MSG_REVOKE:
        return API_CONTROL_REVOKE;
    case CORE_MSG_SHUTDOWN:
        return API_CONTROL_SHUTDOWN;
    case CORE_MSG_RUNG:
        return message->rung == RUNG_UNLOAD ? API_CONTROL_UNLOAD : API_CONTROLS;
    case CORE_MSG_REFUSE:
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_STOPPED:
    case CORE_MSG_STATE:
    case CORE_MESSAGES:
        break;
    }
    return API_CONTROLS;
}

/* Append @control as an event of the stream. */
static void write_control(struct buf *out, const struct api_control *control)
{
    buf_text(out, "event: ");
    buf_text(out, api_control_name(control->type));
    buf_text(out, "\ndata: ");
    api_write_control(out, control);
    buf_text(out, "\n\n");
}

bool control_fill(const struct daemon *daemon,
                  const struct core_message *message,
                  struct grant *grant,
                  struct api_control *out)
{
    struct core_lease_view view;

    *out = (struct api_control){.type = control_type(message)};
    if (out->type == API_CONTROLS) {
        return false;
    }
    out->lease = message->lease;
    out->token = message->token;
    out->deadline_ms = time_left(daemon, message->deadline_at_ms);
    out->release_mib = message->release_mib;
    out->reason = core_reason_name(message->reason);
    fill_texts(daemon, message, out);
    if (out->type == API_CONTROL_GRANT || out->type == API_CONTROL_RESUME) {
        if (core_lease_view(driver_core(daemon->driver), message->lease,
                            &view) != E_OK ||
            view.row.token != message->token) {
            return false;
        }
        grant_fill(daemon, &view, grant);
        out->grant = &grant->api;
    }
    return true;
}

/* Append the command that @message is; nothing where its grant is past. */
static void write_message(const struct daemon *daemon,
                          const struct core_message *message,
                          struct buf *out)
{
    struct api_control control;
    struct grant grant;

    if (control_fill(daemon, message, &grant, &control)) {
        write_control(out, &control);
    }
}

void control_tell(struct daemon *daemon, const struct core_message *message)
{
    const struct listener *listener = listener_find(daemon, message->service);
    bool has_holder = idmap_find(&daemon->holders, 0, message->lease) != NULL;
    struct buf *text;
    struct list *at;

    if ((listener == NULL && !has_holder) ||
        control_type(message) == API_CONTROLS) {
        return;
    }
    text = answer_buf(daemon);
    write_message(daemon, message, text);
    /* Who holds by connection has read the grant itself there already. */
    if (has_holder && message->type != CORE_MSG_GRANT) {
        waiters_send_holder(daemon, message->lease, text);
    }
    if (listener == NULL) {
        return;
    }
    LIST_EACH (at, &listener->streams) {
        const struct stream *stream = CONTAINER_OF(at, struct stream, link);

        /* One that does not read is dropped; on_close() follows. */
        if (stream->is_greeted) {
            answer_event(daemon, stream->parked.conn, text);
        }
    }
}

/* ---- A stream opens --------------------------------------------------- */

struct greeting {
    struct daemon *daemon;
    struct buf *text;
    uint32_t service;
};

/* Append the command that the lease @id is under, if it is the service's. */
static bool greet_lease(void *arg, uint64_t id)
{
    struct greeting *greeting = arg;
    struct daemon *daemon = greeting->daemon;
    struct api_control control = {0};
    struct core_lease_view view;
    struct grant grant;

    if (core_lease_view(driver_core(daemon->driver), id, &view) != E_OK ||
        view.row.service != greeting->service || redis_is_asking(daemon, id)) {
        return true;
    }
    if (view.row.state == LEASE_HELD) {
        grant_fill(daemon, &view, &grant);
        control.type =
            view.row.token_before == 0 ? API_CONTROL_GRANT : API_CONTROL_RESUME;
        control.grant = &grant.api;
    } else if (view.row.state == LEASE_PAUSING && view.acked_at_ms == 0) {
        grant_pause(daemon, &view, &control);
    } else if (view.row.state == LEASE_RECLAIMING) {
        control.type = API_CONTROL_REVOKE;
        control.lease = id;
        control.token = view.row.token;
        control.reason = core_reason_name(view.reason);
    } else {
        return true;
    }
    write_control(greeting->text, &control);
    return true;
}

/* The stream counts and is stored as attached: send what its service was under
 * before; what came of the attachment itself follows. */
static void send_greeting(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;
    struct parked *parked =
        parked_find_kind(daemon, reply->conn, PARKED_CONTROL);
    struct stream *stream;

    if (parked == NULL) {
        return;
    }
    stream = CONTAINER_OF(parked, struct stream, parked);
    stream->is_greeted = true;
    answer_event(daemon, reply->conn, &stream->greeting);
    buf_release(&stream->greeting);
}

/* Attach @stream, and greet it once that is stored.
 *
 * Errors:
 *   E_NOMEM  no memory; it is not attached.
 */
static int attach(struct daemon *daemon, struct stream *stream)
{
    uint32_t service = stream->listener->service;
    struct core_event event = {.type = CORE_ATTACH,
                               .attach = {.service = service}};
    struct driver_reply reply = {
        .send = send_greeting, .arg = daemon, .conn = stream->parked.conn};
    struct greeting greeting = {daemon, &stream->greeting, service};

    if (stream->is_greeted) {
        return driver_feed(daemon->driver, &event, NULL);
    }
    buf_clear(&stream->greeting);
    core_each_lease(driver_core(daemon->driver),
                    1u << LEASE_HELD | 1u << LEASE_PAUSING |
                        1u << LEASE_RECLAIMING,
                    greet_lease, &greeting);
    if (buf_error(&stream->greeting) != E_OK) {
        return E_NOMEM;
    }
    return driver_feed(daemon->driver, &event, &reply);
}

/* Begin the stream of @service on @conn.
 *
 * Errors:
 *   E_NOMEM  no memory; @conn was not answered.
 *   others   @conn is gone.
 */
static int open_stream(struct daemon *daemon, uint32_t service, uint64_t conn)
{
    struct stream *stream = stream_create(daemon, service, conn);
    int rc;

    if (stream == NULL) {
        return E_NOMEM;
    }
    stream->parked.on_close = on_close;
    rc = attach(daemon, stream);
    if (rc == E_OK) {
        rc = http_stream_begin(daemon->http, conn);
        if (rc == E_OK) {
            return E_OK;
        }
        parked_closed(daemon, conn); /* Detaches it again. */
        return rc;
    }
    parked_remove(daemon, conn);
    stream_destroy(daemon, stream);
    return rc;
}

void control_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    uint32_t service;
    int rc;

    if (!api_is_name(last, strlen(last))) {
        answer_problem(daemon, request->conn, E_INVALID,
                       "a service_id is 1 to 64 of A-Z a-z 0-9 . _ -",
                       "service_id");
        return;
    }
    rc = names_service(daemon->names, last, &service);
    if (rc == E_OK) {
        census_hear(daemon, request->pid, service);
        rc = open_stream(daemon, service, request->conn);
    }
    if (rc == E_NOMEM || rc == E_LIMIT) {
        answer_problem(daemon, request->conn, rc, NULL, NULL);
    }
}

void control_attach_all(struct daemon *daemon)
{
    struct list *at;
    struct list *each;

    LIST_EACH (at, &daemon->listeners) {
        const struct listener *listener =
            CONTAINER_OF(at, struct listener, all);

        LIST_EACH (each, &listener->streams) {
            struct stream *stream = CONTAINER_OF(each, struct stream, link);

            /* Who does not count as one that hears must come again. */
            stream->is_lost = attach(daemon, stream) != E_OK;
            if (stream->is_lost) {
                http_stream_drop(daemon->http, stream->parked.conn);
            }
        }
    }
}

void control_close_all(struct daemon *daemon)
{
    while (!list_is_empty(&daemon->listeners)) {
        struct listener *listener =
            CONTAINER_OF(daemon->listeners.next, struct listener, all);
        struct stream *stream =
            CONTAINER_OF(listener->streams.next, struct stream, link);
        uint64_t conn = stream->parked.conn;

        parked_remove(daemon, conn);
        stream_destroy(daemon, stream);
        http_close(daemon->http, conn);
    }
}
