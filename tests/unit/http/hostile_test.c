/* Guarantee 15: clients that are slow, too many, or send without end.  What is
 * waited for is always something the server does; deadlines are short only so
 * that it does it soon. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PARK   "POST /park HTTP/1.1\r\nHost: a\r\n\r\n"
#define NOW    "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"
#define STREAM "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"

/* Send @byte again and again until the server ends it; a drip of bytes must not
 * keep a connection, and its descriptor, for ever. */
static void drip(struct rig *rig, const char *start, char byte)
{
    int fd = rig_connect_tcp(rig);
    struct buf in;

    buf_init(&in, 0);
    assert_true(rig_send_text(rig, fd, start));
    rig_until(rig, (send(fd, &byte, 1, MSG_NOSIGNAL), rig_read(fd, &in)));
    assert_non_null(strstr(buf_string(&in), "408 Request Timeout\r\n"));
    (void)close(fd);
    buf_release(&in);
}

static void drip_fed_headers_end_at_the_deadline(void **state)
{
    struct http_limits limits = rig_limits();
    struct rig rig;

    (void)state;
    limits.head_ms = 50;
    limits.header_bytes = 65535;
    limits.linger_ms = 50;
    rig_start(&rig, &limits);
    drip(&rig, "GET /now HTTP/1.1\r\nHost: a\r\nA: ", 'b');
    rig_stop(&rig);
}

static void drip_fed_bodies_end_at_the_deadline(void **state)
{
    struct http_limits limits = rig_limits();
    struct rig rig;

    (void)state;
    limits.body_ms = 50;
    limits.body_bytes = 100000000;
    limits.linger_ms = 50;
    rig_start(&rig, &limits);
    drip(&rig,
         "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n",
         'b');
    rig_stop(&rig);
}

static void idle_connections_end_at_the_deadline(void **state)
{
    struct http_limits limits = rig_limits();
    struct rig rig;
    int silent;
    int served;

    (void)state;
    limits.idle_ms = 20;
    rig_start(&rig, &limits);
    silent = rig_connect_tcp(&rig);
    served = rig_connect_tcp(&rig);
    rig_expect(&rig, served, NOW, "200");
    rig_expect(&rig, silent, "", "close");
    rig_expect(&rig, served, "", "close");
    (void)close(silent);
    (void)close(served);
    rig_stop(&rig);
}

/* Push 100 MB at a connection that reads no request. */
static void push(const char *start)
{
    static char data[1 << 20];
    struct rig rig;
    int fd;
    int i;

    rig_start(&rig, NULL);
    fd = rig_connect_tcp(&rig);
    assert_true(rig_send_text(&rig, fd, start));
    rig_until(&rig, rig.parked != 0);
    for (i = 0; i < 100 && rig_send(&rig, fd, data, sizeof data); i++) {
    }
    assert_true(i < 100);
    rig_until(&rig, rig.closed == 1);
    assert_int_equal(rig.closed_conn, rig.parked);
    (void)close(fd);
    rig_stop(&rig);
}

static void hundred_megabytes_end_a_parked_request(void **state)
{
    (void)state;
    push(PARK);
}

static void hundred_megabytes_end_an_event_stream(void **state)
{
    (void)state;
    push(STREAM);
}

enum {
    CROWD = 10000,
    CROWD_BYTES_EACH = 1024
};

/* Be 10,000 waiting clients until @rig closes its end of @pipe_fd. */
static void be_the_crowd(struct rig *rig, int pipe_fd)
{
    char byte;
    int i;

    for (i = 0; i < CROWD; i++) {
        int fd = rig_connect_unix(rig);

        if (write(fd, PARK, sizeof PARK - 1) != sizeof PARK - 1) {
            _exit(1);
        }
    }
    (void)!read(pipe_fd, &byte, 1);
    _exit(0);
}

/* C10: a waiter costs little, or a crowd of them could not wait. */
static void ten_thousand_clients_wait_at_once(void **state)
{
    struct rlimit limit;
    struct rig rig;
    size_t before;
    int ends[2];
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < CROWD + 100) {
        print_message("skipped: only %lu descriptors are allowed\n",
                      (unsigned long)limit.rlim_max);
        skip();
    }
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rig_start(&rig, NULL);
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[1]);
        be_the_crowd(&rig, ends[0]);
    }
    (void)close(ends[0]);
    before = mallinfo2().uordblks;
    rig_until(&rig, rig.parked_count == CROWD);
    print_message("%zu bytes for each of %d parked connections\n",
                  (mallinfo2().uordblks - before) / CROWD, CROWD);
    assert_true((mallinfo2().uordblks - before) / CROWD <= CROWD_BYTES_EACH);
    (void)close(ends[1]);
    rig_until(&rig, rig.closed == CROWD);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    rig_stop(&rig);
}

enum {
    MANY = 20,
    ROOM = 5 /* Connections that can be open at a time. */
};

/* Connect without being accepted yet: the kernel does that. */
static void connect_many(struct rig *rig, int fds[MANY])
{
    int i;

    for (i = 0; i < MANY; i++) {
        fds[i] = rig_connect_tcp(rig);
        assert_int_equal(send(fds[i], PARK, sizeof PARK - 1, MSG_NOSIGNAL),
                         sizeof PARK - 1);
    }
}

/* At the limit a listener that goes on asking would turn the loop in vain, and
 * one that gives up would never serve again. */
static void listener_pauses_and_comes_back(struct rig *rig, const int fds[MANY])
{
    unsigned i;

    rig_until(rig, rig->parked_count == ROOM);
    for (i = 0; i < 100; i++) {
        rig_pump_at(rig, __FILE__, __LINE__);
    }
    assert_int_equal(http_connection_count(rig->server), ROOM);
    for (i = 0; i < MANY; i++) {
        (void)close(fds[i]);
        rig_until(rig, rig->closed >= i + 1);
    }
    assert_int_equal(rig->parked_count, MANY);
    assert_int_equal(rig->closed, MANY);
}

static void no_more_connections_than_allowed(void **state)
{
    struct http_limits limits = rig_limits();
    struct rig rig;
    int fds[MANY];

    (void)state;
    limits.connections = ROOM;
    rig_start(&rig, &limits);
    connect_many(&rig, fds);
    listener_pauses_and_comes_back(&rig, fds);
    rig_stop(&rig);
}

/* Leave ROOM descriptors to the process. */
static void make_descriptors_rare(const struct rlimit *now)
{
    struct rlimit few = *now;
    int spare[ROOM];
    int i;

    for (i = 0; i < ROOM; i++) {
        spare[i] = dup(STDOUT_FILENO); /* The lowest that is free. */
        assert_true(spare[i] >= 0);
    }
    few.rlim_cur = (rlim_t)spare[ROOM - 1] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (i = 0; i < ROOM; i++) {
        (void)close(spare[i]);
    }
}

static void exhausted_descriptors_come_back(void **state)
{
    struct rlimit before;
    struct rig rig;
    int fds[MANY];

    (void)state;
    rig_start(&rig, NULL);
    connect_many(&rig, fds);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    make_descriptors_rare(&before);
    listener_pauses_and_comes_back(&rig, fds);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drip_fed_headers_end_at_the_deadline),
        cmocka_unit_test(drip_fed_bodies_end_at_the_deadline),
        cmocka_unit_test(idle_connections_end_at_the_deadline),
        cmocka_unit_test(hundred_megabytes_end_a_parked_request),
        cmocka_unit_test(hundred_megabytes_end_an_event_stream),
        cmocka_unit_test(ten_thousand_clients_wait_at_once),
        cmocka_unit_test(no_more_connections_than_allowed),
        cmocka_unit_test(exhausted_descriptors_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
