/* What every backend of the store promises (store.h).  B9, C6, C7. */
#include "contract/pg_server.h"
#include "contract/store_fixture.h"
#include "core/lease.h"
#include "lib/fault_io.h"

#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    SKIPPED = 77 /* Meson's. */
};

static const char expected_lease_1[] =
    "lease 1 11 10 8 0 ffffffffffffffff 2 at 1000 1002 1001 30000 is 1 0 0 101 "
    "3 103 104 4294967195 106 107 1 on 6c 1 - 109 18446744073709551614 4096/0 "
    "4294967295/1 0/4294967295 asr j\xc3\xb6"
    "b '42'; -- transcription "
    "{\"file\": \"\\u00e4 \\\"x\\\"\"}\n";

static void new_store_is_empty(void **state)
{
    struct fixture *fx = *state;

    assert_string_equal(fixture_dump(fx), "");
    assert_int_equal(fx->time_max_ms, 0);
    assert_true(store_numbers(fx->store) == fx->numbers_first);
    assert_int_equal(store_state(fx->store), E_OK);
    assert_int_equal(store_pending(fx->store), 0);
}

static void lease_comes_back_with_every_field(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx), expected_lease_1);
}

/* Numbers of services, jobs and classes are another process's business. */
static void numbers_of_a_process_are_not_stored(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;

    fixture_lease(&lease, 1);
    lease.core.service = 5;
    lease.core.job = 6;
    lease.core.class_id = CORE_CLASS(3);
    store_put_lease(fx->store, &lease);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx), expected_lease_1);
}

static void implicit_class_keeps_its_priority(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 8); /* NULL class, priority 8. */
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_non_null(strstr(fixture_dump(fx), " is 1 0 8 "));
}

/* Every state, mask, missing string and CORE_FOREVER survives a restart. */
static void rows_survive_a_restart(void **state)
{
    struct fixture *fx = *state;
    char *before;
    uint64_t id;

    for (id = 1; id <= 200; id++) {
        fixture_put(fx, id);
    }
    assert_int_equal(fixture_commit(fx, false), E_OK);
    before = strdup(fixture_dump(fx));
    assert_int_equal(fx->time_max_ms, 200002);
    fixture_reopen(fx);
    assert_string_equal(fixture_dump(fx), before);
    free(before);
}

static void leases_come_in_the_order_of_their_places(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;
    uint64_t id;

    for (id = 1; id <= 3; id++) {
        fixture_lease(&lease, id);
        lease.core.seq = 10 - id;
        store_put_lease(fx->store, &lease);
    }
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "3 2 1");
}

static void put_replaces_the_whole_row(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;

    fixture_put(fx, 8);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    fixture_lease(&lease, 1);
    lease.core.id = 8;
    store_put_lease(fx->store, &lease);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_non_null(strstr(fixture_dump(fx), "lease 8 11 10 8 "));
    assert_null(strstr(fixture_dump(fx), "gemma"));
}

static void ended_lease_is_gone(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    fixture_put(fx, 2);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    store_end_lease(fx->store, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "2");
}

static void end_of_an_unknown_lease_is_nothing(void **state)
{
    struct fixture *fx = *state;

    store_end_lease(fx->store, 77);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "");
}

static void last_put_of_a_batch_wins(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;
    uint32_t i;

    fixture_lease(&lease, 1);
    for (i = 0; i < 100; i++) {
        lease.core.vram_mib = i;
        store_put_lease(fx->store, &lease);
    }
    lease.core.vram_mib = 101;
    store_put_lease(fx->store, &lease);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx), expected_lease_1);
}

static void put_and_end_in_one_batch_is_nothing(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    store_end_lease(fx->store, 1);
    fixture_put(fx, 2);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "2");
}

static void end_and_put_in_one_batch_is_the_put(void **state)
{
    struct fixture *fx = *state;

    store_end_lease(fx->store, 1);
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx), expected_lease_1);
}

/* The names belong to the driver, which may free them in the same turn. */
static void put_copies_its_strings(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;
    char service[] = "asr";
    char job[] = "j\xc3\xb6"
                 "b '42'; --";

    fixture_lease(&lease, 1);
    lease.service_id = service;
    lease.job_id = job;
    store_put_lease(fx->store, &lease);
    memset(service, 'x', sizeof service - 1);
    memset(job, 'x', sizeof job - 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx), expected_lease_1);
}

static void discarded_batch_never_was(void **state)
{
    struct fixture *fx = *state;
    const struct core_mode_row mode = {.is_draining = true};
    const struct store_class row = {.name = "chatbot"};

    fixture_put(fx, 1);
    store_put_mode(fx->store, &mode);
    store_put_class(fx->store, &row);
    store_discard(fx->store);
    fixture_put(fx, 2);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "2");
}

static void uncommitted_batch_is_dropped_by_close(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    fixture_reopen(fx);
    assert_string_equal(fixture_ids(fx), "");
}

static void class_rows_come_back_by_name(void **state)
{
    struct fixture *fx = *state;
    const struct store_class transcription = {
        .core = {.class_id = 11, .consecutive = 2, .credit = -35},
        .name = "transcription",
    };
    const struct store_class implicit = {
        .core = {.class_id = 2, .consecutive = UINT32_MAX, .credit = INT64_MAX},
        .name = "priority-2",
    };

    store_put_class(fx->store, &transcription);
    store_put_class(fx->store, &implicit);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    fixture_reopen(fx);
    assert_string_equal(fixture_dump(fx),
                        "class priority-2 0 4294967295 9223372036854775807\n"
                        "class transcription 0 2 -35\n");
}

static void last_class_row_wins(void **state)
{
    struct fixture *fx = *state;
    struct store_class row = {.core = {.consecutive = 1}, .name = "chatbot"};

    store_put_class(fx->store, &row);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    row.core.consecutive = 2;
    store_put_class(fx->store, &row);
    row.core.consecutive = 3;
    store_put_class(fx->store, &row);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx), "class chatbot 0 3 0\n");
}

static void modes_come_back(void **state)
{
    struct fixture *fx = *state;
    struct core_mode_row mode = {.bypass_until_ms = CORE_FOREVER, .drained = 5};

    store_put_mode(fx->store, &mode);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    mode.is_draining = true;
    store_put_mode(fx->store, &mode);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    fixture_reopen(fx);
    assert_string_equal(fixture_dump(fx), "mode 18446744073709551615 5 1\n");
    /* The end of a bypass is no instant that has been. */
    assert_int_equal(fx->time_max_ms, 0);
}

static int fail_reader(void *arg, const struct store_lease *lease)
{
    int *calls = arg;

    (void)lease;
    return ++*calls == 2 ? E_INVALID : E_OK;
}

static void failing_reader_ends_the_loading(void **state)
{
    struct fixture *fx = *state;
    int calls = 0;
    const struct store_reader reader = {.lease = fail_reader, .arg = &calls};
    uint64_t time_max_ms;
    uint64_t id;

    for (id = 1; id <= 4; id++) {
        fixture_put(fx, id);
    }
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_int_equal(store_load(fx->store, &reader, &time_max_ms), E_INVALID);
    assert_int_equal(calls, 2);
    assert_string_equal(fixture_ids(fx), "1 2 3 4");
}

/* A retry after a lost answer must not undo what came after. */
static void batch_of_a_known_number_is_not_written_again(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    fx->number--;
    fixture_put(fx, 2);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    assert_string_equal(fixture_ids(fx), "1");
    fixture_put(fx, 3);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "1 3");
}

/* The driver asks before it tells anybody of a lease. */
static void touched_is_what_is_put_or_ended(void **state)
{
    struct fixture *fx = *state;
    const struct core_mode_row mode = {.is_draining = true};

    fixture_put(fx, 1);
    store_end_lease(fx->store, 2);
    assert_true(store_touches(fx->store, 1));
    assert_true(store_touches(fx->store, 2));
    assert_false(store_touches(fx->store, 3));
    assert_false(store_touches(fx->store, 0));
    store_put_mode(fx->store, &mode);
    assert_true(store_touches(fx->store, 0));
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_false(store_touches(fx->store, 1));
    assert_false(store_touches(fx->store, 2));
    assert_false(store_touches(fx->store, 0));
}

static void asked_numbers_come(void **state)
{
    struct fixture *fx = *state;
    uint64_t end = fx->numbers_first + 4000000;

    store_ask_numbers(fx->store, end);
    store_ask_numbers(fx->store, end);
    while (store_pending(fx->store) > 0) {
        assert_int_equal(event_base_loop(fx->loop, EVLOOP_ONCE), 0);
    }
    assert_true(store_numbers(fx->store) == end);
}

/* Only a database that is failed over may have lost something. */
static void nothing_is_held_where_nothing_was_lost(void **state)
{
    struct fixture *fx = *state;
    uint64_t hold_ms = 1;

    assert_int_equal(store_hold_ms(fx->store, 60000, &hold_ms), E_OK);
    assert_int_equal(hold_ms, 0);
    fixture_reopen(fx);
    assert_int_equal(store_hold_ms(fx->store, 60000, &hold_ms), E_OK);
    assert_int_equal(hold_ms, 0);
}

static void empty_batch_is_done(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_int_equal(fixture_commit(fx, true), E_OK);
}

static void without_fsync_done_comes_at_once(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;

    fixture_put(fx, 1);
    store_commit(fx->store, 1, false, fixture_done, &rc);
    assert_int_equal(rc, E_OK);
}

struct order {
    char text[16];
    struct store *store;
};

static void note_a(void *arg, int rc)
{
    struct order *order = arg;

    assert_int_equal(rc, E_OK);
    (void)strncat(order->text, "a", 2);
}

static void note_b(void *arg, int rc)
{
    struct order *order = arg;

    assert_int_equal(rc, E_OK);
    (void)strncat(order->text, "b", 2);
}

/* A log that begins is synced in the loop's thread, which must not be held. */
static void begin_log(struct fixture *fx)
{
    fixture_put(fx, 99);
    assert_int_equal(fixture_commit(fx, false), E_OK);
}

/* B9: 202 goes out after the fsync; a chat's grant does not wait for it. */
static void only_those_that_need_an_fsync_wait_for_it(void **state)
{
    struct fixture *fx = *state;
    struct order order = {.text = ""};
    uint64_t number;

    begin_log(fx);
    fault_io_hold();
    for (number = 2; number <= 9; number += 2) {
        fixture_put(fx, number);
        store_commit(fx->store, number, true, note_a, &order);
        store_commit(fx->store, number + 1, false, note_b, &order);
    }
    assert_string_equal(order.text, "bbbb");
    assert_int_equal(store_pending(fx->store), 4);
    fault_io_release();
    while (store_pending(fx->store) > 0) {
        assert_int_equal(event_base_loop(fx->loop, EVLOOP_ONCE), 0);
    }
    assert_string_equal(order.text, "bbbbaaaa");
}

/* Group commit: whoever waits while the disk is busy shares the next fsync. */
static void batches_share_an_fsync(void **state)
{
    struct fixture *fx = *state;
    struct order order = {.text = ""};
    uint64_t before;
    uint64_t number;

    begin_log(fx);
    before = fault_io_syncs();
    fault_io_hold();
    for (number = 2; number <= 11; number++) {
        fixture_put(fx, number);
        store_commit(fx->store, number, true, note_a, &order);
    }
    fault_io_release();
    while (store_pending(fx->store) > 0) {
        assert_int_equal(event_base_loop(fx->loop, EVLOOP_ONCE), 0);
    }
    /* The one that was held up, and one for all who came meanwhile. */
    assert_in_range(fault_io_syncs() - before, 1, 2);
}

static void close_waits_for_what_is_pending(void **state)
{
    struct fixture *fx = *state;
    struct order order = {.text = ""};

    fixture_put(fx, 1);
    store_commit(fx->store, 1, true, note_a, &order);
    fixture_put(fx, 2);
    store_commit(fx->store, 2, true, note_b, &order);
    store_close(fx->store);
    fx->store = NULL;
    assert_string_equal(order.text, "ab");
}

static void commit_more(void *arg, int rc)
{
    struct order *order = arg;

    note_a(arg, rc);
    if (strlen(order->text) < 4) {
        store_end_lease(order->store, 1);
        store_commit(order->store, 10 + strlen(order->text), true, commit_more,
                     order);
    }
}

static void callback_may_commit(void **state)
{
    struct fixture *fx = *state;
    struct order order = {.store = fx->store};

    fixture_put(fx, 1);
    store_commit(fx->store, 1, true, commit_more, &order);
    store_close(fx->store);
    fx->store = NULL;
    assert_string_equal(order.text, "aaaa");
}

static void numbers_survive_a_restart(void **state)
{
    struct fixture *fx = *state;

    uint64_t end = fx->numbers_first + STORE_NUMBER_BLOCK;

    assert_int_equal(store_reserve_numbers(fx->store, end), E_OK);
    assert_true(store_numbers(fx->store) == end);
    fixture_reopen(fx);
    assert_true(store_numbers(fx->store) == end);
}

/* C6: not even a power loss may bring a number back. */
static void numbers_are_synced_before_use(void **state)
{
    struct fixture *fx = *state;
    uint64_t before = fault_io_syncs();

    assert_int_equal(store_reserve_numbers(fx->store, 2000000), E_OK);
    assert_true(fault_io_syncs() > before);
}

static void numbers_never_fall(void **state)
{
    struct fixture *fx = *state;

    uint64_t end = fx->numbers_first + 2000000;

    assert_int_equal(store_reserve_numbers(fx->store, end), E_OK);
    assert_int_equal(store_reserve_numbers(fx->store, end - 1000000), E_OK);
    assert_true(store_numbers(fx->store) == end);
}

static void reserving_leaves_the_batch_alone(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    assert_int_equal(
        store_reserve_numbers(fx->store, fx->numbers_first + 1000000), E_OK);
    assert_string_equal(fixture_ids(fx), "");
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "1");
}

static void second_opener_is_refused(void **state)
{
    struct fixture *fx = *state;
    const struct store_options options = {.loop = fx->loop};
    struct store *second = NULL;
    int rc;

    rc = store_open(fx->url, &options, &second, fx->msg, sizeof fx->msg);
    assert_int_equal(rc, E_BUSY);
    assert_non_null(strstr(fx->msg, "has it open"));
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
}

/* kill -9 after the answer, and with a batch not yet committed. */
static void commit_then_die(struct fixture *fx)
{
    fixture_put(fx, 1);
    fixture_put(fx, 2);
    (void)fixture_commit(fx, false);
    store_end_lease(fx->store, 1);
    fixture_put(fx, 3);
}

static void committed_rows_outlive_kill_9(void **state)
{
    struct fixture *fx = *state;

    fixture_in_child(fx, commit_then_die);
    fixture_reopen(fx);
    assert_string_equal(fixture_ids(fx), "1 2");
}

static void reserve_then_die(struct fixture *fx)
{
    assert_int_equal(
        store_reserve_numbers(fx->store, fx->numbers_first + 3000000), E_OK);
}

static void reserved_numbers_outlive_kill_9(void **state)
{
    struct fixture *fx = *state;

    fixture_in_child(fx, reserve_then_die);
    fixture_reopen(fx);
    assert_true(store_numbers(fx->store) == fx->numbers_first + 3000000);
}

static void many_commits_then_die(struct fixture *fx)
{
    uint64_t id;

    for (id = 1; id <= 3000; id++) {
        fixture_put(fx, id);
        store_end_lease(fx->store, id - 3);
        (void)fixture_commit(fx, id % 500 == 0);
    }
}

/* Through several checkpoints. */
static void long_run_outlives_kill_9(void **state)
{
    struct fixture *fx = *state;

    fixture_in_child(fx, many_commits_then_die);
    fixture_reopen(fx);
    assert_string_equal(fixture_ids(fx), "2998 2999 3000");
}

/* A change of every kind of row; from "before" to "after". */
static void put_change(struct fixture *fx)
{
    const struct core_mode_row mode = {.is_draining = true};
    const struct store_class row = {.name = "chatbot"};
    uint64_t id;

    store_end_lease(fx->store, 1);
    for (id = 2; id <= 40; id++) {
        fixture_put(fx, id);
    }
    store_put_class(fx->store, &row);
    store_put_mode(fx->store, &mode);
}

/* Guarantee 11: whichever write fails, and however it was torn, the batch is
 * there whole or not at all, now and after a restart, and the store works on
 * when writes do. */
static void failed_write_leaves_all_or_nothing(int error, int expected)
{
    uint64_t nth;
    bool hit = true;

    for (nth = 1; hit; nth++) {
        void *state;
        struct fixture *fx;
        const char *ids;
        int rc;

        (void)fixture_setup(&state);
        fx = state;
        fixture_put(fx, 1);
        assert_int_equal(fixture_commit(fx, true), E_OK);
        put_change(fx);
        fault_io_arm(FAULT_IO_WRITE, nth, error, true);
        rc = fixture_commit(fx, false);
        hit = fault_io_disarm();
        assert_int_equal(rc, hit ? expected : E_OK);
        ids = fixture_ids(fx);
        assert_int_equal(strcmp(ids, "1") == 0, hit);
        fixture_reopen(fx);
        ids = fixture_ids(fx);
        assert_int_equal(strcmp(ids, "1") == 0, hit);
        put_change(fx);
        assert_int_equal(fixture_commit(fx, true), E_OK);
        (void)fixture_teardown(&state);
    }
    assert_true(nth > 10);
}

static void io_error_at_every_write_is_all_or_nothing(void **state)
{
    (void)state;
    failed_write_leaves_all_or_nothing(EIO, E_STORE);
}

static void full_disk_at_every_write_is_all_or_nothing(void **state)
{
    (void)state;
    failed_write_leaves_all_or_nothing(ENOSPC, E_STORE_FULL);
}

static void exhausted_quota_counts_as_a_full_disk(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    fault_io_arm(FAULT_IO_WRITE, 1, EDQUOT, true);
    assert_int_equal(fixture_commit(fx, false), E_STORE_FULL);
    assert_true(fault_io_disarm());
    assert_int_equal(store_state(fx->store), E_STORE_FULL);
}

static void failed_batch_may_be_sent_again_under_its_number(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    fault_io_arm(FAULT_IO_WRITE, 1, EIO, true);
    assert_int_equal(fixture_commit(fx, false), E_STORE);
    assert_true(fault_io_disarm());
    fx->number--;
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "1");
    assert_int_equal(store_state(fx->store), E_OK);
}

/* Batches wait, their fsync fails: none of them is acknowledged; the kernel
 * may since claim success, so nothing that needs an fsync is until the next
 * start.  Other commits go on. */
static void failed_fsync_is_not_trusted_again(void **state)
{
    struct fixture *fx = *state;

    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    fixture_put(fx, 2);
    fault_io_arm(FAULT_IO_SYNC, 1, EIO, false);
    assert_int_equal(fixture_commit(fx, true), E_STORE);
    assert_true(fault_io_disarm());
    assert_int_equal(store_state(fx->store), E_STORE);

    fixture_put(fx, 3);
    assert_int_equal(fixture_commit(fx, true), E_STORE);
    store_end_lease(fx->store, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_int_equal(store_reserve_numbers(fx->store, 1000000), E_STORE);
    assert_string_equal(fixture_ids(fx), "2");

    fixture_reopen(fx);
    assert_string_equal(fixture_ids(fx), "2");
    assert_int_equal(store_state(fx->store), E_OK);
    fixture_put(fx, 3);
    assert_int_equal(fixture_commit(fx, true), E_OK);
}

static void numbers_without_fsync_are_not_given(void **state)
{
    struct fixture *fx = *state;

    fault_io_arm(FAULT_IO_SYNC, 1, EIO, true);
    assert_int_equal(store_reserve_numbers(fx->store, 1000000), E_STORE);
    assert_true(fault_io_disarm());
    assert_int_equal(store_numbers(fx->store), 0);
}

static void other_urls_are_refused(void **state)
{
    static const struct {
        const char *url;
        int rc;
    } cases[] = {
        {"", E_INVALID},
        {"queue.db", E_INVALID},
        {"mysql://x", E_INVALID},
        {"sqlite:", E_INVALID},
        {"sqlite:/tmp/", E_INVALID},
        {"sqlite:/proc/nothing/queue.db", E_STORE},
#ifdef HAVE_POSTGRES
        {"postgresql://x:secret@localhost/x", E_INVALID},
        {"postgresql://localhost/x?password=secret", E_INVALID},
        {"postgresql://localhost/x?nothing=1", E_INVALID},
        {"postgres://x@/x?host=/proc/nothing", E_STORE},
#else
        {"postgresql://localhost/x", E_UNSUPPORTED},
#endif
    };
    struct fixture *fx = *state;
    const struct store_options options = {.loop = fx->loop};
    struct store *store = NULL;
    size_t i;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fx->msg[0] = '\0';
        assert_int_equal(
            store_open(cases[i].url, &options, &store, fx->msg, sizeof fx->msg),
            cases[i].rc);
        assert_true(fx->msg[0] != '\0');
        assert_null(strstr(fx->msg, "secret"));
    }
    store_close(NULL);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

/* What every backend does. */
#define COMMON                                                                 \
    CASE(new_store_is_empty), CASE(lease_comes_back_with_every_field),         \
        CASE(numbers_of_a_process_are_not_stored),                             \
        CASE(implicit_class_keeps_its_priority), CASE(rows_survive_a_restart), \
        CASE(leases_come_in_the_order_of_their_places),                        \
        CASE(put_replaces_the_whole_row), CASE(ended_lease_is_gone),           \
        CASE(end_of_an_unknown_lease_is_nothing),                              \
        CASE(last_put_of_a_batch_wins),                                        \
        CASE(put_and_end_in_one_batch_is_nothing),                             \
        CASE(end_and_put_in_one_batch_is_the_put),                             \
        CASE(put_copies_its_strings), CASE(discarded_batch_never_was),         \
        CASE(uncommitted_batch_is_dropped_by_close),                           \
        CASE(class_rows_come_back_by_name), CASE(last_class_row_wins),         \
        CASE(modes_come_back), CASE(failing_reader_ends_the_loading),          \
        CASE(batch_of_a_known_number_is_not_written_again),                    \
        CASE(touched_is_what_is_put_or_ended), CASE(asked_numbers_come),       \
        CASE(nothing_is_held_where_nothing_was_lost),                          \
        CASE(empty_batch_is_done), CASE(close_waits_for_what_is_pending),      \
        CASE(callback_may_commit), CASE(numbers_survive_a_restart),            \
        CASE(numbers_never_fall), CASE(reserving_leaves_the_batch_alone),      \
        CASE(second_opener_is_refused), CASE(committed_rows_outlive_kill_9),   \
        CASE(reserved_numbers_outlive_kill_9), CASE(long_run_outlives_kill_9), \
        CASE(other_urls_are_refused)

static int test_sqlite(void)
{
    const struct CMUnitTest tests[] = {
        COMMON,
        /* Its commits are done at once but for the fsync, and its disk can be
         * made to fail here. */
        CASE(without_fsync_done_comes_at_once),
        CASE(only_those_that_need_an_fsync_wait_for_it),
        CASE(batches_share_an_fsync),
        CASE(numbers_are_synced_before_use),
        cmocka_unit_test(io_error_at_every_write_is_all_or_nothing),
        cmocka_unit_test(full_disk_at_every_write_is_all_or_nothing),
        CASE(exhausted_quota_counts_as_a_full_disk),
        CASE(failed_batch_may_be_sent_again_under_its_number),
        CASE(failed_fsync_is_not_trusted_again),
        CASE(numbers_without_fsync_are_not_given),
    };

    return cmocka_run_group_tests_name("store: sqlite", tests, NULL, NULL);
}

#ifdef HAVE_POSTGRES
static int test_postgres(void)
{
    const struct CMUnitTest tests[] = {COMMON};
    int failed;

    if (!pg_server_is_installed()) {
        (void)puts("no PostgreSQL 15 is installed here: skipped");
        return SKIPPED;
    }
    pg_server_begin();
    fixture_use_postgres();
    failed = cmocka_run_group_tests_name("store: postgres", tests, NULL, NULL);
    pg_server_end();
    return failed;
}
#endif

int main(int argc, char **argv)
{
#ifdef HAVE_POSTGRES
    if (argc > 1 && strcmp(argv[1], "postgres") == 0) {
        return test_postgres();
    }
#endif
    (void)argc;
    (void)argv;
    return test_sqlite();
}
