/* The fsync thread: order, sharing, failure. */
#include "lib/fault_io.h"
#include "store/syncer.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    ENTRIES = 300 /* More than the ring holds at first. */
};

struct bench {
    FILE *file;
    struct event_base *loop;
    struct syncer *syncer;
    int results[ENTRIES];
    size_t called;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    bench->file = tmpfile();
    assert_non_null(bench->file);
    bench->loop = event_base_new();
    assert_int_equal(
        syncer_create(fileno(bench->file), bench->loop, &bench->syncer), E_OK);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;

    syncer_destroy(bench->syncer);
    event_base_free(bench->loop);
    (void)fclose(bench->file);
    free(bench);
    return 0;
}

static void on_done(void *arg, int rc)
{
    struct bench *bench = arg;

    assert_true(bench->called < ENTRIES);
    bench->results[bench->called++] = rc;
}

static void run_until(struct bench *bench, size_t called)
{
    while (bench->called < called) {
        assert_int_equal(event_base_loop(bench->loop, EVLOOP_ONCE), 0);
    }
}

static void entries_wait_for_the_disk(void **state)
{
    struct bench *bench = *state;
    int i;

    fault_io_hold();
    for (i = 0; i < ENTRIES; i++) {
        syncer_add(bench->syncer, on_done, bench);
    }
    assert_int_equal(bench->called, 0);
    assert_int_equal(syncer_pending(bench->syncer), ENTRIES);
    fault_io_release();
    run_until(bench, ENTRIES);
    for (i = 0; i < ENTRIES; i++) {
        assert_int_equal(bench->results[i], E_OK);
    }
}

static void destroying_calls_what_waits(void **state)
{
    struct bench *bench = *state;

    syncer_add(bench->syncer, on_done, bench);
    syncer_add(bench->syncer, on_done, bench);
    syncer_destroy(bench->syncer);
    bench->syncer = NULL;
    assert_int_equal(bench->called, 2);
}

/* What was synced before the failure stays good. */
static void failure_lasts(void **state)
{
    struct bench *bench = *state;

    syncer_add(bench->syncer, on_done, bench);
    run_until(bench, 1);
    assert_false(syncer_has_failed(bench->syncer));

    fault_io_arm(FAULT_IO_SYNC, 1, EIO, false);
    syncer_add(bench->syncer, on_done, bench);
    run_until(bench, 2);
    assert_true(fault_io_disarm());
    assert_true(syncer_has_failed(bench->syncer));
    syncer_add(bench->syncer, on_done, bench);
    run_until(bench, 3);

    assert_int_equal(bench->results[0], E_OK);
    assert_int_equal(bench->results[1], E_STORE);
    assert_int_equal(bench->results[2], E_STORE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(entries_wait_for_the_disk),
        CASE(destroying_calls_what_waits),
        CASE(failure_lasts),
    };

    return cmocka_run_group_tests_name("syncer", tests, NULL, NULL);
}
