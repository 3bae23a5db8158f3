/* Where a coordinator is looked for. */
#include "cli/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct endpoints found;

static void urls_are_tried_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(
        endpoints_parse("unix:///run/x.sock,http://gpu-host:4780/", &found),
        E_OK);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.items[0].socket, "/run/x.sock");
    assert_string_equal(found.items[0].base, "http://localhost");
    assert_string_equal(found.items[0].text, "unix:///run/x.sock");
    assert_string_equal(found.items[1].socket, "");
    assert_string_equal(found.items[1].base, "http://gpu-host:4780");
}

static void off_is_none(void **state)
{
    (void)state;
    assert_int_equal(endpoints_parse("off", &found), E_OK);
    assert_int_equal(found.count, 0);
}

static void other_things_are_refused(void **state)
{
    static const char *const wrong[] = {
        "x",       "unix://x.sock", "unix:///a,",          "https://x",
        "http://", "off,http://x",  "unix:///a,,http://b",
    };
    char path[8 + ENDPOINT_SOCKET_MAX + 2] = "unix:///";
    size_t i;

    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(endpoints_parse(wrong[i], &found), E_INVALID);
    }
    assert_int_equal(endpoints_parse("http://1,http://2,http://3,http://4,"
                                     "http://5,http://6,http://7,http://8,"
                                     "http://9",
                                     &found),
                     E_INVALID);
    memset(path + 8, 'p', ENDPOINT_SOCKET_MAX);
    assert_int_equal(endpoints_parse(path, &found), E_INVALID);
    path[7 + ENDPOINT_SOCKET_MAX] = '\0';
    assert_int_equal(endpoints_parse(path, &found), E_OK);
}

static int set(const char *name, const char *value)
{
    return value == NULL ? unsetenv(name) : setenv(name, value, 1);
}

static void the_users_socket_goes_before_the_systems(void **state)
{
    (void)state;
    assert_int_equal(set("GPUCOORD_URL", NULL), 0);
    assert_int_equal(set("XDG_RUNTIME_DIR", "/run/user/7"), 0);
    /* A service's own directory is not where its coordinator is. */
    assert_int_equal(set("RUNTIME_DIRECTORY", "/run/other"), 0);
    assert_int_equal(endpoints_find(&found), E_OK);
    assert_int_equal(found.count, 2);
    assert_string_equal(found.items[0].socket,
                        "/run/user/7/gpucoord/gpucoord.sock");
    assert_string_equal(found.items[1].socket, "/run/gpucoord/gpucoord.sock");
    assert_false(endpoints_are_off());
    assert_false(found.is_cluster); /* Two places for one coordinator. */
    assert_false(endpoints_are_several());
    assert_int_equal(set("RUNTIME_DIRECTORY", NULL), 0);
}

/* A user without a runtime directory has the socket beside the store, root
 * the system's alone. */
static void without_a_runtime_directory(void **state)
{
    (void)state;
    assert_int_equal(set("GPUCOORD_URL", ""), 0);
    assert_int_equal(set("XDG_RUNTIME_DIR", NULL), 0);
    assert_int_equal(endpoints_find(&found), E_OK);
    assert_int_equal(found.count, geteuid() == 0 ? 1 : 2);
    assert_string_equal(found.items[found.count - 1].socket,
                        "/run/gpucoord/gpucoord.sock");
}

static void the_environment_rules(void **state)
{
    (void)state;
    assert_int_equal(set("GPUCOORD_URL", "http://a"), 0);
    assert_int_equal(endpoints_find(&found), E_OK);
    assert_int_equal(found.count, 1);
    assert_false(found.is_cluster);
    assert_int_equal(set("GPUCOORD_URL", "http://a,http://b"), 0);
    assert_int_equal(endpoints_find(&found), E_OK);
    assert_true(found.is_cluster);
    assert_true(endpoints_are_several());
    assert_int_equal(set("GPUCOORD_URL", "off"), 0);
    assert_true(endpoints_are_off());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_tried_in_their_order),
        cmocka_unit_test(off_is_none),
        cmocka_unit_test(other_things_are_refused),
        cmocka_unit_test(the_users_socket_goes_before_the_systems),
        cmocka_unit_test(without_a_runtime_directory),
        cmocka_unit_test(the_environment_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
