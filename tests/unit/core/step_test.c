/* core_step(): every error of its list, each with a state it leaves alone. */
#include "core/core.h"
#include "core/lease.h"
#include "lib/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct core *core;
    struct core_effects effects;
    uint64_t now_ms;
};

static struct core_config config_one(void)
{
    return (struct core_config){
        .devices = {{.capacity_mib = 1000, .residue_mib = 100}},
        .device_count = 1,
        .waiters_max = 3,
        .service_waiters_max = 2,
        .stream_grace_ms = 2000,
        .away_ms = 60000,
        .effects_max = 256,
    };
}

static struct core_event request(uint32_t service, uint64_t ref)
{
    struct core_event event = {.type = CORE_SUBMIT};

    event.submit = (struct core_request){.ref = ref,
                                         .timeout_ms = 30000,
                                         .service = service,
                                         .class_id = 2,
                                         .gpus = 1,
                                         .ttl_ms = 30000,
                                         .pause_grace_ms = 1000,
                                         .is_preemptible = true};
    return event;
}

static int feed(struct fixture *fixture, struct core_event event)
{
    int rc;

    event.at_ms = fixture->now_ms;
    rc = core_step(fixture->core, &event, &fixture->effects);
    core_check(fixture->core);
    return rc;
}

static struct core_event numbers(uint64_t end)
{
    struct core_event event = {.type = CORE_ADMIN};

    event.admin.action = CORE_NUMBERS;
    event.admin.id_end = end;
    event.admin.token_end = end;
    return event;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct core_config config = config_one();

    fixture = (struct fixture){.now_ms = 1000};
    assert_int_equal(core_create(&config, &alloc_libc, 1000, 1, &fixture.core),
                     E_OK);
    assert_int_equal(feed(&fixture, numbers(1000)), E_OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    core_destroy(fixture->core);
    return 0;
}

/* Feed an event that must fail with @expected and change nothing. */
static void
refuses(struct fixture *fixture, struct core_event event, int expected)
{
    struct buf before;
    struct buf after;

    buf_init(&before, 0);
    buf_init(&after, 0);
    core_dump(fixture->core, &before);
    assert_int_equal(feed(fixture, event), expected);
    assert_int_equal(fixture->effects.record_count, 0);
    assert_int_equal(fixture->effects.message_count, 0);
    core_dump(fixture->core, &after);
    assert_string_equal(buf_string(&before), buf_string(&after));
    buf_release(&before);
    buf_release(&after);
}

/* Let service 1 hold the device; returns its lease and, in @token, its token.
 */
static uint64_t hold(struct fixture *fixture, uint64_t *token)
{
    struct core_lease_view view;
    uint64_t lease;

    assert_int_equal(feed(fixture, request(1, 1)), E_OK);
    lease = fixture->effects.lease;
    assert_int_equal(core_lease_view(fixture->core, lease, &view), E_OK);
    assert_int_equal(view.row.state, LEASE_HELD);
    *token = view.row.token;
    return lease;
}

static struct core_event release(uint64_t lease, uint64_t token)
{
    struct core_event event = {.type = CORE_RELEASE};

    event.release.lease = lease;
    event.release.token = token;
    return event;
}

static struct core_event
ack(uint64_t lease, uint64_t token, enum core_ack action)
{
    struct core_event event = {.type = CORE_ACK};

    event.ack.lease = lease;
    event.ack.token = token;
    event.ack.action = action;
    return event;
}

static void impossible_requests_are_invalid(void **state)
{
    struct core_event event = request(1, 1);

    event.submit.vram_mib = 1001;
    refuses(*state, event, E_INVALID);
    event = request(1, 1);
    event.submit.gpus = 2;
    refuses(*state, event, E_INVALID);
    event = request(1, 1);
    event.submit.devices = 2;
    refuses(*state, event, E_INVALID);
    event = request(1, 1);
    event.submit.class_id = CORE_CLASS(0);
    refuses(*state, event, E_INVALID);
}

static void limits_are_kept_and_free_again(void **state)
{
    struct core_event cancel = {.type = CORE_CANCEL};
    uint64_t token;

    (void)hold(*state, &token);
    assert_int_equal(feed(*state, request(1, 2)), E_OK);
    cancel.cancel.lease = ((struct fixture *)*state)->effects.lease;
    assert_int_equal(feed(*state, request(1, 3)), E_OK);
    refuses(*state, request(1, 4), E_LIMIT); /* Two of a service. */
    assert_int_equal(feed(*state, request(2, 5)), E_OK);
    refuses(*state, request(3, 6), E_LIMIT); /* Three of all. */
    assert_int_equal(feed(*state, cancel), E_OK);
    assert_int_equal(feed(*state, request(3, 7)), E_OK);
}

static void no_numbers_no_leases(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(feed(fixture, numbers(core_number_next(fixture->core))),
                     E_OK);
    refuses(fixture, request(1, 1), E_LIMIT);
}

static void draining_admits_nothing(void **state)
{
    struct core_event event = {.type = CORE_ADMIN};

    event.admin.action = CORE_DRAIN;
    assert_int_equal(feed(*state, event), E_OK);
    refuses(*state, request(1, 1), E_DRAINING);
    event.admin.action = CORE_UNDRAIN;
    assert_int_equal(feed(*state, event), E_OK);
    assert_int_equal(feed(*state, request(1, 2)), E_OK);
}

static void a_job_keeps_its_terms(void **state)
{
    struct core_event event = request(1, 1);

    event.submit.job = 7;
    assert_int_equal(feed(*state, event), E_OK);
    event.submit.ref = 2;
    event.submit.class_id = 3;
    refuses(*state, event, E_JOB_CONFLICT);
    event.submit.class_id = 2;
    event.submit.vram_mib = 10;
    refuses(*state, event, E_JOB_CONFLICT);
    event.submit.vram_mib = 0;
    event.submit.devices = 1;
    refuses(*state, event, E_JOB_CONFLICT);
    event.submit.devices = 0;
    assert_int_equal(feed(*state, event), E_OK);
    assert_true(((struct fixture *)*state)->effects.is_repeat);
}

static void unknown_leases_are_not_found(void **state)
{
    struct core_event event = {.type = CORE_CANCEL};

    refuses(*state, release(99, 1), E_NOT_FOUND);
    refuses(*state, ack(99, 1, CORE_ACK_PAUSED), E_NOT_FOUND);
    event.cancel.lease = 99;
    refuses(*state, event, E_NOT_FOUND);
    event.type = CORE_PROCESS_GONE;
    refuses(*state, event, E_NOT_FOUND);
    event = (struct core_event){.type = CORE_ADMIN};
    event.admin.action = CORE_REVOKE;
    event.admin.lease = 99;
    refuses(*state, event, E_NOT_FOUND);
    event.admin.action = CORE_PAUSE;
    refuses(*state, event, E_NOT_FOUND);
    event = (struct core_event){.type = CORE_RENEW};
    event.renew.lease = 99;
    refuses(*state, event, E_NOT_FOUND);
}

/* C6 */
static void only_the_newest_token_speaks(void **state)
{
    uint64_t token;
    uint64_t lease = hold(*state, &token);

    refuses(*state, release(lease, token - 1), E_STALE);
    refuses(*state, release(lease, token + 1), E_STALE);
    refuses(*state, ack(lease, 0, CORE_ACK_RESUMED), E_STALE);
    assert_int_equal(feed(*state, release(lease, token)), E_OK);
    refuses(*state, release(lease, token + 1), E_STALE);
    assert_int_equal(feed(*state, release(lease, token)), E_OK);
    assert_true(((struct fixture *)*state)->effects.is_repeat);
}

static uint64_t expires_at(struct fixture *fixture, uint64_t lease)
{
    struct core_lease_view view;

    assert_int_equal(core_lease_view(fixture->core, lease, &view), E_OK);
    return view.expires_at_ms;
}

/* C4: a holder that missed its resume learns of it by renewing with the token
 * that it has, and by nothing else; it gains no time by that. */
static void the_token_before_renews_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct core_event renew = {.type = CORE_RENEW};
    struct core_event admin = {.type = CORE_ADMIN};
    struct core_lease_view view;
    uint64_t token;
    uint64_t lease = hold(fixture, &token);
    uint64_t before_ms;

    renew.renew.lease = lease;
    renew.renew.token = token;
    admin.admin.lease = lease;
    assert_int_equal(feed(fixture, renew), E_OK); /* It can hear. */
    admin.admin.action = CORE_PAUSE;
    assert_int_equal(feed(fixture, admin), E_OK);
    assert_int_equal(feed(fixture, ack(lease, token, CORE_ACK_PAUSED)), E_OK);
    admin.admin.action = CORE_RESUME;
    assert_int_equal(feed(fixture, admin), E_OK);
    assert_int_equal(core_lease_view(fixture->core, lease, &view), E_OK);
    assert_int_equal(view.row.state, LEASE_HELD);
    assert_true(view.row.token > token);
    fixture->now_ms += 1000;
    before_ms = expires_at(fixture, lease);
    assert_int_equal(feed(fixture, renew), E_OK);
    assert_true(fixture->effects.is_repeat);
    assert_int_equal(expires_at(fixture, lease), before_ms);
    refuses(fixture, release(lease, token), E_STALE);
    refuses(fixture, ack(lease, token, CORE_ACK_RESUMED), E_STALE);
    renew.renew.token = view.row.token;
    assert_int_equal(feed(fixture, renew), E_OK);
    assert_int_equal(expires_at(fixture, lease), before_ms + 1000);
}

static void what_was_taken_back_is_revoked(void **state)
{
    struct core_event event = {.type = CORE_ADMIN};
    uint64_t token;

    event.admin.action = CORE_REVOKE;
    event.admin.lease = hold(*state, &token);
    assert_int_equal(feed(*state, event), E_OK);
    refuses(*state, release(event.admin.lease, token), E_REVOKED);
    refuses(*state, ack(event.admin.lease, token, CORE_ACK_PAUSED), E_REVOKED);
    refuses(*state, event, E_ENDED);
}

/* The row of lease 50 with token 51, granted the device, in @state. */
static struct core_event granted_row(enum lease_state state)
{
    struct core_event event = {.type = CORE_RESTORE};

    event.restore.type = CORE_RECORD_LEASE;
    event.restore.lease = (struct core_lease_row){.id = 50,
                                                  .token = 51,
                                                  .service = 1,
                                                  .gpus = 1,
                                                  .granted = 1,
                                                  .granted_at_ms = 900,
                                                  .first_granted_at_ms = 900,
                                                  .ttl_ms = 1000,
                                                  .class_id = 2,
                                                  .state = (uint8_t)state};
    return event;
}

/* Why a lease was taken back is not in its row; that it was, is. */
static void what_was_taken_back_is_revoked_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct core_event tick = {.type = CORE_TICK};
    struct core_lease_view view;

    assert_int_equal(feed(fixture, granted_row(LEASE_RECLAIMING)), E_OK);
    assert_int_equal(feed(fixture, tick), E_OK);
    assert_int_equal(core_lease_view(fixture->core, 50, &view), E_OK);
    assert_int_equal(view.row.state, LEASE_ENDED);
    refuses(fixture, release(50, 51), E_REVOKED);
}

/* A rung is begun again after a restart: a damaged row must not end somebody
 * who was to pause. */
static void rows_with_a_rung_of_another_state_are_invalid(void **state)
{
    struct core_event event = granted_row(LEASE_PAUSING);

    event.restore.lease.rung = RUNG_KILL;
    refuses(*state, event, E_INVALID);
    event = granted_row(LEASE_RECLAIMING);
    event.restore.lease.rung = RUNG_FREEZE;
    refuses(*state, event, E_INVALID);
    event.restore.lease.rung = RUNG_TERM;
    assert_int_equal(feed(*state, event), E_OK);
}

static void what_ended_otherwise_has_ended(void **state)
{
    struct core_event renew = {.type = CORE_RENEW};
    uint64_t token;

    renew.renew.lease = hold(*state, &token);
    renew.renew.token = token;
    assert_int_equal(feed(*state, release(renew.renew.lease, token)), E_OK);
    refuses(*state, renew, E_ENDED);
    refuses(*state, ack(renew.renew.lease, token, CORE_ACK_PAUSED), E_ENDED);
}

/* A release whose answer was lost is sent again. */
static void ended_leases_are_remembered_for_a_minute(void **state)
{
    struct fixture *fixture = *state;
    uint64_t token;
    uint64_t lease = hold(fixture, &token);

    assert_int_equal(feed(fixture, release(lease, token)), E_OK);
    fixture->now_ms += 59999;
    assert_int_equal(feed(fixture, release(lease, token)), E_OK);
    assert_true(fixture->effects.is_repeat);
    fixture->now_ms += 1;
    refuses(fixture, release(lease, token), E_NOT_FOUND);
}

/* So many, however many numbers went to tokens. */
static void the_last_65536_ended_leases_are_remembered(void **state)
{
    struct fixture *fixture = *state;
    uint64_t token;
    uint64_t token_first;
    uint64_t first;
    int i;

    assert_int_equal(feed(fixture, numbers(1000000)), E_OK);
    first = hold(fixture, &token_first);
    assert_int_equal(feed(fixture, release(first, token_first)), E_OK);
    for (i = 1; i < 65536; i++) {
        uint64_t lease = hold(fixture, &token);

        assert_int_equal(feed(fixture, release(lease, token)), E_OK);
    }
    assert_int_equal(feed(fixture, release(first, token_first)), E_OK);
    first = hold(fixture, &token);
    assert_int_equal(feed(fixture, release(first, token)), E_OK);
    refuses(fixture, release(1, token_first), E_NOT_FOUND);
    assert_int_equal(feed(fixture, release(first, token)), E_OK);
}

static void states_that_do_not_allow_it(void **state)
{
    struct core_event event = {.type = CORE_CANCEL};
    uint64_t token;
    uint64_t lease = hold(*state, &token);
    uint64_t waiter;

    event.cancel.lease = lease;
    refuses(*state, event, E_STATE); /* It holds. */
    refuses(*state, ack(lease, token, CORE_ACK_PAUSED), E_STATE);
    refuses(*state, ack(lease, token, CORE_ACK_ERROR), E_STATE);
    assert_int_equal(feed(*state, request(2, 2)), E_OK);
    waiter = ((struct fixture *)*state)->effects.lease;
    refuses(*state, release(waiter, 0), E_STATE); /* It waits. */
    event = (struct core_event){.type = CORE_ADMIN};
    event.admin.action = CORE_RESUME;
    event.admin.lease = lease;
    refuses(*state, event, E_STATE); /* It is not paused. */
}

static struct core_event
rung(uint64_t lease, uint64_t token, enum rung what, enum rung_result result)
{
    struct core_event event = {.type = CORE_RUNG};

    event.rung.lease = lease;
    event.rung.token = token;
    event.rung.rung = what;
    event.rung.result = result;
    return event;
}

/* C2: what is said of a rung counts only with the token it was begun with. */
static void rungs_are_answered_with_the_newest_token(void **state)
{
    uint64_t token;
    uint64_t lease = hold(*state, &token);
    uint64_t waiter;

    refuses(*state, rung(99, 1, RUNG_TERM, RUNG_OK), E_NOT_FOUND);
    refuses(*state, rung(lease, token, RUNG_NONE, RUNG_OK), E_INVALID);
    refuses(*state, rung(lease, token, RUNGS, RUNG_OK), E_INVALID);
    refuses(*state, rung(lease, token, RUNG_TERM, RUNG_RESULTS), E_INVALID);
    refuses(*state, rung(lease, token - 1, RUNG_TERM, RUNG_OK), E_STALE);
    assert_int_equal(feed(*state, request(2, 2)), E_OK);
    waiter = ((struct fixture *)*state)->effects.lease;
    refuses(*state, rung(waiter, 0, RUNG_TERM, RUNG_OK), E_STATE);
    assert_int_equal(feed(*state, rung(lease, token, RUNG_TERM, RUNG_OK)),
                     E_OK);
    assert_true(((struct fixture *)*state)->effects.is_repeat);
    assert_int_equal(feed(*state, release(lease, token)), E_OK);
    refuses(*state, rung(lease, token, RUNG_TERM, RUNG_OK), E_ENDED);
}

static void only_who_stands_still_is_thawed(void **state)
{
    struct core_event event = {.type = CORE_ADMIN};
    uint64_t token;

    event.admin.action = CORE_THAW;
    event.admin.lease = 99;
    refuses(*state, event, E_NOT_FOUND);
    event.admin.lease = hold(*state, &token);
    refuses(*state, event, E_STATE);
    assert_int_equal(feed(*state, release(event.admin.lease, token)), E_OK);
    refuses(*state, event, E_ENDED);
}

static enum core_guarantee guarantee(struct fixture *fixture, uint64_t lease)
{
    struct core_lease_view view;

    assert_int_equal(core_lease_view(fixture->core, lease, &view), E_OK);
    return view.guarantee;
}

/* C3: the guarantee follows what is known of the processes. */
static void watched_leases_are_supervised(void **state)
{
    struct fixture *fixture = *state;
    struct core_event event = {.type = CORE_WATCH};
    uint64_t token;

    event.watch.lease = 99;
    event.watch.is_watched = true;
    refuses(fixture, event, E_NOT_FOUND);
    event.watch.lease = hold(fixture, &token);
    /* Nothing is measured here. */
    assert_int_equal(guarantee(fixture, event.watch.lease), CORE_ADVISORY);
    assert_int_equal(feed(fixture, event), E_OK);
    assert_int_equal(guarantee(fixture, event.watch.lease), CORE_SUPERVISED);
    event.watch.is_watched = false;
    assert_int_equal(feed(fixture, event), E_OK);
    assert_int_equal(guarantee(fixture, event.watch.lease), CORE_ADVISORY);
}

/* Who says pause does not mean kill. */
static void a_pause_is_not_made_by_force(void **state)
{
    struct fixture *fixture = *state;
    struct core_event event = {.type = CORE_ADMIN};
    struct core_config config = config_one();
    struct core_event ask = request(1, 1);

    ask.submit.ladder = CORE_LADDER(0);
    refuses(fixture, ask, E_INVALID); /* There is none. */
    config.ladder_count = 1;
    config.ladders[0] = (struct core_ladder){1, {{RUNG_KILL, 0}}};
    event.admin.action = CORE_CONFIGURE;
    event.admin.config = &config;
    assert_int_equal(feed(fixture, event), E_OK);
    ask.submit.is_reachable = true;
    assert_int_equal(feed(fixture, ask), E_OK);
    event.admin.action = CORE_PAUSE;
    event.admin.lease = fixture->effects.lease;
    refuses(fixture, event, E_STATE);
}

/* What a request brings is nobody else's ladder, whatever that is called. */
static void a_ladder_that_is_brought_has_the_default_deadlines(void **state)
{
    struct fixture *fixture = *state;
    struct core_event event = {.type = CORE_ADMIN};
    struct core_config config = config_one();
    struct core_event ask = request(1, 1);
    struct core_lease_view view;

    config.ladder_count = 1;
    config.ladders[0] =
        (struct core_ladder){2, {{RUNG_TERM, 600000}, {RUNG_KILL, 0}}};
    config.rung_grace_ms = 700;
    event.admin.action = CORE_CONFIGURE;
    event.admin.config = &config;
    assert_int_equal(feed(fixture, event), E_OK);
    ask.submit.rungs = 0x56; /* kill, term */
    refuses(fixture, ask, E_INVALID);
    ask.submit.rungs = ladder_pack(&config.ladders[0]);
    assert_int_equal(feed(fixture, ask), E_OK);
    event.admin.action = CORE_REVOKE;
    event.admin.lease = fixture->effects.lease;
    assert_int_equal(feed(fixture, event), E_OK);
    assert_int_equal(core_lease_view(fixture->core, event.admin.lease, &view),
                     E_OK);
    assert_int_equal(view.rung, RUNG_TERM);
    assert_int_equal(view.rung_by_ms - view.rung_at_ms, 700);
}

static void rows_no_version_wrote_are_invalid(void **state)
{
    struct core_event event = {.type = CORE_RESTORE};

    event.restore.type = CORE_RECORD_LEASE;
    event.restore.lease = (struct core_lease_row){
        .id = 50, .service = 1, .gpus = 1, .ttl_ms = 1000, .class_id = 2};
    event.restore.lease.service = 0;
    refuses(*state, event, E_INVALID);
    event.restore.lease.service = 1;
    event.restore.lease.gpus = 0;
    refuses(*state, event, E_INVALID);
    event.restore.lease.gpus = 1;
    event.restore.lease.granted = 2;
    refuses(*state, event, E_INVALID);
    event.restore.lease.granted = 0;
    event.restore.lease.state = LEASE_ENDED;
    refuses(*state, event, E_INVALID);
    event.restore.lease.state = LEASE_QUEUED;
    event.restore.lease.rungs = 0x15; /* term, ask: it does not rise. */
    refuses(*state, event, E_INVALID);
    event.restore.lease.rungs = LADDER_DEFAULT;
    event.restore.lease.rung = RUNGS;
    refuses(*state, event, E_INVALID);
    event.restore.lease.rung = RUNG_NONE;
    event.restore.lease.job = 1;
    assert_int_equal(feed(*state, event), E_OK);
    refuses(*state, event, E_INVALID); /* Twice the same id. */
    event.restore.type = CORE_RECORD_LEASE_END;
    refuses(*state, event, E_INVALID);
    event.restore.type = CORE_RECORD_CLASS;
    event.restore.class_row.class_id = 10;
    refuses(*state, event, E_INVALID);
}

static void configurations_out_of_range_are_invalid(void **state)
{
    struct core_config config = config_one();
    struct core *core = NULL;

    (void)state;
    config.devices[0].capacity_mib = 0;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config = config_one();
    config.ladder_count = CORE_LADDERS_MAX + 1;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config.ladder_count = 1; /* A ladder without a rung. */
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config = config_one();
    config.devices[0].reserve_mib = 1000;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config = config_one();
    config.class_count = 1;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config.classes[0].weight = 10001;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config.classes[0].weight = 1;
    config.classes[0].priority = 10;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    config = config_one();
    config.effects_max = 255;
    assert_int_equal(core_create(&config, &alloc_libc, 1, 1, &core), E_INVALID);
    assert_null(core);
}

/* Guarantee 16, for the creation: the simulator does it for every step. */
static void creation_survives_every_failing_allocation(void **state)
{
    struct core_config config = config_one();
    bool was_reached = true;
    uint64_t fail_at;

    (void)state;
    for (fail_at = 1; was_reached; fail_at++) {
        struct fault fault;
        struct core *core = NULL;
        int rc;

        fault_init(&fault, fail_at);
        rc = core_create(&config, &fault.alloc, 1, 1, &core);
        assert_int_equal(rc, fault.has_failed ? E_NOMEM : E_OK);
        core_destroy(core);
        assert_int_equal(fault.held_bytes, 0);
        was_reached = fault.has_failed;
    }
    assert_true(fail_at > 2);
}

int main(void)
{
#define STEP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STEP_TEST(impossible_requests_are_invalid),
        STEP_TEST(limits_are_kept_and_free_again),
        STEP_TEST(no_numbers_no_leases),
        STEP_TEST(draining_admits_nothing),
        STEP_TEST(a_job_keeps_its_terms),
        STEP_TEST(unknown_leases_are_not_found),
        STEP_TEST(only_the_newest_token_speaks),
        STEP_TEST(the_token_before_renews_nothing),
        STEP_TEST(what_was_taken_back_is_revoked),
        STEP_TEST(what_was_taken_back_is_revoked_after_a_restart),
        STEP_TEST(what_ended_otherwise_has_ended),
        STEP_TEST(ended_leases_are_remembered_for_a_minute),
        STEP_TEST(the_last_65536_ended_leases_are_remembered),
        STEP_TEST(states_that_do_not_allow_it),
        STEP_TEST(rungs_are_answered_with_the_newest_token),
        STEP_TEST(only_who_stands_still_is_thawed),
        STEP_TEST(watched_leases_are_supervised),
        STEP_TEST(a_pause_is_not_made_by_force),
        STEP_TEST(a_ladder_that_is_brought_has_the_default_deadlines),
        STEP_TEST(rows_no_version_wrote_are_invalid),
        STEP_TEST(rows_with_a_rung_of_another_state_are_invalid),
        cmocka_unit_test(configurations_out_of_range_are_invalid),
        cmocka_unit_test(creation_survives_every_failing_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
