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
    alive_and_own[GUARANTEE_WATCHES][GUARANTEE_MEASURES] = {
        [GUARANTEE_UNWATCHED] = {ADV, VER, VER},
        [GUARANTEE_PROCESS] = {ADV, SUP, SUP},
        [GUARANTEE_GROUP] = {ADV, SUP, SUP},
        [GUARANTEE_CGROUP] = {SUP, SUP, SUP},
};

/* Somebody dead, or somebody else's, is as good as nobody. */
static const enum core_guarantee otherwise[GUARANTEE_MEASURES] = {ADV, VER,
                                                                  VER};

static void the_promise_is_what_is_known(void **state)
{
    struct guarantee_facts facts = {0};
    unsigned i;

    (void)state;
    for (i = 0; i < GUARANTEE_WATCHES * GUARANTEE_MEASURES * 4; i++) {
        enum core_guarantee expected;

        facts.measure = (enum guarantee_measure)(i / 4 % GUARANTEE_MEASURES);
        facts.watch = (enum guarantee_watch)(i / 4 / GUARANTEE_MEASURES);
        facts.is_alive = (i & 1) != 0;
        facts.is_own = (i & 2) != 0;
        expected = facts.is_alive && facts.is_own
                       ? alive_and_own[facts.watch][facts.measure]
                       : otherwise[facts.measure];
        assert_int_equal(guarantee_of(&facts), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_promise_is_what_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
