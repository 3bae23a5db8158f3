#include "device/amdgpu_processes.h"

#include "base/clock.h"
#include "base/smallfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* What the driver itself may keep, and what can change between two looks,
     * before we believe that somebody uses it who was not found.  A guess: no
     * card was at hand. */
    UNSEEN_MIB = 256,
    CHANGE_MIB = 32,
    FDINFO_SIZE = 4096
};

void amdgpu_processes_init(struct amdgpu_processes *processes,
                           const char *sysfs,
                           const char *proc)
{
    memset(processes, 0, sizeof *processes);
    processes->sysfs = sysfs;
    processes->proc = proc;
    processes->is_foreign = !probe_owns_pids(proc);
}

/* Return the number that @name is; 0 where it is none. */
static uint32_t pid_of(const char *name)
{
    size_t size = strspn(name, "0123456789");

    return size > 0 && size < 10 && name[size] == '\0' && name[0] != '0'
               ? (uint32_t)strtoul(name, NULL, 10)
               : 0;
}

static uint32_t mib_of(uint64_t bytes)
{
    uint64_t mib = (bytes >> 20) + ((bytes & ((1u << 20) - 1)) != 0);

    return mib < DEVICE_UNKNOWN ? (uint32_t)mib : DEVICE_UNKNOWN - 1;
}

/* ---- fdinfo ------------------------------------------------------------- */

/* Note that @client is counted; false where it already is, or there is no
 * room to know. */
static bool count_client(struct amdgpu_processes *processes, uint64_t client)
{
    uint32_t i;

    for (i = 0; i < processes->client_count; i++) {
        if (processes->clients[i] == client) {
            return false;
        }
    }
    if (processes->client_count == AMDGPU_CLIENTS_MAX) {
        processes->is_partial = true;
        return false;
    }
    processes->clients[processes->client_count++] = client;
    return true;
}

/* Look at one descriptor of @pid: add what it uses of @card to @bytes.  Say
 * whether it is a descriptor of some AMD card. */
static bool read_file(struct amdgpu_processes *processes,
                      const struct amdgpu_names *card,
                      uint32_t pid,
                      const char *name,
                      uint64_t *bytes)
{
    char path[PATH_MAX];
    char text[FDINFO_SIZE];
    struct fdinfo fdinfo;

    (void)snprintf(path, sizeof path, "%s/%u/fdinfo/%s", processes->proc, pid,
                   name);
    if (smallfile_read(AT_FDCWD, path, text, sizeof text) <= 0 ||
        !fdinfo_parse(text, &fdinfo)) {
        return false;
    }
    if (strcmp(fdinfo.pdev, card->pdev) == 0 &&
        count_client(processes, fdinfo.client)) {
        *bytes += fdinfo.vram_bytes;
    }
    return true;
}

/* Say whether the descriptor @name is of a file in /dev/dri. */
static bool is_card(int dirfd, const char *name)
{
    static const char dri[] = "/dev/dri/";
    char link[64];
    ssize_t size = readlinkat(dirfd, name, link, sizeof link);

    return size > (ssize_t)sizeof dri && memcmp(link, dri, sizeof dri - 1) == 0;
}

/* Add what @pid uses of @card to @out; say whether it has a card open. */
static bool read_process(struct amdgpu_processes *processes,
                         const struct amdgpu_names *card,
                         uint32_t pid,
                         struct device_sample *out)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    uint64_t bytes = 0;
    bool has_card = false;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/%u/fd", processes->proc, pid);
    dir = opendir(path);
    if (dir == NULL) {
        /* It has ended; everything else is a right that we lack. */
        processes->is_hidden =
            processes->is_hidden || (errno != ENOENT && errno != ESRCH);
        return false;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (is_card(dirfd(dir), entry->d_name) &&
            read_file(processes, card, pid, entry->d_name, &bytes)) {
            has_card = true;
        }
    }
    (void)closedir(dir);
    if (bytes > 0) {
        probe_add(out, pid, mib_of(bytes), DEVICE_GRAPHICS);
    }
    return has_card;
}

static void remember(struct amdgpu_processes *processes, uint32_t pid)
{
    if (processes->pid_count < AMDGPU_PIDS_MAX) {
        processes->pids[processes->pid_count++] = pid;
    } else {
        processes->is_partial = true;
    }
}

static int compare_pids(const void *first, const void *second)
{
    const uint32_t *a = first;
    const uint32_t *b = second;

    return (*a > *b) - (*a < *b);
}

/* Look through all of /proc.  A client of two processes counts for the first
 * that is asked: by its pid, in every sample, so that it does not wander. */
static void scan(struct amdgpu_processes *processes,
                 const struct amdgpu_names *card,
                 struct device_sample *out)
{
    DIR *dir = opendir(processes->proc);
    const struct dirent *entry;
    bool has_first = false;

    processes->pid_count = 0;
    processes->is_partial = false;
    processes->is_hidden = false;
    processes->scanned_at_ms = clock_mono_ms();
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        uint32_t pid = pid_of(entry->d_name);

        has_first = has_first || pid == 1;
        if (pid != 0 && read_process(processes, card, pid, out)) {
            remember(processes, pid);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    /* Mounted with `hidepid` it does not even list others' processes. */
    processes->is_hidden = processes->is_hidden || !has_first;
    qsort(processes->pids, processes->pid_count, sizeof processes->pids[0],
          compare_pids);
}

/* ---- KFD ---------------------------------------------------------------- */

/* Raise what is known of those who compute to what KFD says.  It shows
 * /sys/class/kfd/kfd/proc/PID/vram_ID, in bytes, to everybody: mode
 * KFD_SYSFS_FILE_MODE, 0444, in drivers/gpu/drm/amd/amdkfd/kfd_process.c. */
static void add_compute(const struct amdgpu_processes *processes,
                        const struct amdgpu_names *card,
                        struct device_sample *out)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    struct device_sample list;
    DIR *dir;

    (void)snprintf(path, sizeof path, "%s/class/kfd/kfd/proc",
                   processes->sysfs);
    dir = processes->is_foreign || card->kfd == 0 ? NULL : opendir(path);
    if (dir == NULL) {
        return;
    }
    probe_clear(&list, 0);
    while ((entry = readdir(dir)) != NULL) {
        uint32_t pid = pid_of(entry->d_name);
        uint64_t bytes;

        (void)snprintf(path, sizeof path, "%.20s/vram_%u", entry->d_name,
                       card->kfd);
        if (pid != 0 && smallfile_number(dirfd(dir), path, &bytes) &&
            bytes > 0) {
            probe_add(&list, pid, mib_of(bytes), DEVICE_COMPUTE);
        }
    }
    (void)closedir(dir);
    probe_merge(&list, out);
}

/* ---- Together ----------------------------------------------------------- */

/* What is used of the card by nobody in the list. */
static uint32_t unexplained_mib(const struct device_sample *sample)
{
    uint64_t sum = sample->rest_mib;
    uint32_t i;

    for (i = 0; i < sample->process_count; i++) {
        sum += sample->processes[i].used_mib;
    }
    return sum < sample->used_mib ? sample->used_mib - (uint32_t)sum : 0;
}

/* Fill in the list from whom we know; false where it no longer explains what
 * is used. */
static bool read_known(struct amdgpu_processes *processes,
                       const struct amdgpu_names *card,
                       struct device_sample *out)
{
    uint32_t i;

    if (processes->scanned_at_ms == 0 || processes->is_partial ||
        clock_mono_ms() - processes->scanned_at_ms >= DEVICE_IDLE_MS) {
        return false;
    }
    for (i = 0; i < processes->pid_count; i++) {
        (void)read_process(processes, card, processes->pids[i], out);
    }
    add_compute(processes, card, out);
    return unexplained_mib(out) <= card->unexplained_mib + CHANGE_MIB;
}

void amdgpu_processes_read(struct amdgpu_processes *processes,
                           struct amdgpu_names *card,
                           struct device_sample *out)
{
    probe_forget(out, NULL);
    processes->client_count = 0;
    if (!read_known(processes, card, out)) {
        probe_forget(out, NULL);
        processes->client_count = 0;
        scan(processes, card, out);
        add_compute(processes, card, out);
        card->unexplained_mib = unexplained_mib(out);
    }
    if (processes->is_partial) {
        probe_forget(out, "too many processes have a card open");
    } else if (processes->is_hidden && unexplained_mib(out) > UNSEEN_MIB) {
        probe_forget(out, "the processes of other users cannot be seen");
    } else {
        out->processes_known = true;
    }
}
