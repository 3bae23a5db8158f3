/* Cgroups of version 2: real ones where this user may, a table of mounts of
 * the test's where it is about where they lie. */
#include "control/cgroup.h"
#include "control/proc_set.h"

#include "rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/patient.h"

/* ---- Where they lie ------------------------------------------------------ */

struct find_case {
    const char *mounts;
    const char *path;
    int rc;
    const char *dir;
};

#define V1 "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"

static const struct find_case find_cases[] = {
    {"31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
     "/user.slice/a", E_OK, "/sys/fs/cgroup/user.slice/a"},
    {V1 "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/",
     E_OK, "/sys/fs/cgroup/unified"},
    {"41 31 0:38 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
     "/docker/x/y", E_OK, "/sys/fs/cgroup/y"},
    {"41 31 0:38 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
     "/docker/xy", E_UNSUPPORTED, ""},
    {"41 31 0:38 /docker/x /a rw - cgroup2 cgroup rw\n"
     "42 31 0:38 / /b rw - cgroup2 cgroup rw\n",
     "/y", E_OK, "/b/y"},
    {"41 31 0:38 / /with\\040blank rw - cgroup2 cgroup2 rw\n", "/a", E_OK,
     "/with blank/a"},
    {V1, "/a", E_UNSUPPORTED, ""},
    {"", "/a", E_UNSUPPORTED, ""},
    {"31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "", E_UNSUPPORTED,
     ""},
};

static void cgroups_are_found_under_every_mount(void **state)
{
    struct rig_root root;
    char self[96];
    size_t i;

    (void)state;
    rig_root_init(&root);
    (void)snprintf(self, sizeof self, "%s/self", root.path);
    assert_int_equal(mkdir(self, 0755), 0);
    for (i = 0; i < sizeof find_cases / sizeof find_cases[0]; i++) {
        struct cgroup found;

        rig_write(&root, "self/mountinfo", find_cases[i].mounts);
        assert_int_equal(cgroup_find(root.path, find_cases[i].path, &found),
                         find_cases[i].rc);
        if (find_cases[i].rc == E_OK) {
            assert_string_equal(found.dir, find_cases[i].dir);
        }
    }
    rig_root_release(&root);
}

static void a_path_too_long_is_refused(void **state)
{
    struct cgroup top;
    struct cgroup found;

    (void)state;
    memset(top.dir, 'a', sizeof top.dir - 2);
    top.dir[sizeof top.dir - 2] = '\0';
    assert_int_equal(cgroup_below(&top, "x", &found), E_TOO_BIG);
}

static void a_name_says_who_made_it(void **state)
{
    (void)state;
    assert_true(cgroup_is_made_by("/a/gpucoord-run-12-345", 12));
    assert_false(cgroup_is_made_by("/a/gpucoord-run-12-345", 13));
    assert_false(cgroup_is_made_by("/a/gpucoord-run-12-345/b", 12));
    assert_false(cgroup_is_made_by("/a/gpucoord-run-12", 12));
    assert_false(cgroup_is_made_by("/a/gpucoord-run-12-345x", 12));
    assert_false(cgroup_is_made_by("/a/gpucoord-run-x-345", 12));
    assert_false(cgroup_is_made_by("", 0));
}

/* ---- Real ones ----------------------------------------------------------- */

static struct cgroup made;

/* Make one, or skip the test where that is not possible. */
static void make(void)
{
    struct buf why;
    int rc;

    buf_init(&why, 0);
    rc = cgroup_create(&made, &why);
    if (rc != E_OK) {
        assert_int_equal(rc, E_UNSUPPORTED);
        assert_int_not_equal(why.size, 0);
        print_message("skipped: %s\n", buf_string(&why));
    }
    buf_release(&why);
    if (rc != E_OK) {
        skip();
    }
}

/* Fork a child that enters it and leaves its parent behind by a double fork;
 * returns the number of the one that stays. */
static pid_t fork_away(void)
{
    int ends[2];
    pid_t away;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        if (cgroup_enter(&made) != E_OK) {
            _exit(1);
        }
        if (fork() == 0) {
            away = setsid();
            if (write(ends[1], &away, sizeof away) != (ssize_t)sizeof away) {
                _exit(1);
            }
            (void)close(ends[0]);
            (void)close(ends[1]);
            for (;;) {
                (void)pause();
            }
        }
        _exit(0);
    }
    (void)close(ends[1]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(read(ends[0], &away, sizeof away), sizeof away);
    (void)close(ends[0]);
    return away;
}

/* Wait until the kernel says so: this is not done at once. */
static void until(int (*ask)(const struct cgroup *, bool *), bool expected)
{
    struct patient patient = {0};
    bool is;

    do {
        patient_wait(&patient, "the kernel says so");
        assert_int_equal(ask(&made, &is), E_OK);
    } while (is != expected);
}

static bool remember(void *arg, pid_t pid)
{
    *(pid_t *)arg = pid;
    return true;
}

static void who_forks_away_stays_in_its_cgroup(void **state)
{
    struct proc_facts facts;
    struct proc_set set;
    pid_t seen = 0;
    pid_t away;
    bool is;

    (void)state;
    make();
    assert_int_equal(cgroup_is_populated(&made, &is), E_OK);
    assert_false(is);
    away = fork_away();
    until(cgroup_is_populated, true);
    assert_int_equal(cgroup_each(&made, remember, &seen), E_OK);
    assert_int_equal(seen, away);
    assert_int_equal(cgroup_remove(&made), E_BUSY);
    /* Its parent is not its maker, so it is not taken for a run's child. */
    assert_int_equal(proc_read(PROC_ROOT, away, &facts), E_OK);
    proc_set_init(&set, &facts);
    assert_string_equal(set.cgroup, "");
    assert_true(cgroup_is_made_by(facts.cgroup, getpid()));
    assert_int_equal(cgroup_kill(&made), E_OK);
    until(cgroup_is_populated, false);
    assert_int_equal(cgroup_remove(&made), E_OK);
    assert_int_equal(cgroup_remove(&made), E_OK);
    assert_int_equal(cgroup_is_populated(&made, &is), E_NOT_FOUND);
    assert_int_equal(cgroup_each(&made, remember, &seen), E_NOT_FOUND);
    assert_int_equal(cgroup_kill(&made), E_NOT_FOUND);
    assert_int_equal(cgroup_freeze(&made, true), E_NOT_FOUND);
    assert_int_equal(cgroup_enter(&made), E_IO);
}

static void a_cgroup_is_frozen_and_goes_on(void **state)
{
    (void)state;
    make();
    (void)fork_away();
    assert_int_equal(cgroup_freeze(&made, true), E_OK);
    until(cgroup_is_frozen, true);
    assert_int_equal(cgroup_freeze(&made, false), E_OK);
    until(cgroup_is_frozen, false);
    assert_int_equal(cgroup_kill(&made), E_OK);
    until(cgroup_is_populated, false);
    assert_int_equal(cgroup_remove(&made), E_OK);
}

/* A child may make cgroups of its own below. */
static void what_lies_below_is_walked_and_removed(void **state)
{
    struct cgroup top;
    pid_t seen = 0;
    pid_t away;

    (void)state;
    make();
    top = made;
    assert_int_equal(cgroup_below(&top, "inner", &made), E_OK);
    assert_int_equal(mkdir(made.dir, 0755), 0);
    away = fork_away();
    assert_int_equal(cgroup_each(&top, remember, &seen), E_OK);
    assert_int_equal(seen, away);
    made = top;
    assert_int_equal(cgroup_kill(&made), E_OK);
    until(cgroup_is_populated, false);
    assert_int_equal(cgroup_remove(&made), E_OK);
    assert_int_not_equal(access(top.dir, F_OK), 0);
}

/* A `run` that was killed cannot remove its own. */
static void what_a_dead_maker_left_is_removed(void **state)
{
    struct cgroup left;
    struct cgroup top;
    char *slash;

    (void)state;
    make();
    top = made;
    slash = strrchr(top.dir, '/');
    assert_non_null(slash);
    *slash = '\0';
    /* This process's number, but it started at another time. */
    assert_true(snprintf(left.dir, sizeof left.dir, "%s/gpucoord-run-%d-1",
                         top.dir, (int)getpid()) > 0);
    assert_int_equal(mkdir(left.dir, 0755), 0);
    make();
    assert_int_not_equal(access(left.dir, F_OK), 0);
    assert_int_equal(access(made.dir, F_OK), 0);
    assert_int_equal(cgroup_remove(&made), E_OK);
}

/* E_UNSUPPORTED: the cgroup of a session is root's. */
static void without_delegation_none_is_made_and_it_says_why(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    if (getuid() != 0) {
        print_message("skipped: only root can become somebody else\n");
        skip();
    }
    pid = fork();
    if (pid == 0) {
        struct buf why;

        buf_init(&why, 0);
        if (setuid(65534) != 0 || cgroup_create(&made, &why) != E_UNSUPPORTED ||
            why.size == 0 || made.dir[0] != '\0') {
            _exit(1);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cgroups_are_found_under_every_mount),
        cmocka_unit_test(a_path_too_long_is_refused),
        cmocka_unit_test(a_name_says_who_made_it),
        cmocka_unit_test(who_forks_away_stays_in_its_cgroup),
        cmocka_unit_test(a_cgroup_is_frozen_and_goes_on),
        cmocka_unit_test(what_lies_below_is_walked_and_removed),
        cmocka_unit_test(what_a_dead_maker_left_is_removed),
        cmocka_unit_test(without_delegation_none_is_made_and_it_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
