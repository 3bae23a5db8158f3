/* Processes that are frozen, continued, asked to end and killed: real ones. */
#include "act_rig.h"

#include "base/clock.h"
#include "control/freeze.h"
#include "control/terminate.h"
#include "control/thaw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/patient.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHILDREN = 3,
    LONG_MS = 20000
};

struct act {
    struct act_rig rig;
    struct journal journal;
    struct tree_target target;
    pid_t pids[CHILDREN + 1];
    struct outcome outcome;
};

static void begin(struct act *act)
{
    act_rig_init(&act->rig);
    assert_int_equal(journal_init(&act->journal, act->rig.dir), E_OK);
    act_rig_tree(act->pids, CHILDREN);
    act_rig_target(act->pids[0], &act->target);
}

static void end(struct act *act)
{
    act_rig_end(act->pids, CHILDREN + 1);
    act_rig_release(&act->rig);
}

static void freeze(struct act *act)
{
    struct patience patience = patience_for(LONG_MS);

    freeze_tree(&act->target, &act->journal, 7, "svc", &patience,
                &act->outcome);
}

static size_t thaw(struct act *act)
{
    struct patience patience = patience_for(LONG_MS);
    struct journal_list list;
    size_t count;

    assert_int_equal(journal_read(&act->journal, &list), E_OK);
    count = thaw_select(&list, 7, false);
    thaw_stopped(&act->journal, list.entries, count, &patience, &act->outcome);
    journal_list_release(&list);
    return count;
}

/* C2: the whole tree stops, is in the journal, and goes on. */
static void a_frozen_tree_stops_and_goes_on(void **state)
{
    struct act act;
    int i;

    (void)state;
    begin(&act);
    freeze(&act);
    assert_string_equal(act.outcome.reason, "");
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    for (i = 0; i <= CHILDREN; i++) {
        assert_int_equal(act_rig_state(act.pids[i]), 'T');
    }
    assert_int_equal(thaw(&act), CHILDREN + 1);
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    for (i = 0; i <= CHILDREN; i++) {
        act_rig_until(act.pids[i], "SR");
    }
    assert_int_equal(thaw(&act), 0);
    end(&act);
}

/* What its user had stopped stays stopped when the coordinator lets go. */
static void what_was_stopped_before_stays_stopped(void **state)
{
    struct act act;

    (void)state;
    begin(&act);
    assert_int_equal(kill(act.pids[1], SIGSTOP), 0);
    act_rig_until(act.pids[1], "T");
    freeze(&act);
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    assert_int_equal(thaw(&act), CHILDREN);
    act_rig_until(act.pids[0], "SR");
    assert_int_equal(act_rig_state(act.pids[1]), 'T');
    end(&act);
}

/* Fork without end: each child lives a moment, and forks the next. */
static pid_t start_forking(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid != 0) {
        return pid;
    }
    (void)setpgid(0, 0);
    (void)signal(SIGCHLD, SIG_IGN);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(120);
    for (;;) {
        pid = fork();
        if (pid == 0) {
            (void)alarm(120);
            (void)poll(NULL, 0, 5);
            _exit(0);
        }
        (void)poll(NULL, 0, 1);
    }
}

/* Nobody runs on because it was born while the others were counted. */
static void who_keeps_forking_is_frozen_whole(void **state)
{
    struct act act;
    struct tree tree;
    size_t i;
    size_t before;

    (void)state;
    begin(&act);
    act_rig_end(act.pids, CHILDREN + 1);
    act.pids[0] = start_forking();
    act_rig_until(act.pids[0], "S");
    act_rig_target(act.pids[0], &act.target);
    freeze(&act);
    assert_string_equal(act.outcome.reason, "");
    tree_init(&tree);
    assert_int_equal(tree_read(&act.target, &tree), E_OK);
    before = tree.count;
    assert_true(before >= 1);
    for (i = 0; i < tree.count; i++) {
        assert_true(tree.members[i].is_stopped);
    }
    assert_int_equal(tree_read(&act.target, &tree), E_OK);
    assert_int_equal(tree.count, before);
    tree_release(&tree);
    (void)thaw(&act);
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    assert_int_equal(killpg(act.pids[0], SIGKILL), 0);
    assert_int_equal(waitpid(act.pids[0], NULL, 0), act.pids[0]);
    act_rig_release(&act.rig);
}

/* Without the journal nothing is stopped: nobody could let it go on. */
static void nothing_is_frozen_that_cannot_be_written_down(void **state)
{
    struct act act;
    char path[128];
    int i;

    (void)state;
    begin(&act);
    (void)snprintf(path, sizeof path, "%s/frozen.journal.new", act.rig.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    freeze(&act);
    assert_int_equal(act.outcome.kind, OUTCOME_FAILED);
    for (i = 0; i <= CHILDREN; i++) {
        assert_int_not_equal(act_rig_state(act.pids[i]), 'T');
    }
    assert_int_equal(rmdir(path), 0);
    end(&act);
}

/* A process that has gone, or another with its number, is not touched. */
static void a_number_that_is_used_again_is_not_touched(void **state)
{
    struct act act;

    (void)state;
    begin(&act);
    act.target.roots[0].start_ticks++;
    freeze(&act);
    assert_int_equal(act.outcome.kind, OUTCOME_SKIPPED);
    assert_int_not_equal(act_rig_state(act.pids[0]), 'T');
    assert_int_equal(tree_signal(&act.target.roots[0], SIGKILL), E_NOT_FOUND);
    assert_int_not_equal(act_rig_state(act.pids[0]), 'Z');
    end(&act);
}

/* C2: TERM reaches all of the tree, also those that were frozen. */
static void a_frozen_tree_obeys_term(void **state)
{
    struct patience patience = patience_for(LONG_MS);
    struct act act;
    int i;

    (void)state;
    begin(&act);
    freeze(&act);
    terminate_tree(&act.target, &patience, &act.outcome);
    assert_string_equal(act.outcome.reason, "");
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    for (i = 0; i <= CHILDREN; i++) {
        act_rig_until(act.pids[i], "ZX");
    }
    end(&act);
}

/* Who ignores TERM is named when the time is over; KILL ends it. */
static void who_ignores_term_is_named_and_killed(void **state)
{
    struct patience patience = patience_for(LONG_MS);
    struct patience brief = patience_for(100);
    struct act act;
    char name[32];

    (void)state;
    (void)signal(SIGTERM, SIG_IGN);
    begin(&act);
    (void)signal(SIGTERM, SIG_DFL);
    terminate_tree(&act.target, &brief, &act.outcome);
    assert_int_equal(act.outcome.kind, OUTCOME_FAILED);
    (void)snprintf(name, sizeof name, "pid %d (", (int)act.pids[0]);
    assert_non_null(strstr(act.outcome.reason, name));
    assert_non_null(strstr(act.outcome.reason, "and 1 more"));
    terminate_kill(&act.target, &patience, &act.outcome);
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    end(&act);
}

/* A fork away while the others are killed does not help. */
static void who_keeps_forking_is_killed_whole(void **state)
{
    struct patience patience = patience_for(LONG_MS);
    struct act act;
    pid_t pid;

    (void)state;
    begin(&act);
    /* The orphans are ours to wait for: who else adopts them may not. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid = start_forking();
    act_rig_until(pid, "S");
    act_rig_target(pid, &act.target);
    terminate_kill(&act.target, &patience, &act.outcome);
    assert_int_equal(act.outcome.kind, OUTCOME_OK);
    /* One that its parent ignored is for nobody to wait for, and in its group
     * until the kernel is done with it. */
    while (killpg(pid, 0) == 0) {
        (void)waitpid(-pid, NULL, WNOHANG);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    end(&act);
}

/* A daemon in the tree it is to freeze would never thaw it. */
static void the_coordinator_is_never_part_of_it(void **state)
{
    struct tree_target target;
    struct tree tree;
    struct proc_id self;

    (void)state;
    act_rig_target(getppid(), &target);
    self = (struct proc_id){.pid = getpid()};
    tree_init(&tree);
    assert_int_equal(tree_read(&target, &tree), E_OK);
    act_rig_target(getpid(), &target);
    self = target.roots[0];
    assert_null(tree_find(&tree, &self));
    assert_int_equal(tree_read(&target, &tree), E_OK);
    assert_null(tree_find(&tree, &self));
    tree_release(&tree);
}

/* ---- cgroups ------------------------------------------------------------- */

/* Make a cgroup and put the tree's root and children into it; false where this
 * machine has none that can be written. */
static bool enter_cgroup(struct act *act)
{
    static const char *const mounts[] = {"/sys/fs/cgroup",
                                         "/sys/fs/cgroup/unified"};
    char path[sizeof act->target.cgroup.dir + 32];
    size_t i;
    int child;

    for (i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        (void)snprintf(act->target.cgroup.dir, sizeof act->target.cgroup.dir,
                       "%s/gpucoord-act-%d", mounts[i], (int)getpid());
        (void)mkdir(act->target.cgroup.dir, 0755);
        (void)snprintf(path, sizeof path, "%s/cgroup.procs",
                       act->target.cgroup.dir);
        if (access(path, W_OK) == 0) {
            break;
        }
        (void)rmdir(act->target.cgroup.dir);
        act->target.cgroup.dir[0] = '\0';
    }
    for (child = 0; child <= CHILDREN && act->target.cgroup.dir[0] != '\0';
         child++) {
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        (void)fprintf(file, "%d\n", (int)act->pids[child]);
        assert_int_equal(fclose(file), 0);
    }
    return act->target.cgroup.dir[0] != '\0';
}

static void leave_cgroup(struct act *act)
{
    struct patient patient = {0};

    end(act);
    while (rmdir(act->target.cgroup.dir) != 0 && errno == EBUSY) {
        patient_wait(&patient, "the cgroup is empty");
    }
}

static void a_cgroup_is_frozen_and_goes_on(void **state)
{
    struct journal_list list;
    struct act act;
    bool is_frozen;

    (void)state;
    begin(&act);
    if (!enter_cgroup(&act)) {
        end(&act);
        skip();
    }
    freeze(&act);
    assert_string_equal(act.outcome.reason, "");
    assert_int_equal(cgroup_is_frozen(&act.target.cgroup, &is_frozen), E_OK);
    assert_true(is_frozen);
    assert_int_equal(journal_read(&act.journal, &list), E_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.entries[0].kind, JOURNAL_CGROUP);
    journal_list_release(&list);
    assert_int_equal(thaw(&act), 1);
    assert_int_equal(cgroup_is_frozen(&act.target.cgroup, &is_frozen), E_OK);
    assert_false(is_frozen);
    leave_cgroup(&act);
}

/* KILL ends a frozen cgroup, with what has left the tree. */
static void a_frozen_cgroup_is_killed(void **state)
{
    struct patience patience = patience_for(LONG_MS);
    struct patient patient = {0};
    struct act act;
    bool is_populated;

    (void)state;
    begin(&act);
    if (!enter_cgroup(&act)) {
        end(&act);
        skip();
    }
    freeze(&act);
    terminate_kill(&act.target, &patience, &act.outcome);
    assert_string_equal(act.outcome.reason, "");
    assert_int_equal(waitpid(act.pids[0], NULL, 0), act.pids[0]);
    do {
        patient_wait(&patient, "all of the cgroup has died");
        assert_int_equal(cgroup_is_populated(&act.target.cgroup, &is_populated),
                         E_OK);
    } while (is_populated);
    leave_cgroup(&act);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frozen_tree_stops_and_goes_on),
        cmocka_unit_test(what_was_stopped_before_stays_stopped),
        cmocka_unit_test(who_keeps_forking_is_frozen_whole),
        cmocka_unit_test(nothing_is_frozen_that_cannot_be_written_down),
        cmocka_unit_test(a_number_that_is_used_again_is_not_touched),
        cmocka_unit_test(a_frozen_tree_obeys_term),
        cmocka_unit_test(who_ignores_term_is_named_and_killed),
        cmocka_unit_test(who_keeps_forking_is_killed_whole),
        cmocka_unit_test(the_coordinator_is_never_part_of_it),
        cmocka_unit_test(a_cgroup_is_frozen_and_goes_on),
        cmocka_unit_test(a_frozen_cgroup_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
