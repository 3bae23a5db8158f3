/* A record of a list is a pid, 4 bytes of padding, and bytes of VRAM; what
 * comes behind those differs, and with it the distance to the next record:
 *
 *   16 bytes  nothing           the calls without a suffix
 *   24 bytes  MIG's two ids     _v2, and _v3 as declared
 *   32 bytes  and confidential  _v3 of drivers 535.43 to 535.86
 *             computing's VRAM
 *
 * The last was changed and changed back under one name (nvitop pull request 79,
 * go-nvml issue 75), and a _v3 with 16 bytes was seen, too (nvitop pull request
 * 226).  So the distance is not believed but looked at: the room is filled with
 * a pattern, and where the pattern begins again the records have ended.
 */
#include "device/nvml_processes.h"

#include <stdlib.h>
#include <string.h>

enum {
    RECORD_MAX = 32, /* Bytes of the largest record. */
    USED_OFFSET = 8, /* Of the VRAM in a record. */
    ROOM_FIRST = 64, /* Records. */
    ROOM_MAX = 4096, /* More processes than that are no list. */
    TRIES = 4,       /* Processes come while we make room for them. */
    PATTERN = 0xA5   /* In no pid, no size and no id that is set. */
};

void nvml_processes_init(struct nvml_processes *processes,
                         const struct nvml_api *api,
                         const char *proc)
{
    uint32_t i;

    memset(processes, 0, sizeof *processes);
    processes->is_foreign = !probe_owns_pids(proc);
    for (i = 0; i < NVML_LISTS; i++) {
        uint32_t version = NVML_LIST_VERSIONS;

        while (version > 0 && api->lists[i][version - 1] == NULL) {
            version--;
        }
        processes->versions[i] = version;
    }
}

void nvml_processes_release(struct nvml_processes *processes)
{
    free(processes->records);
    processes->records = NULL;
    processes->room = 0;
}

static bool make_room(struct nvml_processes *processes, unsigned int room)
{
    unsigned char *records;

    if (room <= processes->room) {
        return true;
    }
    records = room > ROOM_MAX
                  ? NULL
                  : realloc(processes->records, (size_t)room * RECORD_MAX);
    if (records == NULL) {
        return false;
    }
    processes->records = records;
    processes->room = room;
    return true;
}

/* Call the list until its records fit; return the driver's last code. */
static int call(struct nvml_processes *processes,
                nvml_list_call list,
                struct nvml_handle *gpu,
                unsigned int *count)
{
    unsigned int room = ROOM_FIRST;
    int code = NVML_INSUFFICIENT_SIZE;
    int i;

    for (i = 0; i < TRIES && code == NVML_INSUFFICIENT_SIZE; i++) {
        if (!make_room(processes, room)) {
            return NVML_INSUFFICIENT_SIZE;
        }
        memset(processes->records, PATTERN,
               (size_t)processes->room * RECORD_MAX);
        *count = processes->room;
        code = list(gpu, count, processes->records);
        /* Some drivers say how many there are, some only that it is more. */
        room = *count > processes->room ? *count + *count / 4
                                        : processes->room * 2;
    }
    return code == NVML_SUCCESS && *count > processes->room
               ? NVML_INSUFFICIENT_SIZE
               : code;
}

/* Return the distance of the records from each other; 0 where it is none that
 * is known. */
static size_t find_stride(const struct nvml_processes *processes, size_t count)
{
    size_t size = (size_t)processes->room * RECORD_MAX;
    size_t stride = 16;

    while (size > 0 && processes->records[size - 1] == PATTERN) {
        size--;
    }
    while (stride <= RECORD_MAX && count * stride < size) {
        stride += 8;
    }
    return stride <= RECORD_MAX ? stride : 0;
}

/* The list of one call: within it, what a process has in several places adds
 * up (an instance of MIG has records of its own). */
static void add_records(const struct nvml_processes *processes,
                        unsigned int count,
                        size_t stride,
                        enum device_use use,
                        struct device_sample *out)
{
    unsigned int i;

    for (i = 0; i < count; i++) {
        const unsigned char *record = processes->records + i * stride;
        uint32_t used_mib = DEVICE_UNKNOWN;
        uint32_t pid;
        uint64_t used;

        memcpy(&pid, record, sizeof pid);
        memcpy(&used, record + USED_OFFSET, sizeof used);
        if (used != NVML_NOT_AVAILABLE) {
            used = (used >> 20) + ((used & ((1u << 20) - 1)) != 0);
            used_mib = used < DEVICE_UNKNOWN ? (uint32_t)used : DEVICE_UNKNOWN;
        }
        if (pid != 0) {
            probe_add(out, pid, used_mib, use);
        }
    }
}

/* Read one list; return why it is not known, NULL where it is. */
static const char *read_list(struct nvml_processes *processes,
                             const struct nvml_api *api,
                             struct nvml_handle *gpu,
                             enum nvml_list which,
                             struct device_sample *out)
{
    struct device_sample list;
    unsigned int count = 0;
    int code = NVML_NO_FUNCTION;
    size_t stride;

    while (processes->versions[which] > 0 &&
           (code == NVML_NO_FUNCTION || code == NVML_WRONG_VERSION)) {
        code =
            call(processes, api->lists[which][processes->versions[which] - 1],
                 gpu, &count);
        if (code == NVML_NO_FUNCTION || code == NVML_WRONG_VERSION) {
            processes->versions[which]--; /* A stub; for good. */
        }
    }
    if (code == NVML_NO_FUNCTION || code == NVML_NOT_SUPPORTED) {
        return which == NVML_COMPUTE ? "the driver has no list of processes"
                                     : NULL;
    }
    if (code != NVML_SUCCESS) {
        return code == NVML_NO_PERMISSION
                   ? "the driver shows its processes to root only"
                   : "the driver fails to list its processes";
    }
    stride = find_stride(processes, count);
    if (stride == 0) {
        return "the driver lists its processes in an unknown way";
    }
    probe_clear(&list, 0);
    add_records(processes, count, stride,
                which == NVML_GRAPHICS ? DEVICE_GRAPHICS : DEVICE_COMPUTE,
                &list);
    probe_merge(&list, out);
    return NULL;
}

void nvml_processes_read(struct nvml_processes *processes,
                         const struct nvml_api *api,
                         struct nvml_handle *gpu,
                         struct device_sample *out)
{
    uint32_t i;

    probe_forget(out, NULL);
    if (processes->is_foreign) {
        probe_forget(out, "the driver's pids are not those of this pid "
                          "namespace");
        return;
    }
    for (i = 0; i < NVML_LISTS; i++) {
        const char *reason =
            read_list(processes, api, gpu, (enum nvml_list)i, out);

        if (reason != NULL) {
            probe_forget(out, reason);
            return;
        }
    }
    out->processes_known = true;
}
