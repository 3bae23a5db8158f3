/* check_gpus.c - the GPUs of this machine, and whose processes are on them. */
#include "base/clock.h"
#include "cli/check.h"
#include "cli/check_owner.h"
#include "daemon/config.h"
#include "device/device.h"

#include <event2/event.h>
#include <stdlib.h>

enum {
    MEASURE_MS = 5000
};

struct measure {
    struct device_sample samples[DEVICES_MAX];
    bool is_known[DEVICES_MAX];
    uint32_t count;
};

static void on_sample(void *arg, const struct device_sample *sample)
{
    struct measure *measure = arg;

    if (!measure->is_known[sample->device]) {
        measure->is_known[sample->device] = true;
        measure->count++;
    }
    measure->samples[sample->device] = *sample;
}

/* ---- Opening ---------------------------------------------------------- */

static int open_kind(const struct config_gpus *gpus,
                     enum device_kind kind,
                     struct measure *measure,
                     struct event_base *base,
                     struct device_set **out,
                     struct buf *why)
{
    struct device_config config = {.kind = kind,
                                   .dir = gpus->dir,
                                   .capacity_mib = gpus->capacity_mib,
                                   .count = gpus->count,
                                   .sysfs = gpus->sysfs,
                                   .proc = gpus->proc,
                                   .on_sample = on_sample,
                                   .arg = measure};

    return device_set_open(&config, base, out, why);
}

/* Open what `serve` would open. */
static int open_configured(const struct config_gpus *gpus,
                           struct measure *measure,
                           struct event_base *base,
                           struct device_set **out,
                           struct buf *why)
{
    int rc;

    switch (gpus->kind) {
    case CONFIG_GPUS_AUTO:
        break;
    case CONFIG_GPUS_NVML:
        return open_kind(gpus, DEVICE_NVML, measure, base, out, why);
    case CONFIG_GPUS_AMDGPU:
        return open_kind(gpus, DEVICE_AMDGPU, measure, base, out, why);
    case CONFIG_GPUS_SIMULATED:
        return open_kind(gpus, DEVICE_SIMULATED, measure, base, out, why);
    case CONFIG_GPUS_DECLARED:
        return open_kind(gpus, DEVICE_DECLARED, measure, base, out, why);
    }
    rc = open_kind(gpus, DEVICE_NVML, measure, base, out, why);
    if (rc == E_NOT_FOUND) {
        buf_text(why, "; ");
        rc = open_kind(gpus, DEVICE_AMDGPU, measure, base, out, why);
    }
    return rc;
}

/* Run the loop until all devices have answered. */
static void measure_all(struct event_base *base,
                        struct device_set *set,
                        const struct measure *measure)
{
    uint64_t until_ms = clock_mono_ms() + MEASURE_MS;
    struct timeval step = {.tv_usec = 20000};
    uint32_t i;

    for (i = 0; i < device_count(set); i++) {
        device_want(set, i, true);
    }
    while (measure->count < device_count(set) && clock_mono_ms() < until_ms &&
           event_base_loopexit(base, &step) == 0 &&
           event_base_dispatch(base) >= 0) {
    }
}

/* ---- Telling ---------------------------------------------------------- */

static json_t *figure(uint32_t figure)
{
    return figure == DEVICE_UNKNOWN ? json_null() : json_integer(figure);
}

static json_t *describe_process(const struct check *check,
                                const struct device_process *process)
{
    struct check_owner owner;

    check_owner_find(check->config, (pid_t)process->pid, &owner);
    return json_pack("{s:i, s:o, s:o, s:b, s:o}", "pid", (int)process->pid,
                     "name", check_string(owner.name), "used_mib",
                     figure(process->used_mib), "graphics",
                     (process->use & DEVICE_GRAPHICS) != 0, "service_id",
                     check_string(owner.service));
}

static void describe_sample(struct check *check,
                            const struct device_sample *sample,
                            json_t *device)
{
    json_t *processes = json_array();
    uint32_t i;

    (void)json_object_set_new(device, "used_mib", figure(sample->used_mib));
    (void)json_object_set_new(device, "utilisation_percent",
                              figure(sample->utilisation_percent));
    (void)json_object_set_new(device, "temperature_c",
                              figure(sample->temperature_c));
    (void)json_object_set_new(device, "power_mw", figure(sample->power_mw));
    for (i = 0; i < sample->process_count; i++) {
        (void)json_array_append_new(
            processes, describe_process(check, &sample->processes[i]));
    }
    if (!sample->processes_known) {
        json_decref(processes);
        processes = json_null();
    }
    (void)json_object_set_new(device, "processes", processes);
    (void)json_object_set_new(device, "processes_reason",
                              check_string(sample->processes_reason));
}

static json_t *describe(struct check *check,
                        const struct device_set *set,
                        const struct measure *measure,
                        uint32_t index)
{
    const struct device_info *info = device_info(set, index);
    const struct device_sample *sample =
        measure->is_known[index] ? &measure->samples[index] : NULL;
    bool is_declared = device_kind(set) == DEVICE_DECLARED;
    const char *state = "ok";
    json_t *device;

    if (!is_declared && (sample == NULL || sample->state != DEVICE_OK)) {
        state =
            sample != NULL && sample->state == DEVICE_GONE ? "gone" : "stale";
        check->problems++;
    }
    device = json_pack("{s:i, s:o, s:o, s:s, s:o, s:i, s:s, s:o}", "index",
                       (int)index, "uuid", check_string(info->uuid), "name",
                       check_string(info->name), "source",
                       device_kind_name(device_kind(set)), "driver",
                       check_string(info->driver), "capacity_mib",
                       (int)info->total_mib, "state", state, "reason",
                       check_string(sample == NULL ? NULL : sample->reason));
    if (sample != NULL && sample->state == DEVICE_OK) {
        describe_sample(check, sample, device);
    }
    return device;
}

void check_gpus(struct check *check)
{
    struct measure *measure = calloc(1, sizeof *measure);
    struct event_base *base = event_base_new();
    struct device_set *set = NULL;
    json_t *devices = json_array();
    struct buf why;
    uint32_t i;
    int rc = E_NOMEM;

    buf_init(&why, 1000);
    if (measure != NULL && base != NULL) {
        rc = open_configured(&check->config->gpus, measure, base, &set, &why);
    }
    if (rc == E_OK) {
        if (device_kind(set) != DEVICE_DECLARED) {
            measure_all(base, set, measure);
        }
        for (i = 0; i < device_count(set); i++) {
            (void)json_array_append_new(devices,
                                        describe(check, set, measure, i));
        }
        device_set_close(set);
    } else {
        check->problems++;
    }
    (void)json_object_set_new(check->report, "devices", devices);
    (void)json_object_set_new(check->report, "gpus_reason",
                              check_string(buf_string(&why)));
    buf_release(&why);
    if (base != NULL) {
        event_base_free(base);
    }
    free(measure);
}
