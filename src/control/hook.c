#include "control/hook.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "control/backoff.h"
#include "control/launch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_SIZE = 4096,
    READS_MAX = 16, /* In one turn of the loop. */
    EXIT_BY_SIGNAL = 128
};

/* A call that waits, or the one that runs. */
struct call {
    char **argv;
    char **more;
    uint32_t timeout_ms;
    hook_line line;
    hook_done done;
    void *arg;
};

/* All of one key. */
struct hook {
    struct list all;
    struct hooks *hooks;
    char key[HOOK_KEY_SIZE];
    struct backoff backoff;
    struct call *waiting; /* NULL = none; likewise. */
    struct call *running;
    struct launched child;
    struct event *timer;  /* Of the back-off, or of the timeout. */
    struct event *output; /* Only while it runs; so is the next. */
    struct event *death;
    struct buf line;
    uint32_t lines; /* Of this run. */
    bool is_late;
};

struct hooks {
    struct event_base *base;
    struct list all;
    uint32_t count;
};

static void start_waiting(struct hook *hook);

/* ---- Calls --------------------------------------------------------------- */

static void strings_free(char **strings)
{
    size_t i;

    for (i = 0; strings != NULL && strings[i] != NULL; i++) {
        free(strings[i]);
    }
    free(strings);
}

/* Copy a NULL-terminated list; NULL is an empty one. */
static char **strings_copy(const char *const *strings)
{
    size_t count = 0;
    char **out;
    size_t i;

    while (strings != NULL && strings[count] != NULL) {
        count++;
    }
    out = calloc(count + 1, sizeof *out);
    for (i = 0; out != NULL && i < count; i++) {
        out[i] = strdup(strings[i]);
        if (out[i] == NULL) {
            strings_free(out);
            return NULL;
        }
    }
    return out;
}

static void call_destroy(struct call *call)
{
    if (call != NULL) {
        strings_free(call->argv);
        strings_free(call->more);
        free(call);
    }
}

static struct call *call_create(const struct hook_call *from)
{
    struct call *call = calloc(1, sizeof *call);

    if (call == NULL) {
        return NULL;
    }
    call->argv = strings_copy(from->argv);
    call->more = strings_copy(from->more);
    call->timeout_ms =
        from->timeout_ms != 0 ? from->timeout_ms : HOOK_TIMEOUT_MS;
    call->line = from->line;
    call->done = from->done;
    call->arg = from->arg;
    if (call->argv == NULL || call->more == NULL) {
        call_destroy(call);
        return NULL;
    }
    return call;
}

/* Tell whoever wants to know, and free @call. */
static void call_end(struct call *call, const struct outcome *outcome)
{
    if (call->done != NULL) {
        call->done(call->arg, outcome);
    }
    call_destroy(call);
}

/* ---- Output -------------------------------------------------------------- */

static void log_output(struct hook *hook)
{
    const struct call *call = hook->running;

    if (hook->line.size == 0) {
        return;
    }
    hook->lines++;
    if (call->line != NULL && hook->lines <= HOOK_LINES_MAX) {
        call->line(call->arg, buf_string(&hook->line));
    } else if (hook->lines <= HOOK_LINES_MAX) {
        log_info("%s: %s", hook->key, buf_string(&hook->line));
    } else if (hook->lines == HOOK_LINES_MAX + 1) {
        log_info("%s: prints more than is logged", hook->key);
    }
    buf_clear(&hook->line);
}

static void take_bytes(struct hook *hook, const char *bytes, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (bytes[i] == '\n') {
            log_output(hook);
        } else if (hook->line.size < HOOK_LINE_SIZE) {
            buf_byte(&hook->line, bytes[i]);
        }
    }
}

/* Read what there is, but not all day; say whether more may come. */
static bool read_output(struct hook *hook)
{
    char bytes[READ_SIZE];
    ssize_t got = 1;
    int i;

    for (i = 0; i < READS_MAX && got > 0; i++) {
        got = read(hook->child.out_fd, bytes, sizeof bytes);
        take_bytes(hook, bytes, got > 0 ? (size_t)got : 0);
    }
    return got > 0 || (got < 0 && errno == EAGAIN);
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct hook *hook = arg;

    (void)fd;
    (void)what;
    if (!read_output(hook)) {
        (void)event_del(hook->output);
    }
}

/* ---- A run --------------------------------------------------------------- */

static void free_event(struct event **event)
{
    if (*event != NULL) {
        event_free(*event);
        *event = NULL;
    }
}

static void arm(struct hook *hook, uint64_t wait_ms)
{
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    if (evtimer_add(hook->timer, &wait) != 0) {
        log_error("%s: no timer", hook->key);
    }
}

/* The run is over: tell, and take the next. */
static void end_run(struct hook *hook, const struct outcome *outcome)
{
    struct call *call = hook->running;

    free_event(&hook->output);
    free_event(&hook->death);
    (void)evtimer_del(hook->timer);
    launch_close(&hook->child);
    hook->running = NULL;
    if (outcome->kind == OUTCOME_OK) {
        log_info("%s: done", hook->key);
    } else {
        log_warn("%s: %s", hook->key, outcome->reason);
    }
    if (hook->waiting != NULL) {
        start_waiting(hook);
    }
    call_end(call, outcome); /* Last: it may close all. */
}

static void on_death(evutil_socket_t fd, short what, void *arg)
{
    struct hook *hook = arg;
    struct outcome outcome;
    int status = 0;

    (void)fd;
    (void)what;
    if (launch_reap(&hook->child, &status) == E_BUSY) {
        return;
    }
    (void)read_output(hook);
    log_output(hook);
    if (hook->is_late) {
        outcome_set(&outcome, OUTCOME_FAILED, "killed after %u ms",
                    hook->running->timeout_ms);
    } else if (status > EXIT_BY_SIGNAL) {
        outcome_set(&outcome, OUTCOME_FAILED, "ended by signal %d",
                    status - EXIT_BY_SIGNAL);
    } else if (status != 0) {
        outcome_set(&outcome, OUTCOME_FAILED, "exit status %d", status);
    } else {
        outcome_set(&outcome, OUTCOME_OK, "%s", "");
    }
    end_run(hook, &outcome);
}

/* Have its output and its end watched. */
static int watch(struct hook *hook)
{
    hook->output = event_new(hook->hooks->base, hook->child.out_fd,
                             EV_READ | EV_PERSIST, on_output, hook);
    hook->death = event_new(hook->hooks->base, hook->child.pid_fd,
                            EV_READ | EV_PERSIST, on_death, hook);
    return hook->output != NULL && hook->death != NULL &&
                   event_add(hook->output, NULL) == 0 &&
                   event_add(hook->death, NULL) == 0
               ? E_OK
               : E_NOMEM;
}

/* Run what waits, now. */
static void run(struct hook *hook)
{
    struct outcome outcome;
    struct buf why;
    int rc;

    hook->running = hook->waiting;
    hook->waiting = NULL;
    hook->lines = 0;
    hook->is_late = false;
    buf_clear(&hook->line);
    backoff_note(&hook->backoff, clock_mono_ms());
    buf_init(&why, OUTCOME_REASON_SIZE);
    rc = launch_start((const char *const *)hook->running->argv,
                      (const char *const *)hook->running->more, &hook->child,
                      &why);
    if (rc == E_OK) {
        log_info("%s: started as pid %d", hook->key, (int)hook->child.pid);
        arm(hook, hook->running->timeout_ms);
        rc = watch(hook);
    }
    if (rc != E_OK) {
        outcome_set(&outcome, OUTCOME_FAILED, "%s",
                    buf_string(&why)[0] != '\0' ? buf_string(&why)
                                                : err_text(rc));
        end_run(hook, &outcome);
    }
    buf_release(&why);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct hook *hook = arg;

    (void)fd;
    (void)what;
    if (hook->running != NULL) {
        hook->is_late = true;
        launch_kill(&hook->child); /* Its end comes as any other. */
    } else if (hook->waiting != NULL) {
        run(hook);
    }
}

/* Never within the caller: the callback must not come before hook_run() has
 * returned. */
static void start_waiting(struct hook *hook)
{
    uint64_t now_ms = clock_mono_ms();

    arm(hook, backoff_ready_at(&hook->backoff, now_ms) - now_ms);
}

/* ---- Keys ---------------------------------------------------------------- */

int hooks_open(struct event_base *base, struct hooks **out)
{
    struct hooks *hooks = calloc(1, sizeof *hooks);

    if (hooks == NULL) {
        return E_NOMEM;
    }
    hooks->base = base;
    list_init(&hooks->all);
    *out = hooks;
    return E_OK;
}

static void hook_destroy(struct hook *hook)
{
    list_remove(&hook->all);
    hook->hooks->count--;
    call_destroy(hook->waiting);
    call_destroy(hook->running);
    free_event(&hook->timer);
    free_event(&hook->output);
    free_event(&hook->death);
    launch_forget(&hook->child);
    buf_release(&hook->line);
    free(hook);
}

void hooks_close(struct hooks *hooks)
{
    if (hooks == NULL) {
        return;
    }
    while (!list_is_empty(&hooks->all)) {
        hook_destroy(CONTAINER_OF(hooks->all.next, struct hook, all));
    }
    free(hooks);
}

static struct hook *find(const struct hooks *hooks, const char *key)
{
    struct list *at;

    for (at = hooks->all.next; at != &hooks->all; at = at->next) {
        struct hook *hook = CONTAINER_OF(at, struct hook, all);

        if (strncmp(hook->key, key, HOOK_KEY_SIZE - 1) == 0) {
            return hook;
        }
    }
    return NULL;
}

/* Forget a key that has been quiet for so long that its back-off is over. */
static void forget_quiet(struct hooks *hooks)
{
    uint64_t now_ms = clock_mono_ms();
    struct list *at;

    for (at = hooks->all.next; at != &hooks->all; at = at->next) {
        struct hook *hook = CONTAINER_OF(at, struct hook, all);

        if (hook->running == NULL && hook->waiting == NULL &&
            backoff_is_over(&hook->backoff, now_ms)) {
            hook_destroy(hook);
            return;
        }
    }
}

static struct hook *create(struct hooks *hooks, const char *key)
{
    struct hook *hook = calloc(1, sizeof *hook);

    if (hook == NULL) {
        return NULL;
    }
    hook->hooks = hooks;
    hook->child = (struct launched){.pid_fd = -1, .out_fd = -1};
    (void)snprintf(hook->key, sizeof hook->key, "%s", key);
    buf_init(&hook->line, HOOK_LINE_SIZE + 1);
    list_append(&hooks->all, &hook->all);
    hooks->count++;
    hook->timer = evtimer_new(hooks->base, on_timer, hook);
    if (hook->timer == NULL) {
        hook_destroy(hook);
        return NULL;
    }
    return hook;
}

int hook_run(struct hooks *hooks, const struct hook_call *call)
{
    struct hook *hook = find(hooks, call->key);
    struct call *before;
    struct call *fresh;
    struct outcome outcome;

    if (hook == NULL && hooks->count == HOOK_KEYS_MAX) {
        forget_quiet(hooks);
    }
    if (hook == NULL && hooks->count == HOOK_KEYS_MAX) {
        return E_LIMIT;
    }
    fresh = call_create(call);
    if (fresh != NULL && hook == NULL) {
        hook = create(hooks, call->key);
    }
    if (fresh == NULL || hook == NULL) {
        call_destroy(fresh);
        return E_NOMEM;
    }
    before = hook->waiting;
    hook->waiting = fresh;
    if (hook->running == NULL) {
        start_waiting(hook);
    }
    if (before != NULL) {
        outcome_set(&outcome, OUTCOME_SKIPPED, "a later call took its place");
        call_end(before, &outcome);
    }
    return E_OK;
}
