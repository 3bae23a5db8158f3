/* What a follower hands on to the leader. */
#include "daemon/follow_request.h"
#include "http/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct http_header headers[] = {
    {"Host", "gpu-host:4780"},       {"connection", "keep-alive"},
    {"Content-Length", "9"},         {"Transfer-Encoding", "chunked"},
    {"Expect", "100-continue"},      {"Origin", "http://gpu-host:4780"},
    {"gpucoord-PEER", "unix 1 0 0"}, {"Last-Event-ID", "17"},
};

/* Check what becomes of @request. */
static void expect(const struct http_request *request, const char *expected)
{
    struct buf out;

    buf_init(&out, 0);
    follow_request_write(request, &out);
    assert_string_equal(buf_string(&out), expected);
    buf_release(&out);
}

/* The leader goes by who has called; a client does not say who that is. */
static void a_unix_client_is_named_and_its_own_word_is_dropped(void **state)
{
    const struct http_request request = {
        .method = "POST",
        .path = "/gpu/request",
        .query = "",
        .headers = headers,
        .header_count = sizeof headers / sizeof headers[0],
        .body = "{\"x\":1}",
        .body_size = 7,
        .is_unix = true,
        .pid = 4711,
        .uid = 1000,
        .gid = 100,
    };

    (void)state;
    expect(&request, "POST /gpu/request HTTP/1.1\r\n"
                     "Host: gpu-host:4780\r\n"
                     "Origin: http://gpu-host:4780\r\n"
                     "Last-Event-ID: 17\r\n"
                     "Gpucoord-Peer: unix 4711 1000 100\r\n"
                     "Content-Length: 7\r\n"
                     "Connection: close\r\n"
                     "\r\n"
                     "{\"x\":1}");
}

/* Operators call over a Unix socket; the relay's own must not count. */
static void a_tcp_client_is_said_to_be_one(void **state)
{
    const struct http_request request = {.method = "GET",
                                         .path = "/gpu/leases/7",
                                         .query = "wait_ms=100&x=%20",
                                         .headers = headers,
                                         .header_count = 1,
                                         .body = ""};

    (void)state;
    expect(&request, "GET /gpu/leases/7?wait_ms=100&x=%20 HTTP/1.1\r\n"
                     "Host: gpu-host:4780\r\n"
                     "Gpucoord-Peer: tcp\r\n"
                     "Content-Length: 0\r\n"
                     "Connection: close\r\n"
                     "\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unix_client_is_named_and_its_own_word_is_dropped),
        cmocka_unit_test(a_tcp_client_is_said_to_be_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
