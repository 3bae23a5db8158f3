/* Where the server listens, and who is in its way. */
#include "rig.h"

#include "http/server.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW "GET /now HTTP/1.1\r\nHost: a\r\n\r\n"

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

static void address_that_is_none_is_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      ":4780",
                                      "localhost:4780",
                                      "127.0.0.1:",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:18446744073709551617",
                                      "127.0.0.1:-1",
                                      "::1",
                                      "::1:4780",
                                      "[::1]",
                                      "[::1:4780",
                                      "[127.0.0.1]:4780",
                                      "[]:4780"};
    struct rig *rig = *state;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(http_listen_tcp(rig->server, bad[i], NULL), E_INVALID);
    }
}

static void taken_port_is_refused_and_the_rest_stays(void **state)
{
    struct rig *rig = *state;
    char address[32];
    int fd;

    (void)snprintf(address, sizeof address, "127.0.0.1:%u",
                   (unsigned)rig->port);
    assert_int_equal(http_listen_tcp(rig->server, address, NULL), E_BUSY);
    fd = rig_connect_unix(rig);
    rig_expect(rig, fd, NOW, "200");
    (void)close(fd);
}

static void ipv6_is_served(void **state)
{
    struct rig *rig = *state;
    uint16_t port = 0;
    int rc = http_listen_tcp(rig->server, "[::1]:0", &port);

    if (rc == E_IO) {
        skip(); /* This machine has no IPv6. */
    }
    assert_int_equal(rc, E_OK);
    assert_true(port != 0);
}

static void socket_has_its_mode(void **state)
{
    struct rig *rig = *state;
    struct stat status;

    assert_int_equal(stat(rig->path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
}

static void served_socket_is_refused_and_left_alone(void **state)
{
    struct rig *rig = *state;
    int fd;

    assert_int_equal(http_listen_unix(rig->server, rig->path, 0660), E_BUSY);
    fd = rig_connect_unix(rig);
    rig_expect(rig, fd, NOW, "200");
    (void)close(fd);
}

/* A coordinator that was killed leaves its socket behind. */
static void socket_that_nobody_serves_is_replaced(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    int fd;

    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s.dead",
                   rig->path);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address),
                     0);
    assert_int_equal(listen(dead, 1), 0);
    (void)close(dead);
    assert_int_equal(http_listen_unix(rig->server, address.sun_path, 0600),
                     E_OK);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address),
                     0);
    (void)close(fd);
}

static void something_else_at_the_path_is_kept(void **state)
{
    struct rig *rig = *state;
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s.file", rig->path);
    file = fopen(path, "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(http_listen_unix(rig->server, path, 0660), E_INVALID);
    assert_int_equal(unlink(path), 0);
}

static void impossible_paths_are_refused(void **state)
{
    struct rig *rig = *state;
    char path[200];

    (void)memset(path, 'a', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(http_listen_unix(rig->server, path, 0660), E_INVALID);
    assert_int_equal(http_listen_unix(rig->server, "/proc/a/b/s", 0660), E_IO);
}

/* Read an option of the connection that the server accepted last. */
static int accepted_option(struct rig *rig, int level, int name)
{
    struct list *idle = &rig->server->conns[CONN_IDLE];
    struct conn *conn = CONTAINER_OF(idle->prev, struct conn, item);
    int value = -1;
    socklen_t size = sizeof value;

    assert_int_equal(
        getsockopt(event_get_fd(&conn->event), level, name, &value, &size), 0);
    return value;
}

/* Guarantee 7: a parked peer that vanishes without a word is noticed. */
static void tcp_peers_are_probed(void **state)
{
    struct rig *rig = *state;
    int fd = rig_connect_tcp(rig);

    rig_until(rig, http_connection_count(rig->server) == 1);
    assert_int_equal(accepted_option(rig, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(accepted_option(rig, IPPROTO_TCP, TCP_KEEPIDLE), 5);
    assert_int_equal(accepted_option(rig, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    assert_int_equal(accepted_option(rig, IPPROTO_TCP, TCP_USER_TIMEOUT),
                     15000);
    assert_true(accepted_option(rig, IPPROTO_TCP, TCP_NODELAY) != 0);
    (void)close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(address_that_is_none_is_refused),
        T(taken_port_is_refused_and_the_rest_stays),
        T(ipv6_is_served),
        T(socket_has_its_mode),
        T(served_socket_is_refused_and_left_alone),
        T(socket_that_nobody_serves_is_replaced),
        T(something_else_at_the_path_is_kept),
        T(impossible_paths_are_refused),
        T(tcp_peers_are_probed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
