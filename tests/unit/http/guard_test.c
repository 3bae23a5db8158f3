/* Guarantee 15: a foreign web page's Host or Origin (DNS rebinding). */
#include "http/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const names[] = {"gpu.example.org"};

static const struct {
    const char *host;
    const char *origin;
    int expected;
} rows[] = {
    {"127.0.0.1:4780", NULL, E_OK},
    {"192.168.1.2", NULL, E_OK},
    {"[::1]:4780", NULL, E_OK},
    {"[::ffff:10.0.0.1]", NULL, E_OK},
    {"localhost", NULL, E_OK},
    {"LOCALHOST:4780", NULL, E_OK},
    {"gpu_box-1:", NULL, E_OK},
    {"host.docker.internal:4780", NULL, E_OK},
    {"GPU.example.org", NULL, E_OK},
    {"example.org", NULL, E_FOREIGN_HOST},
    {"localhost.", NULL, E_FOREIGN_HOST},
    {"a.gpu.example.org", NULL, E_FOREIGN_HOST},
    {"127.0.0.1.evil.example", NULL, E_FOREIGN_HOST},
    {"127.0.0.1.", NULL, E_FOREIGN_HOST},
    {"300.0.0.1", NULL, E_FOREIGN_HOST},
    {"", NULL, E_HTTP},
    {":80", NULL, E_HTTP},
    {"a:x", NULL, E_HTTP},
    {"a:123456", NULL, E_HTTP},
    {"a:1:2", NULL, E_HTTP},
    {"a b", NULL, E_HTTP},
    {"a@b", NULL, E_HTTP},
    {"a/b", NULL, E_HTTP},
    {"::1", NULL, E_HTTP},
    {"[::1", NULL, E_HTTP},
    {"[::1]x", NULL, E_HTTP},
    {"[localhost]", NULL, E_HTTP},
    {"[]", NULL, E_HTTP},
    {"localhost:4780", "http://localhost:4780", E_OK},
    {"localhost:4780", "HTTPS://LocalHost:4780", E_OK},
    {"localhost:4780", "http://localhost", E_FOREIGN_ORIGIN},
    {"localhost:4780", "http://localhost:3000", E_FOREIGN_ORIGIN},
    {"localhost:4780", "http://localhost:47801", E_FOREIGN_ORIGIN},
    {"localhost:4780", "ftp://localhost:4780", E_FOREIGN_ORIGIN},
    {"localhost:4780", "null", E_FOREIGN_ORIGIN},
    {"localhost:4780", "", E_FOREIGN_ORIGIN},
    {"evil.example", "http://evil.example", E_FOREIGN_HOST},
};

static void only_our_own_pages_may_talk_to_us(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = http_guard(rows[i].host, rows[i].origin, names, 1);

        if (got != rows[i].expected) {
            print_error("Host '%s': %s\n", rows[i].host, err_type(got));
        }
        assert_int_equal(got, rows[i].expected);
    }
}

/* A label of any length is read, and not past its end. */
static void long_host_is_refused(void **state)
{
    char host[1000];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof host - 1; i++) {
        host[i] = 'a';
        host[i + 1] = '\0';
        assert_int_equal(http_guard(host, NULL, NULL, 0),
                         i + 1 < 256 ? E_OK : E_HTTP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_our_own_pages_may_talk_to_us),
        cmocka_unit_test(long_host_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
