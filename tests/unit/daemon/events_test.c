/* The ring of events: a reader misses nothing, or is told that it did. */
#include "daemon/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct events *events;

    assert_int_equal(events_create(77, &events), E_OK);
    *state = events;
    return 0;
}

static int teardown(void **state)
{
    events_destroy(*state);
    return 0;
}

static void push(struct events *events, uint64_t count)
{
    struct core_message message = {.type = CORE_MSG_STATE};
    uint64_t i;

    for (i = 0; i < count; i++) {
        message.lease = events_next(events);
        events_push(events, 1000 + i, &message);
    }
}

static void keeps_the_newest(void **state)
{
    struct events *events = *state;

    assert_null(events_find(events, 1));
    push(events, EVENTS_KEPT + 10);
    assert_null(events_find(events, 10));
    assert_int_equal(events_find(events, 11)->message.lease, 11);
    assert_int_equal(events_find(events, EVENTS_KEPT + 10)->message.lease,
                     EVENTS_KEPT + 10);
    assert_null(events_find(events, EVENTS_KEPT + 11));
}

static void a_reader_goes_on_after_its_last_event(void **state)
{
    struct events *events = *state;
    struct buf id;
    uint64_t seq;

    push(events, 5);
    buf_init(&id, 0);
    events_write_id(events, 3, &id);
    assert_string_equal(buf_string(&id), "77-3");
    assert_false(events_resume(events, buf_string(&id), &seq));
    assert_int_equal(seq, 4);
    assert_false(events_resume(events, "77-5", &seq));
    assert_int_equal(seq, 6);
    buf_release(&id);
}

static void a_new_reader_begins_now(void **state)
{
    struct events *events = *state;
    uint64_t seq;

    push(events, 5);
    assert_false(events_resume(events, NULL, &seq));
    assert_int_equal(seq, 6);
    assert_false(events_resume(events, "", &seq));
    assert_int_equal(seq, 6);
}

static void a_reader_that_missed_some_is_reset(void **state)
{
    struct events *events = *state;
    uint64_t seq;

    push(events, EVENTS_KEPT + 10);
    assert_true(events_resume(events, "77-9", &seq));
    assert_int_equal(seq, EVENTS_KEPT + 11);
    assert_false(events_resume(events, "77-10", &seq));
    assert_int_equal(seq, 11);
}

static void an_id_that_is_not_ours_is_reset(void **state)
{
    static const char *const ids[] = {"76-3",
                                      "77-6",
                                      "77",
                                      "x",
                                      "77-",
                                      "-1-2",
                                      "77-99999999999999999999999999"};
    struct events *events = *state;
    size_t i;

    push(events, 5);
    for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        uint64_t seq;

        assert_true(events_resume(events, ids[i], &seq));
        assert_int_equal(seq, 6);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keeps_the_newest),
        TEST(a_reader_goes_on_after_its_last_event),
        TEST(a_new_reader_begins_now),
        TEST(a_reader_that_missed_some_is_reset),
        TEST(an_id_that_is_not_ours_is_reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
