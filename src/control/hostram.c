#include "control/hostram.h"

#include "base/smallfile.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AVAILABLE "MemAvailable:"

enum {
    KIB_PER_MIB = 1024,
    MIB_SHIFT = 20,
    PATH_SIZE = CGROUP_DIR_SIZE + 32
};

void hostram_init(struct hostram *ram,
                  const char *meminfo,
                  uint64_t reserve_mib)
{
    *ram =
        (struct hostram){.meminfo = meminfo != NULL ? meminfo : "/proc/meminfo",
                         .reserve_mib = reserve_mib};
    (void)pthread_mutex_init(&ram->mutex, NULL);
}

void hostram_release(struct hostram *ram)
{
    (void)pthread_mutex_destroy(&ram->mutex);
}

/* Read what the kernel thinks can be used without swapping. */
static int read_available(const char *path, uint64_t *mib)
{
    FILE *file = fopen(path, "re");
    char line[128];
    int rc = E_IO;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, AVAILABLE, sizeof AVAILABLE - 1) == 0) {
            *mib =
                strtoull(line + sizeof AVAILABLE - 1, NULL, 10) / KIB_PER_MIB;
            rc = E_OK;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return rc;
}

/* Read a number of bytes in a cgroup's file; "max" is none. */
static bool read_bytes(const char *dir, const char *name, uint64_t *bytes)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return smallfile_number(AT_FDCWD, path, bytes);
}

/* Return what the memory limits of the cgroup of @id, and of those around it,
 * leave; UINT64_MAX where there are none.  Its file cache counts as used: what
 * the kernel could drop of it is not ours to promise. */
static uint64_t left_in_cgroup(const struct proc_id *id)
{
    uint64_t least_mib = UINT64_MAX;
    struct proc_facts facts;
    struct cgroup cgroup;
    uint64_t limit = 0;
    uint64_t used = 0;
    char *slash;

    if (proc_read(PROC_ROOT, id->pid, &facts) != E_OK ||
        facts.cgroup[0] == '\0' ||
        cgroup_find(PROC_ROOT, facts.cgroup, &cgroup) != E_OK) {
        return UINT64_MAX;
    }
    while ((slash = strrchr(cgroup.dir, '/')) != NULL && slash != cgroup.dir) {
        if (read_bytes(cgroup.dir, "memory.max", &limit) &&
            read_bytes(cgroup.dir, "memory.current", &used)) {
            uint64_t mib = limit > used ? (limit - used) >> MIB_SHIFT : 0;

            least_mib = mib < least_mib ? mib : least_mib;
        }
        *slash = '\0';
    }
    return least_mib;
}

/* Compare under the mutex. */
static int
promise(struct hostram *ram, uint64_t mib, uint64_t left_mib, struct buf *why)
{
    uint64_t kept_mib = ram->reserve_mib + ram->promised_mib;
    uint64_t available_mib;

    if (read_available(ram->meminfo, &available_mib) != E_OK) {
        buf_printf(why, "cannot read MemAvailable from '%s'", ram->meminfo);
        return E_IO;
    }
    if (available_mib < kept_mib || available_mib - kept_mib < mib) {
        buf_printf(why,
                   "needs %" PRIu64 " MiB of host RAM; %" PRIu64
                   " are available, less %" PRIu64 " in reserve and %" PRIu64
                   " for other checkpoints",
                   mib, available_mib, ram->reserve_mib, ram->promised_mib);
        return E_LIMIT;
    }
    if (left_mib < mib) {
        buf_printf(why,
                   "needs %" PRIu64 " MiB of host RAM; the memory limit of "
                   "its cgroup leaves %" PRIu64,
                   mib, left_mib);
        return E_LIMIT;
    }
    ram->promised_mib += mib;
    return E_OK;
}

int hostram_take(struct hostram *ram,
                 const struct proc_id *id,
                 uint64_t mib,
                 struct buf *why)
{
    uint64_t left_mib = left_in_cgroup(id);
    int rc;

    (void)pthread_mutex_lock(&ram->mutex);
    rc = promise(ram, mib, left_mib, why);
    (void)pthread_mutex_unlock(&ram->mutex);
    return rc;
}

void hostram_give(struct hostram *ram, uint64_t mib)
{
    (void)pthread_mutex_lock(&ram->mutex);
    ram->promised_mib -= mib < ram->promised_mib ? mib : ram->promised_mib;
    (void)pthread_mutex_unlock(&ram->mutex);
}
