/* Guarantee 16: every allocation of the core fails once, and nothing of the
 * run changes but that a step was repeated.  (An ended lease that there was no
 * memory to remember is not found: nobody asks for one with this seed.) */
#include "sim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void every_failing_allocation_is_survived(void **state)
{
    struct sim_result expected;
    bool was_reached = true;
    uint64_t fail_at;

    (void)state;
    for (fail_at = 0; was_reached; fail_at++) {
        struct fault fault;
        struct sim sim = {.profile = sim_profile("chaos"),
                          .seed = 7,
                          .steps = 400,
                          .fault = &fault};
        struct sim_result result;

        fault_init(&fault, fail_at); /* At first none. */
        sim_run(&sim, &result);
        assert_int_equal(fault.held_bytes, 0);
        if (fail_at == 0) {
            expected = result;
        } else {
            assert_int_equal(result.hash, expected.hash);
        }
        was_reached = fail_at == 0 || fault.has_failed;
    }
    assert_true(fail_at > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_allocation_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
