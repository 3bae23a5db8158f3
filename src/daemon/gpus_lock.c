#include "daemon/gpus_lock.h"

#include "core/core.h"
#include "daemon/config.h"
#include "device/device.h"
#include "device/gpulock.h"

#include <unistd.h>

/* Return the directory of the locks that keep a second coordinator off the
 * GPUs: it must be the same for everybody on this machine. */
static const char *lock_dir(void)
{
    return access("/run/lock", W_OK) == 0 ? "/run/lock" : "/tmp";
}

int gpus_lock(const struct config *config,
              const struct device_set *devices,
              struct gpulock **out,
              struct buf *why)
{
    /* What the members of a cluster have in common is their database. */
    const struct gpulock_owner owner = {
        .socket = config->socket,
        .cluster = config->cluster_name != NULL ? config->store : NULL};
    const char *uuids[CORE_DEVICES_MAX];
    uint32_t count = device_count(devices);
    uint32_t i;

    *out = NULL;
    if (device_kind(devices) == DEVICE_DECLARED) {
        return E_OK;
    }
    for (i = 0; i < count; i++) {
        uuids[i] = device_info(devices, i)->uuid;
    }
    return gpulock_take(lock_dir(), uuids, count, &owner, out, why);
}
