/* NVIDIA's cards through NVML, the driver's own library.
 *
 * A card that fails is looked up again by its UUID.  If that does not help,
 * the library is started again, since a card that was off the bus, or whose
 * driver was reloaded, is never found otherwise; but ever more seldom, since a
 * start takes seconds on some machines and all other cards wait for it.
 */
#include "device/nvml_api.h"
#include "device/nvml_figures.h"
#include "device/nvml_processes.h"
#include "device/probe.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum {
    RESTART_MS = 1000, /* From one start of the library to the next, at first */
    RESTART_MS_MAX = 30000 /* and at last. */
};

struct nvml {
    struct probe probe;
    struct nvml_api api;
    struct nvml_processes processes;
    struct nvml_handle *handles[DEVICES_MAX]; /* NULL = to be found again. */
    struct nvml_vitals vitals[DEVICES_MAX];
    uint64_t failing;       /* Set of the cards whose last sample failed. */
    uint64_t restart_at_ms; /* Not before. */
    uint64_t restart_ms;    /* The present distance. */
    int start_code;         /* What the last start said. */
    bool is_initialized;
    char proc[]; /* Where /proc is. */
};

static struct nvml *nvml_of(struct probe *probe)
{
    return (struct nvml *)(void *)probe;
}

/* ---- What a code means -------------------------------------------------- */

/* The codes after which the card is not there, rather than hard to ask. */
static const struct {
    int code;
    const char *reason;
} gone[] = {
    {NVML_UNINITIALIZED, "the NVIDIA driver is gone"},
    {NVML_NOT_FOUND, "the NVIDIA driver does not find the card"},
    {NVML_DRIVER_NOT_LOADED, "the NVIDIA driver is not loaded"},
    {NVML_GPU_IS_LOST, "the card is off the bus"},
    {NVML_RESET_REQUIRED, "the card needs a reset"},
    {NVML_DRIVER_MISMATCH,
     "the NVIDIA driver was replaced by another version: restart gpucoord"},
};

/* Say in @out what @code means. */
static int judge(const struct nvml *nvml, int code, struct device_sample *out)
{
    size_t i;

    for (i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        if (gone[i].code == code) {
            out->reason = gone[i].reason;
            return E_NOT_FOUND;
        }
    }
    out->reason = nvml->api.error(code);
    return E_IO;
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

/* ---- Measuring ---------------------------------------------------------- */

/* They cost as much as the VRAM does, and nobody waits for them: they are as
 * old as a sample may be that nobody waits for. */
static void
add_vitals(struct nvml *nvml, uint32_t index, struct device_sample *out)
{
    struct nvml_vitals *vitals = &nvml->vitals[index];

    if (vitals->asked_at_ms == 0 ||
        clock_mono_ms() - vitals->asked_at_ms >= DEVICE_IDLE_MS) {
        nvml_vitals_ask(&nvml->api, nvml->handles[index], vitals);
    }
    out->utilisation_percent = vitals->utilisation_percent;
    out->temperature_c = vitals->temperature_c;
    out->power_mw = vitals->power_mw;
}

/* ---- Opening ------------------------------------------------------------ */

/* Describe the card that the driver calls @number as our @index. */
static int describe(struct nvml *nvml, uint32_t number, uint32_t index)
{
    struct device_info *info = &nvml->probe.infos[index];
    unsigned long long total = 0;
    unsigned long long used;
    int code = nvml->api.by_index(number, &nvml->handles[index]);

    *info = (struct device_info){.index = index};
    if (code == NVML_SUCCESS) {
        code =
            nvml->api.uuid(nvml->handles[index], info->uuid, sizeof info->uuid);
    }
    if (code == NVML_SUCCESS) {
        code =
            nvml->api.name(nvml->handles[index], info->name, sizeof info->name);
    }
    if (code == NVML_SUCCESS) {
        code = nvml_memory_ask(&nvml->api, nvml->handles[index], &total, &used);
    }
    if (code == NVML_SUCCESS && nvml->api.driver != NULL &&
        nvml->api.driver(info->driver, sizeof info->driver) != NVML_SUCCESS) {
        info->driver[0] = '\0';
    }
    info->total_mib = (uint32_t)(total >> 20);
    return code;
}

/* Describe all cards; one that cannot be is left out, if there are others. */
static int describe_all(struct nvml *nvml, uint32_t count, struct buf *why)
{
    struct probe *probe = &nvml->probe;
    int first_code = NVML_SUCCESS;
    uint32_t i;

    for (i = 0; i < count && probe->count < DEVICES_MAX; i++) {
        int code = describe(nvml, i, probe->count);

        if (code == NVML_SUCCESS) {
            probe->count++;
            continue;
        }
        buf_printf(why, "%sGPU %u is left out: the NVIDIA driver says: %s",
                   why->size == 0 ? "" : "; ", i, nvml->api.error(code));
        first_code = first_code == NVML_SUCCESS ? code : first_code;
    }
    if (probe->count > 0) {
        return E_OK;
    }
    buf_clear(why);
    return fail(nvml, "does not describe a GPU", first_code, why);
}

static int nvml_open(struct probe *probe, struct buf *why)
{
    struct nvml *nvml = nvml_of(probe);
    unsigned int count = 0;
    int code;
    int rc = nvml_api_load(&nvml->api, why);

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
    nvml_processes_init(&nvml->processes, &nvml->api, nvml->proc);
    return describe_all(nvml, count, why);
}

/* ---- Sampling ----------------------------------------------------------- */

/* End the library, so that the next sample starts it again: all handles were
 * this start's. */
static void stop(struct nvml *nvml)
{
    (void)nvml->api.shutdown();
    memset(nvml->handles, 0, sizeof nvml->handles);
    nvml->is_initialized = false;
}

/* Start the library again, if it is time. */
static int start(struct nvml *nvml)
{
    uint64_t now_ms = clock_mono_ms();

    if (now_ms >= nvml->restart_at_ms) {
        nvml->start_code = nvml->api.init();
        nvml->is_initialized = nvml->start_code == NVML_SUCCESS;
        nvml->restart_at_ms = now_ms + nvml->restart_ms;
        nvml->restart_ms = nvml->restart_ms * 2 < RESTART_MS_MAX
                               ? nvml->restart_ms * 2
                               : RESTART_MS_MAX;
    }
    return nvml->start_code;
}

static int ask(struct nvml *nvml, uint32_t index, uint64_t *used)
{
    unsigned long long total;
    unsigned long long bytes = 0;
    int code = nvml->is_initialized ? NVML_SUCCESS : start(nvml);

    if (code == NVML_SUCCESS && nvml->handles[index] == NULL) {
        code = nvml->api.by_uuid(nvml->probe.infos[index].uuid,
                                 &nvml->handles[index]);
    }
    if (code == NVML_SUCCESS) {
        code =
            nvml_memory_ask(&nvml->api, nvml->handles[index], &total, &bytes);
    }
    *used = bytes;
    return code;
}

static int
nvml_sample(struct probe *probe, uint32_t index, struct device_sample *out)
{
    struct nvml *nvml = nvml_of(probe);
    uint64_t used;
    int code = ask(nvml, index, &used);

    if (code != NVML_SUCCESS) {
        nvml->failing |= UINT64_C(1) << index;
        nvml->handles[index] = NULL;
        nvml->vitals[index].asked_at_ms = 0;
        if (nvml->is_initialized && clock_mono_ms() >= nvml->restart_at_ms) {
            stop(nvml);
        }
        return judge(nvml, code, out);
    }
    nvml->failing &= ~(UINT64_C(1) << index);
    if (nvml->failing == 0) {
        nvml->restart_ms = RESTART_MS;
    }
    out->used_mib = (uint32_t)((used + (1u << 20) - 1) >> 20);
    nvml_processes_read(&nvml->processes, &nvml->api, nvml->handles[index],
                        out);
    add_vitals(nvml, index, out);
    return E_OK;
}

static void nvml_close(struct probe *probe)
{
    struct nvml *nvml = nvml_of(probe);

    if (nvml->is_initialized) {
        (void)nvml->api.shutdown();
    }
    nvml_processes_release(&nvml->processes);
    free(nvml);
}

static const struct probe_ops nvml_ops = {
    .open = nvml_open,
    .sample = nvml_sample,
    .close = nvml_close,
};

struct probe *probe_nvml(const struct device_config *config)
{
    const char *proc = config->proc != NULL ? config->proc : "/proc";
    size_t size = strlen(proc) + 1;
    struct nvml *nvml = calloc(1, sizeof *nvml + size);

    if (nvml == NULL) {
        return NULL;
    }
    nvml->probe.ops = &nvml_ops;
    nvml->restart_ms = RESTART_MS;
    memcpy(nvml->proc, proc, size);
    return &nvml->probe;
}
