/* Guarantee 16: whichever allocation of the store or of SQLite fails, what was
 * asked for happened or did not, nothing stored is lost, and no number comes
 * twice. */
#include "contract/store_fixture.h"
#include "lib/fault_malloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ROWS = 40
};

/* Rows enough for several pages, and a million numbers. */
static void fill(struct fixture *fx)
{
    uint64_t id;

    for (id = 1; id <= ROWS; id++) {
        fixture_put(fx, id);
    }
    assert_int_equal(fixture_commit(fx, true), E_OK);
    assert_int_equal(store_reserve_numbers(fx->store, STORE_NUMBER_BLOCK),
                     E_OK);
}

static void close_store(struct fixture *fx)
{
    store_close(fx->store);
    fx->store = NULL;
    fx->number = 0;
}

static void failed_opening_leaves_the_store_as_it_was(void **state)
{
    struct fixture *fx = *state;
    bool was_reached = true;
    uint64_t n = 0;
    char *before;

    fill(fx);
    before = strdup(fixture_dump(fx));
    while (was_reached) {
        int rc;

        close_store(fx);
        fault_malloc_arm(++n, 1);
        rc = fixture_open(fx, false);
        was_reached = fault_malloc_disarm();
        assert_true(rc == E_OK || rc == E_NOMEM);
        if (rc == E_NOMEM) {
            assert_non_null(strstr(fx->msg, "out of memory"));
            assert_int_equal(fixture_open(fx, false), E_OK);
        }
        assert_string_equal(fixture_dump(fx), before);
        assert_int_equal(store_numbers(fx->store), STORE_NUMBER_BLOCK);
    }
    assert_true(n > 100);
    free(before);
}

/* A new store beside one that was moved aside: its tokens must be higher, also
 * where the first attempt to make it has failed half-way. */
static void store_made_anew_never_gives_old_numbers(void **state)
{
    struct fixture *fx = *state;
    bool was_reached = true;
    uint64_t n = 0;

    fill(fx);
    while (was_reached) {
        uint64_t before = store_numbers(fx->store);
        int rc;

        close_store(fx);
        fault_malloc_arm(++n, 1);
        rc = fixture_open(fx, true);
        was_reached = fault_malloc_disarm();
        assert_true(rc == E_OK || rc == E_NOMEM);
        if (rc == E_NOMEM) {
            assert_int_equal(fixture_open(fx, false), E_OK);
        }
        assert_true(store_numbers(fx->store) >= before);
        if (n % 32 != 0) {
            continue; /* The same directory, until it is crowded. */
        }
        assert_int_equal(fixture_teardown(state), 0);
        assert_int_equal(fixture_setup(state), 0);
        fx = *state;
        fill(fx);
    }
    assert_true(n > 100);
}

static void failed_loading_says_so_and_changes_nothing(void **state)
{
    struct fixture *fx = *state;
    bool was_reached = true;
    uint64_t n = 0;
    char *before;

    fill(fx);
    before = strdup(fixture_dump(fx));
    while (was_reached) {
        int rc;

        fault_malloc_arm(++n, 1);
        rc = fixture_load(fx);
        was_reached = fault_malloc_disarm();
        assert_true(rc == E_OK || rc == E_NOMEM);
        if (rc == E_OK) {
            assert_string_equal(buf_string(&fx->text), before);
        }
        assert_string_equal(fixture_dump(fx), before);
    }
    assert_true(n > 10);
    free(before);
}

/* A turn's work: rows put, put again and ended, a class, the modes. */
static void change(struct fixture *fx)
{
    const struct core_mode_row mode = {.drained = 3, .is_draining = true};
    const struct store_class row = {.core = {.consecutive = 2, .credit = -5},
                                    .name = "transcription"};
    uint64_t id;

    for (id = ROWS / 2; id <= 3 * ROWS; id++) {
        fixture_put(fx, id);
    }
    for (id = 1; id <= ROWS / 2; id++) {
        store_end_lease(fx->store, id);
    }
    store_put_class(fx->store, &row);
    store_put_mode(fx->store, &mode);
}

/* The same store for each n, made anew. */
static void begin_again(void **state, struct fixture **fx)
{
    assert_int_equal(fixture_teardown(state), 0);
    assert_int_equal(fixture_setup(state), 0);
    *fx = *state;
    fill(*fx);
}

/* All or nothing, as said, and as it is found after a restart; the same batch
 * can be put again. */
static void failed_commit_is_all_or_nothing(void **state)
{
    struct fixture *fx = *state;
    bool was_reached = true;
    uint64_t n = 0;
    char *before;
    char *after;

    fill(fx);
    before = strdup(fixture_dump(fx));
    change(fx);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    after = strdup(fixture_dump(fx));
    while (was_reached) {
        int rc;

        begin_again(state, &fx);
        fault_malloc_arm(++n, 1);
        change(fx);
        rc = fixture_commit(fx, n % 2 == 0);
        was_reached = fault_malloc_disarm();
        assert_true(rc == E_OK || rc == E_NOMEM);
        assert_string_equal(fixture_dump(fx), rc == E_OK ? after : before);
        fixture_reopen(fx);
        assert_string_equal(fixture_dump(fx), rc == E_OK ? after : before);
        change(fx);
        assert_int_equal(fixture_commit(fx, false), E_OK);
        assert_string_equal(fixture_dump(fx), after);
    }
    assert_true(n > 10);
    free(before);
    free(after);
}

static void failed_reservation_reserves_nothing(void **state)
{
    struct fixture *fx = *state;
    bool was_reached = true;
    uint64_t n = 0;

    while (was_reached) {
        uint64_t end = (n + 1) * STORE_NUMBER_BLOCK;
        uint64_t before = store_numbers(fx->store);
        int rc;

        fault_malloc_arm(++n, 1);
        rc = store_reserve_numbers(fx->store, end);
        was_reached = fault_malloc_disarm();
        assert_true(rc == E_OK || rc == E_STORE);
        assert_int_equal(store_numbers(fx->store), rc == E_OK ? end : before);
        fixture_reopen(fx);
        assert_int_equal(store_numbers(fx->store), rc == E_OK ? end : before);
    }
    assert_true(n > 1);
}

/* Closing cannot be refused: what it could not do the next start does. */
static void closing_without_memory_loses_nothing(void **state)
{
    struct fixture *fx = *state;
    bool was_reached = true;
    uint64_t n = 0;

    while (was_reached) {
        char *before;

        fixture_put(fx, n + 1);
        assert_int_equal(fixture_commit(fx, false), E_OK);
        before = strdup(fixture_dump(fx));
        fault_malloc_arm(++n, 1);
        store_close(fx->store);
        was_reached = fault_malloc_disarm();
        fx->store = NULL;
        fixture_reopen(fx);
        assert_string_equal(fixture_dump(fx), before);
        free(before);
    }
}

/* Thousands of stores are made, each synced many times, and no power is lost
 * here: on a disk that others write to it takes minutes. */
static void use_memory_for_files(void)
{
    static const char shared[] = "/dev/shm";

    if (access(shared, W_OK) == 0) {
        (void)setenv("TMPDIR", shared, 1);
    }
}

int main(void)
{
#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(failed_opening_leaves_the_store_as_it_was),
        CASE(store_made_anew_never_gives_old_numbers),
        CASE(failed_loading_says_so_and_changes_nothing),
        CASE(failed_commit_is_all_or_nothing),
        CASE(failed_reservation_reserves_nothing),
        CASE(closing_without_memory_loses_nothing),
    };
#undef CASE

    use_memory_for_files();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
