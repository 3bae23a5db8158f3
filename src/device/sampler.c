#include "device/sampler.h"

#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    STOP_MS = 250 /* A driver's call is over by then, or it hangs. */
};

/* What is to be done about a device, and what came of it. */
struct slot {
    uint64_t due_at_ms;     /* When its next sample is to begin. */
    uint64_t asked_at_ms;   /* A sample begun after this was asked for. */
    uint64_t failing_at_ms; /* Since when there are only errors; 0 = not. */
    struct device_sample news;
    bool has_news;
    bool is_wanted;
    bool is_down; /* The last news was STALE or GONE. */
};

struct sampler {
    pthread_mutex_t mutex; /* Guards what follows the probe. */
    pthread_cond_t changed;
    pthread_t thread;
    int fd; /* Event counter: there is news. */
    uint32_t stale_ms;
    struct probe *probe; /* The thread's; once it is open what it found is
                            also read by the loop. */
    struct buf why;      /* The thread's until .is_open or .is_over. */
    struct slot slots[DEVICES_MAX];
    uint64_t busy_since_ms; /* The sample under way; 0 = none. */
    int open_error;
    bool is_open;      /* The probe was opened, or failed to. */
    bool is_stopping;  /* The loop wants the thread to end. */
    bool is_over;      /* The thread is at its end. */
    bool is_abandoned; /* The loop has left: the thread frees all. */
};

static void sampler_free(struct sampler *sampler)
{
    buf_release(&sampler->why);
    if (sampler->fd >= 0) {
        (void)close(sampler->fd);
    }
    (void)pthread_cond_destroy(&sampler->changed);
    (void)pthread_mutex_destroy(&sampler->mutex);
    free(sampler);
}

/* Wait for a change until an instant of CLOCK_MONOTONIC, under the mutex. */
static void wait_until(struct sampler *sampler, uint64_t at_ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(at_ms / 1000),
        .tv_nsec = (long)(at_ms % 1000) * 1000000,
    };

    (void)pthread_cond_timedwait(&sampler->changed, &sampler->mutex, &until);
}

/* ---- the thread --------------------------------------------------------- */

/* The device that is due first. */
static uint32_t next_device(const struct sampler *sampler)
{
    uint32_t best = 0;
    uint32_t i;

    for (i = 1; i < sampler->probe->count; i++) {
        if (sampler->slots[i].due_at_ms < sampler->slots[best].due_at_ms) {
            best = i;
        }
    }
    return best;
}

static void post(struct sampler *sampler,
                 struct slot *slot,
                 const struct device_sample *news)
{
    const uint64_t one = 1;
    ssize_t size;

    slot->news = *news;
    slot->has_news = true;
    slot->is_down = news->state != DEVICE_OK;
    size = write(sampler->fd, &one, sizeof one);
    assert(size == (ssize_t)sizeof one);
}

/* Judge the result of a sample and post it, if it is news. */
static void judge(struct sampler *sampler,
                  struct slot *slot,
                  struct device_sample *sample,
                  int rc)
{
    if (rc == E_OK) {
        sample->reason = NULL;
        slot->failing_at_ms = 0;
        post(sampler, slot, sample);
        return;
    }
    if (slot->failing_at_ms == 0) {
        slot->failing_at_ms = sample->begun_at_ms;
    }
    sample->state = rc == E_NOT_FOUND ? DEVICE_GONE : DEVICE_STALE;
    if (slot->is_down && slot->news.state == sample->state) {
        return;
    }
    if (rc == E_NOT_FOUND ||
        clock_mono_ms() - slot->failing_at_ms >= sampler->stale_ms) {
        post(sampler, slot, sample);
    }
}

/* When the device is to be asked again after a sample begun at @begun_at_ms.
 * What has just begun to fail soon; what is down may cost the driver dearly. */
static uint64_t due_after(const struct slot *slot, uint64_t begun_at_ms)
{
    bool is_hurried =
        !slot->is_down && (slot->is_wanted || slot->failing_at_ms != 0);

    if (slot->asked_at_ms >= begun_at_ms) {
        return slot->asked_at_ms + 1;
    }
    return begun_at_ms + (is_hurried ? DEVICE_WANTED_MS : DEVICE_IDLE_MS);
}

/* Take one sample, under the mutex but for the probe's own time. */
static void take_sample(struct sampler *sampler, uint32_t index)
{
    struct slot *slot = &sampler->slots[index];
    struct device_sample sample;
    int rc;

    probe_clear(&sample, index);
    sample.begun_at_ms = clock_mono_ms();
    sampler->busy_since_ms = sample.begun_at_ms;
    (void)pthread_mutex_unlock(&sampler->mutex);
    rc = sampler->probe->ops->sample(sampler->probe, index, &sample);
    (void)pthread_mutex_lock(&sampler->mutex);
    sampler->busy_since_ms = 0;
    judge(sampler, slot, &sample, rc);
    slot->due_at_ms = due_after(slot, sample.begun_at_ms);
}

static void run(struct sampler *sampler)
{
    while (!sampler->is_stopping) {
        uint32_t index = next_device(sampler);
        uint64_t due_at_ms = sampler->slots[index].due_at_ms;

        if (clock_mono_ms() < due_at_ms) {
            wait_until(sampler, due_at_ms);
        } else {
            take_sample(sampler, index);
        }
    }
}

static void *sampler_main(void *arg)
{
    struct sampler *sampler = arg;
    bool is_abandoned;
    int rc = sampler->probe->ops->open(sampler->probe, &sampler->why);

    (void)pthread_mutex_lock(&sampler->mutex);
    sampler->open_error = rc;
    sampler->is_open = true;
    (void)pthread_cond_broadcast(&sampler->changed);
    if (rc == E_OK) {
        run(sampler);
    }
    (void)pthread_mutex_unlock(&sampler->mutex);
    sampler->probe->ops->close(sampler->probe);
    (void)pthread_mutex_lock(&sampler->mutex);
    sampler->is_over = true;
    is_abandoned = sampler->is_abandoned;
    (void)pthread_cond_broadcast(&sampler->changed);
    (void)pthread_mutex_unlock(&sampler->mutex);
    if (is_abandoned) {
        sampler_free(sampler);
    }
    return NULL;
}

/* ---- the loop's side ---------------------------------------------------- */

static struct sampler *sampler_create(struct probe *probe, uint32_t stale_ms)
{
    struct sampler *sampler = calloc(1, sizeof *sampler);
    pthread_condattr_t monotonic;

    if (sampler == NULL) {
        probe->ops->close(probe);
        return NULL;
    }
    sampler->probe = probe;
    sampler->stale_ms = stale_ms;
    buf_init(&sampler->why, 0);
    (void)pthread_mutex_init(&sampler->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&sampler->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    sampler->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return sampler;
}

/* Wait for the probe to open. */
static int wait_open(struct sampler *sampler, uint32_t open_ms, struct buf *why)
{
    uint64_t until_ms = clock_mono_ms() + open_ms;
    int rc = E_IO;

    (void)pthread_mutex_lock(&sampler->mutex);
    while (!sampler->is_open && clock_mono_ms() < until_ms) {
        wait_until(sampler, until_ms);
    }
    if (sampler->is_open) {
        rc = sampler->open_error;
        buf_text(why, buf_string(&sampler->why));
    } else {
        buf_printf(why, "the driver did not answer for %u ms", open_ms);
    }
    (void)pthread_mutex_unlock(&sampler->mutex);
    return rc;
}

/* Start the thread, deaf to signals: they are the loop's. */
static int start_thread(struct sampler *sampler)
{
    sigset_t all;
    sigset_t before;
    int error;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&sampler->thread, NULL, sampler_main, sampler);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int sampler_start(struct probe *probe,
                  uint32_t open_ms,
                  uint32_t stale_ms,
                  struct sampler **out,
                  struct buf *why)
{
    struct sampler *sampler = sampler_create(probe, stale_ms);
    int rc;

    if (sampler == NULL) {
        return E_NOMEM;
    }
    if (sampler->fd < 0 || start_thread(sampler) != 0) {
        buf_text(why, "cannot start the thread that measures VRAM");
        probe->ops->close(probe);
        sampler_free(sampler);
        return E_NOMEM;
    }
    rc = wait_open(sampler, open_ms, why);
    if (rc != E_OK) {
        sampler_stop(sampler);
        return rc;
    }
    *out = sampler;
    return E_OK;
}

void sampler_stop(struct sampler *sampler)
{
    uint64_t until_ms = clock_mono_ms() + STOP_MS;
    pthread_t thread = sampler->thread;
    bool is_over;

    (void)pthread_mutex_lock(&sampler->mutex);
    sampler->is_stopping = true;
    (void)pthread_cond_broadcast(&sampler->changed);
    while (!sampler->is_over && clock_mono_ms() < until_ms) {
        wait_until(sampler, until_ms);
    }
    is_over = sampler->is_over;
    sampler->is_abandoned = !is_over;
    (void)pthread_mutex_unlock(&sampler->mutex);
    if (is_over) {
        (void)pthread_join(thread, NULL);
        sampler_free(sampler);
    } else {
        (void)pthread_detach(thread);
    }
}

int sampler_fd(const struct sampler *sampler)
{
    return sampler->fd;
}

uint32_t sampler_infos(const struct sampler *sampler,
                       struct device_info infos[DEVICES_MAX])
{
    /* Written before the probe was open, and never again. */
    memcpy(infos, sampler->probe->infos, sizeof sampler->probe->infos);
    return sampler->probe->count;
}

uint32_t sampler_take(struct sampler *sampler,
                      struct device_sample out[DEVICES_MAX])
{
    uint64_t counted;
    uint32_t count = 0;
    uint32_t i;

    (void)pthread_mutex_lock(&sampler->mutex);
    (void)!read(sampler->fd, &counted, sizeof counted);
    for (i = 0; i < sampler->probe->count; i++) {
        if (sampler->slots[i].has_news) {
            sampler->slots[i].has_news = false;
            out[count++] = sampler->slots[i].news;
        }
    }
    (void)pthread_mutex_unlock(&sampler->mutex);
    return count;
}

uint64_t sampler_busy_since(struct sampler *sampler)
{
    uint64_t busy_since_ms;

    (void)pthread_mutex_lock(&sampler->mutex);
    busy_since_ms = sampler->busy_since_ms;
    (void)pthread_mutex_unlock(&sampler->mutex);
    return busy_since_ms;
}

/* Ask for a sample begun after this millisecond, under the mutex. */
static void hurry(struct sampler *sampler, uint32_t index)
{
    struct slot *slot = &sampler->slots[index];

    slot->asked_at_ms = clock_mono_ms();
    if (slot->due_at_ms > slot->asked_at_ms + 1) {
        slot->due_at_ms = slot->asked_at_ms + 1;
    }
    (void)pthread_cond_broadcast(&sampler->changed);
}

void sampler_want(struct sampler *sampler, uint32_t index, bool is_wanted)
{
    (void)pthread_mutex_lock(&sampler->mutex);
    if (is_wanted && !sampler->slots[index].is_wanted) {
        hurry(sampler, index);
    }
    sampler->slots[index].is_wanted = is_wanted;
    (void)pthread_mutex_unlock(&sampler->mutex);
}

void sampler_now(struct sampler *sampler, uint32_t index)
{
    (void)pthread_mutex_lock(&sampler->mutex);
    hurry(sampler, index);
    (void)pthread_mutex_unlock(&sampler->mutex);
}
