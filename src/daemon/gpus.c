#include "daemon/gpus.h"

#include "base/log.h"
#include "daemon/census.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "daemon/observed.h"
#include "device/device.h"
#include "proto/api.h"

#include <string.h>

/* ---- Samples ---------------------------------------------------------- */

static enum core_device_state core_state(enum device_state state)
{
    switch (state) {
    case DEVICE_OK:
        return CORE_DEVICE_OK;
    case DEVICE_STALE:
        return CORE_DEVICE_STALE;
    case DEVICE_GONE:
        return CORE_DEVICE_GONE;
    }
    return CORE_DEVICE_GONE;
}

/* Learn how much each service uses for a lease on @device. */
static void learn(struct daemon *daemon, uint32_t device)
{
    uint32_t count;
    const struct census_user *users =
        census_users(daemon->census, device, &count);
    uint32_t i;
    uint32_t j;

    for (i = 0; i < count; i++) {
        uint64_t mib = 0;

        for (j = 0; j < count; j++) {
            if (users[j].lease == users[i].lease &&
                users[j].service == users[i].service &&
                users[j].used_mib != DEVICE_UNKNOWN) {
                mib += users[j].used_mib;
            }
        }
        if (users[i].service != 0 && mib < UINT32_MAX) {
            observed_use(daemon->observed, users[i].service, (uint32_t)mib);
        }
    }
}

static void on_sample(void *arg, const struct device_sample *sample)
{
    struct daemon *daemon = arg;
    struct core_event event = {
        .type = CORE_DEVICE_REPORT,
        .report = {.device = sample->device,
                   .state = core_state(sample->state),
                   .begun_at_ms =
                       driver_time_of(daemon->driver, sample->begun_at_ms),
                   .used_mib = sample->used_mib}};

    census_take(daemon, sample, &event);
    (void)driver_feed(daemon->driver, &event, NULL);
    learn(daemon, sample->device);
}

void gpus_want(struct daemon *daemon)
{
    const struct core *core = driver_core(daemon->driver);
    uint32_t i;

    for (i = 0; i < daemon->core_config.device_count; i++) {
        struct core_device_view view;

        if (daemon->core_config.devices[i].is_measured) {
            core_device_view(core, i, &view);
            device_want(daemon->devices, i, view.wants_samples);
        }
    }
}

/* ---- Finding ---------------------------------------------------------- */

/* Return the kind of device that is looked for first. */
static enum device_kind kind_of(enum config_gpus_kind kind)
{
    switch (kind) {
    case CONFIG_GPUS_AUTO:
    case CONFIG_GPUS_NVML:
        return DEVICE_NVML;
    case CONFIG_GPUS_AMDGPU:
        return DEVICE_AMDGPU;
    case CONFIG_GPUS_SIMULATED:
        return DEVICE_SIMULATED;
    case CONFIG_GPUS_DECLARED:
        return DEVICE_DECLARED;
    }
    return DEVICE_NVML;
}

int gpus_open_set(const struct config_gpus *gpus,
                  const struct device_config *how,
                  struct event_base *base,
                  struct device_set **out,
                  struct buf *why)
{
    struct device_config config = *how;
    struct buf amd;
    int rc;

    config.dir = gpus->dir;
    config.capacity_mib = gpus->capacity_mib;
    config.count = gpus->count;
    config.sysfs = gpus->sysfs;
    config.proc = gpus->proc;
    config.kind = kind_of(gpus->kind);
    rc = device_set_open(&config, base, out, why);
    if (rc != E_NOT_FOUND || gpus->kind != CONFIG_GPUS_AUTO) {
        return rc;
    }
    config.kind = DEVICE_AMDGPU;
    buf_init(&amd, 0);
    rc = device_set_open(&config, base, out, &amd);
    if (rc == E_OK) {
        buf_clear(why);
    } else {
        buf_text(why, "; ");
    }
    buf_text(why, buf_string(&amd));
    buf_release(&amd);
    return rc;
}

int gpus_configure(struct daemon *daemon)
{
    struct core_config *core = &daemon->core_config;
    bool can_measure = device_kind(daemon->devices) != DEVICE_DECLARED;
    uint32_t i;

    core->device_count = device_count(daemon->devices);
    for (i = 0; i < core->device_count; i++) {
        const struct device_info *info = device_info(daemon->devices, i);
        int rc =
            config_device_get(daemon->config, info->index, info->uuid,
                              info->total_mib, can_measure, &core->devices[i]);

        if (rc != E_OK) {
            return rc;
        }
    }
    return E_OK;
}

int gpus_open(struct daemon *daemon, struct buf *why)
{
    struct device_config how = {.on_sample = on_sample, .arg = daemon};
    int rc = gpus_open_set(&daemon->config->gpus, &how, loop_base(daemon->loop),
                           &daemon->devices, why);

    if (rc != E_OK) {
        return rc;
    }
    if (why->size > 0) {
        log_warn("%s", buf_string(why));
        buf_clear(why);
    }
    rc = gpus_configure(daemon);
    if (rc != E_OK) {
        buf_text(why, "'reserve_mib' leaves nothing of a device");
    }
    return rc;
}

/* ---- Names ------------------------------------------------------------ */

static bool is_named(const struct device_info *info,
                     const struct api_device *device)
{
    return device->uuid[0] == '\0' ? device->index == info->index
                                   : strcmp(device->uuid, info->uuid) == 0;
}

int gpus_find(const struct daemon *daemon,
              const struct api_devices *devices,
              uint64_t *out)
{
    uint32_t count = daemon->core_config.device_count;
    uint32_t i;

    *out = 0;
    for (i = 0; i < devices->count; i++) {
        uint32_t j = 0;

        while (j < count &&
               !is_named(device_info(daemon->devices, j), &devices->items[i])) {
            j++;
        }
        if (j == count) {
            return E_INVALID;
        }
        *out |= UINT64_C(1) << j;
    }
    return E_OK;
}

const char *gpus_uuid(const struct daemon *daemon, uint32_t index)
{
    return device_info(daemon->devices, index)->uuid;
}
