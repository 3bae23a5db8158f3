/* Guarantee 16: whichever allocation fails, the server lives on, and serves as
 * before when there is memory again.  The linker puts the functions below
 * before the C library's in everything linked statically here. */
#include "rig.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

static unsigned countdown; /* The allocation that fails; 0 = none. */

static bool fails(void)
{
    return countdown != 0 && --countdown == 0;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

/* Run the loop for as long as anything may come of it: what comes is not known
 * here, for some allocation has failed. */
static void settle(struct rig *rig)
{
    int i;

    rig_patience(rig);
    for (i = 0; i < 20; i++) {
        rig_pump_at(rig, __FILE__, __LINE__);
    }
}

static void say(struct rig *rig, int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    settle(rig);
}

/* A request in two pieces, one sent ahead, one refused, a reply and a stream
 * that are not read. */
static void use(struct rig *rig)
{
    static char data[300000];
    int fds[3];
    int i;

    for (i = 0; i < 3; i++) {
        fds[i] = rig_connect_unix(rig);
    }
    say(rig, fds[0], "POST /now HTTP/1.1\r\nHost: a\r\n");
    say(rig, fds[0],
        "Content-Length: 2\r\n\r\n{}GET /now HTTP/1.1\r\nHost: a\r\n\r\n\n");
    say(rig, fds[1], "GET /size/1000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    rig->parked = 0;
    say(rig, fds[2], "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    for (i = 0; i < 2; i++) {
        (void)!http_stream_send(rig->server, rig->parked, data, sizeof data);
    }
    settle(rig);
    for (i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
}

static void failed_allocation_costs_at_most_its_connection(void **state)
{
    struct rig rig;
    unsigned n = 0;
    bool was_reached = true;
    int fd;

    (void)state;
    while (was_reached) {
        n++;
        rig_start(&rig, NULL);
        rig.is_short_of_memory = true;
        countdown = n;
        use(&rig);
        was_reached = countdown == 0;
        countdown = 0;
        rig_until(&rig, http_connection_count(rig.server) == 0);
        fd = rig_connect_unix(&rig);
        rig_expect(&rig, fd, "GET /now HTTP/1.1\r\nHost: a\r\n\r\n", "200");
        (void)close(fd);
        rig_stop(&rig);
    }
    assert_true(n > 10);
}

static void server_that_cannot_be_created_leaves_nothing(void **state)
{
    static const struct http_handler handler = {.on_request = NULL};
    const struct http_config config = {.handler = &handler};
    struct event_base *base = event_base_new();
    struct http_server *server = NULL;
    unsigned n = 0;
    int rc;

    (void)state;
    do {
        countdown = ++n;
        rc = http_server_create(base, &config, &server);
        if (rc == E_OK) {
            rc = http_listen_tcp(server, "127.0.0.1:0", NULL);
            http_server_destroy(server);
        }
        assert_true(rc == E_OK || rc == E_NOMEM);
    } while (countdown == 0);
    countdown = 0;
    assert_true(n > 2);
    event_base_free(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocation_costs_at_most_its_connection),
        cmocka_unit_test(server_that_cannot_be_created_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
