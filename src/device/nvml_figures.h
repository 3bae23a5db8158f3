/* nvml_figures.h - what an NVIDIA card says of itself. */
#ifndef GPUCOORD_DEVICE_NVML_FIGURES_H
#define GPUCOORD_DEVICE_NVML_FIGURES_H

#include "device/nvml_api.h"

/* Beside its VRAM; each may be DEVICE_UNKNOWN. */
struct nvml_vitals {
    uint64_t asked_at_ms; /* 0 = never. */
    uint32_t utilisation_percent;
    uint32_t temperature_c;
    uint32_t power_mw;
};

/* Ask what can be used of @gpu in all, and what is used of it, in bytes.
 * Return an enum nvml_code; both are written only where that is NVML_SUCCESS.
 */
int nvml_memory_ask(const struct nvml_api *api,
                    struct nvml_handle *gpu,
                    unsigned long long *total,
                    unsigned long long *used);

/* Ask for the rest. */
void nvml_vitals_ask(const struct nvml_api *api,
                     struct nvml_handle *gpu,
                     struct nvml_vitals *out);

#endif
