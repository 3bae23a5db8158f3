/* core.c - what an event costs the scheduler, by the number of waiters.
 *
 *   core [EVENTS]
 *
 * One exclusive device, N waiters in ten priorities.  A turn of the work is:
 * the holder renews, releases, the next is granted; a new waiter comes; every
 * fourth withdraws again.  Prints one line a number of waiters; fails where a
 * bound is missed.
 */
#include "core/core.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SERVICES = 100,
    EVENTS = 2000000,
    DAY_MS = 86400000,
    EVENTS_A_MS = 100,  /* As if a hundred came each millisecond. */
    BYTES_MAX = 512,    /* Bound: of a waiter, in the core. */
    RATE_MIN = 1000000, /* Bound: events a second with 1,000 waiters. */
    GROWTH_MAX = 3      /* Bound: the last time in firsts. */
};

struct work {
    struct core *core;
    uint64_t events;
    uint64_t waiters; /* Submitted so far. */
    uint64_t holder;  /* Lease; 0 = none. */
    uint64_t token;
};

struct result {
    double ns;    /* An event. */
    double bytes; /* A waiter. */
};

static size_t bytes_now;

static void *counted_resize(void *arg, void *old, size_t size)
{
    size_t before = old == NULL ? 0 : malloc_usable_size(old);
    void *block = realloc(old, size);

    (void)arg;
    if (block != NULL) {
        bytes_now += malloc_usable_size(block) - before;
    }
    return block;
}

static void counted_release(void *arg, void *old)
{
    (void)arg;
    bytes_now -= old == NULL ? 0 : malloc_usable_size(old);
    free(old);
}

static const struct alloc counted = {counted_resize, counted_release, NULL};

/* Feed @event, remember who was granted, and return the event's lease. */
static uint64_t feed(struct work *work, struct core_event *event)
{
    struct core_effects effects;
    int rc;

    event->at_ms = 1000 + work->events++ / EVENTS_A_MS;
    rc = core_step(work->core, event, &effects);
    assert(rc == E_OK);
    for (size_t i = 0; i < effects.message_count; i++) {
        if (effects.messages[i].type == CORE_MSG_GRANT) {
            work->holder = effects.messages[i].lease;
            work->token = effects.messages[i].token;
        }
    }
    return effects.lease;
}

static uint64_t submit(struct work *work)
{
    uint64_t number = ++work->waiters;
    struct core_event event = {
        .type = CORE_SUBMIT,
        .submit = {.ref = number,
                   .timeout_ms = DAY_MS,
                   .service = 1 + (uint32_t)((number - 1) % SERVICES),
                   .class_id = (uint32_t)(number % CORE_PRIORITIES),
                   .gpus = 1,
                   .ttl_ms = 600000,
                   .pause_grace_ms = 10000},
    };

    return feed(work, &event);
}

static void turn(struct work *work)
{
    struct core_event renew = {
        .type = CORE_RENEW,
        .renew = {.lease = work->holder, .token = work->token}};
    struct core_event release = {
        .type = CORE_RELEASE,
        .release = {.lease = work->holder, .token = work->token}};

    (void)feed(work, &renew);
    (void)feed(work, &release);
    if (submit(work) != 0 && work->waiters % 4 == 0) {
        struct core_event cancel = {.type = CORE_CANCEL,
                                    .cancel = {.lease = submit(work)}};

        (void)feed(work, &cancel);
    }
}

static void start(struct work *work, uint32_t waiters)
{
    struct core_config config = {
        .devices = {{.capacity_mib = 24576,
                     .reserve_mib = 256,
                     .residue_mib = 600,
                     .settle_ms = 5000}},
        .device_count = 1,
        .waiters_max = waiters + 16,
        .service_waiters_max = waiters + 16,
        .stream_grace_ms = 2000,
        .away_ms = 60000,
        .effects_max = 1024,
    };
    struct core_event numbers = {.type = CORE_ADMIN,
                                 .admin = {.action = CORE_NUMBERS,
                                           .id_end = UINT32_MAX,
                                           .token_end = UINT32_MAX}};

    *work = (struct work){0};
    if (core_create(&config, &counted, 1, 1, &work->core) != E_OK) {
        (void)fprintf(stderr, "cannot create a core\n");
        exit(1);
    }
    (void)feed(work, &numbers);
    (void)submit(work); /* The holder. */
}

static struct result measure(uint32_t waiters, uint64_t events)
{
    struct work work;
    struct result result;
    size_t bytes_before;
    uint64_t began_ns;
    uint64_t until;

    start(&work, waiters);
    bytes_before = bytes_now;
    for (uint32_t i = 0; i < waiters; i++) {
        (void)submit(&work);
    }
    result.bytes = (double)(bytes_now - bytes_before) / waiters;

    began_ns = clock_mono_ns();
    until = work.events + events;
    events = work.events;
    while (work.events < until) {
        turn(&work);
    }
    events = work.events - events;
    result.ns = (double)(clock_mono_ns() - began_ns) / (double)events;
    core_destroy(work.core);
    printf("%8u waiters: %6.0f ns an event, %9.0f events/s, %4.0f bytes a "
           "waiter\n",
           waiters, result.ns, 1e9 / result.ns, result.bytes);
    return result;
}

int main(int argc, char **argv)
{
    static const uint32_t waiters[] = {1000, 10000, 100000, 1000000};
    enum {
        SIZES = sizeof(waiters) / sizeof(waiters[0])
    };
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS;
    struct result results[SIZES];
    bool is_fine = true;

    for (size_t i = 0; i < SIZES; i++) {
        results[i] = measure(waiters[i], events);
        is_fine = is_fine && results[i].bytes <= BYTES_MAX;
    }
    printf("%.2f times the time with %u waiters (at most %d)\n",
           results[SIZES - 1].ns / results[0].ns, waiters[SIZES - 1],
           GROWTH_MAX);
    is_fine = is_fine && 1e9 / results[0].ns >= RATE_MIN &&
              results[SIZES - 1].ns <= GROWTH_MAX * results[0].ns;
    if (!is_fine) {
        printf("a bound was missed\n");
    }
    return is_fine ? 0 : 1;
}
