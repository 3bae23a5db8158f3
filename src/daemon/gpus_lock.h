/* gpus_lock.h - one coordinator, or one cluster, per GPU. */
#ifndef GPUCOORD_DAEMON_GPUS_LOCK_H
#define GPUCOORD_DAEMON_GPUS_LOCK_H

#include "base/buf.h"
#include "base/err.h"

struct config;
struct device_set;
struct gpulock;

/* Lock the GPUs of @devices for the coordinator of @config, together with the
 * other members of its cluster where it has one; *@out becomes NULL for
 * declared ones, which have no identity to lock.  On an error the cause is
 * appended to
 * @why.
 *
 * Errors: as gpulock_take().
 */
MUST_USE int gpus_lock(const struct config *config,
                       const struct device_set *devices,
                       struct gpulock **out,
                       struct buf *why);

#endif
