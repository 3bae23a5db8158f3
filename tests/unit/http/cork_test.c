/* Replies that are held and leave together: none is lost, doubled or told as
 * given when it was not (guarantee 7). */
#include "rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PARK "POST /park HTTP/1.1\r\nHost: a\r\n\r\n"
#define NOW  "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"

enum {
    CLIENTS = 70,     /* More than are held at once. */
    HELD_MAX = 64,    /* That many are. */
    HALF_ROOM = 20000 /* Two such bodies are more than there is room for. */
};

/* What the server sent: the last byte of each piece, in order. */
static char sent[CLIENTS + 1];
static size_t sent_count;
static int send_error;   /* Not 0: send() fails with it. */
static size_t send_most; /* Not 0: send() takes no more than that. */

ssize_t __real_send(int fd, const void *data, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
    if ((flags & MSG_DONTWAIT) == 0) {
        return __real_send(fd, data, size, flags); /* A client's. */
    }
    if (send_error != 0) {
        errno = send_error;
        return -1;
    }
    if (sent_count < sizeof sent - 1) {
        sent[sent_count] = ((const char *)data)[size - 1];
    }
    sent_count++;
    if (send_most != 0 && size > send_most) {
        size = send_most;
    }
    return __real_send(fd, data, size, flags);
}

static int start(void **state)
{
    static struct rig rig;

    rig_start(&rig, NULL);
    memset(sent, 0, sizeof sent);
    sent_count = 0;
    send_error = 0;
    send_most = 0;
    *state = &rig;
    return 0;
}

static int stop(void **state)
{
    rig_stop(*state);
    return 0;
}

/* Park @request of a new client; @conn is its connection. */
static int park(struct rig *rig, const char *request, uint64_t *conn)
{
    unsigned before = rig->parked_count;
    int fd = rig_connect_unix(rig);

    assert_true(rig_send_text(rig, fd, request));
    rig_until(rig, rig->parked_count > before);
    *conn = rig->parked;
    return fd;
}

/* Answer @conn with @body. */
static int reply(struct rig *rig, uint64_t conn, const char *body, bool is_told)
{
    const struct http_response response = {.status = 200,
                                           .content_type = "text/plain",
                                           .body = body,
                                           .body_size = strlen(body),
                                           .tag = is_told ? conn * 10 : 0};

    return http_reply(rig->server, conn, &response);
}

/* Park @request of @count new clients, and hold an answer to each. */
static void hold(struct rig *rig,
                 const char *request,
                 size_t count,
                 int *fd,
                 uint64_t *conn)
{
    size_t i;

    for (i = 0; i < count; i++) {
        fd[i] = park(rig, request, &conn[i]);
    }
    http_cork(rig->server);
    for (i = 0; i < count; i++) {
        assert_int_equal(reply(rig, conn[i], "abc", true), E_OK);
    }
}

/* Say whether bytes have come to a client; the loop does not run for it. */
static bool has_bytes(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void reply_is_held_until_all_leave(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK, 1, &fd, &conn);
    assert_false(has_bytes(fd));
    /* It is answered. */
    assert_int_equal(reply(rig, conn, "b", true), E_STATE);
    assert_int_equal(http_stream_begin(rig->server, conn), E_STATE);
    assert_int_equal(http_stream_send(rig->server, conn, "x", 1), E_STATE);
    http_uncork(rig->server);
    assert_true(has_bytes(fd));
    rig_expect(rig, fd, "", "200");
    /* The connection serves on, and replies leave at once again. */
    rig_expect(rig, fd, NOW, "200");
    assert_int_equal(rig->lost, 0);
    (void)close(fd);
}

/* Whoever got the GPU can begin; who gave it back only goes on. */
static void replies_that_are_missed_leave_first(void **state)
{
    struct rig *rig = *state;
    static const char names[] = "abcd";
    char body[] = "?";
    uint64_t conn[4];
    int fd[4];
    size_t i;

    for (i = 0; i < 4; i++) {
        fd[i] = park(rig, PARK, &conn[i]);
    }
    http_cork(rig->server);
    for (i = 0; i < 4; i++) {
        body[0] = names[i];
        assert_int_equal(reply(rig, conn[i], body, i % 2 == 1), E_OK);
    }
    http_uncork(rig->server);
    assert_string_equal(sent, "bdac");
    for (i = 0; i < 4; i++) {
        rig_expect(rig, fd[i], "", "200");
        (void)close(fd[i]);
    }
}

static void more_replies_than_are_held_leave_at_once(void **state)
{
    struct rig *rig = *state;
    uint64_t conn[CLIENTS];
    int fd[CLIENTS];
    size_t i;

    hold(rig, PARK, CLIENTS, fd, conn);
    assert_int_equal(sent_count, CLIENTS - HELD_MAX);
    http_uncork(rig->server);
    assert_int_equal(sent_count, CLIENTS);
    for (i = 0; i < CLIENTS; i++) {
        rig_expect(rig, fd[i], "", "200");
        (void)close(fd[i]);
    }
}

static void reply_without_room_leaves_at_once(void **state)
{
    struct rig *rig = *state;
    static char body[HALF_ROOM + 1];
    uint64_t conn[3];
    int fd[3];
    size_t i;

    memset(body, 'x', HALF_ROOM);
    for (i = 0; i < 3; i++) {
        fd[i] = park(rig, PARK, &conn[i]);
    }
    http_cork(rig->server);
    assert_int_equal(reply(rig, conn[0], body, false), E_OK);
    assert_int_equal(reply(rig, conn[1], body, false), E_OK);
    assert_int_equal(reply(rig, conn[2], "a", false), E_OK);
    assert_false(has_bytes(fd[0]));
    assert_true(has_bytes(fd[1]));
    assert_false(has_bytes(fd[2]));
    http_uncork(rig->server);
    for (i = 0; i < 3; i++) {
        rig_expect(rig, fd[i], "", "200");
        (void)close(fd[i]);
    }
}

/* The grant of a client that has gone meanwhile is undone: it is told. */
static void held_reply_of_a_client_that_went_is_told(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK, 1, &fd, &conn);
    (void)close(fd);
    http_uncork(rig->server);
    rig_until(rig, rig->lost == 1);
    assert_int_equal(rig->lost_tag, conn * 10);
    assert_int_equal(rig->closed, 0);
}

static void held_reply_that_cannot_be_sent_is_told(void **state)
{
    struct rig *rig = *state;
    uint64_t conn[2];
    int fd[2];

    hold(rig, PARK, 2, fd, conn);
    send_error = ECONNRESET;
    http_uncork(rig->server);
    assert_int_equal(rig->lost, 0); /* Told by the loop, not from inside. */
    rig_until(rig, rig->lost == 2);
    rig_expect(rig, fd[0], "", "close");
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void held_reply_taken_in_part_arrives_whole(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK NOW, 1, &fd, &conn);
    send_most = 7;
    http_uncork(rig->server);
    rig_expect(rig, fd, "", "200 200");
    assert_int_equal(rig->lost, 0);
    (void)close(fd);
}

static void held_reply_never_taken_whole_is_told(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK, 1, &fd, &conn);
    send_most = 7;
    http_uncork(rig->server);
    (void)close(fd);
    rig_until(rig, rig->lost == 1);
    assert_int_equal(rig->lost_tag, conn * 10);
}

static void held_reply_leaves_before_its_connection_closes(void **state)
{
    struct rig *rig = *state;
    uint64_t conn[2];
    int fd[2];

    hold(rig, PARK, 2, fd, conn);
    http_close(rig->server, conn[0]);
    http_uncork(rig->server);
    rig_expect(rig, fd[0], "", "200 close");
    rig_expect(rig, fd[1], "", "200");
    rig_expect(rig, fd[1], NOW, "200");
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void held_reply_after_a_close_arrives_whole_too(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK, 1, &fd, &conn);
    http_close(rig->server, conn);
    send_most = 7;
    http_uncork(rig->server);
    rig_expect(rig, fd, "", "200 close");
    (void)close(fd);
    rig_until(rig, http_connection_count(rig->server) == 0);
    assert_int_equal(rig->lost, 0);
}

/* Who closes is told nothing more (http.h). */
static void held_reply_lost_after_a_close_is_not_told(void **state)
{
    struct rig *rig = *state;
    uint64_t conn[2];
    int fd[2];

    hold(rig, PARK, 2, fd, conn);
    http_close(rig->server, conn[0]);
    send_error = ECONNRESET;
    http_uncork(rig->server);
    rig_until(rig, http_connection_count(rig->server) == 0);
    assert_int_equal(rig->lost, 1);
    assert_int_equal(rig->lost_tag, conn[1] * 10);
    (void)close(fd[0]);
    (void)close(fd[1]);
}

static void held_reply_never_taken_whole_after_a_close_is_not_told(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK, 1, &fd, &conn);
    http_close(rig->server, conn);
    send_most = 7;
    http_uncork(rig->server);
    (void)close(fd);
    rig_until(rig, http_connection_count(rig->server) == 0);
    assert_int_equal(rig->lost, 0);
}

static void request_sent_ahead_of_a_held_reply_is_answered(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd;

    hold(rig, PARK NOW NOW, 1, &fd, &conn);
    http_uncork(rig->server);
    assert_int_equal(rig->requests, 1);
    rig_expect(rig, fd, "", "200 200 200");
    (void)close(fd);
}

static void held_answer_to_head_has_no_body(void **state)
{
    struct rig *rig = *state;
    uint64_t conn;
    int fd = park(rig, "HEAD /park HTTP/1.1\r\nHost: a\r\n\r\n", &conn);
    struct buf in;

    buf_init(&in, 0);
    http_cork(rig->server);
    assert_int_equal(reply(rig, conn, "body", true), E_OK);
    http_uncork(rig->server);
    assert_false(rig_read(fd, &in));
    assert_non_null(strstr(buf_string(&in), "Content-Length: 4\r\n"));
    assert_string_equal(strstr(buf_string(&in), "\r\n\r\n"), "\r\n\r\n");
    buf_release(&in);
    (void)close(fd);
}

static void drain_waits_for_held_replies(void **state)
{
    struct rig *rig = *state;
    uint64_t conn[2];
    int fd[2] = {park(rig, PARK, &conn[0]), park(rig, PARK, &conn[1])};

    http_cork(rig->server);
    assert_int_equal(reply(rig, conn[0], "a", true), E_OK);
    http_drain(rig->server);
    assert_int_equal(reply(rig, conn[1], "a", true), E_OK);
    http_uncork(rig->server);
    rig_expect(rig, fd[0], "", "200 close");
    rig_expect(rig, fd[1], "", "200 close");
    (void)close(fd[0]);
    (void)close(fd[1]);
    rig_until(rig, rig->drained == 1);
    assert_int_equal(rig->lost, 0);
}

static void server_is_destroyed_with_held_replies(void **state)
{
    struct rig rig;
    uint64_t conn;
    int fd;

    (void)state;
    rig_start(&rig, NULL);
    hold(&rig, PARK, 1, &fd, &conn);
    rig_stop(&rig);
    assert_int_equal(rig.lost, 0);
    (void)close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reply_is_held_until_all_leave),
        T(replies_that_are_missed_leave_first),
        T(more_replies_than_are_held_leave_at_once),
        T(reply_without_room_leaves_at_once),
        T(held_reply_of_a_client_that_went_is_told),
        T(held_reply_that_cannot_be_sent_is_told),
        T(held_reply_taken_in_part_arrives_whole),
        T(held_reply_never_taken_whole_is_told),
        T(held_reply_leaves_before_its_connection_closes),
        T(held_reply_after_a_close_arrives_whole_too),
        T(held_reply_lost_after_a_close_is_not_told),
        T(held_reply_never_taken_whole_after_a_close_is_not_told),
        T(request_sent_ahead_of_a_held_reply_is_answered),
        T(held_answer_to_head_has_no_body),
        T(drain_waits_for_held_replies),
        cmocka_unit_test(server_is_destroyed_with_held_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
