/* amdgpu_card.h - an AMD card, from the files in which the kernel shows it.
 *
 * It is the directory /sys/class/drm/cardN/device, described in the kernel's
 * Documentation/gpu/amdgpu/driver-misc.rst and thermal.rst.  N changes with the
 * order in which cards come, so a card is known by its serial number, or, where
 * it has none to show, by its PCI address.
 */
#ifndef GPUCOORD_DEVICE_AMDGPU_CARD_H
#define GPUCOORD_DEVICE_AMDGPU_CARD_H

#include "device/amdgpu_processes.h"

struct amdgpu_card {
    struct amdgpu_names names;
    char uuid[DEVICE_UUID_SIZE];
    char name[DEVICE_NAME_SIZE];
    uint32_t total_mib;
    int dirfd;            /* cardN/device; -1 = to be found again. */
    uint64_t asked_at_ms; /* For what follows; 0 = never. */
    uint32_t utilisation_percent;
    uint32_t temperature_c;
    uint32_t power_mw;
};

/* Find the cards under @sysfs, in any order; each has its directory open, which
 * the caller closes.  Return how many. */
uint32_t amdgpu_card_find(const char *sysfs,
                          struct amdgpu_card cards[DEVICES_MAX]);

/* Find the card again that was at @card, whose directory is closed: it may have
 * come back under another number, in another place.  Say whether it has. */
bool amdgpu_card_find_again(const char *sysfs, struct amdgpu_card *card);

/* Ask the card for its last three figures.  One that sleeps is not woken: then
 * none is known. */
void amdgpu_card_ask(struct amdgpu_card *card);

#endif
