#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
    int code;
    int value;
    int http;
    int cli;
    const char *type;
    const char *text;
} table[] = {
#define X(name, value, http, cli, type, text) \
    {E_##name, value, http, cli, type, text},
#include "base/err.def"
#undef X
};

enum {
    ERRORS = sizeof table / sizeof table[0]
};

/* Values and types travel: two with the same could not be told apart. */
static void values_and_types_are_unique(void **state)
{
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < ERRORS; i++) {
        assert_true(table[i].value < 0);
        for (j = 0; j < i; j++) {
            assert_int_not_equal(table[i].value, table[j].value);
            assert_string_not_equal(table[i].type, table[j].type);
        }
    }
}

static void every_code_has_its_row(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < ERRORS; i++) {
        int code = table[i].code;

        assert_int_equal(code, table[i].value);
        assert_int_equal(err_http(code), table[i].http);
        assert_int_equal(err_exit(code), table[i].cli);
        assert_string_equal(err_type(code), table[i].type);
        assert_string_equal(err_text(code), table[i].text);
        assert_int_equal(err_find(table[i].type), code);
        assert_in_range(err_http(code), 400, 599);
        assert_in_range(err_exit(code), 1, 5);
    }
}

static void unknown_codes_are_internal_errors(void **state)
{
    (void)state;
    assert_int_equal(err_http(-9999), 500);
    assert_int_equal(err_exit(-9999), 1);
    assert_string_equal(err_type(-9999), "internal");
    assert_string_equal(err_text(-9999), "unknown error");
    assert_int_equal(err_find("no such type"), 0);
    assert_int_equal(err_http(E_OK), 200);
    assert_int_equal(err_exit(E_OK), 0);
    assert_string_equal(err_text(E_OK), "done");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_types_are_unique),
        cmocka_unit_test(every_code_has_its_row),
        cmocka_unit_test(unknown_codes_are_internal_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
