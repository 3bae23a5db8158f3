/* The loop: input before time, a deadline never early and never forgotten,
 * also where it moves; stopping from within (A7, C6). */
#include "base/clock.h"
#include "daemon/loop.h"

#include <event2/event.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    LOG_SIZE = 32,
    GIVE_UP_S = 20, /* No working loop needs that long. */
    SOON_MS = 5,
    LATER_MS = 40,
    FAR_MS = 10000000
};

struct fixture {
    struct loop *loop;
    struct event *give_up;
    struct event *input; /* On pipe[0]. */
    int pipe[2];
    char log[LOG_SIZE]; /* i: input, d: deadline, t: turn end, s: signal. */
    size_t log_size;
    uint64_t told_at_ms;  /* When the deadline was told last. */
    uint64_t rearm_at_ms; /* Not 0: the input arms this. */
    unsigned inputs_left; /* The turn end sends so many more. */
    uint64_t linger_ns;   /* Not 0: the turn end lingers so long, once. */
    uint64_t until_ns;    /* Until then. */
    char stop_at;         /* The loop is stopped at this letter. */
    bool gave_up;
};

static void note(struct fixture *fx, char what)
{
    assert_true(fx->log_size < LOG_SIZE - 1);
    fx->log[fx->log_size++] = what;
    if (what == fx->stop_at && fx->inputs_left == 0) {
        loop_stop(fx->loop);
    }
}

static void send_input(struct fixture *fx)
{
    assert_int_equal(write(fx->pipe[1], "x", 1), 1);
}

static void on_turn_end(void *arg)
{
    struct fixture *fx = arg;

    note(fx, 't');
    if (fx->linger_ns != 0) {
        fx->until_ns = clock_mono_ns() + fx->linger_ns;
        fx->linger_ns = 0;
        if (!loop_linger(fx->loop, fx->until_ns)) {
            loop_end_turn(fx->loop); /* On the only processor: at once. */
            fx->until_ns = 0;
        }
    }
    if (fx->inputs_left != 0) {
        fx->inputs_left--;
        send_input(fx);
    }
}

static void on_deadline(void *arg)
{
    struct fixture *fx = arg;

    fx->told_at_ms = clock_mono_ms();
    note(fx, 'd');
}

static void on_signal(void *arg, int number)
{
    assert_int_equal(number, SIGHUP);
    note(arg, 's');
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
    struct fixture *fx = arg;
    char byte;

    (void)what;
    assert_int_equal(read(fd, &byte, 1), 1);
    if (fx->rearm_at_ms != 0) {
        loop_arm(fx->loop, fx->rearm_at_ms);
    }
    note(fx, 'i');
    loop_end_turn(fx->loop);
}

static void on_give_up(evutil_socket_t fd, short what, void *arg)
{
    struct fixture *fx = arg;

    (void)fd;
    (void)what;
    fx->gave_up = true;
    loop_stop(fx->loop);
}

static int start(void **state)
{
    static const struct loop_handler handler = {on_turn_end, on_deadline,
                                                on_signal};
    static const struct timeval patience = {.tv_sec = GIVE_UP_S};
    static struct fixture fx;

    fx = (struct fixture){.stop_at = 'd'};
    assert_int_equal(loop_create(&handler, &fx, &fx.loop), E_OK);
    assert_int_equal(pipe(fx.pipe), 0);
    fx.input = event_new(loop_base(fx.loop), fx.pipe[0], EV_READ | EV_PERSIST,
                         on_input, &fx);
    fx.give_up = event_new(loop_base(fx.loop), -1, 0, on_give_up, &fx);
    assert_int_equal(event_add(fx.input, NULL), 0);
    assert_int_equal(event_add(fx.give_up, &patience), 0);
    *state = &fx;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fx = *state;

    event_free(fx->input);
    event_free(fx->give_up);
    loop_destroy(fx->loop);
    (void)close(fx->pipe[0]);
    (void)close(fx->pipe[1]);
    return 0;
}

/* Run until the loop is stopped, and check what was called in which order. */
static void run(struct fixture *fx, const char *expected)
{
    loop_run(fx->loop);
    assert_false(fx->gave_up);
    assert_string_equal(fx->log, expected);
    memset(fx->log, 0, sizeof fx->log);
    fx->log_size = 0;
}

/* The core must not be told a time that has not come. */
static void deadline_comes_and_not_before(void **state)
{
    struct fixture *fx = *state;
    uint64_t at_ms = clock_mono_ms() + SOON_MS;

    loop_arm(fx->loop, at_ms);
    run(fx, "dt");
    assert_true(fx->told_at_ms >= at_ms);
}

static void deadline_that_moves_away_is_not_early(void **state)
{
    struct fixture *fx = *state;
    uint64_t at_ms = clock_mono_ms() + LATER_MS;

    loop_arm(fx->loop, clock_mono_ms() + SOON_MS);
    loop_arm(fx->loop, at_ms);
    run(fx, "dt");
    assert_true(fx->told_at_ms >= at_ms);
}

static void deadline_that_comes_nearer_is_not_late(void **state)
{
    struct fixture *fx = *state;

    loop_arm(fx->loop, clock_mono_ms() + FAR_MS);
    loop_arm(fx->loop, clock_mono_ms() + SOON_MS);
    run(fx, "dt");
}

/* Told once; what is armed after it counts from then on. */
static void deadline_that_was_told_is_over(void **state)
{
    struct fixture *fx = *state;
    uint64_t at_ms;

    loop_arm(fx->loop, clock_mono_ms());
    run(fx, "dt");
    at_ms = clock_mono_ms() + SOON_MS;
    loop_arm(fx->loop, at_ms);
    run(fx, "dt");
    assert_true(fx->told_at_ms >= at_ms);
}

static void instant_zero_has_come(void **state)
{
    struct fixture *fx = *state;

    loop_arm(fx->loop, 0);
    run(fx, "dt");
}

static void deadline_taken_back_never_comes(void **state)
{
    static const struct timeval later = {.tv_usec = LATER_MS * 1000};
    struct fixture *fx = *state;

    loop_arm(fx->loop, clock_mono_ms() + SOON_MS);
    loop_arm(fx->loop, UINT64_MAX);
    assert_int_equal(event_add(fx->give_up, &later), 0);
    loop_run(fx->loop);
    assert_true(fx->gave_up);
    assert_string_equal(fx->log, "");
    fx->gave_up = false;
    loop_arm(fx->loop, clock_mono_ms() + SOON_MS);
    run(fx, "dt");
}

/* A release that has arrived goes before the expiry that comes with it. */
static void time_is_told_after_the_input_of_its_turn(void **state)
{
    struct fixture *fx = *state;

    fx->stop_at = 't';
    loop_arm(fx->loop, 0); /* Is ready first. */
    send_input(fx);
    run(fx, "idt");
}

static void input_may_move_a_deadline_that_has_come(void **state)
{
    struct fixture *fx = *state;

    fx->stop_at = 't';
    fx->rearm_at_ms = clock_mono_ms() + LATER_MS;
    loop_arm(fx->loop, 0);
    send_input(fx);
    run(fx, "it");
    fx->stop_at = 'd';
    run(fx, "dt");
    assert_true(fx->told_at_ms >= fx->rearm_at_ms);
}

/* Asked for twice it comes once. */
static void turn_ends_once(void **state)
{
    struct fixture *fx = *state;

    fx->stop_at = 't';
    loop_end_turn(fx->loop);
    loop_end_turn(fx->loop);
    run(fx, "t");
    loop_end_turn(fx->loop);
    run(fx, "t");
}

/* What comes soon after a turn, while the loop still looks for input, is served
 * like all else; the loop can be stopped there. */
static void input_right_after_a_turn_is_a_turn(void **state)
{
    struct fixture *fx = *state;

    fx->stop_at = 't';
    fx->inputs_left = 3;
    send_input(fx);
    run(fx, "itititit");
}

static void deadline_comes_right_after_a_turn(void **state)
{
    struct fixture *fx = *state;

    fx->inputs_left = 2;
    fx->rearm_at_ms = clock_mono_ms() + SOON_MS;
    send_input(fx);
    loop_run(fx->loop);
    assert_false(fx->gave_up);
    assert_non_null(strstr(fx->log, "d"));
    assert_true(fx->told_at_ms >= fx->rearm_at_ms);
}

/* A commit that waits for more is not forgotten, and not early. */
static void a_turn_that_lingers_ends_again(void **state)
{
    struct fixture *fx = *state;

    fx->linger_ns = LATER_MS * 1000000;
    fx->stop_at = 'd';
    loop_end_turn(fx->loop);
    loop_arm(fx->loop, clock_mono_ms() + 2 * LATER_MS);
    run(fx, "ttdt");
    assert_true(clock_mono_ns() >= fx->until_ns);
}

static void signal_is_told(void **state)
{
    struct fixture *fx = *state;

    fx->stop_at = 's';
    assert_int_equal(raise(SIGHUP), 0);
    run(fx, "s");
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(deadline_comes_and_not_before),
        T(deadline_that_moves_away_is_not_early),
        T(deadline_that_comes_nearer_is_not_late),
        T(deadline_that_was_told_is_over),
        T(instant_zero_has_come),
        T(deadline_taken_back_never_comes),
        T(time_is_told_after_the_input_of_its_turn),
        T(input_may_move_a_deadline_that_has_come),
        T(turn_ends_once),
        T(input_right_after_a_turn_is_a_turn),
        T(deadline_comes_right_after_a_turn),
        T(a_turn_that_lingers_ends_again),
        T(signal_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
