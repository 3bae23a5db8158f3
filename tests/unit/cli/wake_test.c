/* Signals and an instant wake through one descriptor. */
#include "cli/wake.h"

#include "base/clock.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static struct wake wake;

/* Wait until it can be read; the test's own time limit is the only one. */
static void await(void)
{
    struct pollfd fd = {.fd = wake.fd, .events = POLLIN};

    assert_int_equal(poll(&fd, 1, -1), 1);
}

static bool is_quiet(void)
{
    struct pollfd fd = {.fd = wake.fd, .events = POLLIN};

    return poll(&fd, 1, 0) == 0;
}

static void a_signal_wakes(void **state)
{
    struct wake_signal signal;

    (void)state;
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    await();
    assert_true(wake_take(&wake, &signal));
    assert_int_equal(signal.number, SIGUSR1);
    assert_false(signal.is_from_terminal);
    assert_false(wake_take(&wake, &signal));
    assert_true(is_quiet());
}

static void an_instant_wakes_also_when_it_is_past(void **state)
{
    struct wake_signal signal;

    (void)state;
    wake_at(&wake, clock_boot_ms() + 1);
    await();
    assert_false(wake_take(&wake, &signal));
    assert_true(is_quiet());
    wake_at(&wake, 1);
    await();
    assert_false(wake_take(&wake, &signal));
    wake_at(&wake, UINT64_MAX);
    assert_true(is_quiet());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_wakes),
        cmocka_unit_test(an_instant_wakes_also_when_it_is_past),
    };

    if (wake_open(&wake) != E_OK) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
