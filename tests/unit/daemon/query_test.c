/* Numbers in paths and queries: what is none must not become one. */
#include "daemon/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void reads_digits_up_to_the_maximum(void **state)
{
    uint64_t number;

    (void)state;
    assert_true(query_number("0", 10, &number));
    assert_int_equal(number, 0);
    assert_true(query_number("10", 10, &number));
    assert_int_equal(number, 10);
    assert_true(query_number("18446744073709551615", UINT64_MAX, &number));
    assert_true(number == UINT64_MAX);
}

static void refuses_everything_else(void **state)
{
    static const char *const texts[] = {
        "",    "-1",  "+1",  " 1", "1 ",
        "1.0", "0x1", "1e3", "11", "18446744073709551616"};
    uint64_t number;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_false(query_number(texts[i], 10, &number));
    }
    assert_false(query_number("18446744073709551616", UINT64_MAX, &number));
}

static void finds_a_parameter_among_others(void **state)
{
    uint64_t number = 7;

    (void)state;
    assert_true(query_find_number("a=1&wait_ms=5&b=2", "wait_ms", 10, &number));
    assert_int_equal(number, 5);
    assert_true(query_find_number("xwait_ms=9", "wait_ms", 10, &number));
    assert_int_equal(number, 5);
    assert_true(query_find_number("", "wait_ms", 10, &number));
    assert_int_equal(number, 5);
    assert_true(query_find_number("&&", "wait_ms", 10, &number));
    assert_false(query_find_number("wait_ms=", "wait_ms", 10, &number));
    assert_false(query_find_number("wait_ms=x&b=1", "wait_ms", 10, &number));
    assert_false(query_find_number("wait_ms=11", "wait_ms", 10, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_digits_up_to_the_maximum),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(finds_a_parameter_among_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
