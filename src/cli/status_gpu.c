#include "cli/status_gpu.h"

#include "cli/field.h"
#include "cli/human.h"
#include "cli/table.h"

#include <inttypes.h>

/* ---- Figures ------------------------------------------------------------ */

/* Add the figure @key with its unit, "-" where it is not known. */
static void figure(struct table *table,
                   const json_t *device,
                   const char *key,
                   const char *unit)
{
    if (field_has_number(device, key)) {
        table_cell(table, "%" PRIu64 "%s", field_number(device, key), unit);
    } else {
        table_cell(table, "-");
    }
}

static bool has_figures(const json_t *device)
{
    return field_text(device, "driver")[0] != '\0' ||
           field_has_number(device, "utilisation_percent") ||
           field_has_number(device, "temperature_c") ||
           field_has_number(device, "power_mw");
}

static void figures_row(const json_t *device, struct table *table)
{
    const char *driver = field_text(device, "driver");

    table_cell(table, "%" PRIu64, field_number(device, "index"));
    table_cell(table, "%s", driver[0] == '\0' ? "-" : driver);
    figure(table, device, "utilisation_percent", " %");
    figure(table, device, "temperature_c", " C");
    if (field_has_number(device, "power_mw")) {
        table_cell(table, "%" PRIu64 " W",
                   (field_number(device, "power_mw") + 500) / 1000);
    } else {
        table_cell(table, "-");
    }
}

void status_gpu_figures(const json_t *status, struct buf *out)
{
    static const char *const heads[] = {"GPU", "DRIVER", "BUSY", "TEMPERATURE",
                                        "POWER"};
    const json_t *list = json_object_get(status, "devices");
    bool is_shown = false;
    struct table table;
    size_t i;

    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        is_shown = is_shown || has_figures(json_array_get(list, i));
        figures_row(json_array_get(list, i), &table);
    }
    if (is_shown) {
        buf_byte(out, '\n');
        table_print(&table, out);
    }
    table_release(&table);
}

/* ---- Processes ---------------------------------------------------------- */

static void
process_row(uint64_t gpu, const json_t *process, struct table *table)
{
    const char *name = field_text(process, "name");
    const char *service = field_text(process, "service_id");
    char text[HUMAN_SIZE];

    table_cell(table, "%" PRIu64, gpu);
    table_cell(table, "%" PRIu64, field_number(process, "pid"));
    table_cell(table, "%s", name[0] == '\0' ? "-" : name);
    table_cell(table, "%s",
               field_has_number(process, "used_mib")
                   ? human_vram(field_number(process, "used_mib"), text)
                   : "-");
    if (field_flag(process, "rogue")) {
        table_cell(table, "nobody's");
    } else {
        table_cell(table, "%s", service[0] == '\0' ? "not clear" : service);
    }
    if (field_has_number(process, "lease")) {
        table_cell(table, "%" PRIu64, field_number(process, "lease"));
    } else {
        table_cell(table, "-");
    }
}

void status_gpu_processes(const json_t *status, struct buf *out)
{
    static const char *const heads[] = {"GPU",  "PID",     "PROGRAM",
                                        "VRAM", "SERVICE", "LEASE"};
    const json_t *list = json_object_get(status, "devices");
    size_t rows = 0;
    struct table table;
    size_t i;
    size_t j;

    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *device = json_array_get(list, i);
        const json_t *seen = json_object_get(device, "processes");

        for (j = 0; j < json_array_size(seen); j++, rows++) {
            process_row(field_number(device, "index"), json_array_get(seen, j),
                        &table);
        }
    }
    if (rows > 0) {
        buf_text(out, "\nprocesses\n");
        table_print(&table, out);
    }
    table_release(&table);
}
