/* sampler.h - a thread that asks a probe, and a mailbox for its answers.
 *
 * The thread and the event loop share one structure under one mutex; an
 * eventfd tells the loop that there is news.  Only the newest sample of each
 * device is kept.  If the driver hangs, the loop goes on, sees how long the
 * sample has been under way, and can leave thread and structure behind.
 */
#ifndef GPUCOORD_DEVICE_SAMPLER_H
#define GPUCOORD_DEVICE_SAMPLER_H

#include "device/probe.h"

struct sampler; /* Opaque; sampler.c. */

/* Start a thread that opens @probe, taken in every case, and samples it.
 *
 * Waits until it is open, at most @open_ms.  Errors that last for @stale_ms
 * are news.  On an error the cause is appended to @why.
 *
 * Errors: as device_set_open().
 */
MUST_USE int sampler_start(struct probe *probe,
                           uint32_t open_ms,
                           uint32_t stale_ms,
                           struct sampler **out,
                           struct buf *why);

/* Stop the thread and free all; or leave it behind, if it does not end within
 * a moment, to free all itself. */
void sampler_stop(struct sampler *sampler);

/* Return the descriptor that is readable when there is news. */
int sampler_fd(const struct sampler *sampler);

/* Copy what the devices are to @infos and return how many they are. */
uint32_t sampler_infos(const struct sampler *sampler,
                       struct device_info infos[DEVICES_MAX]);

/* Take the news, at most one a device, and return how many there were. */
uint32_t sampler_take(struct sampler *sampler,
                      struct device_sample out[DEVICES_MAX]);

/* Return when the sample under way was begun; 0 where none is. */
uint64_t sampler_busy_since(struct sampler *sampler);

/* As device_want() and device_sample_now(). */
void sampler_want(struct sampler *sampler, uint32_t index, bool is_wanted);
void sampler_now(struct sampler *sampler, uint32_t index);

#endif
