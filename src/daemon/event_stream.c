/* event_stream.c - GET /gpu/events: the readers of the ring. */
#include "base/clock.h"
#include "core/lease.h"
#include "daemon/answer.h"
#include "daemon/daemon.h"
#include "daemon/events.h"
#include "daemon/members.h"
#include "daemon/names.h"
#include "daemon/parked.h"
#include "daemon/routes.h"
#include "http/http.h"

#include <stdlib.h>

struct reader {
    struct parked parked;
    struct list all; /* Of daemon->readers. */
};

static void reader_destroy(struct reader *reader)
{
    list_remove(&reader->all);
    free(reader);
}

static void on_close(struct daemon *daemon, struct parked *parked)
{
    (void)daemon;
    reader_destroy(CONTAINER_OF(parked, struct reader, parked));
}

/* ---- What is said ----------------------------------------------------- */

/* What is not there is left out. */
static void write_number(struct buf *out, const char *name, uint64_t number)
{
    if (number != 0) {
        member_u64(out, name, number);
    }
}

/* Append @entry as an event of the stream, one line of JSON. */
static void write_event(const struct daemon *daemon,
                        uint64_t seq,
                        const struct events_entry *entry,
                        struct buf *out)
{
    const struct core_message *message = &entry->message;
    char time[CLOCK_TEXT_SIZE];

    clock_text(entry->wall_ms, time);
    buf_text(out, "id: ");
    events_write_id(daemon->events, seq, out);
    buf_text(out, "\nevent: ");
    buf_text(out, core_message_name(message->type));
    buf_text(out, "\ndata: {\"time\":");
    buf_json(out, time);
    write_number(out, "lease", message->lease);
    write_number(out, "token", message->token);
    if (message->service != 0) {
        member_text(out, "service_id",
                    names_service_name(daemon->names, message->service));
    }
    if (message->type == CORE_MSG_STATE) {
        member_text(out, "state",
                    lease_state_name((enum lease_state)message->state));
    }
    if (message->reason != CORE_REASON_NONE) {
        member_text(out, "reason", core_reason_name(message->reason));
    }
    if (message->error != E_OK) {
        member_text(out, "error", err_type(message->error));
    }
    write_number(out, "requester", message->requester);
    write_number(out, "release_mib", message->release_mib);
    buf_text(out, "}\n\n");
}

/* ---- Streams ---------------------------------------------------------- */

/* Send what a new reader has missed. */
static void send_missed(struct daemon *daemon, uint64_t conn, const char *id)
{
    struct buf text;
    uint64_t seq;

    buf_init(&text, 0);
    if (events_resume(daemon->events, id, &seq)) {
        buf_text(&text, "id: ");
        events_write_id(daemon->events, events_next(daemon->events) - 1, &text);
        buf_text(&text, "\nevent: reset\ndata: {}\n\n");
    }
    for (; seq < events_next(daemon->events); seq++) {
        write_event(daemon, seq, events_find(daemon->events, seq), &text);
    }
    answer_event(daemon, conn, &text);
    buf_release(&text);
}

void events_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last)
{
    struct reader *reader = calloc(1, sizeof(*reader));

    (void)last;
    if (reader == NULL) {
        answer_problem(daemon, request->conn, E_NOMEM, NULL, NULL);
        return;
    }
    reader->parked = (struct parked){request->conn, PARKED_EVENTS, on_close};
    if (parked_add(daemon, &reader->parked) != E_OK) {
        free(reader);
        answer_problem(daemon, request->conn, E_NOMEM, NULL, NULL);
        return;
    }
    list_append(&daemon->readers, &reader->all);
    if (http_stream_begin(daemon->http, request->conn) != E_OK) {
        parked_remove(daemon, request->conn);
        reader_destroy(reader);
        return;
    }
    send_missed(daemon, request->conn,
                http_header_find(request, "Last-Event-ID"));
}

void events_tell(struct daemon *daemon, const struct core_message *message)
{
    uint64_t seq = events_next(daemon->events);
    struct list *at;
    struct buf *text;

    events_push(daemon->events, clock_wall_ms(), message);
    if (list_is_empty(&daemon->readers)) {
        return;
    }
    text = answer_buf(daemon);
    write_event(daemon, seq, events_find(daemon->events, seq), text);
    LIST_EACH (at, &daemon->readers) {
        const struct reader *reader = CONTAINER_OF(at, struct reader, all);

        /* One that does not read is dropped; on_close() follows. */
        answer_event(daemon, reader->parked.conn, text);
    }
}

void events_close_all(struct daemon *daemon)
{
    while (!list_is_empty(&daemon->readers)) {
        struct reader *reader =
            CONTAINER_OF(daemon->readers.next, struct reader, all);
        uint64_t conn = reader->parked.conn;

        parked_remove(daemon, conn);
        reader_destroy(reader);
        http_close(daemon->http, conn);
    }
}
