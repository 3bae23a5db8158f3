/* Which promise a lease has: every combination, against the rule in words. */
#include "control/guarantee.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ADV CORE_ADVISORY
#define VER CORE_VERIFIED
#define SUP CORE_SUPERVISED

/* By watch, then by what is measured: nothing, the whole device, processes. */
static const enum core_guarantee
    promises[GUARANTEE_WATCHES][GUARANTEE_MEASURES] = {
        [GUARANTEE_UNWATCHED] = {ADV, VER, VER},
        [GUARANTEE_PROCESS] = {ADV, SUP, SUP},
        [GUARANTEE_GROUP] = {ADV, SUP, SUP},
        [GUARANTEE_CGROUP] = {SUP, SUP, SUP},
};

static void the_promise_is_what_is_known(void **state)
{
    int watch;
    int measure;

    (void)state;
    for (watch = 0; watch < GUARANTEE_WATCHES; watch++) {
        for (measure = 0; measure < GUARANTEE_MEASURES; measure++) {
            assert_int_equal(guarantee_of((enum guarantee_watch)watch,
                                          (enum guarantee_measure)measure),
                             promises[watch][measure]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promise_is_what_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
