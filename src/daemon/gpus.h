/* gpus.h - the devices of this coordinator: found, named, sampled.
 *
 * The core knows devices by index, the world by UUID.  Samples become
 * CORE_DEVICE_REPORT; a device is sampled fast while somebody waits for its
 * VRAM to be freed.
 */
#ifndef GPUCOORD_DAEMON_GPUS_H
#define GPUCOORD_DAEMON_GPUS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct api_devices;
struct config_gpus;
struct daemon;
struct device_config;
struct device_set;
struct event_base;

/* Open the devices that @gpus names, and sample them as @how says, of which the
 * loop's part counts.  Without a word about GPUs those of NVIDIA are meant, and
 * those of AMD where there are none: a processor with graphics of its own
 * beside an NVIDIA card is more common than two makes of cards.  A simulated
 * card is never served unasked.
 *
 * Errors, and @why: as device_set_open().
 */
MUST_USE int gpus_open_set(const struct config_gpus *gpus,
                           const struct device_config *how,
                           struct event_base *base,
                           struct device_set **out,
                           struct buf *why);

/* Find the devices that the configuration names, fill in the daemon's
 * core_config for them, and begin to sample.  On an error the cause is
 * appended to @why as a message for people.
 *
 * Errors:
 *   E_NOT_FOUND, E_IO, E_NOMEM  as device_set_open().
 *   E_INVALID  a reserve leaves nothing of a device.
 */
MUST_USE int gpus_open(struct daemon *daemon, struct buf *why);

/* Fill in the devices of the daemon's core_config from its configuration.
 *
 * Errors:
 *   E_INVALID  a reserve leaves nothing of a device.
 */
MUST_USE int gpus_configure(struct daemon *daemon);

/* Sample fast where the core wants it; once a turn. */
void gpus_want(struct daemon *daemon);

/* Write the set that @devices names to @out; 0 = any.
 *
 * Errors:
 *   E_INVALID  there is no such device.
 */
MUST_USE int gpus_find(const struct daemon *daemon,
                       const struct api_devices *devices,
                       uint64_t *out);

/* Return the UUID of device @index, below the count. */
const char *gpus_uuid(const struct daemon *daemon, uint32_t index);

#endif
