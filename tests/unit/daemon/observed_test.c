/* C10: an estimate rests on five observations, or there is none. */
#include "daemon/observed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void says_nothing_below_five_observations(void **state)
{
    struct observed *observed;
    uint64_t left_ms;
    int i;

    (void)state;
    assert_int_equal(observed_create(&observed), E_OK);
    assert_false(observed_left(observed, 3, 0, &left_ms));
    for (i = 0; i < OBSERVED_MIN - 1; i++) {
        observed_add(observed, 3, 1000);
        assert_false(observed_left(observed, 3, 0, &left_ms));
    }
    observed_add(observed, 3, 1000);
    assert_true(observed_left(observed, 3, 300, &left_ms));
    assert_int_equal(left_ms, 700);
    assert_int_equal(observed_count(observed, 2), 0);
    observed_destroy(observed);
}

static void a_hold_longer_than_the_mean_may_end_at_once(void **state)
{
    struct observed *observed;
    uint64_t left_ms;
    int i;

    (void)state;
    assert_int_equal(observed_create(&observed), E_OK);
    for (i = 0; i < OBSERVED_MIN; i++) {
        observed_add(observed, 1, 100);
    }
    assert_true(observed_left(observed, 1, 5000, &left_ms));
    assert_int_equal(left_ms, 0);
    observed_destroy(observed);
}

/* A service that got a larger model is not judged by its old one for ever. */
static void old_holds_fade(void **state)
{
    struct observed *observed;
    uint64_t left_ms;
    int i;

    (void)state;
    assert_int_equal(observed_create(&observed), E_OK);
    for (i = 0; i < 1000; i++) {
        observed_add(observed, 1, 100);
    }
    for (i = 0; i < 100; i++) {
        observed_add(observed, 1, 10000);
    }
    assert_true(observed_left(observed, 1, 0, &left_ms));
    assert_in_range(left_ms, 9000, 10000);
    observed_destroy(observed);
}

/* Swaps that were not begun, or were forgotten, count for nothing. */
static void swaps_are_counted_from_begin_to_end(void **state)
{
    struct observed_service seen;
    struct observed *observed;

    (void)state;
    assert_int_equal(observed_create(&observed), E_OK);
    observed_end(observed, 7, 1, OBSERVED_PAUSE, 500);
    observed_begin(observed, 7, OBSERVED_PAUSE, 1000);
    observed_begin(observed, 7, OBSERVED_RESUME, 2000);
    observed_begin(observed, 8, OBSERVED_PAUSE, 1000);
    observed_end(observed, 7, 1, OBSERVED_PAUSE, 1300);
    observed_end(observed, 7, 1, OBSERVED_PAUSE, 9300);
    observed_forget(observed, 8);
    observed_end(observed, 8, 1, OBSERVED_PAUSE, 9300);
    observed_get(observed, 1, &seen);
    assert_int_equal(seen.swaps[OBSERVED_PAUSE], 1);
    assert_int_equal(seen.swap_ms[OBSERVED_PAUSE], 300);
    assert_int_equal(seen.swaps[OBSERVED_RESUME], 0);
    observed_end(observed, 7, 1, OBSERVED_RESUME, 2700);
    observed_get(observed, 1, &seen);
    assert_int_equal(seen.swap_ms[OBSERVED_RESUME], 700);
    observed_destroy(observed);
}

static void the_footprint_is_the_most_that_was_measured(void **state)
{
    struct observed_service seen;
    struct observed *observed;

    (void)state;
    assert_int_equal(observed_create(&observed), E_OK);
    observed_use(observed, 3, 4000);
    observed_use(observed, 3, 7000);
    observed_use(observed, 3, 100);
    observed_get(observed, 3, &seen);
    assert_int_equal(seen.footprint_mib, 7000);
    observed_get(observed, 90, &seen);
    assert_int_equal(seen.footprint_mib, 0);
    observed_destroy(observed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_nothing_below_five_observations),
        cmocka_unit_test(a_hold_longer_than_the_mean_may_end_at_once),
        cmocka_unit_test(old_holds_fade),
        cmocka_unit_test(swaps_are_counted_from_begin_to_end),
        cmocka_unit_test(the_footprint_is_the_most_that_was_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
