#include "device/probe.h"

#include <stdio.h>

void probe_declare(struct device_info *infos,
                   const struct device_config *config)
{
    uint32_t i;

    for (i = 0; i < config->count; i++) {
        struct device_info *info = &infos[i];

        info->index = i;
        info->total_mib = config->capacity_mib[i];
        (void)snprintf(info->uuid, sizeof info->uuid, "GPU-declared-%u", i);
        (void)snprintf(info->name, sizeof info->name, "declared GPU");
    }
}
