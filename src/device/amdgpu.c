/* AMD's cards, as the kernel shows them. */
#include "device/amdgpu_card.h"
#include "device/amdgpu_processes.h"
#include "device/probe.h"

#include "base/clock.h"
#include "base/smallfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    /* The graphics of a processor have so much of the machine's RAM, or less,
     * unless told otherwise; beside a card with more they are left out. */
    INTEGRATED_MIB = 2048
};

struct amdgpu {
    struct probe probe;
    struct amdgpu_card cards[DEVICES_MAX];
    struct amdgpu_processes processes;
    char *sysfs;
    char *proc;
};

static struct amdgpu *amdgpu_of(struct probe *probe)
{
    return (struct amdgpu *)(void *)probe;
}

static int compare_cards(const void *first, const void *second)
{
    const struct amdgpu_card *a = first;
    const struct amdgpu_card *b = second;

    return strcmp(a->names.pdev, b->names.pdev);
}

/* Leave out the graphics of the processor, beside a card.  Return how many
 * cards are left. */
static uint32_t leave_out(struct amdgpu_card cards[DEVICES_MAX],
                          uint32_t count,
                          struct buf *why)
{
    uint32_t largest_mib = 0;
    uint32_t left = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        largest_mib =
            cards[i].total_mib > largest_mib ? cards[i].total_mib : largest_mib;
    }
    for (i = 0; i < count; i++) {
        if (cards[i].total_mib <= INTEGRATED_MIB &&
            largest_mib > INTEGRATED_MIB) {
            buf_printf(why,
                       "%s%s (%s) is left out: with %u MiB it looks like the "
                       "processor's own graphics",
                       why->size == 0 ? "" : "; ", cards[i].uuid, cards[i].name,
                       cards[i].total_mib);
            (void)close(cards[i].dirfd);
        } else {
            cards[left++] = cards[i];
        }
    }
    return left;
}

static int amdgpu_open(struct probe *probe, struct buf *why)
{
    struct amdgpu *amdgpu = amdgpu_of(probe);
    struct utsname kernel;
    uint32_t i;

    probe->count = amdgpu_card_find(amdgpu->sysfs, amdgpu->cards);
    if (probe->count == 0) {
        buf_printf(why, "no AMD GPU in '%s/class/drm'", amdgpu->sysfs);
        return E_NOT_FOUND;
    }
    qsort(amdgpu->cards, probe->count, sizeof amdgpu->cards[0], compare_cards);
    probe->count = leave_out(amdgpu->cards, probe->count, why);
    for (i = 0; i < probe->count; i++) {
        struct device_info *info = &probe->infos[i];
        const struct amdgpu_card *card = &amdgpu->cards[i];

        *info = (struct device_info){.index = i, .total_mib = card->total_mib};
        memcpy(info->uuid, card->uuid, sizeof info->uuid);
        memcpy(info->name, card->name, sizeof info->name);
        if (uname(&kernel) == 0) {
            (void)snprintf(info->driver, sizeof info->driver, "%s",
                           kernel.release);
        }
    }
    return E_OK;
}

static int
amdgpu_sample(struct probe *probe, uint32_t index, struct device_sample *out)
{
    struct amdgpu *amdgpu = amdgpu_of(probe);
    struct amdgpu_card *card = &amdgpu->cards[index];
    uint64_t used;

    if (card->dirfd < 0 ||
        !smallfile_number(card->dirfd, "mem_info_vram_used", &used)) {
        if (card->dirfd >= 0) {
            (void)close(card->dirfd);
            card->dirfd = -1;
        }
        if (!amdgpu_card_find_again(amdgpu->sysfs, card)) {
            out->reason = "the kernel no longer shows the card";
            return E_NOT_FOUND;
        }
        if (!smallfile_number(card->dirfd, "mem_info_vram_used", &used)) {
            out->reason = "the kernel does not say how much VRAM is used";
            return E_IO;
        }
    }
    used = (used >> 20) + ((used & ((1u << 20) - 1)) != 0);
    out->used_mib = used < DEVICE_UNKNOWN ? (uint32_t)used : DEVICE_UNKNOWN - 1;
    amdgpu_processes_read(&amdgpu->processes, &card->names, out);
    if (card->asked_at_ms == 0 ||
        clock_mono_ms() - card->asked_at_ms >= DEVICE_IDLE_MS) {
        amdgpu_card_ask(card);
    }
    out->utilisation_percent = card->utilisation_percent;
    out->temperature_c = card->temperature_c;
    out->power_mw = card->power_mw;
    return E_OK;
}

static void amdgpu_close(struct probe *probe)
{
    struct amdgpu *amdgpu = amdgpu_of(probe);
    uint32_t i;

    for (i = 0; i < probe->count; i++) {
        if (amdgpu->cards[i].dirfd >= 0) {
            (void)close(amdgpu->cards[i].dirfd);
        }
    }
    free(amdgpu->sysfs);
    free(amdgpu->proc);
    free(amdgpu);
}

static const struct probe_ops amdgpu_ops = {
    .open = amdgpu_open,
    .sample = amdgpu_sample,
    .close = amdgpu_close,
};

struct probe *probe_amdgpu(const struct device_config *config)
{
    struct amdgpu *amdgpu = calloc(1, sizeof *amdgpu);

    if (amdgpu == NULL) {
        return NULL;
    }
    amdgpu->probe.ops = &amdgpu_ops;
    amdgpu->sysfs = strdup(config->sysfs != NULL ? config->sysfs : "/sys");
    amdgpu->proc = strdup(config->proc != NULL ? config->proc : "/proc");
    if (amdgpu->sysfs == NULL || amdgpu->proc == NULL) {
        amdgpu_close(&amdgpu->probe);
        return NULL;
    }
    amdgpu_processes_init(&amdgpu->processes, amdgpu->sysfs, amdgpu->proc);
    return &amdgpu->probe;
}
