#include "daemon/loop.h"

#include "base/clock.h"

#include <event2/event.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    LOOP_SIGNALS = 3,
    WATCH_NS = 50000 /* Longer than a local client takes to answer. */
};

static const int signal_numbers[LOOP_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

struct loop {
    struct event_base *base;
    struct event *turn_end;
    struct event *deadline; /* On timer_fd. */
    struct event *signals[LOOP_SIGNALS];
    const struct loop_handler *handler;
    void *arg;
    uint64_t armed_at_ms; /* UINT64_MAX = not armed. */
    uint64_t timer_at_ms; /* What timer_fd is set to: not later than that. */
    uint64_t turns;
    uint64_t linger_until_ns; /* 0 = does not linger. */
    int timer_fd;
    bool ends_turn; /* turn_end is active. */
    bool is_due;    /* The armed instant has come in this turn. */
    bool watches;   /* Looks for more input for a while after a turn. */
    bool is_running;
};

/* Input has been read by now, so that time is told after it. */
static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    if (loop->is_due) {
        loop->is_due = false;
        loop->armed_at_ms = UINT64_MAX;
        loop->handler->on_deadline(loop->arg);
    }
    loop->ends_turn = false;
    loop->turns++;
    loop->handler->on_turn_end(loop->arg);
}

/* A timer that was set is left alone where the deadline moves away, which it
 * does with most events: it fires early then, and is set again. */
static void set_timer(struct loop *loop)
{
    struct itimerspec at = {
        .it_value = {(time_t)(loop->armed_at_ms / 1000),
                     (long)(loop->armed_at_ms % 1000 * 1000000)}};

    if (loop->armed_at_ms == 0) {
        at.it_value.tv_nsec = 1; /* 0 would disarm it. */
    }
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0) {
        loop->timer_at_ms = loop->armed_at_ms;
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    uint64_t fired;

    (void)what;
    if (read(fd, &fired, sizeof fired) != (ssize_t)sizeof fired) {
        return; /* It was set anew in between. */
    }
    loop->timer_at_ms = UINT64_MAX;
    if (loop->armed_at_ms == UINT64_MAX) {
        return;
    }
    if (loop->armed_at_ms > clock_mono_ms()) {
        set_timer(loop);
        return;
    }
    loop->is_due = true;
    loop_end_turn(loop);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct loop *loop = arg;

    (void)what;
    loop->handler->on_signal(loop->arg, (int)number);
}

/* Timers must not fire early by what a turn has taken: no cached time.  They
 * are coarse, which is fine for patience with clients; deadlines of the core
 * have timer_fd. */
static struct event_base *base_create(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL) {
        return NULL;
    }
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME) == 0) {
        base = event_base_new_with_config(config);
    }
    event_config_free(config);
    return base;
}

static int signals_watch(struct loop *loop)
{
    int i;

    for (i = 0; i < LOOP_SIGNALS; i++) {
        loop->signals[i] =
            evsignal_new(loop->base, signal_numbers[i], on_signal, loop);
        if (loop->signals[i] == NULL ||
            event_add(loop->signals[i], NULL) != 0) {
            return E_NOMEM;
        }
    }
    /* A peer that went away is an error of write(), not of the program. */
    return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? E_NOMEM : E_OK;
}

/* Say whether we may use more than one processor: on the only one, looking for
 * input would keep the client from sending it. */
static bool has_processors(void)
{
    cpu_set_t allowed;

    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 &&
           CPU_COUNT(&allowed) > 1;
}

int loop_create(const struct loop_handler *handler,
                void *arg,
                struct loop **out)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL) {
        return E_NOMEM;
    }
    loop->handler = handler;
    loop->arg = arg;
    loop->armed_at_ms = UINT64_MAX;
    loop->timer_at_ms = UINT64_MAX;
    loop->watches = has_processors();
    loop->timer_fd =
        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    loop->base = base_create();
    if (loop->timer_fd < 0 || loop->base == NULL) {
        goto err;
    }
    loop->turn_end = event_new(loop->base, -1, 0, on_turn_end, loop);
    loop->deadline = event_new(loop->base, loop->timer_fd, EV_READ | EV_PERSIST,
                               on_timer, loop);
    if (loop->turn_end == NULL || loop->deadline == NULL ||
        event_add(loop->deadline, NULL) != 0 || signals_watch(loop) != E_OK) {
        goto err;
    }
    *out = loop;
    return E_OK;

err:
    loop_destroy(loop);
    return E_NOMEM;
}

static void event_drop(struct event *event)
{
    if (event != NULL) {
        event_free(event);
    }
}

void loop_destroy(struct loop *loop)
{
    int i;

    if (loop == NULL) {
        return;
    }
    for (i = 0; i < LOOP_SIGNALS; i++) {
        event_drop(loop->signals[i]);
    }
    event_drop(loop->turn_end);
    event_drop(loop->deadline);
    if (loop->base != NULL) {
        event_base_free(loop->base);
    }
    if (loop->timer_fd >= 0) {
        (void)close(loop->timer_fd);
    }
    free(loop);
}

struct event_base *loop_base(const struct loop *loop)
{
    return loop->base;
}

void loop_end_turn(struct loop *loop)
{
    if (!loop->ends_turn) {
        loop->ends_turn = true;
        event_active(loop->turn_end, EV_TIMEOUT, 0);
    }
}

void loop_arm(struct loop *loop, uint64_t mono_ms)
{
    loop->armed_at_ms = mono_ms;
    loop->is_due = false;
    if (mono_ms < loop->timer_at_ms) {
        set_timer(loop);
    }
}

static bool is_stopped(const struct loop *loop)
{
    return event_base_got_break(loop->base) != 0;
}

/* Look for input without sleeping.  Who was just told something often answers
 * at once: a hand-over is a grant, a short use and a release.  Going to sleep
 * and being woken takes longer than the whole of our work on it. */
static void watch_input(struct loop *loop)
{
    uint64_t until_ns = clock_mono_ns() + WATCH_NS;

    do {
        uint64_t turns = loop->turns;

        if (event_base_loop(loop->base, EVLOOP_NONBLOCK) != 0) {
            return;
        }
        if (loop->turns != turns) {
            until_ns = clock_mono_ns() + WATCH_NS;
        }
    } while (!is_stopped(loop) && clock_mono_ns() < until_ns);
}

bool loop_linger(struct loop *loop, uint64_t until_ns)
{
    loop->linger_until_ns = loop->watches && loop->is_running ? until_ns : 0;
    return loop->linger_until_ns != 0;
}

/* Look for input without sleeping until nobody wants that any more. */
static void linger(struct loop *loop)
{
    while (loop->linger_until_ns != 0 && !is_stopped(loop)) {
        if (clock_mono_ns() >= loop->linger_until_ns) {
            loop->linger_until_ns = 0;
            loop_end_turn(loop);
        }
        if (event_base_loop(loop->base, EVLOOP_NONBLOCK) != 0) {
            return;
        }
    }
}

void loop_run(struct loop *loop)
{
    loop->is_running = true;
    do {
        uint64_t turns = loop->turns;

        if (event_base_loop(loop->base, EVLOOP_ONCE) != 0) {
            return;
        }
        linger(loop);
        if (loop->watches && loop->turns != turns && !is_stopped(loop)) {
            watch_input(loop);
            linger(loop);
        }
    } while (!is_stopped(loop));
}

void loop_stop(struct loop *loop)
{
    (void)event_base_loopbreak(loop->base);
}
