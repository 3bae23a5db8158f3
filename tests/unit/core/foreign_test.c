/* B7: a program outside that holds a device by its key is respected, also by a
 * grant that learns of it when it is stored already and told to nobody. */
#include "core/core.h"
#include "core/lease.h"
#include "lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    NUMBERS = 100000, /* Leases and tokens of a test. */
    LIVE_MAX = 512,
    STEPS = 30000
};

struct fixture {
    struct core *core;
    struct core_effects effects;
    uint64_t now_ms;
};

static int feed(struct fixture *fixture, struct core_event event)
{
    int rc;

    event.at_ms = fixture->now_ms;
    rc = core_step(fixture->core, &event, &fixture->effects);
    core_check(fixture->core);
    return rc;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct core_event event = {.type = CORE_ADMIN};
    struct core_config config = {
        .devices = {{.capacity_mib = 1000, .residue_mib = 100},
                    {.capacity_mib = 1000, .residue_mib = 100}},
        .device_count = 1,
        .classes = {{.priority = 2, .weight = 50, .max_consecutive = 5}},
        .class_count = 1,
        .waiters_max = 100,
        .service_waiters_max = 100,
        .stream_grace_ms = 2000,
        .away_ms = 60000,
        .effects_max = 256,
    };

    if (*state != NULL) {
        config.device_count = *(const uint32_t *)*state;
    }
    fixture = (struct fixture){.now_ms = 1000};
    assert_int_equal(core_create(&config, &alloc_libc, 1000, 1, &fixture.core),
                     E_OK);
    event.admin.action = CORE_NUMBERS;
    event.admin.id_end = NUMBERS;
    event.admin.token_end = NUMBERS;
    assert_int_equal(feed(&fixture, event), E_OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    core_destroy(fixture->core);
    return 0;
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

/* Submit @event; return the lease. */
static uint64_t submit(struct fixture *fixture, struct core_event event)
{
    assert_int_equal(feed(fixture, event), E_OK);
    return fixture->effects.lease;
}

/* Say which devices are foreign. */
static void foreign(struct fixture *fixture, uint64_t devices)
{
    struct core_event event = {.type = CORE_FOREIGN,
                               .foreign = {.devices = devices}};

    assert_int_equal(feed(fixture, event), E_OK);
}

static struct core_lease_view look(const struct fixture *fixture, uint64_t id)
{
    struct core_lease_view view;

    assert_int_equal(core_lease_view(fixture->core, id, &view), E_OK);
    return view;
}

/* The grant of @lease found device 0 taken; @ref waits. */
static int take_back(struct fixture *fixture, uint64_t lease, uint64_t ref)
{
    struct core_event event = {
        .type = CORE_FOREIGN,
        .foreign = {.devices = 1,
                    .lease = lease,
                    .token = look(fixture, lease).row.token,
                    .ref = ref}};

    return feed(fixture, event);
}

/* Return the message of @type of the last step; of type CORE_MESSAGES where
 * there is none. */
static struct core_message message(const struct fixture *fixture,
                                   enum core_message_type type)
{
    size_t i;

    for (i = 0; i < fixture->effects.message_count; i++) {
        if (fixture->effects.messages[i].type == type) {
            return fixture->effects.messages[i];
        }
    }
    return (struct core_message){.type = CORE_MESSAGES};
}

/* The same of a record. */
static struct core_record record(const struct fixture *fixture,
                                 enum core_record_type type)
{
    size_t i;

    for (i = 0; i < fixture->effects.record_count; i++) {
        if (fixture->effects.records[i].type == type) {
            return fixture->effects.records[i];
        }
    }
    return (struct core_record){.type = CORE_RECORDS};
}

static void nothing_is_granted_where_somebody_outside_holds(void **state)
{
    struct fixture *fixture = *state;
    struct core_event shared = request(2, 20);
    struct core_device_view device;
    struct core_why why;
    uint64_t alone;
    uint64_t sharing;

    shared.submit.vram_mib = 100;
    foreign(fixture, 1);
    core_device_view(fixture->core, 0, &device);
    assert_true(device.is_foreign);
    alone = submit(fixture, request(1, 10));
    sharing = submit(fixture, shared);
    assert_int_equal(look(fixture, alone).row.state, LEASE_QUEUED);
    assert_int_equal(look(fixture, sharing).row.state, LEASE_QUEUED);
    assert_int_equal(core_why(fixture->core, alone, &why), E_OK);
    assert_int_equal(why.wait, CORE_WAIT_FOREIGN);
    foreign(fixture, 0);
    assert_int_equal(look(fixture, alone).row.state, LEASE_HELD);
    assert_int_equal(look(fixture, sharing).row.state, LEASE_QUEUED);
}

/* Its connection goes on waiting, before all who came later; the store knows
 * nothing of it any more, and the token is never given again. */
static void a_grant_told_to_nobody_goes_back_to_its_place(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first = submit(fixture, request(1, 10));
    uint64_t token = look(fixture, first).row.token;
    uint64_t second = submit(fixture, request(2, 20));
    struct core_record gone;
    struct core_stats stats;

    assert_int_equal(look(fixture, first).row.state, LEASE_HELD);
    assert_int_equal(take_back(fixture, first, 10), E_OK);
    assert_int_equal(look(fixture, first).row.state, LEASE_QUEUED);
    assert_int_equal(look(fixture, first).row.token, 0);
    assert_int_equal(look(fixture, first).ref, 10);
    gone = record(fixture, CORE_RECORD_LEASE_END);
    assert_int_equal(gone.type, CORE_RECORD_LEASE_END);
    assert_int_equal(gone.lease.id, first);
    core_stats(fixture->core, &stats);
    assert_int_equal(stats.grants, 0);
    foreign(fixture, 0);
    assert_int_equal(look(fixture, first).row.state, LEASE_HELD);
    assert_true(look(fixture, first).row.token > token);
    assert_int_equal(message(fixture, CORE_MSG_GRANT).ref, 10);
    assert_int_equal(record(fixture, CORE_RECORD_LEASE).lease.id, first);
    assert_int_equal(look(fixture, second).row.state, LEASE_QUEUED);
    core_stats(fixture->core, &stats);
    assert_int_equal(stats.grants, 1);
}

static void a_task_that_goes_back_stays_in_the_store(void **state)
{
    struct fixture *fixture = *state;
    struct core_event task = request(1, 0);
    struct core_event stream = {.type = CORE_ATTACH, .attach = {.service = 1}};
    uint64_t lease;

    task.submit.job = 7;
    task.submit.is_durable = true;
    task.submit.timeout_ms = CORE_FOREVER;
    assert_int_equal(feed(fixture, stream), E_OK);
    lease = submit(fixture, task);
    assert_int_equal(look(fixture, lease).row.state, LEASE_HELD);
    assert_int_equal(take_back(fixture, lease, 0), E_OK);
    assert_int_equal(look(fixture, lease).row.state, LEASE_QUEUED);
    assert_int_equal(record(fixture, CORE_RECORD_LEASE_END).type, CORE_RECORDS);
    assert_int_equal(record(fixture, CORE_RECORD_LEASE).lease.state,
                     LEASE_QUEUED);
    assert_int_equal(core_job_lease(fixture->core, 1, 7), lease);
}

static void a_wait_goes_on_for_what_is_left_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct core_event tick = {.type = CORE_TICK};
    uint64_t holder = submit(fixture, request(1, 10));
    uint64_t waiter = submit(fixture, request(2, 20));
    struct core_event release = {
        .type = CORE_RELEASE,
        .release = {holder, look(fixture, holder).row.token}};

    fixture->now_ms += 20000;
    assert_int_equal(feed(fixture, release), E_OK);
    assert_int_equal(take_back(fixture, waiter, 20), E_OK);
    fixture->now_ms += 9999;
    assert_int_equal(feed(fixture, tick), E_OK);
    assert_int_equal(look(fixture, waiter).row.state, LEASE_QUEUED);
    fixture->now_ms += 1;
    assert_int_equal(feed(fixture, tick), E_OK);
    assert_int_equal(message(fixture, CORE_MSG_REFUSE).error, E_TIMEOUT);
}

static void whoever_has_gone_meanwhile_does_not_wait(void **state)
{
    struct fixture *fixture = *state;
    struct core_event job = request(2, 20);
    uint64_t plain = submit(fixture, request(1, 10));
    uint64_t named;

    assert_int_equal(take_back(fixture, plain, 0), E_OK);
    assert_int_equal(look(fixture, plain).row.state, LEASE_ENDED);
    foreign(fixture, 0);
    job.submit.job = 7;
    named = submit(fixture, job);
    assert_int_equal(look(fixture, named).row.state, LEASE_HELD);
    assert_int_equal(take_back(fixture, named, 0), E_OK);
    assert_int_equal(look(fixture, named).row.state, LEASE_AWAY);
}

/* A class has one turn for one request, however often its grant goes back. */
static void a_class_has_its_turn_once(void **state)
{
    struct fixture *fixture = *state;
    struct core_event event = request(1, 10);
    struct core_class_view class;
    uint64_t lease;
    int i;

    event.submit.class_id = CORE_CLASS(0);
    lease = submit(fixture, event);
    for (i = 0; i < 3; i++) {
        core_class_view(fixture->core, CORE_CLASS(0), &class);
        assert_int_equal(class.grants, 1);
        assert_int_equal(class.consecutive, 1);
        assert_int_equal(take_back(fixture, lease, 10), E_OK);
        foreign(fixture, 0);
    }
}

/* Pause @lease for a request of priority 0; return that one's lease. */
static uint64_t pause(struct fixture *fixture, uint64_t lease)
{
    struct core_event chat = request(9, 90);
    struct core_event ack = {.type = CORE_ACK};
    uint64_t id;

    chat.submit.class_id = 0;
    id = submit(fixture, chat);
    assert_int_equal(look(fixture, lease).row.state, LEASE_PAUSING);
    ack.ack.lease = lease;
    ack.ack.token = look(fixture, lease).row.token;
    assert_int_equal(feed(fixture, ack), E_OK);
    return id;
}

static void a_resume_told_to_nobody_goes_back_to_sleep(void **state)
{
    struct fixture *fixture = *state;
    struct core_event stream = {.type = CORE_ATTACH, .attach = {.service = 1}};
    struct core_event renew = {.type = CORE_RENEW};
    struct core_event release = {.type = CORE_RELEASE};
    struct core_stats stats;
    uint64_t lease;
    uint64_t chat;
    uint64_t token;

    assert_int_equal(feed(fixture, stream), E_OK);
    lease = submit(fixture, request(1, 10));
    token = look(fixture, lease).row.token;
    chat = pause(fixture, lease);
    release.release.lease = chat;
    release.release.token = look(fixture, chat).row.token;
    assert_int_equal(feed(fixture, release), E_OK);
    assert_int_equal(message(fixture, CORE_MSG_RESUME).lease, lease);
    assert_int_equal(take_back(fixture, lease, 0), E_OK);
    assert_int_equal(look(fixture, lease).row.state, LEASE_PAUSED);
    assert_int_equal(look(fixture, lease).row.token, token);
    core_stats(fixture->core, &stats);
    assert_int_equal(stats.resumes, 0);
    renew.renew.lease = lease;
    renew.renew.token = token;
    assert_int_equal(feed(fixture, renew), E_OK);
    foreign(fixture, 0);
    assert_int_equal(look(fixture, lease).row.state, LEASE_HELD);
    assert_true(message(fixture, CORE_MSG_RESUME).token > token + 1);
}

/* Between the grant and its answer somebody more important came: the pause was
 * told to nobody either. */
static void a_pause_told_to_nobody_goes_back_with_its_grant(void **state)
{
    struct fixture *fixture = *state;
    struct core_event stream = {.type = CORE_ATTACH, .attach = {.service = 1}};
    struct core_event chat = request(9, 90);
    uint64_t lease;
    uint64_t before;

    assert_int_equal(feed(fixture, stream), E_OK);
    lease = submit(fixture, request(1, 10));
    chat.submit.class_id = 0;
    before = submit(fixture, chat);
    assert_int_equal(look(fixture, lease).row.state, LEASE_PAUSING);
    assert_int_equal(take_back(fixture, lease, 10), E_OK);
    assert_int_equal(look(fixture, lease).row.state, LEASE_QUEUED);
    foreign(fixture, 0);
    assert_int_equal(look(fixture, before).row.state, LEASE_HELD);
    assert_int_equal(look(fixture, lease).row.state, LEASE_QUEUED);
}

static void what_was_told_is_not_taken_back(void **state)
{
    struct fixture *fixture = *state;
    struct core_event stream = {.type = CORE_ATTACH, .attach = {.service = 1}};
    struct core_event event = {.type = CORE_FOREIGN};
    struct core_device_view device;
    uint64_t lease;

    assert_int_equal(feed(fixture, stream), E_OK);
    lease = submit(fixture, request(1, 10));
    event.foreign.devices = 1;
    event.foreign.lease = lease;
    event.foreign.token = look(fixture, lease).row.token + 1;
    assert_int_equal(feed(fixture, event), E_STALE);
    (void)pause(fixture, lease);
    assert_int_equal(take_back(fixture, lease, 10), E_STATE);
    event.foreign.lease = 999;
    assert_int_equal(feed(fixture, event), E_NOT_FOUND);
    core_device_view(fixture->core, 0, &device);
    assert_false(device.is_foreign);
}

static int set_up_two(void **state)
{
    static uint32_t two = 2;

    *state = &two;
    return set_up(state);
}

static void a_gang_goes_back_from_all_its_devices(void **state)
{
    struct fixture *fixture = *state;
    struct core_event gang = request(1, 10);
    struct core_device_view device;
    uint64_t lease;

    gang.submit.gpus = 2;
    lease = submit(fixture, gang);
    assert_int_equal(look(fixture, lease).row.granted, 3);
    assert_int_equal(take_back(fixture, lease, 10), E_OK);
    assert_int_equal(look(fixture, lease).row.granted, 0);
    assert_null(look(fixture, lease).row.shares);
    core_device_view(fixture->core, 1, &device);
    assert_int_equal(device.charged_mib, 0);
    assert_int_equal(submit(fixture, request(2, 20)) != 0, 1);
    assert_int_equal(look(fixture, fixture->effects.lease).row.granted, 2);
}

/* A stream's end that says nothing about the service leaves its leases their
 * time: it may be the stream's server that went. */
static void a_lenient_end_of_a_stream_shortens_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct core_event stream = {.type = CORE_ATTACH, .attach = {.service = 1}};
    uint64_t lease;
    uint64_t expires_at_ms;

    assert_int_equal(feed(fixture, stream), E_OK);
    lease = submit(fixture, request(1, 10));
    expires_at_ms = look(fixture, lease).deadline_at_ms;
    fixture->now_ms += 100;
    stream = (struct core_event){.type = CORE_DETACH,
                                 .detach = {.service = 1, .is_lenient = true}};
    assert_int_equal(feed(fixture, stream), E_OK);
    assert_int_equal(look(fixture, lease).deadline_at_ms, expires_at_ms);
    assert_false(look(fixture, lease).can_hear);
}

/* ---- By chance --------------------------------------------------------- */

/* What is looked at from outside. */
struct watch {
    bool is_stored[NUMBERS]; /* By the id of a lease. */
    uint64_t live[LIVE_MAX];
    uint32_t count;
    uint64_t token; /* The highest that was told. */
    uint64_t ref;
    uint64_t taken_back;
};

static bool collect(void *arg, uint64_t id)
{
    struct watch *watch = arg;

    watch->live[watch->count++] = id;
    return watch->count < LIVE_MAX;
}

/* Take in what the step did: tokens rise, and the store is told of leases that
 * it should know, and of no others. */
static void take_in(const struct fixture *fixture, struct watch *watch)
{
    size_t i;

    for (i = 0; i < fixture->effects.record_count; i++) {
        const struct core_record *record = &fixture->effects.records[i];

        if (record->type == CORE_RECORD_LEASE ||
            record->type == CORE_RECORD_LEASE_END) {
            watch->is_stored[record->lease.id] =
                record->type == CORE_RECORD_LEASE;
        }
    }
    for (i = 0; i < fixture->effects.message_count; i++) {
        const struct core_message *one = &fixture->effects.messages[i];

        if (one->type == CORE_MSG_RESUME ||
            (one->type == CORE_MSG_GRANT && one->token > watch->token)) {
            assert_true(one->token > watch->token);
            watch->token = one->token;
        }
    }
    watch->count = 0;
    core_each_lease(fixture->core, (1u << LEASE_ENDED) - 1, collect, watch);
    for (i = 0; i < watch->count; i++) {
        struct core_lease_view view = look(fixture, watch->live[i]);

        assert_int_equal(watch->is_stored[view.row.id],
                         view.row.job != 0 ||
                             view.row.first_granted_at_ms != 0);
    }
}

static struct core_event any_request(struct random *random, struct watch *watch)
{
    static const uint32_t classes[] = {0, 2, 5, CORE_CLASS(0)};
    struct core_event event =
        request(random_between(random, 1, 5), ++watch->ref);

    event.submit.class_id = classes[random_below(random, 4)];
    event.submit.gpus = random_between(random, 1, 2);
    event.submit.vram_mib = random_once_in(random, 2) ? 0 : 300;
    if (random_once_in(random, 2)) {
        event.submit.job = watch->ref;
        event.submit.is_durable = random_once_in(random, 2);
        event.submit.ref = event.submit.is_durable ? 0 : watch->ref;
    }
    return event;
}

/* Return something that may happen to @view. */
static struct core_event any_act(struct random *random,
                                 struct watch *watch,
                                 const struct core_lease_view *view)
{
    struct core_event event = {.type = CORE_TICK};
    uint64_t id = view->row.id;
    uint64_t token = view->row.token;

    switch (random_below(random, 5)) {
    case 0:
        event.type = CORE_RELEASE;
        event.release.lease = id;
        event.release.token = token;
        break;
    case 1:
        event.type = CORE_ACK;
        event.ack.lease = id;
        event.ack.token = token;
        break;
    case 2:
        event.type = CORE_CANCEL;
        event.cancel.lease = id;
        break;
    case 3:
        event.type = CORE_RENEW;
        event.renew.lease = id;
        event.renew.token = token;
        break;
    default:
        event.type = CORE_FOREIGN;
        event.foreign.devices = random_below(random, 4);
        event.foreign.lease = id;
        event.foreign.token = token;
        event.foreign.ref = random_once_in(random, 3) ? 0 : ++watch->ref;
        break;
    }
    return event;
}

static struct core_event
any_event(struct fixture *fixture, struct random *random, struct watch *watch)
{
    struct core_event event = {.type = CORE_TICK};
    struct core_lease_view view;

    switch (random_below(random, 10)) {
    case 0:
        return any_request(random, watch);
    case 2:
        event.type = random_once_in(random, 2) ? CORE_ATTACH : CORE_DETACH;
        event.attach.service = random_between(random, 1, 5);
        event.detach.is_lenient = random_once_in(random, 2);
        return event;
    case 3:
        event.type = CORE_FOREIGN;
        event.foreign.devices =
            random_once_in(random, 4) ? random_below(random, 4) : 0;
        return event;
    case 4:
        fixture->now_ms += random_below(random, 3000);
        return event;
    default:
        if (watch->count == 0) {
            return event;
        }
        view = look(fixture, watch->live[random_below(random, watch->count)]);
        return any_act(random, watch, &view);
    }
}

/* Whatever happens around it, each step leaves the core whole (core_check()
 * in feed()), tokens rise, and the store knows who outlives a restart. */
static void grants_that_go_back_leave_the_core_whole(void **state)
{
    static struct watch watch;
    struct fixture *fixture = *state;
    struct random random = {20261122};
    int i;

    for (i = 0; i < STEPS; i++) {
        struct core_event event = any_event(fixture, &random, &watch);
        int rc = feed(fixture, event);

        watch.taken_back += rc == E_OK && event.type == CORE_FOREIGN &&
                            event.foreign.lease != 0;
        if (rc == E_OK) {
            take_in(fixture, &watch);
        }
    }
    print_message("%u grants went back\n", (unsigned)watch.taken_back);
    assert_true(watch.taken_back > STEPS / 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_granted_where_somebody_outside_holds),
        TEST(a_grant_told_to_nobody_goes_back_to_its_place),
        TEST(a_task_that_goes_back_stays_in_the_store),
        TEST(a_wait_goes_on_for_what_is_left_of_it),
        TEST(whoever_has_gone_meanwhile_does_not_wait),
        TEST(a_class_has_its_turn_once),
        TEST(a_resume_told_to_nobody_goes_back_to_sleep),
        TEST(a_pause_told_to_nobody_goes_back_with_its_grant),
        TEST(what_was_told_is_not_taken_back),
        TEST(a_lenient_end_of_a_stream_shortens_nothing),
        cmocka_unit_test_setup_teardown(
            grants_that_go_back_leave_the_core_whole, set_up_two, tear_down),
        cmocka_unit_test_setup_teardown(a_gang_goes_back_from_all_its_devices,
                                        set_up_two, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
