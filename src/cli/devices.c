#include "cli/devices.h"

#include "base/units.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Read one entry; false where the list ends before it. */
static bool parse_one(const char *text, struct api_device *out)
{
    uint64_t index;

    *out = (struct api_device){.index = 0};
    if (units_parse_count(text, &index) == E_OK && index < CORE_DEVICES_MAX) {
        out->index = (uint32_t)index;
        return true;
    }
    if ((text[0] < 'A' || text[0] > 'Z') && (text[0] < 'a' || text[0] > 'z')) {
        return false;
    }
    (void)snprintf(out->uuid, sizeof out->uuid, "%s", text);
    return true;
}

int devices_parse(const char *text, struct api_devices *out)
{
    const char *entry = text;

    out->count = 0;
    for (;;) {
        size_t size = strcspn(entry, ",");
        char name[API_UUID_MAX + 1];

        if (out->count == CORE_DEVICES_MAX || size > API_UUID_MAX) {
            return E_TOO_BIG;
        }
        memcpy(name, entry, size);
        name[size] = '\0';
        if (!parse_one(name, &out->items[out->count])) {
            return E_OK;
        }
        out->count++;
        if (entry[size] == '\0') {
            return E_OK;
        }
        entry += size + 1;
    }
}

static bool is_among(const struct api_device *device,
                     const struct api_devices *among)
{
    uint32_t i;

    for (i = 0; i < among->count; i++) {
        if (device->index == among->items[i].index &&
            strcmp(device->uuid, among->items[i].uuid) == 0) {
            return true;
        }
    }
    return false;
}

void devices_narrow(struct api_devices *devices,
                    const struct api_devices *among)
{
    uint32_t kept = 0;
    uint32_t i;

    for (i = 0; i < devices->count; i++) {
        if (is_among(&devices->items[i], among)) {
            devices->items[kept++] = devices->items[i];
        }
    }
    devices->count = kept;
}

const char *devices_variable(const struct api_devices *devices)
{
    /* NVIDIA's have hyphens between groups, AMD's are "GPU-" and 16 digits. */
    const char *uuid = devices->count > 0 ? devices->items[0].uuid : "";

    if (strncmp(uuid, "GPU-pci-", 8) == 0) {
        return NULL;
    }
    return strncmp(uuid, "GPU-", 4) == 0 && strlen(uuid) == 20 &&
                   strspn(uuid + 4, "0123456789abcdef") == 16
               ? "ROCR_VISIBLE_DEVICES"
               : "CUDA_VISIBLE_DEVICES";
}

void devices_list(const struct api_devices *devices, struct buf *out)
{
    uint32_t i;

    for (i = 0; i < devices->count; i++) {
        if (i != 0) {
            buf_byte(out, ',');
        }
        buf_text(out, devices->items[i].uuid);
    }
}
