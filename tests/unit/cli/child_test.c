/* A child is started, signalled, stopped, and its end is told as by a shell. */
#include "cli/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/patient.h"

#include <stdio.h>
#include <stdlib.h>

static struct child child;
static struct child_files files;

static void start(const char *script)
{
    char shell[] = "sh";
    char option[] = "-c";
    char text[128];
    char *const argv[] = {shell, option, text, NULL};
    sigset_t none;

    (void)snprintf(text, sizeof text, "%s", script);
    assert_int_equal(sigemptyset(&none), 0);
    assert_int_equal(child_start(&child, argv, &files, &none, NULL), E_OK);
}

/* Wait until the child is in one of the states @how. */
static void await(int how)
{
    siginfo_t info;

    assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, how | WNOWAIT), 0);
}

static void expect_end(int expected)
{
    int status = -1;

    await(WEXITED);
    assert_true(child_has_ended(&child, &status));
    assert_int_equal(status, expected);
}

static void exit_status_is_kept(void **state)
{
    (void)state;
    start("exit 7");
    expect_end(7);
}

static void a_signal_counts_from_128(void **state)
{
    (void)state;
    start("kill -9 $$");
    expect_end(137);
}

static void what_cannot_run_ends_as_in_a_shell(void **state)
{
    char nowhere[] = "/nonexistent/program";
    char folder[] = "/tmp";
    char *const missing[] = {nowhere, NULL};
    char *const denied[] = {folder, NULL};
    sigset_t none;

    (void)state;
    assert_int_equal(sigemptyset(&none), 0);
    assert_int_equal(child_start(&child, missing, &files, &none, NULL), E_OK);
    expect_end(127);
    assert_int_equal(child_start(&child, denied, &files, &none, NULL), E_OK);
    expect_end(126);
}

static void stop_and_continue(void **state)
{
    int status;

    (void)state;
    start("kill -STOP $$; exit 3");
    await(WSTOPPED);
    child_continue(&child); /* Not stopped by us: left alone. */
    assert_false(child_has_ended(&child, &status));
    child_stop(&child);
    assert_true(child.is_stopped);
    child_continue(&child);
    assert_false(child.is_stopped);
    expect_end(3);
}

/* Tests run without a terminal: the child has a group of its own, and a
 * signal reaches what it has started as well. */
static void a_signal_reaches_the_whole_group(void **state)
{
    (void)state;
    start("sleep 1000 & kill -STOP $$; wait $!; exit $?");
    assert_true(child.has_group);
    await(WSTOPPED);
    child_signal(&child, SIGTERM);
    child_signal(&child, SIGCONT);
    expect_end(128 + SIGTERM);
}

/* Return the parent of the process @pid; -1 = there is none such. */
static int parent_of(int pid)
{
    char path[64];
    int parent = -1;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    file = fopen(path, "r");
    if (file != NULL) {
        assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &parent), 1);
        assert_int_equal(fclose(file), 0);
    }
    return parent;
}

/* C3: what forks away twice, into a session of its own, is still ours, and is
 * no zombie afterwards. */
static void orphans_are_taken_in_and_waited_for(void **state)
{
    char path[] = "/tmp/gpucoord-orphan-XXXXXX";
    char script[128];
    struct patient patient = {0};
    int orphan = 0;
    int status;
    FILE *file;

    (void)state;
    assert_int_equal(close(mkstemp(path)), 0);
    child_adopt_orphans();
    (void)snprintf(script, sizeof script,
                   "(setsid sleep 1000 & echo $! >%s); kill -STOP $$; exit 4",
                   path);
    start(script);
    await(WSTOPPED);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &orphan), 1);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(unlink(path), 0);
    while (parent_of(orphan) != getpid()) {
        patient_wait(&patient, "the orphan is taken in");
    }
    assert_int_equal(kill(orphan, SIGKILL), 0);
    while (parent_of(orphan) != -1) {
        patient_wait(&patient, "the orphan is waited for");
        assert_false(child_has_ended(&child, &status));
    }
    child_signal(&child, SIGCONT);
    expect_end(4);
}

/* A connection that the child inherits would outlive this process. */
static void only_given_descriptors_are_inherited(void **state)
{
    char script[64];
    int given = dup(STDIN_FILENO);
    int later;

    (void)state;
    child_note_files(&files);
    later = dup(STDIN_FILENO);
    (void)snprintf(script, sizeof script,
                   "test -e /proc/$$/fd/%d && ! test -e /proc/$$/fd/%d", given,
                   later);
    start(script);
    expect_end(0);
    assert_int_equal(close(later), 0);
    assert_int_equal(close(given), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_given_descriptors_are_inherited),
        cmocka_unit_test(exit_status_is_kept),
        cmocka_unit_test(a_signal_counts_from_128),
        cmocka_unit_test(what_cannot_run_ends_as_in_a_shell),
        cmocka_unit_test(stop_and_continue),
        cmocka_unit_test(a_signal_reaches_the_whole_group),
        cmocka_unit_test(orphans_are_taken_in_and_waited_for),
    };

    child_note_files(&files);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
