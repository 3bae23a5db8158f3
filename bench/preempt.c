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
#include <unistd.h>

enum {
    BODY_SIZE = 128,
    NS_A_US = 1000
};

struct connection {
    int fd;
    struct buf in;
    struct buf out;
};

static void connection_open(struct connection *connection, const char *path)
{
    connection->fd = wire_connect(path);
    buf_init(&connection->in, 0);
    buf_init(&connection->out, 0);
}

static void connection_close(struct connection *connection)
{
    (void)close(connection->fd);
    buf_release(&connection->in);
    buf_release(&connection->out);
}

static void
post(struct connection *connection, const char *path, const char *body)
{
    wire_post(&connection->out, path, body);
    wire_send(connection->fd, &connection->out);
}

/* Wait for the whole answer, a 200, and return the number after @key. */
static uint64_t answer(struct connection *connection, const char *key)
{
    struct buf *in = &connection->in;
    uint64_t number = 0;
    size_t size;

    while ((size = wire_answer_size(buf_string(in), in->size)) == 0) {
        wire_read(connection->fd, in);
    }
    if (strncmp(in->data, "HTTP/1.1 200 ", 13) != 0) {
        wire_die("refused: %s", in->data);
    }
    if (key != NULL) {
        number = wire_number(in->data, size, key);
    }
    buf_drop(in, size);
    return number;
}

/* Wait for the event @name on the stream and return its token. */
static uint64_t event_wait(struct connection *stream, const char *name)
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

static void
acknowledge(struct connection *holder, uint64_t lease, uint64_t token)
{
    char body[BODY_SIZE];

    (void)snprintf(body, sizeof(body),
                   "{\"lease\":%" PRIu64 ",\"token\":%" PRIu64
                   ",\"action\":\"paused\"}",
                   lease, token);
    post(holder, "/gpu/ack", body);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void print(const char *name, uint64_t *samples_ns, size_t count)
{
    qsort(samples_ns, count, sizeof(samples_ns[0]), compare);
    printf("\"%s_p50_us\":%.1f,\"%s_p99_us\":%.1f", name,
           (double)samples_ns[count / 2] / NS_A_US, name,
           (double)samples_ns[count - 1 - count / 100] / NS_A_US);
}

static void
run(const char *path, uint64_t *paused_ns, uint64_t *resumed_ns, size_t rounds)
{
    struct connection stream;
    struct connection holder;
    struct connection chat;
    uint64_t lease;

    connection_open(&stream, path);
    connection_open(&holder, path);
    connection_open(&chat, path);
    buf_text(&stream.out,
             "GET /gpu/control/holder HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wire_send(stream.fd, &stream.out);
    post(&holder, "/gpu/request", "{\"service_id\":\"holder\"}");
    lease = answer(&holder, "\"lease\":");

    for (size_t i = 0; i < rounds; i++) {
        uint64_t began_ns = clock_mono_ns();

        post(&chat, "/gpu/request", "{\"service_id\":\"chat\",\"priority\":0}");
        acknowledge(&holder, lease, event_wait(&stream, "pause"));
        (void)answer(&chat, "\"lease\":");
        paused_ns[i] = clock_mono_ns() - began_ns;
        (void)answer(&holder, NULL);

        began_ns = clock_mono_ns();
        post(&chat, "/gpu/release", "{\"service_id\":\"chat\"}");
        (void)event_wait(&stream, "resume");
        resumed_ns[i] = clock_mono_ns() - began_ns;
        (void)answer(&chat, NULL);
    }
    post(&holder, "/gpu/release", "{\"service_id\":\"holder\"}");
    (void)answer(&holder, NULL);
    connection_close(&stream);
    connection_close(&holder);
    connection_close(&chat);
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
    print("grant", samples_ns, rounds);
    printf(",");
    print("resume", samples_ns + rounds, rounds);
    printf("}\n");
    free(samples_ns);
    return 0;
}
