#include "rig.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    GIVE_UP_MS = 20000
};

static void reply_bytes(struct rig *rig,
                        const struct http_request *request,
                        const void *body,
                        size_t size)
{
    const struct http_response response = {.status = 200,
                                           .content_type = "text/plain",
                                           .body = body,
                                           .body_size = size,
                                           .tag = request->conn * 10};

    int rc = http_reply(rig->server, request->conn, &response);

    assert_true(rc == E_OK || rig->is_short_of_memory);
}

static void
reply_size(struct rig *rig, const struct http_request *request, size_t size)
{
    char *body = calloc(1, size + 1);

    if (body != NULL) {
        reply_bytes(rig, request, body, size);
    } else {
        assert_true(rig->is_short_of_memory);
    }
    free(body);
}

/* Keep what was asked as "METHOD path?query", the headers, and the body. */
static void note(struct rig *rig, const struct http_request *request)
{
    size_t i;

    buf_clear(&rig->seen);
    buf_printf(&rig->seen, "%s %s?%s\n", request->method, request->path,
               request->query);
    for (i = 0; i < request->header_count; i++) {
        buf_printf(&rig->seen, "%s=%s\n", request->headers[i].name,
                   request->headers[i].value);
    }
    buf_add(&rig->seen, request->body, request->body_size);
}

static void reply_who(struct rig *rig, const struct http_request *request)
{
    (void)snprintf(rig->who, sizeof rig->who, "tcp");
    if (request->is_unix) {
        (void)snprintf(rig->who, sizeof rig->who, "unix %d %u %u",
                       (int)request->pid, request->uid, request->gid);
    }
    reply_bytes(rig, request, rig->who, strlen(rig->who));
}

static void on_request(void *arg, const struct http_request *request)
{
    struct rig *rig = arg;

    rig->requests++;
    note(rig, request);
    if (strcmp(request->path, "/park") == 0) {
        rig->parked = request->conn;
        rig->parked_count++;
    } else if (strcmp(request->path, "/stream") == 0) {
        rig->parked = request->conn;
        assert_true(http_stream_begin(rig->server, request->conn) == E_OK ||
                    rig->is_short_of_memory);
    } else if (strcmp(request->path, "/close") == 0) {
        http_close(rig->server, request->conn);
    } else if (strcmp(request->path, "/who") == 0) {
        reply_who(rig, request);
    } else if (strncmp(request->path, "/size/", 6) == 0) {
        reply_size(rig, request, strtoul(request->path + 6, NULL, 10));
    } else {
        reply_bytes(rig, request, request->body, request->body_size);
    }
}

static void on_close(void *arg, uint64_t conn)
{
    struct rig *rig = arg;

    rig->closed++;
    rig->closed_conn = conn;
}

static void on_reply_lost(void *arg, uint64_t conn, uint64_t tag)
{
    struct rig *rig = arg;

    assert_int_equal(tag, conn * 10);
    rig->lost++;
    rig->lost_tag = tag;
}

static void on_drained(void *arg)
{
    struct rig *rig = arg;

    rig->drained++;
}

struct http_limits rig_limits(void)
{
    return http_limits_default;
}

void rig_start(struct rig *rig, const struct http_limits *limits)
{
    static const struct http_handler handler = {.on_request = on_request,
                                                .on_close = on_close,
                                                .on_reply_lost = on_reply_lost,
                                                .on_drained = on_drained};
    static const char *const hosts[] = {"gpu.example.org"};
    const struct http_config config = {.limits = limits,
                                       .hosts = hosts,
                                       .host_count = 1,
                                       .handler = &handler,
                                       .arg = rig};

    *rig = (struct rig){.directory = "/tmp/gpucoord-http-XXXXXX"};
    buf_init(&rig->seen, 0);
    assert_non_null(mkdtemp(rig->directory));
    assert_int_equal(rmdir(rig->directory), 0);
    (void)snprintf(rig->path, sizeof rig->path, "%s/s", rig->directory);
    rig->base = event_base_new();
    assert_non_null(rig->base);
    assert_int_equal(http_server_create(rig->base, &config, &rig->server),
                     E_OK);
    assert_int_equal(http_listen_tcp(rig->server, "127.0.0.1:0", &rig->port),
                     E_OK);
    assert_int_equal(http_listen_unix(rig->server, rig->path, 0660), E_OK);
}

void rig_stop(struct rig *rig)
{
    http_server_destroy(rig->server);
    event_base_free(rig->base);
    buf_release(&rig->seen);
    assert_int_equal(access(rig->path, F_OK), -1);
    assert_int_equal(rmdir(rig->directory), 0);
}

static int connected(int fd, const void *address, socklen_t size)
{
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, address, size), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

int rig_connect_tcp(struct rig *rig)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(rig->port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};

    return connected(socket(AF_INET, SOCK_STREAM, 0), &address, sizeof address);
}

int rig_connect_unix(struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", rig->path);
    return connected(socket(AF_UNIX, SOCK_STREAM, 0), &address, sizeof address);
}

void rig_patience(struct rig *rig)
{
    rig->give_up_at_ms = clock_mono_ms() + GIVE_UP_MS;
}

void rig_pump_at(struct rig *rig, const char *file, int line)
{
    (void)event_base_loop(rig->base, EVLOOP_NONBLOCK);
    if (clock_mono_ms() > rig->give_up_at_ms) {
        _fail(file, line);
    }
}

bool rig_send(struct rig *rig, int fd, const void *data, size_t size)
{
    const char *at = data;

    rig_patience(rig);
    while (size != 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN) {
            return false;
        }
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
        }
        rig_pump_at(rig, __FILE__, __LINE__);
    }
    return true;
}

bool rig_send_text(struct rig *rig, int fd, const char *text)
{
    return rig_send(rig, fd, text, strlen(text));
}

bool rig_read(int fd, struct buf *in)
{
    for (;;) {
        char *room = buf_room(in, 65536);
        ssize_t got = recv(fd, room, 65536, 0);

        if (got > 0) {
            buf_grown(in, (size_t)got);
        } else {
            return got == 0 || errno != EAGAIN;
        }
    }
}

/* Return the end of the whole reply at @at, with its status; NULL where it is
 * not whole. */
static const char *reply_end(const char *at, const char *end, int *status)
{
    static const char length[] = "Content-Length: ";
    const char *head_end = strstr(at, "\r\n\r\n");
    const char *field = strstr(at, length);
    size_t size = 0;

    if (head_end == NULL) {
        return NULL;
    }
    assert_int_equal(strncmp(at, "HTTP/1.1 ", 9), 0);
    *status = (int)strtol(at + 9, NULL, 10);
    if (field != NULL && field < head_end) {
        size = strtoul(field + sizeof length - 1, NULL, 10);
    }
    head_end += 4;
    return size <= (size_t)(end - head_end) ? head_end + size : NULL;
}

/* Write the statuses of the whole replies in @in and return their number. */
static unsigned statuses(const struct buf *in, struct buf *out)
{
    const char *end = buf_string(in) + in->size;
    const char *at = buf_string(in);
    unsigned count = 0;
    int status;

    buf_clear(out);
    while (at != end && (at = reply_end(at, end, &status)) != NULL) {
        buf_printf(out, "%s%d", count == 0 ? "" : " ", status);
        count++;
    }
    return count;
}

void rig_replies(struct rig *rig, int fd, unsigned count, struct buf *out)
{
    struct buf in;
    bool is_closed = false;

    buf_init(&in, 0);
    rig_until(rig,
              (is_closed = rig_read(fd, &in), statuses(&in, out) >= count) ||
                  is_closed);
    if (is_closed) {
        buf_text(out, out->size == 0 ? "close" : " close");
    }
    buf_release(&in);
}

void rig_expect(struct rig *rig,
                int fd,
                const char *request,
                const char *expected)
{
    unsigned words = 1;
    struct buf got;
    const char *at;

    for (at = expected; *at != '\0'; at++) {
        words += *at == ' ' ? 1 : 0;
    }
    buf_init(&got, 0);
    (void)rig_send_text(rig, fd, request);
    rig_replies(rig, fd, words, &got);
    assert_string_equal(buf_string(&got), expected);
    buf_release(&got);
}
