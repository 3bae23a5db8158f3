/* The rungs, and ladders packed into a row (C2). */
#include "core/ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct core_ladder whole = {
    .count = 7,
    .steps = {{RUNG_ASK, 1},
              {RUNG_UNLOAD, 2},
              {RUNG_FREEZE, 3},
              {RUNG_CHECKPOINT, 4},
              {RUNG_TERM, 5},
              {RUNG_KILL, 0},
              {RUNG_RESTART, 7}},
};

static void every_rung_is_found_by_its_name(void **state)
{
    int i;

    (void)state;
    for (i = RUNG_ASK; i < RUNGS; i++) {
        assert_int_equal(rung_find(rung_name((enum rung)i)), i);
    }
    assert_int_equal(rung_find("none"), RUNG_NONE);
    assert_int_equal(rung_find("sigkill"), RUNG_NONE);
}

static void a_ladder_rises(void **state)
{
    struct core_ladder ladder = {.count = 2,
                                 .steps = {{RUNG_TERM, 0}, {RUNG_KILL, 0}}};

    (void)state;
    assert_true(ladder_is_valid(&ladder));
    assert_true(ladder_is_valid(&whole));
    ladder.steps[1].rung = RUNG_TERM;
    assert_false(ladder_is_valid(&ladder));
    ladder.steps[1].rung = RUNG_ASK;
    assert_false(ladder_is_valid(&ladder));
    ladder.steps[1].rung = RUNGS;
    assert_false(ladder_is_valid(&ladder));
    ladder.count = 0;
    assert_false(ladder_is_valid(&ladder));
    ladder.count = LADDER_STEPS_MAX + 1;
    assert_false(ladder_is_valid(&ladder));
}

/* A row that no version wrote must not be walked. */
static void only_what_can_be_packed_is_taken_back(void **state)
{
    (void)state;
    assert_true(ladder_is_packed(LADDER_DEFAULT));
    assert_true(ladder_is_packed(ladder_pack(&whole)));
    assert_false(ladder_is_packed(0));
    assert_false(ladder_is_packed(0x11));  /* ask, ask */
    assert_false(ladder_is_packed(0x15));  /* term, ask */
    assert_false(ladder_is_packed(0x101)); /* ask, none, ask */
    assert_false(ladder_is_packed(0x8));   /* no such rung */
}

static void pausing_and_reclaiming_walk_their_own_rungs(void **state)
{
    uint32_t rungs = ladder_pack(&whole);

    (void)state;
    assert_int_equal(ladder_next_pause(rungs, RUNG_NONE), RUNG_ASK);
    assert_int_equal(ladder_next_pause(rungs, RUNG_ASK), RUNG_UNLOAD);
    assert_int_equal(ladder_next_pause(rungs, RUNG_UNLOAD), RUNG_FREEZE);
    assert_int_equal(ladder_next_pause(rungs, RUNG_FREEZE), RUNG_CHECKPOINT);
    assert_int_equal(ladder_next_pause(rungs, RUNG_CHECKPOINT), RUNG_NONE);
    assert_int_equal(ladder_next_reclaim(rungs, RUNG_NONE), RUNG_UNLOAD);
    assert_int_equal(ladder_next_reclaim(rungs, RUNG_UNLOAD), RUNG_TERM);
    assert_int_equal(ladder_next_reclaim(rungs, RUNG_TERM), RUNG_KILL);
    assert_int_equal(ladder_next_reclaim(rungs, RUNG_KILL), RUNG_RESTART);
    assert_int_equal(ladder_next_reclaim(rungs, RUNG_RESTART), RUNG_NONE);
    assert_int_equal(ladder_next_pause(LADDER_DEFAULT, RUNG_ASK), RUNG_NONE);
    assert_int_equal(ladder_next_reclaim(LADDER_DEFAULT, RUNG_NONE), RUNG_NONE);
    assert_true(ladder_has(rungs, RUNG_RESTART));
    assert_false(ladder_has(LADDER_DEFAULT, RUNG_RESTART));
}

static void a_step_without_a_grace_has_the_default(void **state)
{
    (void)state;
    assert_int_equal(ladder_grace_ms(&whole, RUNG_TERM), 5);
    assert_int_equal(ladder_grace_ms(&whole, RUNG_KILL), LADDER_GRACE_MS);
    assert_int_equal(ladder_grace_ms(NULL, RUNG_TERM), LADDER_GRACE_MS);
}

static void only_what_stops_a_process_is_undone(void **state)
{
    int i;

    (void)state;
    for (i = RUNG_NONE; i < RUNGS; i++) {
        assert_int_equal(rung_needs_undo((enum rung)i),
                         i == RUNG_FREEZE || i == RUNG_CHECKPOINT);
    }
    assert_string_equal(rung_result_name(RUNG_SKIPPED), "skipped");
    assert_string_equal(rung_help(RUNG_TERM), "its processes are asked to end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rung_is_found_by_its_name),
        cmocka_unit_test(a_ladder_rises),
        cmocka_unit_test(only_what_can_be_packed_is_taken_back),
        cmocka_unit_test(pausing_and_reclaiming_walk_their_own_rungs),
        cmocka_unit_test(a_step_without_a_grace_has_the_default),
        cmocka_unit_test(only_what_stops_a_process_is_undone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
