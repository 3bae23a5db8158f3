#include "device/device.h"

#include "base/clock.h"
#include "device/sampler.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>

enum {
    STEP_US = 20000 /* Between two looks at whether all have told. */
};

struct device_set {
    enum device_kind kind;
    uint32_t count;
    struct device_info infos[DEVICES_MAX];
    struct sampler *sampler; /* NULL for DECLARED, as the events. */
    struct event *news;      /* The sampler has some. */
    struct event *watch;     /* Time to see whether it hangs. */
    uint32_t stale_ms;
    bool is_hanging; /* The hang was reported. */
    uint64_t told;   /* Set of devices, since device_measure(). */
    void (*on_sample)(void *arg, const struct device_sample *sample);
    void *arg;
};

static void tell(struct device_set *set, const struct device_sample *sample)
{
    set->told |= UINT64_C(1) << sample->device;
    set->on_sample(set->arg, sample);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct device_set *set = arg;
    struct device_sample samples[DEVICES_MAX];
    uint32_t count = sampler_take(set->sampler, samples);
    uint32_t i;

    (void)fd;
    (void)what;
    set->is_hanging = set->is_hanging && count == 0;
    for (i = 0; i < count; i++) {
        tell(set, &samples[i]);
    }
}

/* One thread asks for all devices: if it hangs, none of them is measured. */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct device_set *set = arg;
    uint64_t since_ms = sampler_busy_since(set->sampler);
    struct device_sample sample;
    uint32_t i;

    (void)fd;
    (void)what;
    if (set->is_hanging || since_ms == 0 ||
        clock_mono_ms() - since_ms < set->stale_ms) {
        return;
    }
    set->is_hanging = true;
    for (i = 0; i < set->count; i++) {
        probe_clear(&sample, i);
        sample.state = DEVICE_STALE;
        sample.begun_at_ms = since_ms;
        sample.reason = "the driver hangs";
        tell(set, &sample);
    }
}

/* Create what runs in the loop. */
static int watch(struct device_set *set, struct event_base *base)
{
    uint32_t period_ms = set->stale_ms / 2;
    struct timeval period = {
        .tv_sec = period_ms / 1000,
        .tv_usec = (suseconds_t)(period_ms % 1000) * 1000,
    };

    set->news = event_new(base, sampler_fd(set->sampler), EV_READ | EV_PERSIST,
                          on_news, set);
    set->watch = event_new(base, -1, EV_PERSIST, on_watch, set);
    if (set->news == NULL || set->watch == NULL ||
        event_add(set->news, NULL) != 0 ||
        event_add(set->watch, &period) != 0) {
        return E_NOMEM;
    }
    return E_OK;
}

static struct probe *create_probe(const struct device_config *config)
{
    switch (config->kind) {
    case DEVICE_NVML:
        return probe_nvml(config);
    case DEVICE_AMDGPU:
        return probe_amdgpu(config);
    case DEVICE_SIMULATED:
        return probe_simulated(config);
    case DEVICE_DECLARED:
        break; /* Not measured, so without a probe. */
    }
    return NULL;
}

static int measure(struct device_set *set,
                   const struct device_config *config,
                   struct event_base *base,
                   struct buf *why)
{
    uint32_t open_ms = config->open_ms != 0 ? config->open_ms : DEVICE_OPEN_MS;
    struct probe *probe = create_probe(config);
    int rc;

    if (probe == NULL) {
        return E_NOMEM;
    }
    rc = sampler_start(probe, open_ms, set->stale_ms, &set->sampler, why);
    if (rc != E_OK) {
        return rc;
    }
    set->count = sampler_infos(set->sampler, set->infos);
    return watch(set, base);
}

int device_set_open(const struct device_config *config,
                    struct event_base *base,
                    struct device_set **out,
                    struct buf *why)
{
    struct device_set *set = calloc(1, sizeof *set);
    int rc = E_OK;

    if (set == NULL) {
        return E_NOMEM;
    }
    set->kind = config->kind;
    set->on_sample = config->on_sample;
    set->arg = config->arg;
    set->stale_ms = config->stale_ms != 0 ? config->stale_ms : DEVICE_STALE_MS;
    if (config->kind == DEVICE_DECLARED) {
        probe_declare(set->infos, config);
        set->count = config->count;
    } else {
        rc = measure(set, config, base, why);
    }
    if (rc != E_OK) {
        device_set_close(set);
        return rc;
    }
    *out = set;
    return E_OK;
}

void device_measure(struct device_set *set,
                    struct event_base *base,
                    uint32_t limit_ms)
{
    const struct timeval step = {.tv_usec = STEP_US};
    uint64_t until_ms = clock_mono_ms() + limit_ms;
    uint64_t all = UINT64_MAX >> (DEVICES_MAX - set->count);
    uint32_t i;

    if (set->sampler == NULL) {
        return; /* Nothing ever tells of them. */
    }
    for (i = 0; i < set->count; i++) {
        device_want(set, i, true);
    }
    set->told = 0;
    while (set->told != all && clock_mono_ms() < until_ms &&
           event_base_loopexit(base, &step) == 0 &&
           event_base_dispatch(base) >= 0) {
    }
}

void device_set_close(struct device_set *set)
{
    if (set == NULL) {
        return;
    }
    if (set->news != NULL) {
        event_free(set->news);
    }
    if (set->watch != NULL) {
        event_free(set->watch);
    }
    if (set->sampler != NULL) {
        sampler_stop(set->sampler);
    }
    free(set);
}

uint32_t device_count(const struct device_set *set)
{
    return set->count;
}

const struct device_info *device_info(const struct device_set *set,
                                      uint32_t index)
{
    assert(index < set->count);
    return &set->infos[index];
}

enum device_kind device_kind(const struct device_set *set)
{
    return set->kind;
}

const char *device_kind_name(enum device_kind kind)
{
    switch (kind) {
    case DEVICE_NVML:
        return "nvml";
    case DEVICE_AMDGPU:
        return "amdgpu";
    case DEVICE_SIMULATED:
        return "simulated";
    case DEVICE_DECLARED:
        break;
    }
    return "declared";
}

void device_want(struct device_set *set, uint32_t index, bool is_wanted)
{
    assert(index < set->count);
    if (set->sampler != NULL) {
        sampler_want(set->sampler, index, is_wanted);
    }
}

void device_sample_now(struct device_set *set, uint32_t index)
{
    assert(index < set->count);
    if (set->sampler != NULL) {
        sampler_now(set->sampler, index);
    }
}
