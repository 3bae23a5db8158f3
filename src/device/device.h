/* device.h - the GPUs of this machine: what they are, how full they are.
 *
 * A set of devices of one kind is opened once.  Its VRAM is measured in a
 * thread of its own, since a driver can hang; samples arrive in the event
 * loop.  Nothing here blocks the loop but device_set_open(), which waits for
 * the driver's first answer at most DEVICE_OPEN_MS, and device_set_close().
 *
 *   nvml.c       NVIDIA, through the driver's library, loaded at run time
 *   amdgpu.c     AMD, through the files in which the kernel shows them
 *   simulated.c  a directory of files, for development and tests
 *   declared.c   a capacity and no measurement
 */
#ifndef GPUCOORD_DEVICE_DEVICE_H
#define GPUCOORD_DEVICE_DEVICE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct device_set; /* Opaque; device.c. */

enum {
    DEVICES_MAX = 64,
    DEVICE_UUID_SIZE = 96, /* NVML's own bound. */
    DEVICE_NAME_SIZE = 96,
    DEVICE_DRIVER_SIZE = 80, /* NVML's own bound. */
    DEVICE_PROCESSES_MAX = 128,
    DEVICE_IDLE_MS = 1000,  /* Sampling period while nobody waits, */
    DEVICE_WANTED_MS = 15,  /* and while somebody waits for VRAM. */
    DEVICE_STALE_MS = 2000, /* Silence or errors for so long: STALE. */
    DEVICE_OPEN_MS = 15000  /* A driver that starts may take seconds. */
};

#define DEVICE_UNKNOWN UINT32_MAX /* A figure that is not to be had here. */

enum device_kind {
    DEVICE_NVML,
    DEVICE_AMDGPU,
    DEVICE_SIMULATED,
    DEVICE_DECLARED
};

enum device_state {
    DEVICE_OK,
    DEVICE_STALE, /* No answer, or only errors, for DEVICE_STALE_MS. */
    DEVICE_GONE   /* Off the bus, or its driver is. */
};

/* What a process does with a device. */
enum device_use {
    DEVICE_COMPUTE = (1 << 0),
    DEVICE_GRAPHICS = (1 << 1)
};

/* What a device is; does not change while the set is open. */
struct device_info {
    uint32_t index;
    uint32_t total_mib;
    char uuid[DEVICE_UUID_SIZE]; /* "GPU-...", the same after a restart. */
    char name[DEVICE_NAME_SIZE];
    char driver[DEVICE_DRIVER_SIZE]; /* Its version; "" = not known. */
};

/* What one process uses of a device. */
struct device_process {
    uint32_t pid;      /* In this program's pid namespace. */
    uint32_t used_mib; /* DEVICE_UNKNOWN = the driver does not say. */
    uint32_t use;      /* Set of enum device_use. */
};

/* One measurement, or the news that there is none.  But for the first three
 * and .reason all is valid where OK only. */
struct device_sample {
    uint32_t device;
    enum device_state state;
    uint64_t begun_at_ms; /* clock_mono_ms() before the driver was asked. */
    const char *reason;   /* Why it is not OK, static; NULL = no more is known
                             than the state. */
    uint32_t used_mib;    /* By everybody. */
    /* Up to DEVICE_IDLE_MS older than the sample; each may be DEVICE_UNKNOWN.
     */
    uint32_t utilisation_percent;
    uint32_t temperature_c;
    uint32_t power_mw;
    /* Who uses it, each pid once, and nobody else is known to.  The figures
     * are taken after .used_mib and need not add up to it.  False: there is no
     * such list, or not a whole one, and it is empty. */
    bool processes_known;
    const char *processes_reason; /* Why not, static; NULL where known. */
    uint32_t process_count;
    struct device_process processes[DEVICE_PROCESSES_MAX];
    uint32_t rest_count; /* Processes that did not fit into the list, */
    uint32_t rest_mib;   /* and what they use together, as far as known. */
};

struct device_config {
    enum device_kind kind;
    const char *dir;              /* SIMULATED: made where it is missing. */
    const uint32_t *capacity_mib; /* SIMULATED and DECLARED. */
    uint32_t count;               /* Likewise; 1 to DEVICES_MAX. */
    const char *sysfs;            /* AMDGPU: NULL = "/sys". */
    const char *proc;             /* NVML and AMDGPU: NULL = "/proc". */
    uint32_t stale_ms;            /* 0 = DEVICE_STALE_MS. */
    uint32_t open_ms;             /* 0 = DEVICE_OPEN_MS. */
    /* Called in the loop's thread for every sample, and once for each change
     * to STALE or GONE.  Not called for DECLARED devices.  It may call all
     * functions below but device_set_close().  @sample is borrowed for the
     * call. */
    void (*on_sample)(void *arg, const struct device_sample *sample);
    void *arg;
};

/* Find the devices and begin to sample them.
 *
 * @config is borrowed for the call, @base until device_set_close().  On an
 * error the cause is appended to @why as a message for people; without one,
 * what is to be said about devices that were left out.
 *
 * Errors:
 *   E_NOT_FOUND  NVML: there is no driver library, or no GPU; AMDGPU: there
 *                is no GPU.
 *   E_IO         the driver or the directory failed or did not answer.
 *   E_NOMEM      no memory.
 */
MUST_USE int device_set_open(const struct device_config *config,
                             struct event_base *base,
                             struct device_set **out,
                             struct buf *why);

/* Run the loop @base, which is the set's, until each device has told of itself
 * since, at most @limit_ms: for a program that only wants to know. */
void device_measure(struct device_set *set,
                    struct event_base *base,
                    uint32_t limit_ms);

/* Stop sampling and free the set; NULL is allowed.  A thread that hangs in the
 * driver is left behind; it frees what it uses if it ever comes back. */
void device_set_close(struct device_set *set);

/* Return how many devices there are. */
uint32_t device_count(const struct device_set *set);

/* Return what device @index is, borrowed until device_set_close(). */
const struct device_info *device_info(const struct device_set *set,
                                      uint32_t index);

/* Return the kind of the set. */
enum device_kind device_kind(const struct device_set *set);

/* Return the name of a kind as `status` shows it ("nvml"); static. */
const char *device_kind_name(enum device_kind kind);

/* Sample device @index every DEVICE_WANTED_MS from now on, or every
 * DEVICE_IDLE_MS again.  The first time it is wanted counts as
 * device_sample_now(). */
void device_want(struct device_set *set, uint32_t index, bool is_wanted);

/* Begin a sample of device @index as soon as its begun_at_ms is above the
 * present millisecond: such a one was begun after all that has happened so
 * far, and no other is known to be. */
void device_sample_now(struct device_set *set, uint32_t index);

#endif
