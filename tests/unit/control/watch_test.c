/* Watches: told once, when the last process of a lease has gone. */
#include "control/watch.h"

#include "control/cgroup.h"
#include "rig.h"

#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/patient.h"

enum {
    WAIT_S = 20, /* A test that waits longer has failed. */
    LEASES = 8
};

static struct event_base *base;
static struct watch *watch;
static unsigned told[LEASES];
static uint64_t dropped_when_told; /* The other lease that on_gone() drops. */

static void on_gone(void *arg, uint64_t lease)
{
    (void)arg;
    assert_true(lease < LEASES);
    assert_null(watch_find(watch, lease));
    told[lease]++;
    if (dropped_when_told != 0) {
        watch_forget(watch, dropped_when_told);
    }
}

static int open_watch(void **state)
{
    (void)state;
    memset(told, 0, sizeof told);
    dropped_when_told = 0;
    base = event_base_new();
    return watch_create(base, PROC_ROOT, on_gone, NULL, &watch);
}

static int close_watch(void **state)
{
    (void)state;
    watch_destroy(watch);
    event_base_free(base);
    return 0;
}

static void watch_for(uint64_t lease, pid_t pid)
{
    struct watched *watched;

    assert_int_equal(watch_open(watch, pid, getuid(), &watched), E_OK);
    watch_lease(watch, watched, lease);
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    fail_msg("nobody was told in time");
}

/* Run the loop until @lease was told of. */
static void until_told(uint64_t lease)
{
    const struct timeval limit = {.tv_sec = WAIT_S};
    struct event *timer = evtimer_new(base, too_late, NULL);

    assert_int_equal(event_add(timer, &limit), 0);
    while (told[lease] == 0) {
        assert_int_equal(event_base_loop(base, EVLOOP_ONCE), 0);
    }
    event_free(timer);
}

/* Run what is due: whatever could be told has been told then. */
static void run_what_is_due(void)
{
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
    assert_true(event_base_loop(base, EVLOOP_NONBLOCK) >= 0);
}

static void kill_and_forget(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
}

/* Wait until the kernel has no such process, be it a zombie of init's. */
static void until_dead(pid_t pid)
{
    struct patient patient = {0};
    struct proc_stat stat;

    while (proc_read_stat(PROC_ROOT, pid, &stat) == E_OK &&
           !proc_has_died(&stat)) {
        patient_wait(&patient, "it has died");
    }
}

/* ---- The named process --------------------------------------------------- */

static void a_death_is_told_once(void **state)
{
    pid_t pid = rig_fork(false);

    (void)state;
    watch_for(1, pid);
    assert_int_equal(watch_find(watch, 1)->id.pid, pid);
    assert_int_equal(watch_find(watch, 1)->pgid, 0);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    rig_kill(pid);
    until_told(1);
    run_what_is_due();
    assert_int_equal(told[1], 1);
}

/* A worker shares the group of its service: its death counts by itself. */
static void a_group_counts_only_for_its_leader(void **state)
{
    pid_t child;
    pid_t grandchild;

    (void)state;
    rig_fork_twice(false, &child, &grandchild);
    watch_for(1, grandchild);
    kill_and_forget(grandchild);
    until_told(1);
    rig_kill(child);
}

static void several_leases_of_one_process_are_all_told(void **state)
{
    pid_t pid = rig_fork(true);

    (void)state;
    watch_for(1, pid);
    watch_for(2, pid);
    rig_kill(pid);
    until_told(1);
    until_told(2);
}

static void whoever_died_before_is_told_of(void **state)
{
    struct watched *watched;
    pid_t pid = rig_fork(false);

    (void)state;
    assert_int_equal(watch_open(watch, pid, getuid(), &watched), E_OK);
    rig_kill(pid);
    watch_lease(watch, watched, 1);
    until_told(1);
}

/* ---- Its process group --------------------------------------------------- */

static void the_group_is_waited_for_after_its_leader(void **state)
{
    pid_t child;
    pid_t grandchild;

    (void)state;
    rig_fork_twice(false, &child, &grandchild);
    watch_for(1, child);
    assert_int_equal(watch_find(watch, 1)->pgid, child);
    rig_kill(child);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    kill_and_forget(grandchild);
    until_told(1);
}

/* Fork a chain: each member starts the next one when it is told to end. */
static void hand_over(int number)
{
    (void)number;
    if (fork() == 0) {
        return; /* The child goes on waiting. */
    }
    _exit(0);
}

/* Who is forked after the first look is found when the others have gone. */
static void members_that_come_later_are_found(void **state)
{
    pid_t child;
    pid_t grandchild;
    pid_t later;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        (void)setpgid(0, 0);
        if (fork() != 0) {
            for (;;) {
                (void)pause();
            }
        }
        (void)signal(SIGUSR1, hand_over);
        for (;;) {
            pid_t self = getpid();

            if (write(ends[1], &self, sizeof self) != (ssize_t)sizeof self) {
                _exit(1);
            }
            (void)pause();
        }
    }
    assert_int_equal(read(ends[0], &grandchild, sizeof grandchild),
                     sizeof grandchild);
    watch_for(1, child);
    rig_kill(child);
    run_what_is_due(); /* The grandchild is held now. */
    assert_int_equal(kill(grandchild, SIGUSR1), 0);
    assert_int_equal(read(ends[0], &later, sizeof later), sizeof later);
    assert_int_not_equal(later, grandchild);
    until_dead(grandchild);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    kill_and_forget(later);
    until_told(1);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Without a cgroup setsid() escapes; that is why there are cgroups. */
static void who_leaves_the_group_is_not_waited_for(void **state)
{
    pid_t child;
    pid_t grandchild;

    (void)state;
    rig_fork_twice(true, &child, &grandchild);
    watch_for(1, child);
    rig_kill(child);
    until_told(1);
    kill_and_forget(grandchild);
}

/* ---- Its cgroup ---------------------------------------------------------- */

static struct cgroup made;

/* Fork a child in a cgroup of its own that forks another, which leaves
 * everything else; returns both. */
static void fork_in_cgroup(pid_t *child, pid_t *away)
{
    struct buf why;
    int ends[2];
    int rc;

    buf_init(&why, 0);
    rc = cgroup_create(&made, &why);
    if (rc != E_OK) {
        print_message("skipped: %s\n", buf_string(&why));
    }
    buf_release(&why);
    if (rc != E_OK) {
        skip();
    }
    assert_int_equal(pipe(ends), 0);
    *child = fork();
    if (*child == 0) {
        if (cgroup_enter(&made) != E_OK) {
            _exit(1);
        }
        if (fork() == 0) {
            pid_t self = setsid();

            if (write(ends[1], &self, sizeof self) != (ssize_t)sizeof self) {
                _exit(1);
            }
            (void)close(ends[1]);
        }
        for (;;) {
            (void)pause();
        }
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], away, sizeof *away), sizeof *away);
    (void)close(ends[0]);
}

static void who_forks_away_does_not_escape_a_cgroup(void **state)
{
    pid_t child;
    pid_t away;

    (void)state;
    fork_in_cgroup(&child, &away);
    watch_for(1, child);
    assert_string_not_equal(watch_find(watch, 1)->cgroup, "");
    rig_kill(child);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    kill_and_forget(away);
    until_told(1);
    assert_int_equal(cgroup_remove(&made), E_OK);
}

/* `run` removes the cgroup as soon as it is empty, perhaps before this process
 * has read of it. */
static void a_cgroup_that_is_removed_is_gone(void **state)
{
    struct patient patient = {0};
    pid_t child;
    pid_t away;

    (void)state;
    fork_in_cgroup(&child, &away);
    watch_for(1, child);
    rig_kill(child);
    kill_and_forget(away);
    while (cgroup_remove(&made) == E_BUSY) {
        patient_wait(&patient, "the cgroup is empty");
    }
    until_told(1);
}

/* Both leases are told, although the first one to be told ends the other. */
static void leases_of_one_cgroup_can_end_each_other(void **state)
{
    pid_t child;
    pid_t away;

    (void)state;
    fork_in_cgroup(&child, &away);
    watch_for(1, child);
    watch_for(2, child);
    watch_for(3, child);
    watch_forget(watch, 1); /* The others go on watching. */
    dropped_when_told = 3;
    rig_kill(child);
    run_what_is_due();
    kill_and_forget(away);
    until_told(2);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    assert_int_equal(told[2], 1);
    assert_int_equal(told[3], 0);
    assert_int_equal(cgroup_remove(&made), E_OK);
}

/* The cgroup in which both live goes on being listened to. */
static void
name_again(void (*put)(struct watch *, struct watched *, uint64_t lease))
{
    struct watched *watched;
    pid_t child;
    pid_t away;

    fork_in_cgroup(&child, &away);
    watch_for(1, child);
    assert_int_equal(watch_open(watch, child, getuid(), &watched), E_OK);
    put(watch, watched, 1);
    rig_kill(child);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    kill_and_forget(away);
    until_told(1);
    assert_int_equal(cgroup_remove(&made), E_OK);
}

/* As a request that is sent again does. */
static void who_asks_again_is_waited_for_in_its_cgroup(void **state)
{
    (void)state;
    name_again(watch_lease);
}

/* As `run` does with its child, by a renewal. */
static void who_is_named_again_is_waited_for_in_its_cgroup(void **state)
{
    (void)state;
    name_again(watch_join);
}

/* ---- Leases -------------------------------------------------------------- */

static void a_lease_that_ended_is_not_told_of(void **state)
{
    pid_t pid = rig_fork(false);

    (void)state;
    watch_for(1, pid);
    watch_forget(watch, 1);
    watch_forget(watch, 1);
    assert_null(watch_find(watch, 1));
    rig_kill(pid);
    run_what_is_due();
    assert_int_equal(told[1], 0);
}

static void a_lease_can_change_its_number_and_its_process(void **state)
{
    pid_t first = rig_fork(false);
    pid_t second = rig_fork(false);

    (void)state;
    watch_for(1, first);
    watch_rename(watch, 1, 2);
    watch_rename(watch, 5, 6); /* Not watched: nothing happens. */
    watch_for(2, second);
    rig_kill(first);
    run_what_is_due();
    assert_int_equal(told[2], 0);
    rig_kill(second);
    until_told(2);
    assert_int_equal(told[1], 0);
}

static void join(uint64_t lease, pid_t pid)
{
    struct watched *watched;

    assert_int_equal(watch_open(watch, pid, getuid(), &watched), E_OK);
    watch_join(watch, watched, lease);
}

/* `run` and its child: either may be killed first. */
static void a_lease_of_several_processes_is_gone_with_the_last(void **state)
{
    pid_t pids[3] = {rig_fork(false), rig_fork(false), rig_fork(false)};

    (void)state;
    watch_for(1, pids[0]);
    join(1, pids[1]);
    join(1, pids[2]);
    join(1, pids[1]); /* Again: the same. */
    assert_int_equal(watch_find(watch, 1)->id.pid, pids[1]);
    watch_rename(watch, 1, 2);
    rig_kill(pids[2]);
    run_what_is_due();
    rig_kill(pids[1]);
    run_what_is_due();
    assert_int_equal(told[2], 0);
    assert_int_equal(watch_find(watch, 2)->id.pid, pids[0]);
    rig_kill(pids[0]);
    until_told(2);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    assert_int_equal(told[2], 1);
}

static void of_too_many_processes_the_oldest_is_forgotten(void **state)
{
    pid_t pids[5];
    unsigned i;

    (void)state;
    for (i = 0; i < 5; i++) {
        pids[i] = rig_fork(false);
        join(1, pids[i]);
    }
    for (i = 1; i < 5; i++) {
        assert_int_equal(told[1], 0);
        rig_kill(pids[i]);
        run_what_is_due();
    }
    until_told(1);
    rig_kill(pids[0]);
}

static void add_up(void *arg, uint64_t lease, const struct proc_set *set)
{
    uint64_t *sum = arg;

    assert_int_not_equal(set->id.pid, 0);
    *sum = *sum * 10 + lease;
}

static void all_leases_can_be_walked(void **state)
{
    uint64_t sum = 0;

    (void)state;
    watch_for(3, getpid());
    watch_for(1, getpid());
    watch_each(watch, add_up, &sum);
    assert_int_equal(sum, 31);
}

/* ---- Errors -------------------------------------------------------------- */

/* E_NOT_FOUND */
static void nobody_cannot_be_watched(void **state)
{
    struct watched *watched;
    pid_t pid = rig_fork(false);

    (void)state;
    rig_kill(pid);
    assert_int_equal(watch_open(watch, pid, getuid(), &watched), E_NOT_FOUND);
    assert_int_equal(watch_open(watch, 0, getuid(), &watched), E_NOT_FOUND);
}

/* E_FORBIDDEN: nobody may have others' processes watched, root all. */
static void others_processes_cannot_be_watched(void **state)
{
    struct watched *watched;

    (void)state;
    assert_int_equal(watch_open(watch, getpid(), getuid() + 1, &watched),
                     E_FORBIDDEN);
    assert_int_equal(watch_open(watch, getpid(), 0, &watched), E_OK);
    watch_drop(watched);
    watch_drop(NULL);
}

/* E_NOMEM; and with no descriptor left for the group it is looked at again. */
static void descriptors_may_run_out(void **state)
{
    struct rlimit before;
    struct rlimit none;
    struct watched *watched;
    pid_t child;
    pid_t grandchild;

    (void)state;
    rig_fork_twice(false, &child, &grandchild);
    watch_for(1, child);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    rig_kill(child);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(watch_open(watch, getpid(), getuid(), &watched), E_NOMEM);
    run_what_is_due();
    assert_int_equal(told[1], 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    kill_and_forget(grandchild);
    until_told(1);
}

/* ---- Numbers that are used again ----------------------------------------- */

/* The group's number belongs to a new leader: the old group is empty. */
static void a_group_whose_number_was_used_again_is_gone(void **state)
{
    struct rig_root root;
    struct watch *other;
    struct watched *watched;
    pid_t pid = rig_fork(true);
    struct rig_process process = {.pid = pid,
                                  .parent = 1,
                                  .pgid = pid,
                                  .sid = 7,
                                  .start_ticks = 100,
                                  .uid = getuid()};

    (void)state;
    rig_root_init(&root);
    rig_add(&root, &process);
    assert_int_equal(watch_create(base, root.path, on_gone, NULL, &other),
                     E_OK);
    assert_int_equal(watch_open(other, pid, getuid(), &watched), E_OK);
    watch_lease(other, watched, 1);
    process.start_ticks = 200;
    rig_add(&root, &process);
    process.pid = getpid(); /* A member of the new group, in its session. */
    rig_add(&root, &process);
    rig_kill(pid);
    until_told(1);
    watch_destroy(other);
    rig_root_release(&root);
}

int main(void)
{
#define WATCHING(test) \
    cmocka_unit_test_setup_teardown(test, open_watch, close_watch)
    const struct CMUnitTest tests[] = {
        WATCHING(a_death_is_told_once),
        WATCHING(a_group_counts_only_for_its_leader),
        WATCHING(several_leases_of_one_process_are_all_told),
        WATCHING(whoever_died_before_is_told_of),
        WATCHING(the_group_is_waited_for_after_its_leader),
        WATCHING(members_that_come_later_are_found),
        WATCHING(who_leaves_the_group_is_not_waited_for),
        WATCHING(who_forks_away_does_not_escape_a_cgroup),
        WATCHING(a_cgroup_that_is_removed_is_gone),
        WATCHING(leases_of_one_cgroup_can_end_each_other),
        WATCHING(who_asks_again_is_waited_for_in_its_cgroup),
        WATCHING(who_is_named_again_is_waited_for_in_its_cgroup),
        WATCHING(a_lease_that_ended_is_not_told_of),
        WATCHING(a_lease_can_change_its_number_and_its_process),
        WATCHING(a_lease_of_several_processes_is_gone_with_the_last),
        WATCHING(of_too_many_processes_the_oldest_is_forgotten),
        WATCHING(all_leases_can_be_walked),
        WATCHING(nobody_cannot_be_watched),
        WATCHING(others_processes_cannot_be_watched),
        WATCHING(descriptors_may_run_out),
        WATCHING(a_group_whose_number_was_used_again_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
