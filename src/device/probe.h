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
    /* Find the devices: fill .infos and .count.  Without an error, @why is
     * what is to be said about devices that were left out.
     *
     * Errors, with the cause appended to @why:
     *   E_NOT_FOUND  there are none.
     *   E_IO         they do not answer.
     *   E_NOMEM      no memory.
     */
    int (*open)(struct probe *probe, struct buf *why);

    /* Measure device @index: fill in all of @out that is valid where OK, which
     * probe_clear() has cleared.  On an error only .reason, if it is known.
     *
     * Errors:
     *   E_IO         not this time.
     *   E_NOT_FOUND  it is off the bus, or its driver is gone.
     */
    int (*sample)(struct probe *probe,
                  uint32_t index,
                  struct device_sample *out);

    /* Free the probe, opened or not. */
    void (*close)(struct probe *probe);
};

/* The first member of each probe. */
struct probe {
    const struct probe_ops *ops;
    struct device_info infos[DEVICES_MAX];
    uint32_t count;
};

/* Make @sample one of device @index in which nothing is known. */
void probe_clear(struct device_sample *sample, uint32_t index);

/* Add to the list of @sample that @pid uses @used_mib (or DEVICE_UNKNOWN) in
 * the way @use.  A process that is listed already has the figures added up;
 * where the list is full it counts as rest. */
void probe_add(struct device_sample *sample,
               uint32_t pid,
               uint32_t used_mib,
               enum device_use use);

/* Forget the list of @sample: it is not to be had, or not whole, for @reason,
 * static, or NULL. */
void probe_forget(struct device_sample *sample, const char *reason);

/* Add the list @from to that of @sample: another list of the same card.  A
 * process in both has all of its VRAM in each, so the larger figure counts. */
void probe_merge(const struct device_sample *from,
                 struct device_sample *sample);

/* Say whether the pids that drivers give, which know no pid namespaces, are
 * those of this program; @proc is where /proc is. */
bool probe_owns_pids(const char *proc);

/* Create the probe of NVIDIA's cards; @config is copied.  NULL without memory.
 */
struct probe *probe_nvml(const struct device_config *config);

/* Create the probe of AMD's cards; @config is copied.  NULL without memory. */
struct probe *probe_amdgpu(const struct device_config *config);

/* Create the probe of cards that are files; @config is copied.  NULL without
 * memory. */
struct probe *probe_simulated(const struct device_config *config);

/* Fill in the cards of @config, of which nothing but the capacity is known. */
void probe_declare(struct device_info *infos,
                   const struct device_config *config);

#endif
