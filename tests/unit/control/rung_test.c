/* Acts off the loop: each ends in one callback, whatever hangs. */
#include "act_rig.h"

#include "control/rung.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHILDREN = 2,
    LONG_MS = 60000
};

struct acting {
    struct act_rig rig;
    struct event_base *base;
    struct rungs *rungs;
    struct rung_order order;
    pid_t pids[CHILDREN + 1];
    struct outcome last;
    int done;
};

static void begin(struct acting *acting)
{
    struct rung_config config = {.state_dir = acting->rig.dir};

    *acting = (struct acting){.done = 0};
    act_rig_init(&acting->rig);
    acting->base = event_base_new();
    assert_non_null(acting->base);
    assert_int_equal(rungs_open(acting->base, &config, &acting->rungs), E_OK);
    act_rig_tree(acting->pids, CHILDREN);
    acting->order = (struct rung_order){
        .lease = 7, .service = "svc", .deadline_ms = LONG_MS};
    act_rig_target(acting->pids[0], &acting->order.target);
}

static void end(struct acting *acting)
{
    rungs_close(acting->rungs);
    event_base_free(acting->base);
    act_rig_end(acting->pids, CHILDREN + 1);
    act_rig_release(&acting->rig);
}

static void on_done(void *arg, const struct outcome *outcome)
{
    struct acting *acting = arg;

    acting->last = *outcome;
    acting->done++;
}

static uint64_t start(struct acting *acting, enum rung_act act)
{
    uint64_t id = 0;

    acting->order.act = act;
    assert_int_equal(
        rung_start(acting->rungs, &acting->order, on_done, acting, &id), E_OK);
    assert_int_not_equal(id, 0);
    return id;
}

static void until(struct acting *acting, int done)
{
    while (acting->done < done) {
        assert_int_equal(event_base_loop(acting->base, EVLOOP_ONCE), 0);
    }
}

/* C2: freeze, thaw, TERM: each one callback, on the loop. */
static void acts_end_in_one_callback_on_the_loop(void **state)
{
    struct acting acting;

    (void)state;
    begin(&acting);
    (void)start(&acting, RUNG_DO_FREEZE);
    assert_int_equal(acting.done, 0);
    until(&acting, 1);
    assert_string_equal(acting.last.reason, "");
    assert_int_equal(act_rig_state(acting.pids[2]), 'T');
    (void)start(&acting, RUNG_DO_THAW);
    until(&acting, 2);
    assert_int_equal(acting.last.kind, OUTCOME_OK);
    act_rig_until(acting.pids[2], "S");
    (void)start(&acting, RUNG_DO_THAW);
    until(&acting, 3);
    assert_int_equal(acting.last.kind, OUTCOME_SKIPPED);
    (void)start(&acting, RUNG_DO_RESTORE);
    until(&acting, 4);
    assert_int_equal(acting.last.kind, OUTCOME_SKIPPED);
    (void)start(&acting, RUNG_DO_TERM);
    until(&acting, 5);
    assert_int_equal(acting.last.kind, OUTCOME_OK);
    end(&acting);
}

static void a_cancelled_act_says_so(void **state)
{
    struct acting acting;
    uint64_t id;

    (void)state;
    (void)signal(SIGTERM, SIG_IGN);
    begin(&acting);
    (void)signal(SIGTERM, SIG_DFL);
    id = start(&acting, RUNG_DO_TERM);
    rung_cancel(acting.rungs, id + 1);
    rung_cancel(acting.rungs, id);
    until(&acting, 1);
    assert_int_equal(acting.last.kind, OUTCOME_SKIPPED);
    assert_string_equal(acting.last.reason, "cancelled");
    acting.order.deadline_ms = 10;
    (void)start(&acting, RUNG_DO_TERM);
    until(&acting, 2);
    assert_int_equal(acting.last.kind, OUTCOME_FAILED);
    acting.order.deadline_ms = LONG_MS;
    (void)start(&acting, RUNG_DO_KILL);
    until(&acting, 3);
    assert_int_equal(acting.last.kind, OUTCOME_OK);
    end(&acting);
}

/* A disk that hangs hangs a thread, not the loop: the callback comes, and the
 * thread frees what is its own when the disk is back. */
static void what_hangs_is_left_alone(void **state)
{
    struct acting acting;
    char path[128];
    int fd;

    (void)state;
    begin(&acting);
    (void)snprintf(path, sizeof path, "%s/frozen.journal", acting.rig.dir);
    assert_int_equal(mkfifo(path, 0600),
                     0); /* To open it waits for a writer. */
    acting.order.deadline_ms = 10;
    (void)start(&acting, RUNG_DO_THAW);
    until(&acting, 1);
    assert_int_equal(acting.last.kind, OUTCOME_FAILED);
    assert_string_equal(acting.last.reason, "thaw hangs; it is left alone");
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    end(&acting);
    assert_int_equal(acting.done, 1);
}

/* Closing while acts run makes no callback and leaves nothing stopped that is
 * not in the journal. */
static void closing_cancels_what_is_under_way(void **state)
{
    struct acting acting;

    (void)state;
    (void)signal(SIGTERM, SIG_IGN);
    begin(&acting);
    (void)signal(SIGTERM, SIG_DFL);
    (void)start(&acting, RUNG_DO_TERM);
    (void)start(&acting, RUNG_DO_TERM);
    end(&acting);
    assert_int_equal(acting.done, 0);
}

static void acts_are_bounded(void **state)
{
    struct acting acting;
    uint64_t id;
    int i;

    (void)state;
    (void)signal(SIGTERM, SIG_IGN);
    begin(&acting);
    (void)signal(SIGTERM, SIG_DFL);
    for (i = 0; i < RUNG_ORDERS_MAX; i++) {
        (void)start(&acting, RUNG_DO_TERM);
    }
    assert_int_equal(
        rung_start(acting.rungs, &acting.order, on_done, &acting, &id),
        E_LIMIT);
    end(&acting);
}

/* A driver or a disk that hangs for good does not take a thread after the
 * other. */
static void those_that_hang_count(void **state)
{
    struct acting acting;
    char path[128];
    uint64_t id;
    int fd;
    int i;

    (void)state;
    begin(&acting);
    (void)snprintf(path, sizeof path, "%s/frozen.journal", acting.rig.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    acting.order.deadline_ms = 0;
    for (i = 0; i < RUNG_ORDERS_MAX; i++) {
        (void)start(&acting, RUNG_DO_THAW);
    }
    until(&acting, RUNG_ORDERS_MAX); /* All are given up. */
    assert_int_equal(
        rung_start(acting.rungs, &acting.order, on_done, &acting, &id),
        E_LIMIT);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    (void)close(fd);
    while (rung_start(acting.rungs, &acting.order, on_done, &acting, &id) ==
           E_LIMIT) {
        (void)usleep(100); /* They end, and then there is room. */
    }
    until(&acting, RUNG_ORDERS_MAX + 1);
    end(&acting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acts_end_in_one_callback_on_the_loop),
        cmocka_unit_test(a_cancelled_act_says_so),
        cmocka_unit_test(what_hangs_is_left_alone),
        cmocka_unit_test(closing_cancels_what_is_under_way),
        cmocka_unit_test(acts_are_bounded),
        cmocka_unit_test(those_that_hang_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
