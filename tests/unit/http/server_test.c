/* What the daemon builds on: answers by id, now or later, and what is told when
 * they cannot be given (guarantee 7; B1: a request waits for its answer). */
#include "rig.h"

#include "http/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PARK   "POST /park HTTP/1.1\r\nHost: a\r\n\r\n"
#define NOW    "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"
#define STREAM "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct http_response fine = {.status = 200,
                                          .content_type = "text/plain",
                                          .body = "ok",
                                          .body_size = 2};

static int start(void **state)
{
    static struct rig rig;

    rig_start(&rig, NULL);
    *state = &rig;
    return 0;
}

static int stop(void **state)
{
    rig_stop(*state);
    return 0;
}

/* Park a request of a new client. */
static int park(struct rig *rig)
{
    unsigned before = rig->parked_count;
    int fd = rig_connect_tcp(rig);

    assert_true(rig_send_text(rig, fd, PARK));
    rig_until(rig, rig->parked_count > before);
    return fd;
}

/* Open a stream; its head has been read. */
static int open_stream(struct rig *rig)
{
    int fd = rig_connect_tcp(rig);

    rig->parked = 0;
    assert_true(rig_send_text(rig, fd, STREAM));
    rig_until(rig, rig->parked != 0);
    rig_expect(rig, fd, "", "200");
    return fd;
}

static void request_arrives_as_it_was_sent(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_unix(rig);

    rig_expect(rig, fd,
               "POST /now?a=1&b?c HTTP/1.1\r\nHost: gpu\r\nEmpty:\r\n"
               "Padded: \t x y \t \r\nTransfer-Encoding: chunked\r\n\r\n"
               "2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n",
               "200");
    assert_string_equal(buf_string(&rig->seen),
                        "POST /now?a=1&b?c\nHost=gpu\nEmpty=\nPadded=x y\n"
                        "Transfer-Encoding=chunked\nabcde");
    (void)close(fd);
}

/* A client that takes us for a proxy names the host in the URL, which counts
 * (RFC 9112, 3.2.2); handlers see the path. */
static void absolute_url_arrives_as_host_and_path(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_unix(rig);

    rig_expect(rig, fd,
               "GET http://gpu:4780/now?a=1 HTTP/1.1\r\nA: b\r\n"
               "Host: another\r\n\r\n",
               "200");
    assert_string_equal(buf_string(&rig->seen),
                        "GET /now?a=1\nA=b\nHost=gpu:4780\n");
    (void)close(fd);
}

/* However the network cuts it into pieces. */
static void request_arrives_the_same_byte_by_byte(void **state)
{
    static const char text[] =
        "POST /now?q HTTP/1.1\r\nHost: a\r\nX: y z\r\nContent-Length: "
        "3\r\n\r\nabc";
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);
    size_t i;

    for (i = 0; i < sizeof text - 1; i++) {
        assert_int_equal(rig->requests, 0);
        assert_true(rig_send(rig, fd, text + i, 1));
    }
    rig_expect(rig, fd, "", "200");
    assert_string_equal(buf_string(&rig->seen),
                        "POST /now?q\nHost=a\nX=y z\nContent-Length=3\nabc");
    (void)close(fd);
}

static void head_is_answered_without_the_body(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);
    struct buf in;

    buf_init(&in, 0);
    assert_true(
        rig_send_text(rig, fd, "HEAD /size/9 HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_until(rig, (rig_read(fd, &in), strstr(buf_string(&in), "\r\n\r\n")));
    assert_non_null(strstr(buf_string(&in), "Content-Length: 9\r\n"));
    assert_non_null(strstr(buf_string(&in), "\r\n\r\n"));
    assert_string_equal(strstr(buf_string(&in), "\r\n\r\n"), "\r\n\r\n");
    buf_release(&in);
    (void)close(fd);
}

static void parked_request_is_answered_later(void **state)
{
    struct rig *rig = *state;
    int fd = park(rig);

    assert_int_equal(http_reply(rig->server, rig->parked, &fine), E_OK);
    rig_expect(rig, fd, "", "200");
    /* The connection serves on. */
    rig_expect(rig, fd, NOW, "200");
    assert_int_equal(rig->closed, 0);
    (void)close(fd);
}

static void problem_says_when_to_try_again(void **state)
{
    const struct http_problem problem = {
        .code = E_TIMEOUT, .detail = "\"x\" holds", .retry_after_ms = 1001};
    struct rig *rig = *state;
    int fd = park(rig);
    struct buf in;

    buf_init(&in, 0);
    assert_int_equal(http_reply_problem(rig->server, rig->parked, &problem, 0),
                     E_OK);
    rig_until(rig, (rig_read(fd, &in), strchr(buf_string(&in), '}')));
    assert_non_null(strstr(buf_string(&in), "503 Service Unavailable\r\n"));
    assert_non_null(strstr(buf_string(&in), "\r\nRetry-After: 2\r\n"));
    assert_non_null(strstr(
        buf_string(&in), "{\"type\":\"/wait-timeout\",\"title\":\"not granted "
                         "in time\",\"status\":503,\"detail\":\"\\\"x\\\" "
                         "holds\",\"retry_after_ms\":1001}"));
    buf_release(&in);
    (void)close(fd);
}

static void unknown_connection_is_a_normal_case(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(http_reply(rig->server, 77, &fine), E_NOT_FOUND);
    assert_int_equal(http_stream_begin(rig->server, 77), E_NOT_FOUND);
    assert_int_equal(http_stream_send(rig->server, 77, "x", 1), E_NOT_FOUND);
    http_close(rig->server, 77);
}

static void nothing_is_answered_twice(void **state)
{
    struct rig *rig = *state;
    int fd = park(rig);

    assert_int_equal(http_stream_send(rig->server, rig->parked, "x", 1),
                     E_STATE);
    assert_int_equal(http_reply(rig->server, rig->parked, &fine), E_OK);
    assert_int_equal(http_reply(rig->server, rig->parked, &fine), E_STATE);
    assert_int_equal(http_stream_begin(rig->server, rig->parked), E_STATE);
    (void)close(fd);
}

/* The client that waits must not be granted the GPU once it has gone. */
static void parked_client_that_closes_is_told(void **state)
{
    struct rig *rig = *state;
    int fd = park(rig);

    (void)close(fd);
    rig_until(rig, rig->closed == 1);
    assert_int_equal(rig->closed_conn, rig->parked);
    assert_int_equal(http_reply(rig->server, rig->parked, &fine), E_NOT_FOUND);
}

static void parked_client_that_half_closes_has_gone(void **state)
{
    struct rig *rig = *state;
    int fd = park(rig);

    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    rig_until(rig, rig->closed == 1);
    rig_expect(rig, fd, "", "close");
    (void)close(fd);
}

static void parked_client_that_resets_has_gone(void **state)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    struct rig *rig = *state;
    int fd = park(rig);

    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    (void)close(fd);
    rig_until(rig, rig->closed == 1);
}

/* One extra byte of a parked client kills servers that expect none. */
static void requests_sent_ahead_wait_for_the_answer(void **state)
{
    struct rig *rig = *state;
    int fd = park(rig);

    assert_true(rig_send_text(rig, fd, NOW NOW "G"));
    assert_int_equal(rig->requests, 1);
    assert_int_equal(http_reply(rig->server, rig->parked, &fine), E_OK);
    rig_expect(rig, fd, "", "200 200 200");
    rig_expect(rig, fd, &NOW[1], "200");
    (void)close(fd);
}

static void two_parked_requests_in_one_piece_park_in_turn(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);
    uint64_t first;

    assert_true(rig_send_text(rig, fd, PARK PARK));
    rig_until(rig, rig->parked_count == 1);
    first = rig->parked;
    assert_int_equal(http_reply(rig->server, first, &fine), E_OK);
    rig_until(rig, rig->parked_count == 2);
    assert_int_equal(rig->parked, first);
    (void)close(fd);
    rig_until(rig, rig->closed == 1);
}

static void request_closed_by_the_handler_is_closed(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);

    rig_expect(rig, fd, "GET /close HTTP/1.1\r\nHost: a\r\n\r\n" NOW, "close");
    assert_int_equal(rig->closed, 0);
    (void)close(fd);
}

static void large_reply_arrives_whole(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);

    rig_expect(rig, fd, "GET /size/20000000 HTTP/1.1\r\nHost: a\r\n\r\n" NOW,
               "200 200");
    assert_int_equal(rig->lost, 0);
    (void)close(fd);
}

/* A grant that did not reach its client whole is undone: the tag says which. */
static void reply_that_is_not_taken_whole_is_told(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);

    assert_true(rig_send_text(
        rig, fd, "GET /size/20000000 HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_until(rig, rig->requests == 1);
    (void)close(fd);
    rig_until(rig, rig->lost == 1);
    assert_int_equal(rig->closed, 0);
}

static void reply_that_nobody_reads_is_told_at_the_deadline(void **state)
{
    struct http_limits limits = rig_limits();
    struct rig rig;
    int fd;

    (void)state;
    limits.write_ms = 20;
    rig_start(&rig, &limits);
    fd = rig_connect_tcp(&rig);
    assert_true(rig_send_text(
        &rig, fd, "GET /size/20000000 HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_until(&rig, rig.lost == 1);
    (void)close(fd);
    rig_stop(&rig);
}

static void stream_carries_what_is_sent(void **state)
{
    struct rig *rig = *state;
    int fd = open_stream(rig);
    struct buf in;

    buf_init(&in, 0);
    assert_int_equal(
        http_stream_send(rig->server, rig->parked, "data: 1\n\n", 9), E_OK);
    assert_int_equal(
        http_stream_send(rig->server, rig->parked, "data: 2\n\n", 9), E_OK);
    http_close(rig->server, rig->parked);
    rig_until(rig, rig_read(fd, &in));
    assert_string_equal(buf_string(&in), "data: 1\n\ndata: 2\n\n");
    buf_release(&in);
    (void)close(fd);
    rig_until(rig, http_connection_count(rig->server) == 0);
    assert_int_equal(rig->closed, 0);
}

/* So that a proxy keeps it open, and a peer that has vanished is noticed. */
static void stream_without_events_carries_comments(void **state)
{
    struct http_limits limits = rig_limits();
    struct buf in;
    struct rig rig;
    int fd;

    (void)state;
    limits.stream_ms = 1;
    rig_start(&rig, &limits);
    fd = open_stream(&rig);
    buf_init(&in, 0);
    rig_until(&rig, (assert_false(rig_read(fd, &in)), in.size >= 8));
    assert_memory_equal(in.data, ": \n\n: \n\n", 8);
    (void)close(fd);
    rig_until(&rig, rig.closed == 1);
    assert_int_equal(rig.closed_conn, rig.parked);
    buf_release(&in);
    rig_stop(&rig);
}

static void stream_whose_reader_goes_is_told(void **state)
{
    struct rig *rig = *state;
    int fd = open_stream(rig);

    (void)close(fd);
    rig_until(rig, rig->closed == 1);
    assert_int_equal(rig->closed_conn, rig->parked);
}

/* What was queued when a stream is closed still goes out. */
static void close_of_a_stream_sends_what_is_queued(void **state)
{
    struct http_limits limits = rig_limits();
    static char data[16u << 20]; /* More than the sockets take. */
    struct buf in;
    struct rig rig;
    int fd;

    (void)state;
    limits.stream_bytes = sizeof data;
    rig_start(&rig, &limits);
    fd = open_stream(&rig);
    buf_init(&in, 0);
    assert_int_equal(
        http_stream_send(rig.server, rig.parked, data, sizeof data), E_OK);
    http_close(rig.server, rig.parked);
    rig_until(&rig, rig_read(fd, &in));
    assert_int_equal(in.size, sizeof data);
    assert_int_equal(rig.closed, 0);
    buf_release(&in);
    (void)close(fd);
    rig_stop(&rig);
}

static void reader_that_does_not_read_is_dropped(void **state)
{
    struct rig *rig = *state;
    int fd = open_stream(rig);
    static char data[1000];
    int rc;

    do {
        rc = http_stream_send(rig->server, rig->parked, data, sizeof data);
    } while (rc == E_OK);
    assert_int_equal(rc, E_LIMIT);
    assert_int_equal(rig->closed, 0); /* Not inside the call. */
    rig_until(rig, rig->closed == 1);
    (void)close(fd);
}

static void closed_stream_is_not_told(void **state)
{
    struct rig *rig = *state;
    int fd = open_stream(rig);
    static char data[1000];

    while (http_stream_send(rig->server, rig->parked, data, sizeof data) ==
           E_OK) {
    }
    http_close(rig->server, rig->parked);
    rig_until(rig, http_connection_count(rig->server) == 0);
    assert_int_equal(rig->closed, 0);
    (void)close(fd);
}

static void drain_lets_requests_end(void **state)
{
    struct rig *rig = *state;
    int idle = rig_connect_tcp(rig);
    int parked;
    struct buf in;

    buf_init(&in, 0);
    rig_expect(rig, idle, NOW, "200");
    parked = park(rig);
    http_drain(rig->server);
    http_drain(rig->server);
    rig_expect(rig, idle, "", "close");
    assert_int_equal(rig->drained, 0);
    assert_int_equal(http_reply(rig->server, rig->parked, &fine), E_OK);
    rig_until(rig, rig_read(parked, &in));
    assert_non_null(strstr(buf_string(&in), "\r\nConnection: close\r\n"));
    (void)close(parked);
    rig_until(rig, rig->drained == 1);
    buf_release(&in);
    (void)close(idle);
}

static void drain_without_connections_ends_at_once(void **state)
{
    struct rig *rig = *state;

    http_drain(rig->server);
    rig_until(rig, rig->drained == 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(request_arrives_as_it_was_sent),
        T(absolute_url_arrives_as_host_and_path),
        T(request_arrives_the_same_byte_by_byte),
        T(head_is_answered_without_the_body),
        T(parked_request_is_answered_later),
        T(problem_says_when_to_try_again),
        T(unknown_connection_is_a_normal_case),
        T(nothing_is_answered_twice),
        T(parked_client_that_closes_is_told),
        T(parked_client_that_half_closes_has_gone),
        T(parked_client_that_resets_has_gone),
        T(requests_sent_ahead_wait_for_the_answer),
        T(two_parked_requests_in_one_piece_park_in_turn),
        T(request_closed_by_the_handler_is_closed),
        T(large_reply_arrives_whole),
        T(reply_that_is_not_taken_whole_is_told),
        cmocka_unit_test(reply_that_nobody_reads_is_told_at_the_deadline),
        T(stream_carries_what_is_sent),
        T(stream_whose_reader_goes_is_told),
        cmocka_unit_test(stream_without_events_carries_comments),
        cmocka_unit_test(close_of_a_stream_sends_what_is_queued),
        T(reader_that_does_not_read_is_dropped),
        T(closed_stream_is_not_told),
        T(drain_lets_requests_end),
        T(drain_without_connections_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
