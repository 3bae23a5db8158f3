#include "cli/workload.h"

#include <assert.h>

enum {
    LOST_PAUSE_MS = 1000 /* Before a background class asks again. */
};

static void
set_timer(struct workload *work, struct workload_job *job, uint64_t at_ms)
{
    heap_set(&work->timers, &job->timer, at_ms, (uint64_t)(job - work->jobs));
}

/* ---- The card --------------------------------------------------------- */

/* Put the job's model on its device; false where it is there already. */
static bool load_model(struct workload *work, const struct workload_job *job)
{
    struct workload_class *class = &work->classes[job->class_index];
    uint64_t bit = UINT64_C(1) << job->device;
    bool is_loaded = (class->loaded & bit) != 0;

    if (job->vram_mib == 0) {
        for (uint32_t i = 0; i < work->class_count; i++) {
            work->classes[i].loaded &= ~bit;
        }
    }
    class->loaded |= bit;
    return !is_loaded;
}

/* Charge the job's class for the device, up to @now_ms. */
static void
charge(struct workload *work, struct workload_job *job, uint64_t now_ms)
{
    work->classes[job->class_index].held_ms += now_ms - job->charged_at_ms;
    job->charged_at_ms = now_ms;
}

/* ---- What happens to a job -------------------------------------------- */

static int remember_wait(struct workload_class *class, uint64_t wait_ms)
{
    if (class->wait_count == class->wait_capacity) {
        size_t capacity =
            class->wait_capacity == 0 ? 64 : class->wait_capacity * 2;
        uint64_t *waits =
            realloc(class->waits_ms, capacity * sizeof *class->waits_ms);

        if (waits == NULL) {
            return E_NOMEM;
        }
        class->waits_ms = waits;
        class->wait_capacity = capacity;
    }
    class->waits_ms[class->wait_count++] = wait_ms;
    return E_OK;
}

int workload_granted(struct workload *work,
                     uint32_t index,
                     uint32_t device,
                     uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];
    struct workload_class *class = &work->classes[job->class_index];
    uint64_t ready_at_ms = now_ms;

    assert(job->state == WORKLOAD_WAITING || job->state == WORKLOAD_PAUSED);
    assert(device < CORE_DEVICES_MAX);
    if (job->granted_at_ms == CORE_FOREVER) {
        int rc = remember_wait(class, now_ms - job->submitted_at_ms);

        if (rc != E_OK) {
            return rc;
        }
        class->grants++;
        job->granted_at_ms = now_ms;
    }
    job->device = device;
    job->charged_at_ms = now_ms;
    job->must_pause = false;
    job->state = WORKLOAD_LOADING;
    if (load_model(work, job)) {
        class->swap_ms += work->options.load_ms;
        ready_at_ms += work->options.load_ms;
    }
    set_timer(work, job, ready_at_ms);
    heap_set(&work->renewals, &job->renewal, now_ms + work->options.renew_ms,
             index);
    return E_OK;
}

void workload_pause(struct workload *work, uint32_t index)
{
    struct workload_job *job = &work->jobs[index];

    if (job->state == WORKLOAD_LOADING || job->state == WORKLOAD_RUNNING) {
        job->must_pause = true;
    }
}

/* A background class begins its next job at @at_ms; others are done. */
static void
end_job(struct workload *work, struct workload_job *job, uint64_t at_ms)
{
    heap_remove(&work->renewals, &job->renewal);
    heap_remove(&work->timers, &job->timer);
    if (job->is_background) {
        job->state = WORKLOAD_FUTURE;
        set_timer(work, job, at_ms);
        return;
    }
    job->state = WORKLOAD_DONE;
    job->ended_at_ms = at_ms;
    work->foreground_left--;
}

void workload_released(struct workload *work, uint32_t index, uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];

    assert(job->state == WORKLOAD_RELEASING);
    end_job(work, job, now_ms);
}

static bool holds_device(const struct workload_job *job)
{
    return job->state == WORKLOAD_LOADING || job->state == WORKLOAD_RUNNING ||
           job->state == WORKLOAD_OFFLOADING;
}

void workload_lost(struct workload *work, uint32_t index, uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];

    if (holds_device(job)) {
        charge(work, job, now_ms);
    }
    work->classes[job->class_index].refusals++;
    end_job(work, job, now_ms + (job->is_background ? LOST_PAUSE_MS : 0));
}

void workload_finish(struct workload *work, uint64_t now_ms)
{
    for (size_t i = 0; i < work->job_count; i++) {
        if (holds_device(&work->jobs[i])) {
            charge(work, &work->jobs[i], now_ms);
        }
    }
}

/* ---- What a job does -------------------------------------------------- */

static uint32_t next_chunk(const struct workload *work,
                           const struct workload_job *job)
{
    return job->left_ms < work->options.chunk_ms
               ? job->left_ms
               : (uint32_t)work->options.chunk_ms;
}

/* Return a number that is a function of all three, evenly spread
 * (splitmix64). */
static uint64_t draw(uint64_t seed, uint64_t job, uint64_t round)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + (job << 32) + round;

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Return the length of a background job: the same in every run of a seed, in
 * whatever order the jobs come. */
static uint32_t draw_work(const struct workload *work, uint32_t index)
{
    const struct workload_options *options = &work->options;
    uint64_t number = draw(options->seed, index, work->jobs[index].round);
    uint64_t half_ms = options->job_ms / 2;

    if (options->seed == 0) {
        return (uint32_t)options->job_ms;
    }
    return (uint32_t)(options->job_ms - half_ms + number % (2 * half_ms + 1));
}

static int submit(struct workload *work, uint32_t index, uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];

    if (job->is_background) {
        job->work_ms = draw_work(work, index);
        job->round++;
    }
    job->state = WORKLOAD_WAITING;
    job->left_ms = job->work_ms;
    job->submitted_at_ms = now_ms;
    job->granted_at_ms = CORE_FOREVER;
    return work->calls.submit(work->calls.arg, index);
}

static int give_back(struct workload *work, uint32_t index, uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];

    job->state = WORKLOAD_RELEASING;
    charge(work, job, now_ms);
    heap_remove(&work->renewals, &job->renewal);
    return work->calls.release(work->calls.arg, index);
}

static int paused(struct workload *work, uint32_t index, uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];
    struct workload_class *class = &work->classes[job->class_index];

    job->state = WORKLOAD_PAUSED;
    charge(work, job, now_ms);
    class->loaded &= ~(UINT64_C(1) << job->device);
    class->swap_ms += work->options.offload_ms;
    class->pauses++;
    return work->calls.paused(work->calls.arg, index);
}

/* Do what follows the timer of a job that was due at @due_ms.  What comes next
 * counts from there, so that the lateness of timers does not add up. */
static int
step(struct workload *work, uint32_t index, uint64_t due_ms, uint64_t now_ms)
{
    struct workload_job *job = &work->jobs[index];

    switch (job->state) {
    case WORKLOAD_FUTURE:
        return submit(work, index, now_ms);
    case WORKLOAD_RUNNING:
        job->left_ms -= next_chunk(work, job);
        if (job->left_ms == 0) {
            return give_back(work, index, now_ms);
        }
        break;
    case WORKLOAD_LOADING:
        job->state = WORKLOAD_RUNNING;
        break;
    case WORKLOAD_OFFLOADING:
        return paused(work, index, now_ms);
    case WORKLOAD_WAITING:
    case WORKLOAD_PAUSED:
    case WORKLOAD_RELEASING:
    case WORKLOAD_DONE:
        assert(false && "a job without a timer");
        break;
    }
    if (job->must_pause) {
        job->state = WORKLOAD_OFFLOADING;
        set_timer(work, job, due_ms + work->options.offload_ms);
    } else {
        set_timer(work, job, due_ms + next_chunk(work, job));
    }
    return E_OK;
}

uint64_t workload_next(const struct workload *work)
{
    const struct heap_entry *timer = heap_first(&work->timers);
    const struct heap_entry *renewal = heap_first(&work->renewals);
    uint64_t next = timer == NULL ? CORE_FOREVER : timer->key;

    return renewal != NULL && renewal->key < next ? renewal->key : next;
}

bool workload_is_over(const struct workload *work)
{
    return work->foreground_left == 0;
}

int workload_run(struct workload *work, uint64_t now_ms)
{
    const struct heap_entry *first;
    int rc = E_OK;

    while (rc == E_OK && (first = heap_first(&work->timers)) != NULL &&
           first->key <= now_ms) {
        uint64_t due_ms = first->key;
        uint32_t index = (uint32_t)first->tie;

        heap_remove(&work->timers, &work->jobs[index].timer);
        rc = step(work, index, due_ms, now_ms);
    }
    while (rc == E_OK && (first = heap_first(&work->renewals)) != NULL &&
           first->key <= now_ms) {
        uint32_t index = (uint32_t)first->tie;

        heap_set(&work->renewals, &work->jobs[index].renewal,
                 now_ms + work->options.renew_ms, index);
        rc = work->calls.renew(work->calls.arg, index);
    }
    return rc;
}
