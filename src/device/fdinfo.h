/* fdinfo.h - what /proc/PID/fdinfo/N says of an open AMD card.
 *
 * The kernel describes the format in Documentation/gpu/drm-usage-stats.rst.
 * Each open file of a card is a client with an address space of its own;
 * several descriptors, also of several processes, may be one client.
 */
#ifndef GPUCOORD_DEVICE_FDINFO_H
#define GPUCOORD_DEVICE_FDINFO_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FDINFO_PDEV_SIZE = 32 /* "0000:03:00.0" and room. */
};

struct fdinfo {
    char pdev[FDINFO_PDEV_SIZE]; /* The card's PCI address. */
    uint64_t client;             /* The same client, the same number. */
    uint64_t vram_bytes;
};

/* Read @text, which ends with a NUL; say whether it is of a client of amdgpu
 * whose VRAM it tells. */
bool fdinfo_parse(const char *text, struct fdinfo *out);

#endif
