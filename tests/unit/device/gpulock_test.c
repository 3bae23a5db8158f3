/* One coordinator per GPU: the second is told who the first is. */
#include "device/gpulock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const both[] = {"GPU-a", "GPU-b"};
static const char *const second[] = {"GPU-c", "GPU-b"};
static const char *const third[] = {"GPU-c"};

static const struct gpulock_owner a = {.socket = "/run/a.sock"};
static const struct gpulock_owner b = {.socket = "/run/b.sock"};
static const struct gpulock_owner c = {.socket = "/run/c.sock"};
/* Members of a cluster, and one of another. */
static const struct gpulock_owner m = {"/run/m.sock", "postgresql://db/x"};
static const struct gpulock_owner n = {"/run/n.sock", "postgresql://db/x"};
static const struct gpulock_owner o = {"/run/o.sock", "postgresql://db/xx"};

static void remove_all(const char *dir)
{
    static const char *const names[] = {"/gpucoord-GPU-a.lock",
                                        "/gpucoord-GPU-b.lock",
                                        "/gpucoord-GPU-c.lock", ""};
    char path[128];
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/locks%s", dir, names[i]);
        (void)remove(path);
    }
    (void)remove(dir);
}

static void second_coordinator_is_told_of_the_first(void **state)
{
    char dir[] = "/tmp/gpucoord-lock-XXXXXX";
    char locks[64];
    char expected[128];
    struct gpulock *first = NULL;
    struct gpulock *other = NULL;
    struct buf why;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(locks, sizeof locks, "%s/locks", dir);
    buf_init(&why, 0);
    assert_int_equal(gpulock_take(locks, both, 2, &a, &first, &why), E_OK);
    assert_int_equal(gpulock_take(locks, second, 2, &b, &other, &why), E_BUSY);
    (void)snprintf(expected, sizeof expected,
                   "GPU-b is coordinated by process %ld, at '/run/a.sock'",
                   (long)getpid());
    assert_string_equal(buf_string(&why), expected);
    /* All or none: the lock that it had taken is free again. */
    assert_int_equal(gpulock_take(locks, third, 1, &c, &other, &why), E_OK);
    gpulock_release(other);
    gpulock_release(first);
    assert_int_equal(gpulock_take(locks, second, 2, &b, &other, &why), E_OK);
    gpulock_release(other);
    gpulock_release(NULL);
    buf_release(&why);
    remove_all(dir);
}

/* Take the lock of GPU-c in @dir as @owner. */
static int take_third(const char *dir,
                      const struct gpulock_owner *owner,
                      struct gpulock **out,
                      struct buf *why)
{
    *out = NULL;
    buf_clear(why);
    return gpulock_take(dir, third, 1, owner, out, why);
}

/* B9: they agree in the database on who leads; anybody else would grant the
 * same GPU without asking. */
static void members_of_a_cluster_share_and_others_are_kept_off(void **state)
{
    char dir[] = "/tmp/gpucoord-lock-XXXXXX";
    char locks[64];
    char expected[160];
    struct gpulock *first;
    struct gpulock *second_one;
    struct gpulock *other;
    struct buf why;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(locks, sizeof locks, "%s/locks", dir);
    buf_init(&why, 0);
    assert_int_equal(take_third(locks, &m, &first, &why), E_OK);
    assert_int_equal(take_third(locks, &n, &second_one, &why), E_OK);
    assert_int_equal(take_third(locks, &o, &other, &why), E_BUSY);
    (void)snprintf(expected, sizeof expected,
                   "GPU-c is coordinated by process %ld, at '/run/m.sock', and "
                   "others of the cluster 'postgresql://db/x'",
                   (long)getpid());
    assert_string_equal(buf_string(&why), expected);
    assert_int_equal(take_third(locks, &a, &other, &why), E_BUSY);
    assert_string_equal(buf_string(&why), expected);
    gpulock_release(first);
    assert_int_equal(take_third(locks, &a, &other, &why), E_BUSY);
    gpulock_release(second_one);
    assert_int_equal(take_third(locks, &a, &other, &why), E_OK);
    assert_int_equal(take_third(locks, &m, &first, &why), E_BUSY);
    gpulock_release(other);
    /* What the last owner has left in the file binds nobody. */
    assert_int_equal(take_third(locks, &o, &other, &why), E_OK);
    gpulock_release(other);
    buf_release(&why);
    remove_all(dir);
}

/* A file that root's coordinator left behind must not keep a user's out. */
static void file_of_another_user_is_no_obstacle(void **state)
{
    char dir[] = "/tmp/gpucoord-lock-XXXXXX";
    char locks[64];
    struct gpulock *lock = NULL;
    struct buf why;
    int status;
    pid_t child;

    (void)state;
    if (geteuid() != 0) {
        skip(); /* Only root can become somebody else. */
    }
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 01777), 0);
    (void)snprintf(locks, sizeof locks, "%s/locks", dir);
    buf_init(&why, 0);
    assert_int_equal(gpulock_take(locks, third, 1, &a, &lock, &why), E_OK);
    gpulock_release(lock);
    assert_int_equal(chmod(locks, 01777), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(setuid(65534) == 0 &&
                      gpulock_take(locks, third, 1, &b, &lock, &why) == E_OK
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    buf_release(&why);
    remove_all(dir);
}

static void directory_that_cannot_be_made_is_named(void **state)
{
    struct gpulock *lock;
    struct buf why;

    (void)state;
    buf_init(&why, 0);
    assert_int_equal(gpulock_take("/proc/version/x", both, 2, &a, &lock, &why),
                     E_IO);
    assert_string_equal(buf_string(&why),
                        "cannot make '/proc/version/x': Not a directory");
    buf_clear(&why);
    assert_int_equal(gpulock_take("/proc/self", both, 2, &a, &lock, &why),
                     E_IO);
    assert_memory_equal(buf_string(&why), "cannot open '/proc/self/gpucoord-",
                        33);
    buf_release(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_coordinator_is_told_of_the_first),
        cmocka_unit_test(members_of_a_cluster_share_and_others_are_kept_off),
        cmocka_unit_test(file_of_another_user_is_no_obstacle),
        cmocka_unit_test(directory_that_cannot_be_made_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
