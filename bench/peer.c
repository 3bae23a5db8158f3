#include "bench/peer.h"

#include "bench/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_SIZE = 128
};

/* ---- gpucoord, and an echo of the same calls by the same server code ---- */

static void http_call(const struct peer_client *client,
                      enum peer_step step,
                      struct buf *out)
{
    char body[BODY_SIZE];

    if (step == PEER_ACQUIRE) {
        (void)snprintf(body, sizeof(body),
                       "{\"service_id\":\"client-%u\",\"timeout_ms\":30000}",
                       client->number);
        wire_post(out, "/gpu/request", body);
        return;
    }
    (void)snprintf(body, sizeof(body),
                   "{\"lease\":%" PRIu64 ",\"token\":%" PRIu64 "}",
                   client->lease, client->token);
    wire_post(out, "/gpu/release", body);
}

static bool http_is_done(const char *data)
{
    return strncmp(data, "HTTP/1.1 200 ", 13) == 0;
}

static bool gpucoord_answer(struct peer_client *client,
                            enum peer_step step,
                            const char *data,
                            size_t size)
{
    if (!http_is_done(data)) {
        return false;
    }
    if (step == PEER_ACQUIRE) {
        client->lease = wire_number(data, size, "\"lease\":");
        client->token = wire_number(data, size, "\"token\":");
    }
    return true;
}

static bool echo_answer(struct peer_client *client,
                        enum peer_step step,
                        const char *data,
                        size_t size)
{
    (void)client;
    (void)step;
    (void)size;
    return http_is_done(data);
}

/* ---- Redis: SET NX PX, and compare-and-delete by a script -------------- */

static void redis_call(const struct peer_client *client,
                       enum peer_step step,
                       struct buf *out)
{
    /* The digest under which bench/run has loaded the script. */
    const char *script = getenv("BENCH_REDIS_SCRIPT");

    if (step == PEER_ACQUIRE) {
        buf_printf(out,
                   "*6\r\n$3\r\nSET\r\n$9\r\nlock:%04u\r\n$9\r\nhold:%04u\r\n"
                   "$2\r\nNX\r\n$2\r\nPX\r\n$5\r\n30000\r\n",
                   client->number, client->number);
        return;
    }
    buf_printf(out,
               "*5\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n"
               "$9\r\nlock:%04u\r\n$9\r\nhold:%04u\r\n",
               script == NULL ? "" : script, client->number, client->number);
}

static size_t line_size(const char *data, size_t size)
{
    const char *end = memmem(data, size, "\r\n", 2);

    return end == NULL ? 0 : (size_t)(end - data) + 2;
}

static bool redis_answer(struct peer_client *client,
                         enum peer_step step,
                         const char *data,
                         size_t size)
{
    (void)client;
    (void)size;
    return strncmp(data, step == PEER_ACQUIRE ? "+OK\r" : ":1\r", 3) == 0;
}

/* ---- beanstalkd: one job, handed from worker to worker ----------------- */

static void beanstalkd_call(const struct peer_client *client,
                            enum peer_step step,
                            struct buf *out)
{
    if (step == PEER_ACQUIRE) {
        buf_text(out, "reserve\r\n");
    } else {
        buf_printf(out, "release %" PRIu64 " 0 0\r\n", client->lease);
    }
}

static size_t beanstalkd_answer_size(const char *data, size_t size)
{
    size_t line = line_size(data, size);
    unsigned long body;

    if (line == 0 || strncmp(data, "RESERVED ", 9) != 0) {
        return line;
    }
    /* "RESERVED JOB BYTES", then the bytes and an end of line. */
    body = strtoul(strchr(data + 9, ' '), NULL, 10) + 2;
    return size - line >= body ? line + body : 0;
}

static bool beanstalkd_answer(struct peer_client *client,
                              enum peer_step step,
                              const char *data,
                              size_t size)
{
    if (step == PEER_RELEASE) {
        return strncmp(data, "RELEASED", 8) == 0;
    }
    client->lease = wire_number(data, size, "RESERVED ");
    return true;
}

static const struct peer peers[] = {
    {"gpucoord", http_call, wire_answer_size, gpucoord_answer},
    {"echo", http_call, wire_answer_size, echo_answer},
    {"redis", redis_call, line_size, redis_answer},
    {"beanstalkd", beanstalkd_call, beanstalkd_answer_size, beanstalkd_answer},
};

const struct peer *peer_find(const char *name)
{
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        if (strcmp(peers[i].name, name) == 0) {
            return &peers[i];
        }
    }
    return NULL;
}
