/* probe.h - one way to ask for VRAM: what a sampler's thread calls.
 *
 * A probe is created in the loop's thread, without touching the outside; from
 * then on only the sampler's thread uses it, and each call may block.
 */
#ifndef GPUCOORD_DEVICE_PROBE_H
#define GPUCOORD_DEVICE_PROBE_H

#include "device/device.h"

struct probe;

struct probe_ops {
    /* Find the devices: fill .infos and .count.
     *
     * Errors, with the cause appended to @why:
     *   E_NOT_FOUND  there are none.
     *   E_IO         they do not answer.
     *   E_NOMEM      no memory.
     */
    int (*open)(struct probe *probe, struct buf *why);

    /* Measure what is used of device @index.
     *
     * Errors:
     *   E_IO         not this time.
     *   E_NOT_FOUND  it is off the bus.
     */
    int (*sample)(struct probe *probe, uint32_t index, uint32_t *used_mib);

    /* Free the probe, opened or not. */
    void (*close)(struct probe *probe);
};

/* The first member of each probe. */
struct probe {
    const struct probe_ops *ops;
    struct device_info infos[DEVICES_MAX];
    uint32_t count;
};

/* Create the probe of NVIDIA's cards; NULL without memory. */
struct probe *probe_nvml(void);

/* Create the probe of cards that are files; @config is copied.  NULL without
 * memory. */
struct probe *probe_simulated(const struct device_config *config);

/* Fill in the cards of @config, of which nothing but the capacity is known. */
void probe_declare(struct device_info *infos,
                   const struct device_config *config);

#endif
