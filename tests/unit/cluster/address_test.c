/* Where the others reach a coordinator. */
#include "cluster/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct address address;

/* Parse @text, and check that it is refused with @part in the reason. */
static void refuse(const char *text, const char *part)
{
    struct buf why;

    buf_init(&why, 0);
    assert_int_equal(address_parse(text, &address, &why), E_INVALID);
    assert_non_null(strstr(buf_string(&why), part));
    buf_release(&why);
}

static void accept_it(const char *text)
{
    struct buf why;

    buf_init(&why, 0);
    assert_int_equal(address_parse(text, &address, &why), E_OK);
    assert_int_equal(why.size, 0);
}

static void a_socket_by_its_path(void **state)
{
    struct sockaddr_un where;

    (void)state;
    accept_it("unix:///run/gpucoord/a.sock");
    assert_true(address.is_unix);
    memcpy(&where, &address.where, sizeof where);
    assert_string_equal(where.sun_path, "/run/gpucoord/a.sock");
    refuse("unix://a.sock", "absolute");
    refuse("unix://", "absolute");
    refuse("/run/a.sock", "neither");
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    char text[200] = "unix:///";

    (void)state;
    memset(text + 8, 'p', 106);
    accept_it(text);
    text[8 + 106] = 'p';
    refuse(text, "107");
}

static void loopback_by_its_number(void **state)
{
    struct sockaddr_in where;

    (void)state;
    accept_it("http://127.0.0.1:4781");
    assert_false(address.is_unix);
    memcpy(&where, &address.where, sizeof where);
    assert_int_equal(ntohs(where.sin_port), 4781);
    accept_it("http://127.0.0.1:4781/");
    accept_it("http://[::1]:4781");
    refuse("http://127.0.0.1", "not http://ADDRESS:PORT");
    refuse("http://127.0.0.1:0", "not http://ADDRESS:PORT");
    refuse("http://127.0.0.1:65536", "not http://ADDRESS:PORT");
    refuse("http://127.0.0.1:4781/gpu", "not http://ADDRESS:PORT");
    refuse("http://:4781", "not http://ADDRESS:PORT");
    refuse("http://localhost:4781", "not an IP address");
}

/* What is relayed is not encrypted, and nobody says who he is. */
static void beyond_loopback_is_refused_until_there_is_auth(void **state)
{
    (void)state;
    refuse("http://192.168.1.2:4781", "auth");
    refuse("http://[2001:db8::1]:4781", "auth");
    refuse("http://0.0.0.0:4781", "auth");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_by_its_path),
        cmocka_unit_test(a_path_that_is_too_long_is_refused),
        cmocka_unit_test(loopback_by_its_number),
        cmocka_unit_test(beyond_loopback_is_refused_until_there_is_auth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
