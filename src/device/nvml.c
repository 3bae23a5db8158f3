/* NVIDIA's cards through NVML, the driver's own library.
 *
 * It is loaded at run time: the same program runs where there is no driver.
 * What is used of its interface is declared here, from its documentation; its
 * binary interface is stable, and only the functions in the table are called.
 */
#include "device/probe.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum nvml_code {
    NVML_SUCCESS = 0,
    NVML_NOT_SUPPORTED = 3,
    NVML_NOT_FOUND = 6,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_NO_FUNCTION = 13,
    NVML_GPU_IS_LOST = 15,
    NVML_WRONG_VERSION = 25
};

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

struct nvml_api {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error)(int code);
    int (*count)(unsigned int *count);
    int (*by_index)(unsigned int index, struct nvml_handle **out);
    int (*by_uuid)(const char *uuid, struct nvml_handle **out);
    int (*name)(struct nvml_handle *gpu, char *out, unsigned int size);
    int (*uuid)(struct nvml_handle *gpu, char *out, unsigned int size);
    int (*memory)(struct nvml_handle *gpu, struct nvml_memory *out);
    /* NULL before driver 510. */
    int (*memory_v2)(struct nvml_handle *gpu, struct nvml_memory_v2 *out);
};

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
};

struct nvml {
    struct probe probe;
    struct nvml_api api;
    struct nvml_handle *handles[DEVICES_MAX]; /* NULL = to be found again. */
    bool is_initialized;
};

static struct nvml *nvml_of(struct probe *probe)
{
    return (struct nvml *)(void *)probe;
}

static int load(struct nvml *nvml, struct buf *why)
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
        memcpy((char *)&nvml->api + symbols[i].offset, &symbol, sizeof symbol);
    }
    return E_OK;
}

/* Say what failed, in the driver's words. */
static int
fail(const struct nvml *nvml, const char *what, int code, struct buf *why)
{
    buf_printf(why, "the NVIDIA driver %s: %s", what, nvml->api.error(code));
    return code == NVML_DRIVER_NOT_LOADED || code == NVML_NOT_FOUND
               ? E_NOT_FOUND
               : E_IO;
}

/* What can be used of @gpu in all, and what is used of it, in bytes. */
static int measure(const struct nvml *nvml,
                   struct nvml_handle *gpu,
                   unsigned long long *total,
                   unsigned long long *used)
{
    struct nvml_memory_v2 second = {.version = NVML_MEMORY_V2};
    struct nvml_memory first;
    int code;

    if (nvml->api.memory_v2 != NULL) {
        code = nvml->api.memory_v2(gpu, &second);
        if (code != NVML_NOT_SUPPORTED && code != NVML_NO_FUNCTION &&
            code != NVML_WRONG_VERSION) {
            *total = second.total - second.reserved;
            *used = second.used;
            return code;
        }
    }
    code = nvml->api.memory(gpu, &first);
    if (code == NVML_SUCCESS) {
        *total = first.total;
        *used = first.used;
    }
    return code;
}

static int describe(struct nvml *nvml, uint32_t index, struct buf *why)
{
    struct device_info *info = &nvml->probe.infos[index];
    unsigned long long total = 0;
    unsigned long long used;
    int code = nvml->api.by_index(index, &nvml->handles[index]);

    info->index = index;
    if (code == NVML_SUCCESS) {
        code =
            nvml->api.uuid(nvml->handles[index], info->uuid, sizeof info->uuid);
    }
    if (code == NVML_SUCCESS) {
        code =
            nvml->api.name(nvml->handles[index], info->name, sizeof info->name);
    }
    if (code == NVML_SUCCESS) {
        code = measure(nvml, nvml->handles[index], &total, &used);
    }
    if (code != NVML_SUCCESS) {
        return fail(nvml, "does not describe a GPU", code, why);
    }
    info->total_mib = (uint32_t)(total >> 20);
    return E_OK;
}

static int nvml_open(struct probe *probe, struct buf *why)
{
    struct nvml *nvml = nvml_of(probe);
    unsigned int count = 0;
    uint32_t i;
    int code;
    int rc = load(nvml, why);

    if (rc != E_OK) {
        return rc;
    }
    code = nvml->api.init();
    if (code != NVML_SUCCESS) {
        return fail(nvml, "does not start", code, why);
    }
    nvml->is_initialized = true;
    code = nvml->api.count(&count);
    if (code != NVML_SUCCESS) {
        return fail(nvml, "does not count its GPUs", code, why);
    }
    if (count == 0) {
        buf_text(why, "the NVIDIA driver has no GPU");
        return E_NOT_FOUND;
    }
    probe->count = count < DEVICES_MAX ? count : DEVICES_MAX;
    for (i = 0; i < probe->count && rc == E_OK; i++) {
        rc = describe(nvml, i, why);
    }
    return rc;
}

/* Start the library again after a failure: the only way to a card that was
 * off the bus.  All handles were the old start's. */
static int restart(struct nvml *nvml)
{
    memset(nvml->handles, 0, sizeof nvml->handles);
    nvml->is_initialized = nvml->api.init() == NVML_SUCCESS;
    return nvml->is_initialized ? E_OK : E_IO;
}

static int
nvml_sample(struct probe *probe, uint32_t index, struct device_sample *out)
{
    struct nvml *nvml = nvml_of(probe);
    unsigned long long total;
    unsigned long long used = 0;
    int code = NVML_SUCCESS;

    if (!nvml->is_initialized && restart(nvml) != E_OK) {
        return E_IO;
    }
    if (nvml->handles[index] == NULL) {
        code =
            nvml->api.by_uuid(probe->infos[index].uuid, &nvml->handles[index]);
    }
    if (code == NVML_SUCCESS) {
        code = measure(nvml, nvml->handles[index], &total, &used);
    }
    if (code != NVML_SUCCESS) {
        (void)nvml->api.shutdown();
        nvml->is_initialized = false;
        return code == NVML_GPU_IS_LOST || code == NVML_NOT_FOUND ? E_NOT_FOUND
                                                                  : E_IO;
    }
    out->used_mib = (uint32_t)((used + (1u << 20) - 1) >> 20);
    return E_OK;
}

static void nvml_close(struct probe *probe)
{
    struct nvml *nvml = nvml_of(probe);

    if (nvml->is_initialized) {
        (void)nvml->api.shutdown();
    }
    free(nvml);
}

static const struct probe_ops nvml_ops = {
    .open = nvml_open,
    .sample = nvml_sample,
    .close = nvml_close,
};

struct probe *probe_nvml(void)
{
    struct nvml *nvml = calloc(1, sizeof *nvml);

    if (nvml == NULL) {
        return NULL;
    }
    nvml->probe.ops = &nvml_ops;
    return &nvml->probe;
}
