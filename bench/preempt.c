/* preempt.c - how long a chat waits for a holder that obeys at once.
 *
 *   preempt SOCKET ROUNDS
 *
 * A round is: a holder works; a chat asks; the holder is told to pause, acks;
 * the chat is granted; it releases; the holder is resumed.  Measured is what
 * the chat waits, and the way back.  Prints one line of JSON.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "bench/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_SIZE = 128
};

/* Wait for the event @name on the stream and return its token. */
static uint64_t event_wait(struct wire *stream, const char *name)
{
    struct buf *in = &stream->in;
    char line[BODY_SIZE];
    int length = snprintf(line, sizeof(line), "event: %s\n", name);

    for (;;) {
        const char *text = buf_string(in);
        const char *event = memmem(text, in->size, line, (size_t)length);
        const char *end = event == NULL ? NULL : strstr(event, "\n\n");

        if (end != NULL) {
            size_t size = (size_t)(end - event);
            uint64_t token = wire_number(event, size, "\"token\":");

            buf_drop(in, (size_t)(end - text) + 2);
            return token;
        }
        wire_read(stream->fd, in);
    }
}

static void acknowledge(struct wire *holder, uint64_t lease, uint64_t token)
{
    char body[BODY_SIZE];

    (void)snprintf(body, sizeof(body),
                   "{\"lease\":%" PRIu64 ",\"token\":%" PRIu64
                   ",\"action\":\"paused\"}",
                   lease, token);
    wire_ask(holder, "/gpu/ack", body);
}

static void
run(const char *path, uint64_t *paused_ns, uint64_t *resumed_ns, size_t rounds)
{
    struct wire stream;
    struct wire holder;
    struct wire chat;
    struct wire_grant grant;

    wire_open(&stream, path);
    wire_open(&holder, path);
    wire_open(&chat, path);
    buf_text(&stream.out,
             "GET /gpu/control/holder HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wire_send(stream.fd, &stream.out);
    wire_ask(&holder, "/gpu/request", "{\"service_id\":\"holder\"}");
    wire_granted(&holder, &grant);

    for (size_t i = 0; i < rounds; i++) {
        uint64_t began_ns = clock_mono_ns();

        wire_ask(&chat, "/gpu/request",
                 "{\"service_id\":\"chat\",\"priority\":0}");
        acknowledge(&holder, grant.lease, event_wait(&stream, "pause"));
        wire_wait(&chat);
        paused_ns[i] = clock_mono_ns() - began_ns;
        wire_wait(&holder);

        began_ns = clock_mono_ns();
        wire_ask(&chat, "/gpu/release", "{\"service_id\":\"chat\"}");
        (void)event_wait(&stream, "resume");
        resumed_ns[i] = clock_mono_ns() - began_ns;
        wire_wait(&chat);
    }
    wire_ask(&holder, "/gpu/release", "{\"service_id\":\"holder\"}");
    wire_wait(&holder);
    wire_close(&stream);
    wire_close(&holder);
    wire_close(&chat);
}

int main(int argc, char **argv)
{
    size_t rounds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    uint64_t *samples_ns;

    if (rounds == 0) {
        wire_die("usage: preempt SOCKET ROUNDS");
    }
    samples_ns = calloc(2 * rounds, sizeof(samples_ns[0]));
    if (samples_ns == NULL) {
        wire_die("out of memory");
    }
    run(argv[1], samples_ns, samples_ns + rounds, rounds);
    printf("{");
    wire_print("grant", samples_ns, rounds);
    printf(",");
    wire_print("resume", samples_ns + rounds, rounds);
    printf("}\n");
    free(samples_ns);
    return 0;
}
