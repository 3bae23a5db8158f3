/* Requests that are relayed: who is believed to have made them, and giving a
 * connection away. */
#include "rig.h"

#include "http/server.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    NOBODY = 65534
};

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

/* Send a request with @peer in its header at @fd, and return the last line of
 * the reply: who it is from. */
static const char *
ask(struct rig *rig, int fd, const char *peer, struct buf *reply)
{
    char request[256];
    const char *body;

    (void)snprintf(request, sizeof request,
                   "GET /who HTTP/1.1\r\nHost: a\r\n%s%s%s\r\n",
                   peer != NULL ? HTTP_PEER_HEADER ": " : "",
                   peer != NULL ? peer : "", peer != NULL ? "\r\n" : "");
    assert_true(rig_send_text(rig, fd, request));
    buf_clear(reply);
    rig_until(rig, (rig_read(fd, reply),
                    strstr(buf_string(reply), "\r\n\r\n") != NULL));
    body = strstr(buf_string(reply), "\r\n\r\n");
    return body + 4;
}

/* Check that with @peer in its header a Unix client counts as @expected. */
static void expect_unix(struct rig *rig, const char *peer, const char *expected)
{
    int fd = rig_connect_unix(rig);
    struct buf reply;

    buf_init(&reply, 0);
    assert_string_equal(ask(rig, fd, peer, &reply), expected);
    buf_release(&reply);
    (void)close(fd);
}

/* Where nobody relays, the header is one like any other. */
static void without_a_cluster_nobody_is_believed(void **state)
{
    struct rig *rig = *state;
    char self[64];

    (void)snprintf(self, sizeof self, "unix %d %u %u", (int)getpid(), geteuid(),
                   getegid());
    expect_unix(rig, NULL, self);
    expect_unix(rig, "unix 1 2 3", self);
    expect_unix(rig, "tcp", self);
}

static void who_relays_says_for_whom(void **state)
{
    struct rig *rig = *state;
    char self[64];

    (void)snprintf(self, sizeof self, "unix %d %u %u", (int)getpid(), geteuid(),
                   getegid());
    rig->server->config.believes_relays = true;
    expect_unix(rig, "unix 17 1000 100", "unix 17 1000 100");
    expect_unix(rig, "unix 0 4294967294 0", "unix 0 4294967294 0");
    expect_unix(rig, "tcp", "tcp");
    expect_unix(rig, NULL, self);
}

/* Better nobody than somebody else: nothing is allowed to nobody. */
static void what_cannot_be_read_is_from_nobody(void **state)
{
    static const char *const bad[] = {
        "",
        "unix",
        "unix 1",
        "unix 1 2",
        "unix 1 2 ",
        "unix 1 2 3 4",
        "unix 1 2 x",
        "unix -1 2 3",
        "unix  1 2 3",
        "Unix 1 2 3",
        "unix 1 2 99999999999999999999",
    };
    struct rig *rig = *state;
    size_t i;

    rig->server->config.believes_relays = true;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect_unix(rig, bad[i], "tcp");
    }
}

/* Anybody can write a header. */
static void a_tcp_client_is_never_believed(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);
    struct buf reply;

    rig->server->config.believes_relays = true;
    buf_init(&reply, 0);
    assert_string_equal(ask(rig, fd, "unix 1 0 0", &reply), "tcp");
    buf_release(&reply);
    (void)close(fd);
}

static void another_user_is_never_believed(void **state)
{
    static const char forged[] =
        "GET /who HTTP/1.1\r\nHost: a\r\n" HTTP_PEER_HEADER
        ": unix 1 0 0\r\n\r\n";
    struct rig *rig = *state;
    char expected[64];
    int pair[2];
    pid_t pid;
    int fd;

    if (geteuid() != 0) {
        skip(); /* Only root can be somebody else. */
    }
    rig->server->config.believes_relays = true;
    assert_int_equal(chmod(rig->path, 0666), 0);
    assert_int_equal(pipe(pair), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* Who connects is who is asked about, whoever writes later. */
        bool ok = setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
                  setresuid(NOBODY, NOBODY, NOBODY) == 0;

        fd = ok ? rig_connect_unix(rig) : -1;
        ok = fd >= 0 && send(fd, forged, strlen(forged), 0) > 0;
        _exit(ok && write(pair[1], "", 1) == 1 && pause() != 0 ? 0 : 1);
    }
    assert_int_equal(read(pair[0], expected, 1), 1);
    rig_until(rig, rig->requests == 1);
    (void)snprintf(expected, sizeof expected, "unix %d %d %d", (int)pid, NOBODY,
                   NOBODY);
    assert_string_equal(rig->who, expected);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

/* A relay goes on with the socket itself. */
static void a_parked_connection_can_be_taken(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_unix(rig);
    struct buf reply;
    int taken;

    assert_true(
        rig_send_text(rig, fd, "GET /park HTTP/1.1\r\nHost: a\r\n\r\nmore"));
    rig_until(rig, rig->parked_count == 1);
    assert_int_equal(http_take(rig->server, rig->parked, &taken), E_OK);
    rig_until(rig, http_connection_count(rig->server) == 0);
    assert_int_equal(http_take(rig->server, rig->parked, &taken), E_NOT_FOUND);
    assert_int_equal(send(taken, "raw", 3, 0), 3);
    buf_init(&reply, 0);
    rig_until(rig, (rig_read(fd, &reply), reply.size == 3));
    buf_release(&reply);
    (void)close(fd);
    rig_pump_at(rig, __FILE__, __LINE__);
    assert_int_equal(rig->closed, 0); /* Nobody is told. */
    (void)close(taken);
}

static void only_what_waits_can_be_taken(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_unix(rig);
    int taken;

    assert_int_equal(http_take(rig->server, 99, &taken), E_NOT_FOUND);
    assert_true(
        rig_send_text(rig, fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"));
    rig_until(rig, rig->requests == 1);
    assert_int_equal(http_take(rig->server, rig->parked, &taken), E_STATE);
    (void)close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(without_a_cluster_nobody_is_believed),
        TEST(who_relays_says_for_whom),
        TEST(what_cannot_be_read_is_from_nobody),
        TEST(a_tcp_client_is_never_believed),
        TEST(another_user_is_never_believed),
        TEST(a_parked_connection_can_be_taken),
        TEST(only_what_waits_can_be_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
