/* Pipes between clients and the leader, with the test as both. */
#include "cluster/relay.h"

#include "base/clock.h"
#include "cluster/address.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
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

static const char refusal[] = "HTTP/1.1 503 x\r\n\r\n";

struct rig {
    struct event_base *base;
    struct relays *relays;
    struct address to;
    char directory[32];
    int listener;
    int client; /* The test's end. */
    int leader; /* Likewise, once it is accepted; -1 before. */
};

static int start(void **state)
{
    static struct rig rig;
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct buf why;
    char url[160];

    rig = (struct rig){.client = -1, .leader = -1};
    (void)snprintf(rig.directory, sizeof rig.directory, "/tmp/relay-XXXXXX");
    assert_non_null(mkdtemp(rig.directory));
    (void)snprintf(where.sun_path, sizeof where.sun_path, "%s/s",
                   rig.directory);
    (void)snprintf(url, sizeof url, "unix://%s", where.sun_path);
    buf_init(&why, 0);
    assert_int_equal(address_parse(url, &rig.to, &why), E_OK);
    rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(rig.listener, (struct sockaddr *)&where, sizeof where), 0);
    assert_int_equal(listen(rig.listener, 8), 0);
    rig.base = event_base_new();
    assert_int_equal(relays_create(rig.base, &rig.relays), E_OK);
    relays_refuse_with(rig.relays, refusal, sizeof refusal - 1);
    *state = &rig;
    return 0;
}

static int stop(void **state)
{
    struct rig *rig = *state;
    char path[48];

    relays_destroy(rig->relays);
    event_base_free(rig->base);
    (void)close(rig->listener);
    if (rig->client >= 0) {
        (void)close(rig->client);
    }
    if (rig->leader >= 0) {
        (void)close(rig->leader);
    }
    (void)snprintf(path, sizeof path, "%s/s", rig->directory);
    (void)unlink(path);
    (void)rmdir(rig->directory);
    return 0;
}

static uint64_t give_up_at_ms;

static void pump(struct rig *rig)
{
    (void)event_base_loop(rig->base, EVLOOP_NONBLOCK);
    assert_true(clock_mono_ms() < give_up_at_ms);
}

#define until(rig, condition)                         \
    do {                                              \
        give_up_at_ms = clock_mono_ms() + GIVE_UP_MS; \
        while (!(condition)) {                        \
            pump(rig);                                \
        }                                             \
    } while (0)

/* Relay @request for a new client, as `rig->client`. */
static int relay(struct rig *rig, const char *request)
{
    struct buf bytes;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair),
                     0);
    rig->client = pair[0];
    buf_init(&bytes, 0);
    buf_text(&bytes, request);
    return relays_open(rig->relays, &rig->to, pair[1], &bytes);
}

static bool accept_leader(struct rig *rig)
{
    rig->leader = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK);
    return rig->leader >= 0;
}

/* Relay @request and take it as the leader. */
static void begin(struct rig *rig, const char *request)
{
    assert_int_equal(relay(rig, request), E_OK);
    until(rig, accept_leader(rig));
}

/* Append what @fd has to @in; true once it has ended. */
static bool drain(int fd, struct buf *in)
{
    char bytes[8192];
    ssize_t size;

    while ((size = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        buf_add(in, bytes, (size_t)size);
    }
    return size == 0 || errno != EAGAIN;
}

static void expect_at_client(struct rig *rig, const char *expected)
{
    struct buf in;

    buf_init(&in, 0);
    until(rig, drain(rig->client, &in));
    assert_string_equal(buf_string(&in), expected);
    buf_release(&in);
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
                     (ssize_t)strlen(text));
}

/* Take away the leader as its death does. */
static void lose_leader(struct rig *rig)
{
    (void)close(rig->leader);
    rig->leader = -1;
}

static void an_answer_is_handed_on_whole(void **state)
{
    struct rig *rig = *state;
    struct buf in;

    begin(rig, "GET / HTTP/1.1\r\n\r\n");
    buf_init(&in, 0);
    until(rig, (drain(rig->leader, &in), in.size > 0));
    assert_string_equal(buf_string(&in), "GET / HTTP/1.1\r\n\r\n");
    buf_release(&in);
    say(rig->leader, "HTTP/1.1 200 OK\r\n\r\nhello");
    lose_leader(rig);
    expect_at_client(rig, "HTTP/1.1 200 OK\r\n\r\nhello");
    (void)close(rig->client);
    rig->client = -1;
    until(rig, relays_count(rig->relays) == 0);
    assert_int_equal(relays_total(rig->relays), 1);
}

/* Events are worth something only as they come. */
static void a_stream_is_handed_on_as_it_comes(void **state)
{
    struct rig *rig = *state;
    struct buf in;
    int i;

    begin(rig, "GET /events");
    buf_init(&in, 0);
    for (i = 0; i < 5; i++) {
        say(rig->leader, "event\n");
        until(rig, (drain(rig->client, &in), in.size == 6 * (size_t)(i + 1)));
    }
    buf_release(&in);
}

/* A waiter that gave up must not be granted what it no longer wants. */
static void the_clients_close_reaches_the_leader(void **state)
{
    struct rig *rig = *state;
    struct buf in;

    begin(rig, "POST /gpu/request");
    (void)close(rig->client);
    rig->client = -1;
    buf_init(&in, 0);
    until(rig, drain(rig->leader, &in));
    buf_release(&in);
    assert_int_equal(relays_count(rig->relays), 0);
}

static void a_leader_that_dies_unheard_is_said_to_be_gone(void **state)
{
    struct rig *rig = *state;

    begin(rig, "POST /gpu/request");
    lose_leader(rig);
    expect_at_client(rig, refusal);
}

static void a_leader_that_is_not_there_is_said_to_be_gone(void **state)
{
    struct rig *rig = *state;

    (void)close(rig->listener);
    assert_int_equal(relay(rig, "POST /gpu/request"), E_IO);
    expect_at_client(rig, refusal);
    rig->listener = -1;
}

/* What looked like a whole answer, or two, would be worse than none. */
static void an_answer_that_broke_off_stays_broken(void **state)
{
    struct rig *rig = *state;
    struct buf in;

    begin(rig, "GET /");
    say(rig->leader, "HTTP/1.1 200 OK\r\nContent-Le");
    buf_init(&in, 0);
    until(rig, (drain(rig->client, &in), in.size > 0));
    buf_release(&in);
    lose_leader(rig);
    expect_at_client(rig, "");
}

/* Send as much of @size bytes as the leader's socket takes now. */
static size_t push(struct rig *rig, size_t size)
{
    static const char bytes[65536];
    size_t part = size < sizeof bytes ? size : sizeof bytes;
    ssize_t sent = send(rig->leader, bytes, part, MSG_NOSIGNAL);

    return sent < 0 ? 0 : (size_t)sent;
}

/* A page that nobody reads must not fill the follower's memory. */
static void a_client_that_does_not_read_stops_the_leader(void **state)
{
    enum {
        WHOLE = 16 << 20,
        LIMIT = 4 << 20 /* Sockets have room of their own. */
    };
    struct rig *rig = *state;
    struct buf in;
    size_t sent = 0;
    unsigned idle = 0;

    begin(rig, "GET /");
    give_up_at_ms = clock_mono_ms() + GIVE_UP_MS;
    while (idle < 1000) { /* Turns in which nothing moved. */
        size_t more = push(rig, WHOLE - sent);

        sent += more;
        idle = more == 0 ? idle + 1 : 0;
        pump(rig);
    }
    assert_true(sent < LIMIT);
    buf_init(&in, 0);
    while (sent < WHOLE) {
        sent += push(rig, WHOLE - sent);
        (void)drain(rig->client, &in);
        pump(rig);
    }
    lose_leader(rig);
    until(rig, drain(rig->client, &in));
    assert_int_equal(in.size, WHOLE);
    buf_release(&in);
}

static void a_large_request_arrives_whole(void **state)
{
    enum {
        SIZE = 4 << 20
    };
    struct rig *rig = *state;
    char *body = malloc(SIZE + 1);
    struct buf in;

    assert_non_null(body);
    memset(body, 'b', SIZE);
    body[SIZE] = '\0';
    begin(rig, body);
    free(body);
    buf_init(&in, 0);
    until(rig, (drain(rig->leader, &in), in.size == SIZE));
    buf_release(&in);
}

static void a_client_that_floods_is_closed(void **state)
{
    struct rig *rig = *state;
    char bytes[4096] = {0};
    struct buf in;

    begin(rig, "GET /");
    until(rig, (send(rig->client, bytes, sizeof bytes, MSG_NOSIGNAL) < 0 &&
                errno == EPIPE));
    buf_init(&in, 0);
    until(rig, drain(rig->leader, &in));
    buf_release(&in);
}

/* Nothing that a client adds reaches the leader: nobody has looked at it. */
static void what_follows_the_request_is_not_handed_on(void **state)
{
    struct rig *rig = *state;
    struct buf in;

    begin(rig, "GET /");
    say(rig->client, "POST /gpu/admin/drain");
    say(rig->leader, "answer");
    buf_init(&in, 0);
    until(rig, (drain(rig->client, &in), in.size == 6));
    buf_clear(&in);
    (void)drain(rig->leader, &in);
    assert_string_equal(buf_string(&in), "GET /");
    buf_release(&in);
}

static void a_leader_that_was_deposed_is_left(void **state)
{
    struct rig *rig = *state;
    struct buf in;
    int told;

    begin(rig, "GET /events");
    say(rig->leader, "event\n");
    buf_init(&in, 0);
    until(rig, (drain(rig->client, &in), in.size == 6));
    (void)close(rig->leader);
    told = rig->client;
    begin(rig, "POST /gpu/request");
    relays_end(rig->relays);
    expect_at_client(rig, refusal);
    buf_clear(&in);
    until(rig, drain(told, &in));
    assert_int_equal(in.size, 0);
    (void)close(told);
    buf_release(&in);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_handed_on_whole),
        TEST(a_stream_is_handed_on_as_it_comes),
        TEST(the_clients_close_reaches_the_leader),
        TEST(a_leader_that_dies_unheard_is_said_to_be_gone),
        TEST(a_leader_that_is_not_there_is_said_to_be_gone),
        TEST(an_answer_that_broke_off_stays_broken),
        TEST(a_client_that_does_not_read_stops_the_leader),
        TEST(a_large_request_arrives_whole),
        TEST(a_client_that_floods_is_closed),
        TEST(what_follows_the_request_is_not_handed_on),
        TEST(a_leader_that_was_deposed_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
