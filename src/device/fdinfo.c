/* Three generations of keys are understood:
 *
 *   drm-resident-vram  VRAM in use now: as drm-usage-stats.rst of Linux 6.13
 *                      has it for all drivers
 *   drm-memory-vram    the same figure, of amdgpu before that and since
 *   vram mem           amdgpu's first format, without the prefix, in Linux 5.14
 *                      to about 5.19; there the client is told by its "pasid"
 *
 * drm-total-vram also counts what was moved out of the VRAM, so it only counts
 * where there is nothing else.
 */
#include "device/fdinfo.h"

#include <stdlib.h>
#include <string.h>

/* From the least telling to the best. */
enum source {
    SOURCE_NONE,
    SOURCE_TOTAL,
    SOURCE_MEMORY,
    SOURCE_RESIDENT
};

struct reading {
    bool has_client;
    bool has_other_driver;
    enum source source;
};

/* Return the value of @line where it is "@key:", spaces, value; else NULL. */
static const char *value_of(const char *line, const char *key)
{
    size_t size = strlen(key);

    if (strncmp(line, key, size) != 0 || line[size] != ':') {
        return NULL;
    }
    line += size + 1;
    return line + strspn(line, " \t");
}

/* Read "<number>", in bytes, or "<number> KiB"; false where it is neither. */
static bool read_size(const char *text, uint64_t *out)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"KiB", 10}, {"kB", 10}, {"MiB", 20}, {"GiB", 30}};
    char *end;
    size_t i;

    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    *out = strtoull(text, &end, 10);
    end += strspn(end, " \t");
    if (*end == '\n' || *end == '\0') {
        return true;
    }
    for (i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strncmp(end, units[i].name, strlen(units[i].name)) == 0) {
            *out <<= units[i].shift;
            return true;
        }
    }
    return false;
}

static void
take_vram(const char *line, struct reading *reading, struct fdinfo *out)
{
    static const struct {
        const char *key;
        enum source source;
    } keys[] = {
        {"drm-resident-vram", SOURCE_RESIDENT},
        {"drm-memory-vram", SOURCE_MEMORY},
        {"vram mem", SOURCE_MEMORY},
        {"drm-total-vram", SOURCE_TOTAL},
    };
    size_t i;

    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = value_of(line, keys[i].key);
        uint64_t bytes;

        if (value != NULL && keys[i].source > reading->source &&
            read_size(value, &bytes)) {
            reading->source = keys[i].source;
            out->vram_bytes = bytes;
        }
    }
}

static void
take_line(const char *line, struct reading *reading, struct fdinfo *out)
{
    const char *value = value_of(line, "drm-client-id");

    if (value != NULL) {
        out->client = strtoull(value, NULL, 10);
        reading->has_client = true;
    }
    value = value_of(line, "pasid");
    if (value != NULL && !reading->has_client) {
        out->client = strtoull(value, NULL, 10);
    }
    value = value_of(line, "drm-driver");
    if (value != NULL && strncmp(value, "amdgpu", 6) != 0) {
        reading->has_other_driver = true;
    }
    value = value_of(line, "drm-pdev");
    if (value == NULL) {
        value = value_of(line, "pdev");
    }
    if (value != NULL) {
        size_t size = strcspn(value, " \t\n");

        size = size < sizeof out->pdev ? size : sizeof out->pdev - 1;
        memcpy(out->pdev, value, size);
        out->pdev[size] = '\0';
    }
    take_vram(line, reading, out);
}

bool fdinfo_parse(const char *text, struct fdinfo *out)
{
    struct reading reading = {.source = SOURCE_NONE};

    memset(out, 0, sizeof *out);
    while (*text != '\0') {
        take_line(text, &reading, out);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return out->pdev[0] != '\0' && reading.source != SOURCE_NONE &&
           !reading.has_other_driver;
}
