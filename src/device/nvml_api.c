#include "device/nvml_api.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SYMBOL(member) offsetof(struct nvml_api, member)

static const struct {
    const char *name;
    size_t offset;
    bool is_needed;
} symbols[] = {
    {"nvmlInit_v2", SYMBOL(init), true},
    {"nvmlShutdown", SYMBOL(shutdown), true},
    {"nvmlErrorString", SYMBOL(error), true},
    {"nvmlDeviceGetCount_v2", SYMBOL(count), true},
    {"nvmlDeviceGetHandleByIndex_v2", SYMBOL(by_index), true},
    {"nvmlDeviceGetHandleByUUID", SYMBOL(by_uuid), true},
    {"nvmlDeviceGetName", SYMBOL(name), true},
    {"nvmlDeviceGetUUID", SYMBOL(uuid), true},
    {"nvmlDeviceGetMemoryInfo", SYMBOL(memory), true},
    {"nvmlDeviceGetMemoryInfo_v2", SYMBOL(memory_v2), false},
    {"nvmlSystemGetDriverVersion", SYMBOL(driver), false},
    {"nvmlDeviceGetUtilizationRates", SYMBOL(utilization), false},
    {"nvmlDeviceGetTemperature", SYMBOL(temperature), false},
    {"nvmlDeviceGetPowerUsage", SYMBOL(power), false},
    {"nvmlDeviceGetComputeRunningProcesses", SYMBOL(lists[NVML_COMPUTE][0]),
     false},
    {"nvmlDeviceGetComputeRunningProcesses_v2", SYMBOL(lists[NVML_COMPUTE][1]),
     false},
    {"nvmlDeviceGetComputeRunningProcesses_v3", SYMBOL(lists[NVML_COMPUTE][2]),
     false},
    {"nvmlDeviceGetGraphicsRunningProcesses", SYMBOL(lists[NVML_GRAPHICS][0]),
     false},
    {"nvmlDeviceGetGraphicsRunningProcesses_v2",
     SYMBOL(lists[NVML_GRAPHICS][1]), false},
    {"nvmlDeviceGetGraphicsRunningProcesses_v3",
     SYMBOL(lists[NVML_GRAPHICS][2]), false},
    {"nvmlDeviceGetMPSComputeRunningProcesses", SYMBOL(lists[NVML_MPS][0]),
     false},
    {"nvmlDeviceGetMPSComputeRunningProcesses_v2", SYMBOL(lists[NVML_MPS][1]),
     false},
    {"nvmlDeviceGetMPSComputeRunningProcesses_v3", SYMBOL(lists[NVML_MPS][2]),
     false},
};

int nvml_api_load(struct nvml_api *api, struct buf *why)
{
    void *library =
        dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    size_t i;

    /* It is never unloaded: a call that hangs may come back at any time. */
    if (library == NULL) {
        buf_printf(why, "no NVIDIA driver: %s", dlerror());
        return E_NOT_FOUND;
    }
    for (i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(library, symbols[i].name);

        if (symbol == NULL && symbols[i].is_needed) {
            buf_printf(why, "the NVIDIA driver is too old: it has no %s",
                       symbols[i].name);
            return E_IO;
        }
        memcpy((char *)api + symbols[i].offset, &symbol, sizeof symbol);
    }
    return E_OK;
}
