/* check_gpus.c - the GPUs of this machine, and whose processes are on them. */
#include "cli/check.h"
#include "cli/check_owner.h"
#include "daemon/config.h"
#include "daemon/gpus.h"
#include "device/device.h"

#include <event2/event.h>
#include <stdlib.h>

enum {
    MEASURE_MS = 5000
};

struct measure {
    struct device_sample samples[DEVICES_MAX];
    bool is_known[DEVICES_MAX];
};

static void on_sample(void *arg, const struct device_sample *sample)
{
    struct measure *measure = arg;

    measure->is_known[sample->device] = true;
    measure->samples[sample->device] = *sample;
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
        rc = gpus_open_set(
            &check->config->gpus,
            &(struct device_config){.on_sample = on_sample, .arg = measure},
            base, &set, &why);
    }
    if (rc == E_OK) {
        device_measure(set, base, MEASURE_MS);
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
