/* What /proc says of a process, and what it says no more. */
#include "control/proc.h"

#include "rig.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig_root root;

static int open_root(void **state)
{
    (void)state;
    rig_root_init(&root);
    return 0;
}

static int close_root(void **state)
{
    (void)state;
    rig_root_release(&root);
    return 0;
}

static const struct rig_process ollama = {
    .pid = 700,
    .parent = 1,
    .pgid = 700,
    .sid = 700,
    .start_ticks = 5000,
    .uid = 998,
    .exe = "/usr/bin/ollama",
    .cgroup = "0::/system.slice/ollama.service\n",
};

static void the_test_itself_is_read(void **state)
{
    struct proc_facts facts;
    char exe[PROC_PATH_SIZE] = "";

    (void)state;
    assert_int_equal(proc_read(PROC_ROOT, getpid(), &facts), E_OK);
    assert_int_equal(facts.stat.id.pid, getpid());
    assert_int_equal(facts.stat.parent, getppid());
    assert_int_equal(facts.stat.pgid, getpgrp());
    assert_int_equal(facts.stat.sid, getsid(0));
    assert_int_equal(facts.uid, getuid());
    assert_true(facts.stat.id.start_ticks > 0);
    assert_true(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
    assert_string_equal(facts.exe, exe);
}

static void all_facts_of_a_service_are_read(void **state)
{
    struct proc_facts facts;

    (void)state;
    rig_add(&root, &ollama);
    assert_int_equal(proc_read(root.path, 700, &facts), E_OK);
    assert_int_equal(facts.stat.id.start_ticks, 5000);
    assert_int_equal(facts.stat.parent, 1);
    assert_int_equal(facts.stat.state, 'S');
    assert_int_equal(facts.uid, 998);
    assert_string_equal(facts.exe, "/usr/bin/ollama");
    assert_string_equal(facts.cgroup, "/system.slice/ollama.service");
    assert_string_equal(facts.cgroups, "");
}

/* A program may call itself anything; the kernel writes it as it is. */
static void a_name_with_brackets_does_not_shift_the_fields(void **state)
{
    struct rig_process process = ollama;
    struct proc_stat stat;

    (void)state;
    process.name = "a) R 1 2 3 (b";
    rig_add(&root, &process);
    assert_int_equal(proc_read_stat(root.path, 700, &stat), E_OK);
    assert_int_equal(stat.pgid, 700);
    assert_int_equal(stat.state, 'S');
    assert_int_equal(stat.id.start_ticks, 5000);
}

static void both_versions_of_cgroups_are_told_apart(void **state)
{
    struct rig_process process = ollama;
    struct proc_facts facts;

    (void)state;
    process.cgroup = "9:name=systemd:/system.slice/a.service\n"
                     "4:memory:/docker/b:c\n"
                     "0::/user.slice/d.scope\n";
    rig_add(&root, &process);
    assert_int_equal(proc_read(root.path, 700, &facts), E_OK);
    assert_string_equal(facts.cgroup, "/user.slice/d.scope");
    assert_string_equal(facts.cgroups,
                        "/system.slice/a.service\n/docker/b:c\n");
}

/* Seen from inside a container the cgroups of others begin with "/..". */
static void a_cgroup_outside_the_namespace_is_not_known(void **state)
{
    struct rig_process process = ollama;
    struct proc_facts facts;

    (void)state;
    process.cgroup = "0::/../../system.slice/a.service\n";
    rig_add(&root, &process);
    assert_int_equal(proc_read(root.path, 700, &facts), E_OK);
    assert_string_equal(facts.cgroup, "");
}

static void a_program_that_was_upgraded_keeps_its_path(void **state)
{
    struct rig_process process = ollama;
    struct proc_facts facts;

    (void)state;
    process.exe = "/usr/bin/ollama (deleted)";
    rig_add(&root, &process);
    assert_int_equal(proc_read(root.path, 700, &facts), E_OK);
    assert_string_equal(facts.exe, "/usr/bin/ollama");
}

static void what_only_some_may_know_is_left_empty(void **state)
{
    struct rig_process process = ollama;
    struct proc_facts facts;

    (void)state;
    process.exe = NULL;
    process.cgroup = NULL;
    rig_add(&root, &process);
    assert_int_equal(proc_read(root.path, 700, &facts), E_OK);
    assert_string_equal(facts.exe, "");
    assert_string_equal(facts.cgroup, "");
}

/* E_NOT_FOUND */
static void who_vanishes_between_two_files_is_not_found(void **state)
{
    struct proc_facts facts;
    char path[128];

    (void)state;
    assert_int_equal(proc_read(root.path, 700, &facts), E_NOT_FOUND);
    rig_add(&root, &ollama);
    (void)snprintf(path, sizeof path, "%s/700/status", root.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(proc_read(root.path, 700, &facts), E_NOT_FOUND);
    (void)snprintf(path, sizeof path, "%s/700/stat", root.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(proc_read(root.path, 700, &facts), E_NOT_FOUND);
}

/* E_CORRUPT */
static void what_linux_does_not_write_is_refused(void **state)
{
    struct proc_stat stat;
    struct proc_facts facts;

    (void)state;
    rig_add(&root, &ollama);
    rig_write(&root, "700/status", "Name: x\n");
    assert_int_equal(proc_read(root.path, 700, &facts), E_CORRUPT);
    rig_write(&root, "700/stat", "700 (x) S 1");
    assert_int_equal(proc_read_stat(root.path, 700, &stat), E_CORRUPT);
    rig_write(&root, "700/stat", "");
    assert_int_equal(proc_read_stat(root.path, 700, &stat), E_CORRUPT);
}

/* E_IO */
static void without_proc_nothing_can_be_walked(void **state)
{
    (void)state;
    assert_int_equal(proc_each("/nonexistent", NULL, NULL), E_NOT_FOUND);
}

static void the_dead_are_not_found_once_they_were_waited_for(void **state)
{
    struct proc_stat stat;
    siginfo_t info;
    pid_t pid = rig_fork(false);

    (void)state;
    assert_int_equal(proc_read_stat(PROC_ROOT, pid, &stat), E_OK);
    assert_false(proc_has_died(&stat));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(proc_read_stat(PROC_ROOT, pid, &stat), E_OK);
    assert_true(proc_has_died(&stat));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(proc_read_stat(PROC_ROOT, pid, &stat), E_NOT_FOUND);
}

/* A number that is used again must not pass for the process it was. */
static void a_number_used_again_is_another_process(void **state)
{
    struct rig_process process = ollama;
    struct proc_stat before;
    struct proc_stat after;

    (void)state;
    rig_add(&root, &process);
    assert_int_equal(proc_read_stat(root.path, 700, &before), E_OK);
    process.start_ticks++;
    rig_add(&root, &process);
    assert_int_equal(proc_read_stat(root.path, 700, &after), E_OK);
    assert_false(proc_is_same(&before.id, &after.id));
    assert_true(proc_is_same(&before.id, &before.id));
    assert_false(proc_is_same(&(struct proc_id){0}, &(struct proc_id){0}));
}

static void a_line_of_ancestors_ends_at_a_younger_parent(void **state)
{
    struct proc_id line[8];

    (void)state;
    rig_add(&root, &(struct rig_process){.pid = 1, .start_ticks = 1});
    rig_add(&root,
            &(struct rig_process){.pid = 20, .parent = 1, .start_ticks = 900});
    rig_add(&root,
            &(struct rig_process){.pid = 30, .parent = 20, .start_ticks = 500});
    rig_add(&root,
            &(struct rig_process){.pid = 40, .parent = 30, .start_ticks = 500});
    assert_int_equal(proc_ancestors(root.path, 40, line, 8), 1);
    assert_int_equal(line[0].pid, 30);
    rig_add(&root,
            &(struct rig_process){.pid = 20, .parent = 1, .start_ticks = 400});
    assert_int_equal(proc_ancestors(root.path, 40, line, 8), 3);
    assert_int_equal(line[2].pid, 1);
    assert_int_equal(proc_ancestors(root.path, 40, line, 2), 2);
    assert_int_equal(proc_ancestors(root.path, 41, line, 8), 0);
}

static void a_child_has_its_parent_as_the_nearest(void **state)
{
    struct proc_stat self;
    struct proc_id line[8];
    pid_t pid = rig_fork(false);

    (void)state;
    assert_int_equal(proc_read_stat(PROC_ROOT, getpid(), &self), E_OK);
    assert_true(proc_ancestors(PROC_ROOT, pid, line, 8) >= 1);
    assert_true(proc_is_same(&line[0], &self.id));
    rig_kill(pid);
    assert_int_equal(proc_ancestors(PROC_ROOT, pid, line, 8), 0);
}

static bool count_two(void *arg, const struct proc_stat *stat)
{
    unsigned *seen = arg;

    assert_true(stat->id.pid == 700 || stat->id.pid == 701 ||
                stat->id.pid == 702);
    return ++*seen < 2;
}

static void a_walk_sees_processes_only_and_can_be_ended(void **state)
{
    struct rig_process process = ollama;
    unsigned seen = 0;

    (void)state;
    rig_write(&root, "uptime", "1 1\n");
    rig_add(&root, &process);
    assert_int_equal(proc_each(root.path, count_two, &seen), E_OK);
    assert_int_equal(seen, 1);
    process.pid = 701;
    rig_add(&root, &process);
    process.pid = 702;
    rig_add(&root, &process);
    seen = 0;
    assert_int_equal(proc_each(root.path, count_two, &seen), E_OK);
    assert_int_equal(seen, 2);
}

static bool find_self(void *arg, const struct proc_stat *stat)
{
    bool *is_found = arg;

    *is_found = stat->id.pid == getpid();
    return !*is_found;
}

/* Whom nobody could look at is not taken as gone: a lease would end whose
 * holder works on. */
static void a_walk_without_descriptors_says_so(void **state)
{
    struct rlimit before;
    struct rlimit few;
    bool is_found = false;
    rlim_t left;
    int lowest = dup(STDIN_FILENO);
    int rc = E_NOMEM;

    (void)state;
    (void)close(lowest);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    for (left = 0; rc == E_NOMEM; left++) {
        few.rlim_cur = (rlim_t)lowest + left;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        rc = proc_each(PROC_ROOT, find_self, &is_found);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_true(is_found || rc != E_OK);
    }
    assert_int_equal(rc, E_OK);
    assert_true(left > 1);
}

/* ---- hidepid ------------------------------------------------------------- */

enum {
    UNPREPARED = 255, /* The exit status where it cannot be tried. */
    NOBODY = 65534
};

/* As an unprivileged user with /proc mounted with @option, read init; exit
 * with the negated result. */
static void read_init_with(const char *option)
{
    struct proc_facts facts;

    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", 0, option) != 0 || setgid(NOBODY) != 0 ||
        setuid(NOBODY) != 0) {
        _exit(UNPREPARED);
    }
    _exit(-proc_read(PROC_ROOT, 1, &facts));
}

/* E_FORBIDDEN: with hidepid=1 the files are closed, with hidepid=2 it is as if
 * there were no such process. */
static void the_hidden_are_forbidden(void **state)
{
    static const char *const options[] = {"hidepid=1", "hidepid=2"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof options / sizeof options[0]; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            read_init_with(options[i]);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == UNPREPARED) {
            print_message("skipped: /proc cannot be mounted here\n");
            skip();
        }
        assert_int_equal(WEXITSTATUS(status), -E_FORBIDDEN);
    }
}

int main(void)
{
#define WITH_ROOT(test) \
    cmocka_unit_test_setup_teardown(test, open_root, close_root)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_test_itself_is_read),
        WITH_ROOT(all_facts_of_a_service_are_read),
        WITH_ROOT(a_name_with_brackets_does_not_shift_the_fields),
        WITH_ROOT(both_versions_of_cgroups_are_told_apart),
        WITH_ROOT(a_cgroup_outside_the_namespace_is_not_known),
        WITH_ROOT(a_program_that_was_upgraded_keeps_its_path),
        WITH_ROOT(what_only_some_may_know_is_left_empty),
        WITH_ROOT(who_vanishes_between_two_files_is_not_found),
        WITH_ROOT(what_linux_does_not_write_is_refused),
        cmocka_unit_test(without_proc_nothing_can_be_walked),
        cmocka_unit_test(the_dead_are_not_found_once_they_were_waited_for),
        WITH_ROOT(a_number_used_again_is_another_process),
        WITH_ROOT(a_line_of_ancestors_ends_at_a_younger_parent),
        cmocka_unit_test(a_child_has_its_parent_as_the_nearest),
        WITH_ROOT(a_walk_sees_processes_only_and_can_be_ended),
        cmocka_unit_test(a_walk_without_descriptors_says_so),
        cmocka_unit_test(the_hidden_are_forbidden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
