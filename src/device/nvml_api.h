/* nvml_api.h - what is used of NVIDIA's management library, and loading it.
 *
 * The library belongs to the driver and is loaded at run time: the same program
 * runs where there is none.  Declared here is what is called, from its
 * reference ("NVML API Reference Guide"); its binary interface is stable, and
 * what came with later drivers is looked for and may be missing.
 */
#ifndef GPUCOORD_DEVICE_NVML_API_H
#define GPUCOORD_DEVICE_NVML_API_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum nvml_code {
    NVML_SUCCESS = 0,
    NVML_UNINITIALIZED = 1,
    NVML_NOT_SUPPORTED = 3,
    NVML_NO_PERMISSION = 4,
    NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_NO_FUNCTION = 13,
    NVML_GPU_IS_LOST = 15,
    NVML_RESET_REQUIRED = 16,
    NVML_DRIVER_MISMATCH = 18, /* The library is not the module's. */
    NVML_WRONG_VERSION = 25
};

/* A figure that the driver does not give. */
#define NVML_NOT_AVAILABLE UINT64_MAX

struct nvml_handle; /* Opaque, the library's. */

struct nvml_memory {
    unsigned long long total; /* Bytes; so are the others. */
    unsigned long long free;
    unsigned long long used; /* With what the driver keeps for itself. */
};

struct nvml_memory_v2 {
    unsigned int version;
    unsigned long long total;
    unsigned long long reserved; /* By the driver, never anybody's. */
    unsigned long long free;
    unsigned long long used; /* Without it. */
};

#define NVML_MEMORY_V2 \
    ((unsigned int)(sizeof(struct nvml_memory_v2) | (2u << 24)))

struct nvml_utilization {
    unsigned int gpu; /* Percent of the time in which a kernel ran. */
    unsigned int memory;
};

enum {
    NVML_TEMPERATURE_GPU = 0 /* The sensor of the die. */
};

/* The lists of processes: who computes, who draws, who computes through the
 * Multi-Process Service. */
enum nvml_list {
    NVML_COMPUTE,
    NVML_GRAPHICS,
    NVML_MPS,
    NVML_LISTS
};

enum {
    NVML_LIST_VERSIONS = 3
};

/* Write up to *@count records to @out and their number to *@count; what a
 * record is depends on the version, see nvml_processes.c. */
typedef int (*nvml_list_call)(struct nvml_handle *gpu,
                              unsigned int *count,
                              void *out);

/* What comes behind .memory may be NULL: the driver is too old for it. */
struct nvml_api {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error)(int code); /* Static. */
    int (*count)(unsigned int *count);
    int (*by_index)(unsigned int index, struct nvml_handle **out);
    int (*by_uuid)(const char *uuid, struct nvml_handle **out);
    int (*name)(struct nvml_handle *gpu, char *out, unsigned int size);
    int (*uuid)(struct nvml_handle *gpu, char *out, unsigned int size);
    int (*memory)(struct nvml_handle *gpu, struct nvml_memory *out);
    int (*memory_v2)(struct nvml_handle *gpu, struct nvml_memory_v2 *out);
    int (*driver)(char *out, unsigned int size);
    int (*utilization)(struct nvml_handle *gpu, struct nvml_utilization *out);
    int (*temperature)(struct nvml_handle *gpu, int sensor, unsigned int *c);
    int (*power)(struct nvml_handle *gpu, unsigned int *mw);
    nvml_list_call lists[NVML_LISTS][NVML_LIST_VERSIONS]; /* Oldest first. */
};

/* Load the library; it stays loaded for ever.
 *
 * Errors, with the cause appended to @why:
 *   E_NOT_FOUND  there is none.
 *   E_IO         it is too old.
 */
MUST_USE int nvml_api_load(struct nvml_api *api, struct buf *why);

#endif
