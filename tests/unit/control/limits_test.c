/* How often things may be done: pure, on instants of the test's own. */
#include "control/backoff.h"
#include "control/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

/* B8: 1 s, doubling to five minutes; ten quiet minutes make it new. */
static void repeats_are_put_off_longer_and_longer(void **state)
{
    struct backoff backoff = {0, 0};
    uint64_t now_ms = 5000;
    uint64_t wait_ms = BACKOFF_FIRST_MS;
    int i;

    (void)state;
    assert_int_equal(backoff_ready_at(&backoff, now_ms), now_ms);
    for (i = 0; i < 12; i++) {
        backoff_note(&backoff, now_ms);
        assert_int_equal(backoff_ready_at(&backoff, now_ms), now_ms + wait_ms);
        now_ms += wait_ms;
        assert_int_equal(backoff_ready_at(&backoff, now_ms + 1), now_ms + 1);
        wait_ms = 2 * wait_ms < BACKOFF_MAX_MS ? 2 * wait_ms : BACKOFF_MAX_MS;
    }
    now_ms += BACKOFF_QUIET_MS - 1;
    assert_false(backoff_is_over(&backoff, now_ms));
    assert_true(backoff_is_over(&backoff, now_ms + 1));
    backoff_note(&backoff, now_ms + 1);
    assert_int_equal(backoff.wait_ms, BACKOFF_FIRST_MS);
}

static void a_cause_is_told_once_an_hour(void **state)
{
    static struct notify_limit limit;
    uint32_t unsaid;

    (void)state;
    limit.count = 0;
    assert_true(notify_allows(&limit, "rogue 812", 10, &unsaid));
    assert_true(notify_allows(&limit, "rogue 813", 10, &unsaid));
    assert_false(notify_allows(&limit, "rogue 812", 11, &unsaid));
    assert_false(
        notify_allows(&limit, "rogue 812", 9 + NOTIFY_PERIOD_MS, &unsaid));
    assert_true(
        notify_allows(&limit, "rogue 812", 10 + NOTIFY_PERIOD_MS, &unsaid));
    assert_int_equal(unsaid, 2);
}

/* However many causes there are, the table is bounded; what was told longest
 * ago makes room. */
static void the_oldest_cause_makes_room(void **state)
{
    static struct notify_limit limit;
    uint32_t unsaid;
    char cause[32];
    uint64_t i;

    (void)state;
    limit.count = 0;
    for (i = 0; i <= NOTIFY_CAUSES_MAX; i++) {
        (void)snprintf(cause, sizeof cause, "cause %d", (int)i);
        assert_true(notify_allows(&limit, cause, i, &unsaid));
    }
    assert_false(notify_allows(&limit, "cause 1", 300, &unsaid));
    assert_true(notify_allows(&limit, "cause 0", 300, &unsaid));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_are_put_off_longer_and_longer),
        cmocka_unit_test(a_cause_is_told_once_an_hour),
        cmocka_unit_test(the_oldest_cause_makes_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
