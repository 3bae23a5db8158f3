/* devices.h - sets of devices as users and CUDA write them: `0,2` or
 * `GPU-8932f937-…,GPU-…`.
 */
#ifndef GPUCOORD_CLI_DEVICES_H
#define GPUCOORD_CLI_DEVICES_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/api.h"

/* Read the comma-separated @text, `0,1` or UUIDs, into @out.
 *
 * As CUDA reads CUDA_VISIBLE_DEVICES, the list ends before the first entry
 * that is neither an index nor a UUID (`-1`, an empty one); so @out may be
 * empty.
 *
 * Errors:
 *   E_TOO_BIG  more than CORE_DEVICES_MAX entries, or a name too long.
 */
MUST_USE int devices_parse(const char *text, struct api_devices *out);

/* Drop from @devices what @among does not name in the same way. */
void devices_narrow(struct api_devices *devices,
                    const struct api_devices *among);

/* Return the variable that tells a program to use @devices and no others, by
 * their UUIDs: that of ROCm for AMD's cards, else that of CUDA.  NULL where
 * none can: an AMD card that has only a place. */
const char *devices_variable(const struct api_devices *devices);

/* Append the UUIDs of @devices with commas, for that variable. */
void devices_list(const struct api_devices *devices, struct buf *out);

#endif
