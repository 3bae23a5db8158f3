/* nvml_processes.h - who uses an NVIDIA card, from the driver's lists. */
#ifndef GPUCOORD_DEVICE_NVML_PROCESSES_H
#define GPUCOORD_DEVICE_NVML_PROCESSES_H

#include "device/nvml_api.h"
#include "device/probe.h"

/* The state of the lists between samples. */
struct nvml_processes {
    unsigned char *records; /* Room for .room of them; NULL = none yet. */
    unsigned int room;
    uint32_t versions[NVML_LISTS]; /* To call next; 1 = the oldest, 0 = there
                                      is no such list. */
    bool is_foreign; /* The driver's pids are not this namespace's. */
};

/* Choose the newest version of each list.
 *
 * The driver knows no pid namespaces and gives the machine's own pids; @proc,
 * borrowed for the call, is where /proc is, which says whether they are ours.
 */
void nvml_processes_init(struct nvml_processes *processes,
                         const struct nvml_api *api,
                         const char *proc);

/* Free what the lists own. */
void nvml_processes_release(struct nvml_processes *processes);

/* Fill in the list of @out: the processes on @gpu. */
void nvml_processes_read(struct nvml_processes *processes,
                         const struct nvml_api *api,
                         struct nvml_handle *gpu,
                         struct device_sample *out);

#endif
