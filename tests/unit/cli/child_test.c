/* A child is started, signalled, stopped, and its end is told as by a shell. */
#include "cli/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

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
    };

    child_note_files(&files);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
