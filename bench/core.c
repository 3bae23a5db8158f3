/* core.c - what an event costs the scheduler, by the number of waiters.
 *
 *   core [EVENTS]
 *
 * One exclusive device, N waiters in ten priorities.  A turn of the work is:
 * the holder renews, releases, the next is granted; a new waiter comes; every
 * fourth withdraws again.  The fewest and the most waiters are measured in
 * turns, so that what else the machine does meets both; all rounds are shown,
 * and the growth is the middle of those of each round.  Fails where a bound is
 * missed.
 */
#include "core/core.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ROUNDS = 5,
    SERVICES = 100,
    EVENTS = 2000000,
    DAY_MS = 86400000,
    EVENTS_A_MS = 100,  /* As if a hundred came each millisecond. */
    BYTES_MAX = 512,    /* Bound: of a waiter, in the core. */
    RATE_MIN = 1000000, /* Bound: events a second with 1,000 waiters. */
    GROWTH_MAX = 3      /* Bound: the most waiters' time in the fewest's. */
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
    void *block = alloc_libc.resize(arg, old, size);

    if (block != NULL) {
        bytes_now += malloc_usable_size(block) - before;
    }
    return block;
}

static void counted_release(void *arg, void *old)
{
    bytes_now -= old == NULL ? 0 : malloc_usable_size(old);
    alloc_libc.release(arg, old);
}

/* The daemon's, counted. */
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

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;

    return (left > right) - (left < right);
}

/* Print the middle of @values, and the lowest and the highest; return it. */
static double median(const char *what, double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof values[0], compare);
    printf("%s: %.2f (%.2f to %.2f)\n", what, values[ROUNDS / 2], values[0],
           values[ROUNDS - 1]);
    return values[ROUNDS / 2];
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

int main(int argc, char **argv)
{
    static const uint32_t between[] = {10000, 100000};
    enum {
        FEWEST = 1000,
        MOST = 1000000
    };
    uint64_t events = argc > 1 ? strtoull(argv[1], NULL, 10) : EVENTS;
    double fewest_ns[ROUNDS];
    double most_ns[ROUNDS];
    double growth[ROUNDS];
    double bytes_max = 0;
    bool is_fine;

    for (size_t i = 0; i < sizeof between / sizeof between[0]; i++) {
        bytes_max = larger(bytes_max, measure(between[i], events).bytes);
    }
    for (int i = 0; i < ROUNDS; i++) {
        struct result fewest = measure(FEWEST, events);
        struct result most = measure(MOST, events);

        bytes_max = larger(larger(bytes_max, fewest.bytes), most.bytes);
        fewest_ns[i] = fewest.ns;
        most_ns[i] = most.ns;
        growth[i] = most.ns / fewest.ns;
    }
    is_fine =
        median("ns an event, fewest waiters", fewest_ns) <= 1e9 / RATE_MIN;
    (void)median("ns an event, most waiters", most_ns);
    is_fine = median("times the fewest's (at most 3)", growth) <= GROWTH_MAX &&
              is_fine && bytes_max <= BYTES_MAX;
    if (!is_fine) {
        printf("a bound was missed\n");
    }
    return is_fine ? 0 : 1;
}
