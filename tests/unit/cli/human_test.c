/* Times and sizes read well at every magnitude. */
#include "cli/human.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void times(void **state)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = {
        {0, "0 ms"},
        {999, "999 ms"},
        {1000, "1.0 s"},
        {9999, "9.9 s"},
        {10000, "10 s"},
        {59999, "59 s"},
        {60000, "1 min 0 s"},
        {3599000, "59 min 59 s"},
        {3780000, "1 h 3 min"},
        {273600000, "3 d 4 h"},
        {UINT64_MAX, "213503982334 d 14 h"},
    };
    char text[HUMAN_SIZE];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(human_time(cases[i].ms, text), cases[i].text);
    }
}

static void sizes(void **state)
{
    char text[HUMAN_SIZE];

    (void)state;
    assert_string_equal(human_vram(0, text), "0 MiB");
    assert_string_equal(human_vram(1023, text), "1023 MiB");
    assert_string_equal(human_vram(1024, text), "1.0 GiB");
    assert_string_equal(human_vram(24320, text), "23.7 GiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
