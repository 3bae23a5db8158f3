#include "device/nvml_figures.h"

#include "base/clock.h"
#include "device/device.h"

int nvml_memory_ask(const struct nvml_api *api,
                    struct nvml_handle *gpu,
                    unsigned long long *total,
                    unsigned long long *used)
{
    struct nvml_memory_v2 second = {.version = NVML_MEMORY_V2};
    struct nvml_memory first;
    int code;

    if (api->memory_v2 != NULL) {
        code = api->memory_v2(gpu, &second);
        if (code != NVML_NOT_SUPPORTED && code != NVML_NO_FUNCTION &&
            code != NVML_WRONG_VERSION) {
            if (code == NVML_SUCCESS) {
                *total = second.total - second.reserved;
                *used = second.used;
            }
            return code;
        }
    }
    code = api->memory(gpu, &first);
    if (code == NVML_SUCCESS) {
        *total = first.total;
        *used = first.used;
    }
    return code;
}

void nvml_vitals_ask(const struct nvml_api *api,
                     struct nvml_handle *gpu,
                     struct nvml_vitals *out)
{
    struct nvml_utilization utilization;
    unsigned int figure;

    *out = (struct nvml_vitals){.asked_at_ms = clock_mono_ms(),
                                .utilisation_percent = DEVICE_UNKNOWN,
                                .temperature_c = DEVICE_UNKNOWN,
                                .power_mw = DEVICE_UNKNOWN};
    if (api->utilization != NULL &&
        api->utilization(gpu, &utilization) == NVML_SUCCESS) {
        out->utilisation_percent = utilization.gpu;
    }
    if (api->temperature != NULL &&
        api->temperature(gpu, NVML_TEMPERATURE_GPU, &figure) == NVML_SUCCESS) {
        out->temperature_c = figure;
    }
    if (api->power != NULL && api->power(gpu, &figure) == NVML_SUCCESS) {
        out->power_mw = figure;
    }
}
