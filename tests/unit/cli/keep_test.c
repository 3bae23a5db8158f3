/* How long a lease is trusted: never as long as the coordinator keeps it. */
#include "cli/keep.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What counts is when the renewal was sent: its answer may have taken long.
 * A tenth of the TTL is left for clocks that differ, at most a second. */
static void trust_ends_before_the_lease_does(void **state)
{
    (void)state;
    assert_int_equal(keep_trust_until(5000, 1000), 5900);
    assert_int_equal(keep_trust_until(5000, 10000), 14000);
    assert_int_equal(keep_trust_until(5000, 30000), 34000);
    assert_int_equal(keep_trust_until(5000, 600000), 604000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trust_ends_before_the_lease_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
