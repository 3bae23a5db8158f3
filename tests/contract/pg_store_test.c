/* What PostgreSQL's store adds to the contract: a connection that is lost, also
 * in mid-commit; who may write; what a fail-over means.  B9, guarantees 2, 11
 * and 13.  A real server is stopped, killed, frozen, and its backends ended.
 */
#include "contract/pg_server.h"
#include "contract/store_fixture.h"

#include <event2/event.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SKIPPED = 77, /* Meson's. */
    ROUNDS = 40
};

static const char end_backends[] =
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE application_name = 'gpucoord'";

static void turn(struct fixture *fx)
{
    assert_int_equal(event_base_loop(fx->loop, EVLOOP_ONCE), 0);
}

static void until_state(struct fixture *fx, int state)
{
    while (store_state(fx->store) != state) {
        turn(fx);
    }
}

/* ---- A lost connection -------------------------------------------------- */

static void idle_connection_that_is_ended_comes_back(void **state)
{
    struct fixture *fx = *state;

    pg_server_run(end_backends, NULL, 0);
    until_state(fx, E_STORE_AWAY);
    assert_non_null(store_why(fx->store));
    until_state(fx, E_OK);
    assert_null(store_why(fx->store));
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    assert_string_equal(fixture_ids(fx), "1");
}

struct flight {
    int done; /* How many. */
    int failed;
};

static void note_done(void *arg, int rc)
{
    struct flight *flight = arg;

    flight->failed += rc == E_OK ? 0 : 1;
    flight->done++;
}

/* Guarantee 11: backends are ended at any instant of a stream of batches; each
 * batch is written once, in its order, and acknowledged once. */
static void batches_survive_the_end_of_their_backends(void **state)
{
    struct fixture *fx = *state;
    struct flight flight = {0};
    char sum[32];
    uint64_t i;

    /* What is counted twice or not at all shows. */
    pg_server_run("CREATE TABLE written (id bigint);"
                  "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
                  "$$BEGIN INSERT INTO written VALUES (NEW.id);"
                  " PERFORM pg_sleep(0.003); RETURN NEW; END$$;"
                  "CREATE TRIGGER note BEFORE INSERT OR UPDATE ON gpu_lease"
                  " FOR EACH ROW EXECUTE FUNCTION note()",
                  NULL, 0);
    for (i = 1; i <= ROUNDS; i++) {
        fixture_put(fx, i);
        store_commit(fx->store, ++fx->number, true, note_done, &flight);
        fixture_put(fx, i + 1000);
        store_commit(fx->store, ++fx->number, true, note_done, &flight);
        pg_server_run(end_backends, NULL, 0);
        while (flight.done < (int)(2 * i)) {
            turn(fx);
        }
    }
    assert_int_equal(flight.failed, 0);
    pg_server_run("SELECT count(*) || ' ' || count(DISTINCT id) FROM written",
                  sum, sizeof sum);
    assert_string_equal(sum, "80 80");
    pg_server_run("SELECT count(*) FROM gpu_lease", sum, sizeof sum);
    assert_string_equal(sum, "80");
}

/* Run @sql until its value is @value. */
static void until_value(const char *sql, const char *value)
{
    char text[64];

    do {
        pg_server_run(sql, text, sizeof text);
    } while (strcmp(text, value) != 0);
}

/* The backend is ended after the commit and before the answer (it waits for a
 * standby that there is not): the batch that is sent again is known by its
 * number, and what somebody else has written since is not undone. */
static void a_batch_whose_answer_was_lost_is_not_written_again(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;

    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    pg_server_run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", NULL,
                  0);
    pg_server_run("SELECT pg_reload_conf()", NULL, 0);
    until_value("SHOW synchronous_standby_names", "nobody");
    store_end_lease(fx->store, 1);
    store_commit(fx->store, ++fx->number, true, fixture_done, &rc);
    until_value("SELECT count(*) FROM pg_stat_activity WHERE "
                "application_name = 'gpucoord' AND wait_event = 'SyncRep'",
                "1");
    pg_server_run(end_backends, NULL, 0);
    until_value("SELECT count(*) FROM gpu_lease", "0");
    pg_server_run("SET synchronous_commit = local;"
                  "INSERT INTO gpu_lease SELECT 's', NULL, NULL, 2, NULL, NULL,"
                  "0,0,NULL,1,1,0,1,0,0,0,0,0,-1,1,0,1,0,0,0,0,0,0,0,0",
                  NULL, 0);
    pg_server_run("ALTER SYSTEM RESET synchronous_standby_names", NULL, 0);
    pg_server_run("SELECT pg_reload_conf()", NULL, 0);
    fixture_wait(fx, &rc);
    assert_int_equal(rc, E_OK);
    assert_string_equal(fixture_ids(fx), "1");
}

static void the_store_waits_for_a_server_that_was_stopped(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;

    pg_server_stop();
    until_state(fx, E_STORE_AWAY);
    fixture_put(fx, 1);
    store_commit(fx->store, ++fx->number, true, fixture_done, &rc);
    assert_int_equal(store_pending(fx->store), 1);
    assert_true(store_touches(fx->store, 1));
    pg_server_start();
    fixture_wait(fx, &rc);
    assert_int_equal(rc, E_OK);
    assert_false(store_touches(fx->store, 1));
    until_state(fx, E_OK);
    assert_string_equal(fixture_ids(fx), "1");
}

/* Guarantee 11: what was acknowledged outlives a crash of the server. */
static void acknowledged_batches_outlive_a_crash_of_the_server(void **state)
{
    struct fixture *fx = *state;
    uint64_t i;

    for (i = 1; i <= 20; i++) {
        fixture_put(fx, i);
        assert_int_equal(fixture_commit(fx, false), E_OK);
    }
    pg_server_kill();
    pg_server_start();
    until_state(fx, E_STORE_AWAY);
    until_state(fx, E_OK);
    assert_string_equal(fixture_ids(fx),
                        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
}

static void count_change(void *arg)
{
    (*(int *)arg)++;
}

/* A server that hangs is one that is away, though its connection is there. */
static void a_server_that_does_not_answer_is_away(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;
    int changes = 0;

    store_watch(fx->store, count_change, &changes);
    pg_server_freeze(true);
    fixture_put(fx, 1);
    store_commit(fx->store, ++fx->number, true, fixture_done, &rc);
    until_state(fx, E_STORE_AWAY);
    while (changes == 0) {
        turn(fx);
    }
    assert_int_equal(changes, 1);
    assert_int_equal(rc, FIXTURE_WAITS);
    pg_server_freeze(false);
    fixture_wait(fx, &rc);
    assert_int_equal(rc, E_OK);
    assert_int_equal(store_state(fx->store), E_OK);
}

static void close_gives_up_on_a_server_that_is_gone(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;

    pg_server_stop();
    fixture_put(fx, 1);
    store_commit(fx->store, ++fx->number, true, fixture_done, &rc);
    store_close(fx->store);
    fx->store = NULL;
    pg_server_start();
    assert_int_equal(rc, E_STORE);
    assert_int_equal(fixture_open(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "");
}

/* ---- Who may write ------------------------------------------------------ */

/* Guarantee 13: another has taken the store while we were away: what waited is
 * not written, nor is anything later. */
static void who_was_deposed_while_away_writes_nothing(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;

    pg_server_stop();
    until_state(fx, E_STORE_AWAY);
    fixture_put(fx, 1);
    store_commit(fx->store, ++fx->number, true, fixture_done, &rc);
    pg_server_start();
    pg_server_run("SELECT gpu_lead('b', 'unix:///b', '{G}', 60000)", NULL, 0);
    fixture_wait(fx, &rc);
    assert_int_equal(rc, E_NO_LEADER);
    assert_int_equal(store_state(fx->store), E_NO_LEADER);
    assert_non_null(strstr(store_why(fx->store), "'b' leads"));
    fixture_put(fx, 2);
    assert_int_equal(fixture_commit(fx, true), E_NO_LEADER);
    assert_int_equal(fixture_load(fx), E_NO_LEADER);
    pg_server_run("SELECT count(*) FROM gpu_lease", fx->msg, sizeof fx->msg);
    assert_string_equal(fx->msg, "0");
}

/* Let @name lead and return its epoch.  The server may take a moment to see
 * that the store before it was closed, and to drop its lock. */
static uint64_t lead(struct fixture *fx, const char *name)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql,
                   "SELECT epoch FROM gpu_lead('%s', 'unix:///%s', '{G}', "
                   "60000)",
                   name, name);
    do {
        pg_server_run(sql, fx->msg, sizeof fx->msg);
    } while (fx->msg[0] == '\0');
    return strtoull(fx->msg, NULL, 10);
}

static void open_in_cluster(struct fixture *fx, const struct store_fence *fence)
{
    const struct store_options options = {.loop = fx->loop, .fence = fence};

    assert_int_equal(
        store_open(fx->url, &options, &fx->store, fx->msg, sizeof fx->msg),
        E_OK);
    fx->number = 0;
}

/* In a cluster the row of the leader decides, in each batch. */
static void a_leader_writes_until_the_next_one_leads(void **state)
{
    struct fixture *fx = *state;
    struct store_fence fence = {.timeline = 1};
    const struct store_options stale = {.loop = fx->loop, .fence = &fence};
    struct store *second = NULL;
    char epoch[32];

    store_close(fx->store);
    fx->store = NULL;
    fence.epoch = lead(fx, "a");
    open_in_cluster(fx, &fence);
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    pg_server_run("SELECT gpu_lead_resign(epoch, 1) FROM gpu_leader", NULL, 0);
    fixture_put(fx, 2); /* Nobody else leads yet. */
    assert_int_equal(fixture_commit(fx, true), E_OK);
    pg_server_run("SELECT gpu_lead('b', 'unix:///b', '{G}', 60000)", NULL, 0);
    fixture_put(fx, 3);
    assert_int_equal(fixture_commit(fx, true), E_NO_LEADER);
    assert_int_equal(
        store_open(fx->url, &stale, &second, fx->msg, sizeof fx->msg),
        E_NO_LEADER);
    pg_server_run("SELECT string_agg(id::text, ' ' ORDER BY id) FROM gpu_lease",
                  epoch, sizeof epoch);
    assert_string_equal(epoch, "1 2");
}

/* A store that is opened twice in an epoch does not take the numbers of its
 * second life for repeats of its first. */
static void batch_numbers_go_on_within_an_epoch(void **state)
{
    struct fixture *fx = *state;
    struct store_fence fence = {.timeline = 1};
    uint64_t i;

    store_close(fx->store);
    fx->store = NULL;
    fence.epoch = lead(fx, "a");
    for (i = 1; i <= 3; i++) {
        open_in_cluster(fx, &fence);
        fixture_put(fx, i);
        assert_int_equal(fixture_commit(fx, true), E_OK);
        if (i < 3) {
            store_close(fx->store);
            fx->store = NULL;
        }
    }
    assert_string_equal(fixture_ids(fx), "1 2 3");
}

/* The backend of a connection that we have lost may not know it yet, and still
 * hold our lock: it is ended. */
static void a_backend_left_behind_is_no_other_coordinator(void **state)
{
    struct fixture *fx = *state;
    int rc = FIXTURE_WAITS;

    pg_server_freeze(true);
    fixture_put(fx, 1);
    store_commit(fx->store, ++fx->number, true, fixture_done, &rc);
    until_state(fx, E_STORE_AWAY);
    pg_server_freeze(false);
    pg_server_run(end_backends, NULL, 0);
    fixture_wait(fx, &rc);
    assert_int_equal(rc, E_OK);
    until_state(fx, E_OK);
}

static void a_cluster_that_works_is_left_alone(void **state)
{
    struct fixture *fx = *state;

    store_close(fx->store);
    fx->store = NULL;
    (void)lead(fx, "a");
    assert_int_equal(fixture_open(fx, false), E_BUSY);
    assert_non_null(strstr(fx->msg, "'a' leads its cluster"));
}

/* ---- A fail-over -------------------------------------------------------- */

/* Guarantee 2: tokens rise though the database has lost the last reservation;
 * nothing is granted until grants that it has lost are over. */
static void a_new_timeline_begins_above_all_numbers_and_holds(void **state)
{
    struct fixture *fx = *state;
    uint64_t hold_ms = 0;
    uint64_t before;

    assert_int_equal(
        store_reserve_numbers(fx->store, fx->numbers_first + 5000000), E_OK);
    before = store_numbers(fx->store);
    store_close(fx->store);
    fx->store = NULL;
    /* As if the last leader had been on the timeline before this one. */
    pg_server_run("UPDATE gpu_leader SET timeline = 7; DELETE FROM gpu_numbers;"
                  "UPDATE gpu_schema SET number_base = 1",
                  NULL, 0);
    fixture_reopen(fx);
    assert_true(store_numbers(fx->store) > before);
    assert_int_equal(store_hold_ms(fx->store, 60000, &hold_ms), E_OK);
    assert_in_range(hold_ms, 50000, 60000);
    fixture_reopen(fx); /* Nor does a second start forget it. */
    assert_int_equal(store_hold_ms(fx->store, 60000, &hold_ms), E_OK);
    assert_in_range(hold_ms, 40000, 60000);
    pg_server_run("UPDATE gpu_leader SET timeline_since = now() - interval "
                  "'61 s'",
                  NULL, 0);
    assert_int_equal(store_hold_ms(fx->store, 60000, &hold_ms), E_OK);
    assert_int_equal(hold_ms, 0);
}

static void numbers_that_are_used_up_are_refused(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(
        store_reserve_numbers(fx->store, 2 * fx->numbers_first + 1), E_STORE);
    assert_true(store_numbers(fx->store) == fx->numbers_first);
}

/* ---- The schema --------------------------------------------------------- */

static void newer_schema_is_refused(void **state)
{
    struct fixture *fx = *state;

    pg_server_run("UPDATE gpu_schema SET version = 99", NULL, 0);
    store_close(fx->store);
    fx->store = NULL;
    assert_int_equal(fixture_open(fx, false), E_VERSION);
    assert_non_null(strstr(fx->msg, "99"));
}

/* "SELECT * FROM gpu_queue" shows who waits, in words. */
static void people_can_read_the_queue(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;

    fixture_lease(&lease, 1);
    lease.core.flags = 2; /* Durable. */
    store_put_lease(fx->store, &lease);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    pg_server_run("SELECT concat_ws(' ', service_id, class, state, durable) "
                  "FROM gpu_queue",
                  fx->msg, sizeof fx->msg);
    assert_string_equal(fx->msg, "asr transcription queued t");
}

/* A role that owns nothing but its schema. */
static void no_more_than_a_schema_is_needed(void **state)
{
    struct fixture *fx = *state;
    char url[sizeof fx->url];
    char *user;

    store_close(fx->store);
    fx->store = NULL;
    pg_server_schema(url, sizeof url);
    pg_server_run("CREATE ROLE plain LOGIN; DO $$BEGIN EXECUTE format('ALTER "
                  "SCHEMA %I OWNER TO plain', current_schema()); END$$",
                  NULL, 0);
    user = strstr(url, "owner@");
    assert_non_null(user);
    memcpy(user, "plain@", strlen("plain@"));
    memcpy(fx->url, url, sizeof url);
    assert_int_equal(fixture_open(fx, false), E_OK);
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    pg_server_run(end_backends, NULL, 0);
    until_state(fx, E_STORE_AWAY);
    until_state(fx, E_OK);
    fixture_put(fx, 2);
    assert_int_equal(fixture_commit(fx, true), E_OK);
}

static void nothing_is_moved_aside(void **state)
{
    struct fixture *fx = *state;

    store_close(fx->store);
    fx->store = NULL;
    assert_int_equal(fixture_open(fx, true), E_INVALID);
    assert_non_null(strstr(fx->msg, "moved aside"));
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(idle_connection_that_is_ended_comes_back),
        CASE(batches_survive_the_end_of_their_backends),
        CASE(a_batch_whose_answer_was_lost_is_not_written_again),
        CASE(the_store_waits_for_a_server_that_was_stopped),
        CASE(acknowledged_batches_outlive_a_crash_of_the_server),
        CASE(a_server_that_does_not_answer_is_away),
        CASE(close_gives_up_on_a_server_that_is_gone),
        CASE(who_was_deposed_while_away_writes_nothing),
        CASE(a_leader_writes_until_the_next_one_leads),
        CASE(batch_numbers_go_on_within_an_epoch),
        CASE(a_backend_left_behind_is_no_other_coordinator),
        CASE(a_cluster_that_works_is_left_alone),
        CASE(a_new_timeline_begins_above_all_numbers_and_holds),
        CASE(numbers_that_are_used_up_are_refused),
        CASE(newer_schema_is_refused),
        CASE(people_can_read_the_queue),
        CASE(no_more_than_a_schema_is_needed),
        CASE(nothing_is_moved_aside),
    };
    int failed;

    if (!pg_server_is_installed()) {
        (void)puts("no PostgreSQL is installed here: skipped");
        return SKIPPED;
    }
    pg_server_begin();
    fixture_use_postgres();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    pg_server_end();
    return failed;
}
