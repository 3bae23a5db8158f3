/* B8, C10: how a ladder was walked, for whoever asks why. */
#include "daemon/walks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static struct walks *begin(void)
{
    struct walks *walks;

    assert_int_equal(walks_create(&walks), E_OK);
    return walks;
}

static void
step(struct walks *walks, enum rung rung, bool is_undo, uint64_t at_ms)
{
    struct walks_step one = {.rung = rung,
                             .is_undo = is_undo,
                             .begun_at_ms = at_ms,
                             .due_at_ms = at_ms + 10000};

    walks_begin(walks, 1, &one);
}

static void end(struct walks *walks,
                enum rung rung,
                enum walks_outcome outcome,
                uint64_t at_ms)
{
    struct walks_step one = {
        .rung = rung, .outcome = outcome, .reason = "because"};

    walks_end(walks, 1, &one, at_ms);
}

/* Who waits reads which rung helped, and which did not, and why. */
static void each_rung_ends_with_its_reason(void **state)
{
    struct walks *walks = begin();
    struct buf text;

    (void)state;
    assert_null(walks_find(walks, 1));
    step(walks, RUNG_ASK, false, 1000);
    step(walks, RUNG_CHECKPOINT, false, 11000); /* The ask is late. */
    end(walks, RUNG_CHECKPOINT, WALKS_SKIPPED, 12000);
    step(walks, RUNG_TERM, false, 12000);
    buf_init(&text, 0);
    walks_print(walks_find(walks, 1), 15000, &text);
    assert_string_equal(buf_string(&text),
                        "asked to pause: no answer in 10 s, "
                        "checkpointed: because, TERM sent 3 s ago");
    assert_int_equal(walks_count(walks, RUNG_ASK, WALKS_LATE), 1);
    assert_int_equal(walks_count(walks, RUNG_CHECKPOINT, WALKS_SKIPPED), 1);
    walks_close(walks, 1, WALKS_OK, 15000);
    assert_int_equal(walks_count(walks, RUNG_TERM, WALKS_OK), 1);
    buf_release(&text);
    walks_destroy(walks);
}

/* An answer that comes after its rung was left does not change its outcome. */
static void an_answer_counts_once(void **state)
{
    struct walks *walks = begin();

    (void)state;
    step(walks, RUNG_TERM, false, 1000);
    step(walks, RUNG_KILL, false, 11000);
    end(walks, RUNG_TERM, WALKS_OK, 12000);
    end(walks, RUNG_UNLOAD, WALKS_OK, 12000);
    assert_int_equal(walks_find(walks, 1)->steps[0].outcome, WALKS_LATE);
    assert_int_equal(walks_count(walks, RUNG_TERM, WALKS_OK), 0);
    assert_int_equal(walks_find(walks, 1)->steps[1].outcome, WALKS_RUNNING);
    walks_destroy(walks);
}

/* The undo belongs to the pause; the next pause is another walk. */
static void a_walk_that_does_not_rise_is_a_new_one(void **state)
{
    struct walks *walks = begin();

    (void)state;
    step(walks, RUNG_FREEZE, false, 1000);
    step(walks, RUNG_FREEZE, true, 2000);
    assert_int_equal(walks_find(walks, 1)->count, 2);
    step(walks, RUNG_FREEZE, false, 3000);
    assert_int_equal(walks_find(walks, 1)->count, 1);
    walks_destroy(walks);
}

/* A coordinator that runs for a year does not remember every lease. */
static void what_has_ended_is_forgotten_in_its_order(void **state)
{
    struct walks *walks = begin();
    struct walks_step one = {.rung = RUNG_ASK};
    uint64_t lease;

    (void)state;
    for (lease = 1; lease <= WALKS_ENDED_MAX + 2; lease++) {
        walks_begin(walks, lease, &one);
        walks_lease_ended(walks, lease);
        walks_lease_ended(walks, lease);
    }
    assert_null(walks_find(walks, 2));
    assert_non_null(walks_find(walks, 3));
    for (lease = 0; lease < WALKS_STEPS_MAX + 3; lease++) {
        step(walks, RUNG_FREEZE, true, lease);
    }
    assert_int_equal(walks_find(walks, 1)->count, WALKS_STEPS_MAX);
    assert_int_equal(walks_find(walks, 1)->steps[0].begun_at_ms, 3);
    walks_destroy(walks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rung_ends_with_its_reason),
        cmocka_unit_test(an_answer_counts_once),
        cmocka_unit_test(a_walk_that_does_not_rise_is_a_new_one),
        cmocka_unit_test(what_has_ended_is_forgotten_in_its_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
