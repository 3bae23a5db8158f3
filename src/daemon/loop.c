#include "daemon/loop.h"

#include "base/clock.h"

#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    LOOP_SIGNALS = 3
};

static const int signal_numbers[LOOP_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

struct loop {
    struct event_base *base;
    struct event *turn_end;
    struct event *deadline;
    struct event *signals[LOOP_SIGNALS];
    const struct loop_handler *handler;
    void *arg;
    uint64_t armed_at_ms; /* UINT64_MAX = not armed. */
    bool ends_turn;       /* turn_end is active. */
};

static void on_turn_end(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    loop->ends_turn = false;
    loop->handler->on_turn_end(loop->arg);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    loop->armed_at_ms = UINT64_MAX;
    loop->handler->on_deadline(loop->arg);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
    struct loop *loop = arg;

    (void)what;
    loop->handler->on_signal(loop->arg, (int)number);
}

/* Timers must not fire early by what a turn has taken: no cached time. */
static struct event_base *base_create(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL) {
        return NULL;
    }
    if (event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER |
                                          EVENT_BASE_FLAG_NO_CACHE_TIME) == 0) {
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
    loop->base = base_create();
    if (loop->base == NULL) {
        goto err;
    }
    loop->turn_end = event_new(loop->base, -1, 0, on_turn_end, loop);
    loop->deadline = evtimer_new(loop->base, on_deadline, loop);
    if (loop->turn_end == NULL || loop->deadline == NULL ||
        signals_watch(loop) != E_OK) {
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
    uint64_t now_ms;
    uint64_t delay_ms;
    struct timeval delay;

    if (mono_ms == loop->armed_at_ms) {
        return;
    }
    loop->armed_at_ms = mono_ms;
    if (mono_ms == UINT64_MAX) {
        (void)event_del(loop->deadline);
        return;
    }
    now_ms = clock_mono_ms();
    delay_ms = mono_ms > now_ms ? mono_ms - now_ms : 0;
    delay.tv_sec = (time_t)(delay_ms / 1000);
    delay.tv_usec = (suseconds_t)(delay_ms % 1000 * 1000);
    if (event_add(loop->deadline, &delay) != 0) {
        loop->armed_at_ms = UINT64_MAX; /* Tried again by the next turn. */
    }
}

void loop_run(struct loop *loop)
{
    (void)event_base_dispatch(loop->base);
}

void loop_stop(struct loop *loop)
{
    (void)event_base_loopbreak(loop->base);
}
