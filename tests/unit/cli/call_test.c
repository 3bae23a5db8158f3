/* A lease is named by operands or by the environment that `run` sets. */
#include "cli/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int clear(void **state)
{
    (void)state;
    return unsetenv("GPUCOORD_LEASE") != 0 || unsetenv("GPUCOORD_TOKEN") != 0;
}

static void operands_go_first(void **state)
{
    char lease[] = "42";
    char token[] = "1007";
    char *const argv[] = {lease, token};
    struct lease_name name;

    (void)state;
    assert_int_equal(setenv("GPUCOORD_LEASE", "1", 1), 0);
    assert_int_equal(setenv("GPUCOORD_TOKEN", "2", 1), 0);
    assert_int_equal(lease_name_read(2, argv, &name), E_OK);
    assert_int_equal(name.lease, 42);
    assert_int_equal(name.token, 1007);
    assert_int_equal(lease_name_read(0, argv, &name), E_OK);
    assert_int_equal(name.lease, 1);
    assert_int_equal(name.token, 2);
}

/* A lease of the operands with the token of another must not be mixed. */
static void the_two_come_from_one_place(void **state)
{
    char lease[] = "42";
    char *const argv[] = {lease};
    struct lease_name name;

    (void)state;
    assert_int_equal(setenv("GPUCOORD_TOKEN", "2", 1), 0);
    assert_int_equal(lease_name_read(1, argv, &name), E_INVALID);
    assert_int_equal(lease_name_read(0, argv, &name), E_INVALID);
}

static void ids_are_json_numbers(void **state)
{
    uint64_t id = 7;

    (void)state;
    assert_int_equal(lease_id_parse("0", &id), E_INVALID);
    assert_int_equal(lease_id_parse("-1", &id), E_INVALID);
    assert_int_equal(lease_id_parse("9007199254740992", &id), E_INVALID);
    assert_int_equal(lease_id_parse("gemma", &id), E_INVALID);
    assert_int_equal(id, 7);
    assert_int_equal(lease_id_parse("9007199254740991", &id), E_OK);
    assert_int_equal(id, API_NUMBER_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(operands_go_first, clear),
        cmocka_unit_test_setup(the_two_come_from_one_place, clear),
        cmocka_unit_test(ids_are_json_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
