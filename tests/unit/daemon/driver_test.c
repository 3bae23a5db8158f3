/* The driver over a store whose commits fail on demand: what did not commit
 * never happened, and nothing that was given back is lost (guarantees 8, 11).
 */
#include "core/lease.h"
#include "daemon/config.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "daemon/names.h"
#include "lib/fault_malloc.h"
#include "store/ops.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    MESSAGES_MAX = 256,
    REPLIES_MAX = 32
};

/* ---- A store that can be told to fail ---------------------------------- */

struct faulty {
    struct store base;
    struct store *real;
    int rc; /* Of the next commits; E_OK = that of the real store. */
    int commits;
    bool holds_syncs;         /* The disk is slow: one fsync is ... */
    struct store_commit held; /* ... this one; .done is NULL = none. */
    bool is_late;             /* A server that takes its time: one commit ... */
    struct store_commit
        late;                /* ... is under way where .done is not NULL, ... */
    struct batch late_batch; /* ... of these rows. */
    int state;               /* Where .rc is E_OK. */
};

static int faulty_load(struct store *store,
                       const struct store_reader *reader,
                       uint64_t *time_max_ms)
{
    return store_load(((struct faulty *)store)->real, reader, time_max_ms);
}

static void faulty_commit(struct store *store, const struct store_commit *how)
{
    struct faulty *faulty = (struct faulty *)store;
    struct batch batch = faulty->real->batch;

    if (faulty->holds_syncs && how->needs_fsync) {
        faulty->held = *how;
        return;
    }
    faulty->commits++;
    if (faulty->is_late) {
        assert_null(faulty->late.done);
        faulty->late = *how;
        batch = faulty->late_batch;
        faulty->late_batch = store->batch;
        store->batch = batch;
        return;
    }
    if (faulty->rc != E_OK) {
        batch_clear(&store->batch);
        how->done(how->arg, faulty->rc);
        return;
    }
    faulty->real->batch = store->batch;
    store->batch = batch;
    faulty->real->ops->commit(faulty->real, how);
}

static size_t faulty_pending(const struct store *store)
{
    return store_pending(((const struct faulty *)store)->real);
}

static uint64_t faulty_numbers(const struct store *store)
{
    return store_numbers(((const struct faulty *)store)->real);
}

static int faulty_reserve(struct store *store, uint64_t end)
{
    return store_reserve_numbers(((struct faulty *)store)->real, end);
}

static int faulty_state(struct store *store)
{
    struct faulty *faulty = (struct faulty *)store;

    return faulty->rc != E_OK ? faulty->rc : faulty->state;
}

static bool faulty_touches(const struct store *store, uint64_t id)
{
    return batch_touches(&((const struct faulty *)store)->late_batch, id);
}

/* The late commit ends with @rc. */
static void faulty_end_late(struct faulty *faulty, int rc)
{
    struct store_commit how = faulty->late;
    struct batch batch = faulty->real->batch;

    assert_non_null(how.done);
    faulty->late.done = NULL;
    if (rc == E_OK) {
        faulty->real->batch = faulty->late_batch;
        faulty->late_batch = batch;
        faulty->real->ops->commit(faulty->real, &how);
    } else {
        batch_clear(&faulty->late_batch);
        how.done(how.arg, rc);
    }
}

static void faulty_close(struct store *store)
{
    struct faulty *faulty = (struct faulty *)store;

    if (faulty->late.done != NULL) {
        faulty_end_late(faulty, E_STORE);
    }
    store_close(faulty->real);
    batch_release(&store->batch);
    batch_release(&faulty->late_batch);
}

static const struct store_ops faulty_ops = {
    .load = faulty_load,
    .commit = faulty_commit,
    .pending = faulty_pending,
    .numbers = faulty_numbers,
    .reserve_numbers = faulty_reserve,
    .state = faulty_state,
    .touches = faulty_touches,
    .close = faulty_close,
};

/* ---- A driver without a daemon ----------------------------------------- */

struct fixture {
    char dir[64];
    struct config config;
    struct core_config core;
    struct loop *loop;
    struct faulty store;
    struct names *names;
    struct driver *driver;
    struct core_message messages[MESSAGES_MAX];
    size_t message_count;
    struct driver_reply replies[REPLIES_MAX];
    size_t reply_count;
    int rebuilds;
    int failures;
    int deliveries;
    bool delivers; /* Between the two calls of on_deliver(). */
};

static void on_message(void *arg, const struct core_message *message)
{
    struct fixture *fx = arg;

    assert_true(fx->delivers);
    assert_true(fx->message_count < MESSAGES_MAX);
    fx->messages[fx->message_count++] = *message;
}

static void on_deliver(void *arg, bool is_over)
{
    struct fixture *fx = arg;

    assert_int_equal(fx->delivers, is_over);
    fx->delivers = !is_over;
    fx->deliveries++;
}

static void on_rebuilt(void *arg)
{
    ((struct fixture *)arg)->rebuilds++;
}

static void on_failure(void *arg)
{
    ((struct fixture *)arg)->failures++;
}

static void on_reply(void *arg, const struct driver_reply *reply)
{
    struct fixture *fx = arg;

    assert_true(fx->reply_count < REPLIES_MAX);
    fx->replies[fx->reply_count++] = *reply;
}

static void on_turn_end(void *arg)
{
    driver_end_turn(((struct fixture *)arg)->driver);
}

static void on_deadline(void *arg)
{
    driver_tick(((struct fixture *)arg)->driver);
}

static void on_signal(void *arg, int number)
{
    (void)arg;
    fail_msg("signal %d", number);
}

static const struct loop_handler loop_handler = {on_turn_end, on_deadline,
                                                 on_signal};
static const struct driver_hooks hooks = {on_message, on_deliver, on_rebuilt,
                                          on_failure};

static void open_driver(struct fixture *fx)
{
    struct driver_options options = {.loop = fx->loop,
                                     .store = &fx->store.base,
                                     .names = fx->names,
                                     .core = &fx->core,
                                     .config = &fx->config,
                                     .hooks = &hooks,
                                     .arg = fx};

    assert_int_equal(driver_open(&options, &fx->driver), E_OK);
}

static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);
    struct config_report report;
    struct store_options options = {0};
    char url[96];
    char message[STORE_MESSAGE_SIZE];

    assert_non_null(fx);
    (void)snprintf(fx->dir, sizeof fx->dir, "/tmp/gpucoord-driver-XXXXXX");
    assert_non_null(mkdtemp(fx->dir));
    assert_int_equal(config_load(NULL, &fx->config, &report), E_OK);
    config_report_release(&report);
    config_core_get(&fx->config, &fx->core);
    fx->core.device_count = 1;
    fx->core.devices[0] =
        (struct core_device_config){.capacity_mib = 1000, .settle_ms = 1000};
    fx->core.effects_max = 256;
    assert_int_equal(loop_create(&loop_handler, fx, &fx->loop), E_OK);
    assert_int_equal(names_create(&fx->names), E_OK);
    options.loop = loop_base(fx->loop);
    (void)snprintf(url, sizeof url, "sqlite:%s/q.db", fx->dir);
    assert_int_equal(
        store_open(url, &options, &fx->store.real, message, sizeof message),
        E_OK);
    fx->store.base.ops = &faulty_ops;
    batch_init(&fx->store.base.batch);
    batch_init(&fx->store.late_batch);
    open_driver(fx);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;
    char command[128];

    driver_finish(fx->driver);
    faulty_close(&fx->store.base);
    driver_close(fx->driver);
    names_destroy(fx->names);
    loop_destroy(fx->loop);
    config_release(&fx->config);
    (void)snprintf(command, sizeof command, "rm -rf %s", fx->dir);
    assert_int_equal(system(command), 0);
    free(fx);
    return 0;
}

/* Let one turn end. */
static void turn(struct fixture *fx)
{
    (void)event_base_loop(loop_base(fx->loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Serve until the next reply; what never comes is the test runner's limit. */
static void until_reply(struct fixture *fx)
{
    while (fx->reply_count == 0) {
        (void)event_base_loop(loop_base(fx->loop), EVLOOP_ONCE);
    }
}

static uint64_t submit(struct fixture *fx, const char *service, uint64_t ref)
{
    struct core_request request = {.ref = ref,
                                   .timeout_ms = 60000,
                                   .class_id = 2,
                                   .gpus = 1,
                                   .ttl_ms = 30000,
                                   .pause_grace_ms = 1000};
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = ref};
    uint64_t lease = 0;

    assert_int_equal(names_service(fx->names, service, &request.service), E_OK);
    assert_int_equal(driver_submit(fx->driver, &request, NULL, &reply, &lease),
                     E_OK);
    return lease;
}

static void release(struct fixture *fx, uint64_t lease)
{
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = lease};
    struct core_event event = {.type = CORE_RELEASE};
    struct core_lease_view view;

    assert_int_equal(core_lease_view(driver_core(fx->driver), lease, &view),
                     E_OK);
    event.release.lease = lease;
    event.release.token = view.row.token;
    assert_int_equal(driver_feed(fx->driver, &event, &reply), E_OK);
}

/* Return the first message of @type; all zero where there is none. */
static struct core_message message_find(const struct fixture *fx,
                                        enum core_message_type type)
{
    struct core_message none = {0};
    size_t i;

    for (i = 0; i < fx->message_count; i++) {
        if (fx->messages[i].type == type) {
            return fx->messages[i];
        }
    }
    return none;
}

static uint32_t state_of(const struct fixture *fx, uint64_t lease)
{
    struct core_lease_view view;

    return core_lease_view(driver_core(fx->driver), lease, &view) == E_OK
               ? view.row.state
               : LEASE_STATES;
}

/* A crash between the decision and the commit must not have told anybody. */
static void nothing_leaves_before_the_commit(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease = submit(fx, "a", 1);

    assert_int_equal(state_of(fx, lease), LEASE_HELD);
    assert_int_equal(fx->message_count, 0);
    assert_int_equal(fx->reply_count, 0);
    turn(fx);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, lease);
    assert_int_equal(fx->reply_count, 1);
    assert_int_equal(fx->replies[0].rc, E_OK);
}

static void all_events_of_a_turn_are_one_commit(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease = submit(fx, "a", 1);

    turn(fx);
    fx->store.commits = 0;
    release(fx, lease);
    (void)submit(fx, "b", 2);
    (void)submit(fx, "c", 3);
    turn(fx);
    assert_int_equal(fx->store.commits, 1);
    assert_int_equal(fx->reply_count, 4);
}

static void a_request_whose_commit_failed_is_refused(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease = submit(fx, "a", 1);

    fx->store.rc = E_STORE_FULL;
    turn(fx);
    assert_int_equal(fx->reply_count, 1);
    assert_int_equal(fx->replies[0].rc, E_STORE_FULL);
    assert_int_equal(fx->replies[0].conn, 1);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, 0);
    assert_int_equal(fx->rebuilds, 1);
    assert_int_equal(state_of(fx, lease), LEASE_STATES);
}

/* B9: 202 is a promise that outlives a power cut.  A slow disk must not make a
 * chat wait for somebody else's promise. */
static void only_a_task_waits_for_its_fsync(void **state)
{
    struct fixture *fx = *state;
    struct core_request task = {.timeout_ms = CORE_FOREVER,
                                .job = 7,
                                .class_id = 2,
                                .gpus = 1,
                                .ttl_ms = 30000,
                                .is_durable = true};
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = 9};
    uint64_t lease;

    fx->store.holds_syncs = true;
    assert_int_equal(names_service(fx->names, "t", &task.service), E_OK);
    assert_int_equal(driver_submit(fx->driver, &task, NULL, &reply, &lease),
                     E_OK);
    turn(fx);
    assert_int_equal(fx->reply_count, 0);
    lease = submit(fx, "chat", 1);
    turn(fx);
    assert_int_equal(fx->reply_count, 1);
    assert_int_equal(fx->replies[0].conn, 1);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, lease);

    /* The fsync ends while a turn that will fail is being filled. */
    release(fx, lease);
    fx->store.held.done(fx->store.held.arg, E_OK);
    fx->store.rc = E_STORE;
    turn(fx);
    fx->store.rc = E_OK;
    fx->store.holds_syncs = false;
    assert_int_equal(fx->replies[1].conn, 9);
    assert_int_equal(fx->replies[1].rc, E_OK);
}

/* The holder is told that it has given the GPU back, and that is so. */
static void a_release_whose_commit_failed_is_made_again(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease = submit(fx, "a", 1);

    turn(fx);
    fx->reply_count = 0;
    release(fx, lease);
    fx->store.rc = E_STORE;
    turn(fx);
    assert_int_equal(fx->reply_count, 0);
    fx->store.rc = E_OK;
    until_reply(fx);
    assert_int_equal(fx->replies[0].rc, E_OK);
    assert_int_equal(fx->replies[0].conn, lease);
    assert_int_equal(state_of(fx, lease), LEASE_ENDED);
    assert_int_equal(fx->failures, 0);
}

static void a_rebuilt_core_holds_what_was_committed(void **state)
{
    struct fixture *fx = *state;
    uint64_t kept = submit(fx, "a", 1);
    uint64_t token;

    turn(fx);
    token = message_find(fx, CORE_MSG_GRANT).token;
    release(fx, kept);
    turn(fx);
    kept = submit(fx, "a", 2);
    turn(fx);
    release(fx, kept);
    (void)submit(fx, "b", 3);
    fx->reply_count = 0;
    fx->store.rc = E_STORE;
    turn(fx);
    /* The request of b was refused; the release is made again. */
    assert_int_equal(fx->reply_count, 1);
    assert_int_equal(fx->replies[0].conn, 3);
    assert_int_equal(fx->replies[0].rc, E_STORE);
    fx->reply_count = 0;
    fx->store.rc = E_OK;
    until_reply(fx);
    assert_int_equal(state_of(fx, kept), LEASE_ENDED);
    core_check(driver_core(fx->driver));
    assert_true(core_number_next(driver_core(fx->driver)) > token);
}

static void nothing_new_is_taken_while_the_store_refuses(void **state)
{
    struct fixture *fx = *state;
    struct core_request request = {.ref = 1,
                                   .timeout_ms = 1000,
                                   .class_id = 2,
                                   .gpus = 1,
                                   .ttl_ms = 30000,
                                   .service = 1};
    struct driver_reply reply = {.send = on_reply, .arg = fx};
    uint64_t lease;

    fx->store.rc = E_STORE_FULL;
    assert_int_equal(driver_submit(fx->driver, &request, NULL, &reply, &lease),
                     E_STORE_FULL);
    turn(fx);
    assert_int_equal(fx->reply_count, 0);
}

/* Let the connection @ref, which holds @lease, be lost; @owed is taken. */
static void
lose(struct fixture *fx, struct driver_owed *owed, uint64_t lease, uint64_t ref)
{
    struct core_lease_view view;

    assert_int_equal(core_lease_view(driver_core(fx->driver), lease, &view),
                     E_OK);
    owed->event = (struct core_event){
        .type = CORE_DETACH,
        .detach = {.lease = lease, .ref = ref, .service = view.row.service}};
    driver_owe(fx->driver, owed);
}

/* Guarantee 16: a lease that its connection holds has no other end than the
 * loss of that, which nobody says twice. */
static void a_loss_for_which_there_is_no_memory_is_made_good(void **state)
{
    struct fixture *fx = *state;
    struct core_request request = {.ref = 1,
                                   .timeout_ms = 60000,
                                   .class_id = 2,
                                   .gpus = 1,
                                   .ttl_ms = 3600000, /* Not by that. */
                                   .holds_by_connection = true};
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = 1};
    struct driver_owed *owed;
    bool was_reached = true;
    uint64_t lease = 0;
    uint64_t n;

    assert_int_equal(names_service(fx->names, "a", &request.service), E_OK);
    for (n = 1; was_reached; n++) {
        fx->message_count = 0;
        fx->reply_count = 0;
        assert_int_equal(
            driver_submit(fx->driver, &request, NULL, &reply, &lease), E_OK);
        while (state_of(fx, lease) != LEASE_HELD || fx->reply_count == 0) {
            (void)event_base_loop(loop_base(fx->loop), EVLOOP_ONCE);
        }
        owed = malloc(sizeof *owed);
        assert_non_null(owed);
        fault_malloc_arm(n, 1);
        lose(fx, owed, lease, 1);
        turn(fx);
        was_reached = fault_malloc_disarm();
        while (state_of(fx, lease) < LEASE_ENDED) {
            (void)event_base_loop(loop_base(fx->loop), EVLOOP_ONCE);
        }
    }
    assert_true(n > 2);
    assert_int_equal(fx->failures, 0);
}

/* C6, C7: tokens rise over a restart, and time does not go back. */
static void a_restart_goes_on_above_all_numbers_and_times(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease = submit(fx, "a", 1);
    uint64_t now_ms;

    turn(fx);
    now_ms = driver_now_ms(fx->driver);
    driver_close(fx->driver);
    open_driver(fx);
    assert_int_equal(state_of(fx, lease), LEASE_HELD);
    assert_true(core_number_next(driver_core(fx->driver)) > lease + 1);
    assert_in_range(driver_now_ms(fx->driver), 1, now_ms + 60000);
    core_check(driver_core(fx->driver));
}

/* ---- A store that takes its time (decision 0007) ------------------------
 */

static void renew(struct fixture *fx, uint64_t lease)
{
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = lease};
    struct core_event event = {.type = CORE_RENEW};
    struct core_lease_view view;

    assert_int_equal(core_lease_view(driver_core(fx->driver), lease, &view),
                     E_OK);
    event.renew.lease = lease;
    event.renew.token = view.row.token;
    assert_int_equal(driver_feed(fx->driver, &event, &reply), E_OK);
}

/* Submit a durable task, which has a row while it waits. */
static void put_task(struct fixture *fx, const char *service, uint64_t job)
{
    struct core_request task = {.timeout_ms = CORE_FOREVER,
                                .job = job,
                                .class_id = 2,
                                .gpus = 1,
                                .ttl_ms = 30000,
                                .is_durable = true};
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = job};
    uint64_t lease;

    assert_int_equal(names_service(fx->names, service, &task.service), E_OK);
    assert_int_equal(driver_submit(fx->driver, &task, NULL, &reply, &lease),
                     E_OK);
}

/* Nobody is told what a crash of the database could take back. */
static void answers_wait_for_a_late_commit(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease;

    fx->store.is_late = true;
    lease = submit(fx, "a", 1);
    turn(fx);
    turn(fx);
    assert_int_equal(fx->message_count + fx->reply_count, 0);
    faulty_end_late(&fx->store, E_OK);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, lease);
    assert_int_equal(fx->reply_count, 1);
}

/* One commit at a time; all that comes meanwhile is the next. */
static void what_comes_meanwhile_is_the_next_commit(void **state)
{
    struct fixture *fx = *state;

    fx->store.is_late = true;
    fx->store.commits = 0;
    (void)submit(fx, "a", 1);
    turn(fx);
    put_task(fx, "b", 2);
    turn(fx);
    put_task(fx, "c", 3);
    turn(fx);
    assert_int_equal(fx->store.commits, 1);
    faulty_end_late(&fx->store, E_OK);
    turn(fx);
    assert_int_equal(fx->store.commits, 2);
}

/* Holders keep what they have while the database does not answer; and what
 * was answered is not made again when the commit fails after all. */
static void renewals_do_not_wait_for_the_rows_of_others(void **state)
{
    struct fixture *fx = *state;
    uint64_t held = submit(fx, "a", 1);

    turn(fx);
    fx->reply_count = 0;
    fx->store.is_late = true;
    put_task(fx, "b", 2);
    turn(fx);
    fx->store.is_late = false;
    renew(fx, held);
    turn(fx);
    renew(fx, held);
    turn(fx);
    assert_int_equal(fx->reply_count, 2);
    assert_int_equal(fx->replies[1].conn, held);
    assert_int_equal(fx->replies[1].rc, E_OK);
    faulty_end_late(&fx->store, E_OK);
    turn(fx);
    assert_int_equal(state_of(fx, held), LEASE_HELD);
}

static void what_was_answered_is_not_made_again(void **state)
{
    struct fixture *fx = *state;
    uint64_t held = submit(fx, "a", 1);
    size_t i;

    turn(fx);
    fx->reply_count = 0;
    fx->store.is_late = true;
    put_task(fx, "b", 2);
    turn(fx);
    renew(fx, held);
    turn(fx);
    assert_int_equal(fx->reply_count, 1);
    fx->store.is_late = false;
    faulty_end_late(&fx->store, E_STORE);
    turn(fx);
    assert_int_equal(fx->rebuilds, 1);
    for (i = 1; i < fx->reply_count; i++) {
        assert_true(fx->replies[i].conn != held);
    }
}

/* A grant is stored, and given back in the next turn: the core knows only
 * the end by then, so both are told together, in their order. */
static void what_the_next_turn_has_changed_waits_for_it(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease;

    fx->store.is_late = true;
    lease = submit(fx, "a", 1);
    turn(fx);
    release(fx, lease);
    turn(fx);
    faulty_end_late(&fx->store, E_OK);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, 0);
    assert_int_equal(fx->reply_count, 0);
    turn(fx);
    faulty_end_late(&fx->store, E_OK);
    assert_int_equal(fx->messages[0].type, CORE_MSG_GRANT);
    assert_int_equal(fx->reply_count, 2);
    assert_int_equal(fx->replies[0].conn, 1);
    assert_int_equal(fx->replies[1].conn, lease);
}

/* The grant is stored; the release after it is not: the holder is told, and
 * keeps it until its release has been made again. */
static void what_is_stored_is_told_though_the_next_turn_fails(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease;

    fx->store.is_late = true;
    lease = submit(fx, "a", 1);
    turn(fx);
    release(fx, lease);
    faulty_end_late(&fx->store, E_OK);
    turn(fx);
    assert_int_equal(fx->message_count, 0);
    faulty_end_late(&fx->store, E_STORE);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, lease);
    assert_int_equal(fx->rebuilds, 1);
    assert_int_equal(fx->replies[0].conn, 1);
    assert_int_equal(fx->replies[0].rc, E_OK);
}

/* Whoever looks at a lease learns of its grant when it is stored. */
static void a_look_waits_until_the_lease_is_stored(void **state)
{
    struct fixture *fx = *state;
    struct driver_reply look = {.send = on_reply, .arg = fx, .conn = 77};

    fx->store.is_late = true;
    look.lease = submit(fx, "a", 1);
    turn(fx);
    assert_false(driver_is_settled(fx->driver, look.lease));
    assert_int_equal(driver_when_settled(fx->driver, &look), E_OK);
    turn(fx);
    assert_int_equal(fx->reply_count, 0);
    faulty_end_late(&fx->store, E_OK);
    turn(fx);
    assert_true(driver_is_settled(fx->driver, look.lease));
    assert_int_equal(fx->reply_count, 2);
    assert_int_equal(fx->replies[1].conn, 77);
}

/* B9: while the database is away nothing is granted and nothing new is
 * taken; holders renew; what is given back is granted when it has come
 * back. */
static void nothing_is_granted_while_the_store_is_away(void **state)
{
    struct fixture *fx = *state;
    struct core_request request = {.ref = 9, .class_id = 2, .gpus = 1};
    struct driver_reply reply = {.send = on_reply, .arg = fx, .conn = 9};
    uint64_t held = submit(fx, "a", 1);
    uint64_t waits = submit(fx, "b", 2);
    uint64_t lease = 0;

    turn(fx);
    fx->message_count = 0;
    fx->reply_count = 0;
    fx->store.state = E_STORE_AWAY;
    fx->store.is_late = true;
    renew(fx, held);
    turn(fx);
    turn(fx);
    assert_int_equal(fx->reply_count, 1);
    assert_int_equal(driver_submit(fx->driver, &request, NULL, &reply, &lease),
                     E_STORE_AWAY);
    release(fx, held);
    turn(fx);
    assert_int_equal(state_of(fx, held), LEASE_ENDED);
    assert_int_equal(state_of(fx, waits), LEASE_QUEUED);
    assert_int_equal(fx->reply_count, 1);

    fx->store.state = E_OK;
    fx->store.is_late = false;
    faulty_end_late(&fx->store, E_OK);
    fx->store.base.changed(fx->store.base.changed_arg);
    turn(fx);
    turn(fx);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, waits);
    assert_int_equal(fx->reply_count, 2);
}

/* A grant that is under way when the database goes is not found expired by
 * its holder when it comes back. */
static void a_grant_under_way_does_not_run_out(void **state)
{
    struct fixture *fx = *state;
    struct core_lease_view before;
    struct core_lease_view after;
    uint64_t lease;

    fx->store.is_late = true;
    lease = submit(fx, "a", 1);
    turn(fx);
    fx->store.state = E_STORE_AWAY;
    renew(fx, lease); /* A turn, in which the state is looked at. */
    turn(fx);
    assert_int_equal(core_lease_view(driver_core(fx->driver), lease, &before),
                     E_OK);
    do {
        (void)event_base_loop(loop_base(fx->loop), EVLOOP_ONCE);
        assert_int_equal(
            core_lease_view(driver_core(fx->driver), lease, &after), E_OK);
    } while (after.expires_at_ms == before.expires_at_ms);
    fx->store.state = E_OK;
    fx->store.is_late = false;
    faulty_end_late(&fx->store, E_OK);
    turn(fx);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, lease);
}

/* Guarantee 13: another coordinator has the store: nothing that waits is
 * told to have happened, and the owner is told once. */
static void whoever_was_deposed_grants_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t lease;

    lease = submit(fx, "a", 1);
    turn(fx);
    fx->reply_count = 0;
    fx->message_count = 0;
    fx->store.is_late = true;
    release(fx, lease);
    (void)submit(fx, "b", 2);
    turn(fx);
    fx->store.state = E_NO_LEADER;
    faulty_end_late(&fx->store, E_NO_LEADER);
    turn(fx);
    assert_int_equal(fx->failures, 1);
    assert_int_equal(fx->rebuilds, 0);
    assert_int_equal(message_find(fx, CORE_MSG_GRANT).lease, 0);
    assert_int_equal(fx->reply_count, 1);
    assert_int_equal(fx->replies[0].conn, lease);
    assert_int_equal(fx->replies[0].rc, E_NO_LEADER);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_leaves_before_the_commit),
        TEST(all_events_of_a_turn_are_one_commit),
        TEST(a_request_whose_commit_failed_is_refused),
        TEST(only_a_task_waits_for_its_fsync),
        TEST(a_release_whose_commit_failed_is_made_again),
        TEST(a_rebuilt_core_holds_what_was_committed),
        TEST(nothing_new_is_taken_while_the_store_refuses),
        TEST(a_loss_for_which_there_is_no_memory_is_made_good),
        TEST(a_restart_goes_on_above_all_numbers_and_times),
        TEST(answers_wait_for_a_late_commit),
        TEST(what_comes_meanwhile_is_the_next_commit),
        TEST(renewals_do_not_wait_for_the_rows_of_others),
        TEST(what_was_answered_is_not_made_again),
        TEST(what_the_next_turn_has_changed_waits_for_it),
        TEST(what_is_stored_is_told_though_the_next_turn_fails),
        TEST(a_look_waits_until_the_lease_is_stored),
        TEST(nothing_is_granted_while_the_store_is_away),
        TEST(a_grant_under_way_does_not_run_out),
        TEST(whoever_was_deposed_grants_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
