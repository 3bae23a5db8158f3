/* check_text.c - what `gpucoord check` found, for people. */
#include "cli/check.h"
#include "cli/field.h"
#include "cli/human.h"
#include "cli/table.h"

#include <inttypes.h>
#include <string.h>

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

static const char *
size_or_dash(const json_t *object, const char *key, char text[HUMAN_SIZE])
{
    return field_has_number(object, key)
               ? human_vram(field_number(object, key), text)
               : "-";
}

/* ---- GPUs ------------------------------------------------------------- */

static void gpus(const json_t *report, struct buf *out)
{
    static const char *const heads[] = {"GPU",  "NAME", "SOURCE", "DRIVER",
                                        "SIZE", "USED", "STATE",  "UUID"};
    const json_t *list = json_object_get(report, "devices");
    const char *reason = field_text(report, "gpus_reason");
    struct table table;
    size_t i;

    if (json_array_size(list) == 0) {
        buf_printf(out, "no gpu: %s\n", or_dash(reason));
        return;
    }
    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *device = json_array_get(list, i);
        char text[HUMAN_SIZE];

        table_cell(&table, "%" PRIu64, field_number(device, "index"));
        table_cell(&table, "%s", or_dash(field_text(device, "name")));
        table_cell(&table, "%s", field_text(device, "source"));
        table_cell(&table, "%s", or_dash(field_text(device, "driver")));
        table_cell(&table, "%s", size_or_dash(device, "capacity_mib", text));
        table_cell(&table, "%s", size_or_dash(device, "used_mib", text));
        table_cell(&table, "%s", field_text(device, "state"));
        table_cell(&table, "%s", or_dash(field_text(device, "uuid")));
    }
    table_print(&table, out);
    table_release(&table);
    if (reason[0] != '\0') {
        buf_printf(out, "%s\n", reason);
    }
}

static void
process_row(uint64_t gpu, const json_t *process, struct table *table)
{
    const char *service = field_text(process, "service_id");
    char text[HUMAN_SIZE];

    table_cell(table, "%" PRIu64, gpu);
    table_cell(table, "%" PRIu64, field_number(process, "pid"));
    table_cell(table, "%s", or_dash(field_text(process, "name")));
    table_cell(table, "%s", size_or_dash(process, "used_mib", text));
    table_cell(table, "%s",
               service[0] == '\0' ? "matches no service" : service);
}

static void processes(const json_t *report, struct buf *out)
{
    static const char *const heads[] = {"GPU", "PID", "PROGRAM", "VRAM",
                                        "SERVICE"};
    const json_t *list = json_object_get(report, "devices");
    size_t rows = 0;
    struct table table;
    size_t i;
    size_t j;

    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *device = json_array_get(list, i);
        const json_t *seen = json_object_get(device, "processes");
        const char *reason = field_text(device, "processes_reason");

        for (j = 0; j < json_array_size(seen); j++, rows++) {
            process_row(field_number(device, "index"), json_array_get(seen, j),
                        &table);
        }
        if (reason[0] != '\0') {
            buf_printf(out,
                       "gpu %" PRIu64 ": its processes are not known: %s\n",
                       field_number(device, "index"), reason);
        }
    }
    if (rows > 0) {
        buf_text(out, "\nprocesses\n");
        table_print(&table, out);
    }
    table_release(&table);
}

/* ---- Rungs ------------------------------------------------------------ */

static void rungs_here(const json_t *report, struct buf *out)
{
    static const char *const heads[] = {"RUNG", "WORKS", "NOTE"};
    const json_t *list = json_object_get(report, "rungs");
    struct table table;
    size_t i;

    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        const json_t *rung = json_array_get(list, i);

        table_cell(&table, "%s", field_text(rung, "rung"));
        table_cell(&table, "%s", field_flag(rung, "works") ? "yes" : "no");
        table_cell(&table, "%s", or_dash(field_text(rung, "reason")));
    }
    buf_text(out, "\nrungs on this machine\n");
    table_print(&table, out);
    table_release(&table);
}

static void service_rungs(const json_t *service, struct table *table)
{
    const json_t *list = json_object_get(service, "rungs");
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        const json_t *rung = json_array_get(list, i);

        if (field_flag(rung, "in_ladder")) {
            table_cell(table, "%s", field_text(service, "service_id"));
            table_cell(table, "%" PRIu64, field_number(service, "processes"));
            table_cell(table, "%s", field_text(rung, "rung"));
            table_cell(table, "%s", field_flag(rung, "works") ? "yes" : "no");
            table_cell(table, "%s", or_dash(field_text(rung, "reason")));
        }
    }
}

static void services(const json_t *report, struct buf *out)
{
    static const char *const heads[] = {"SERVICE", "PROCESSES", "LADDER",
                                        "WORKS", "NOTE"};
    const json_t *list = json_object_get(report, "services");
    struct table table;
    size_t i;

    if (json_array_size(list) == 0) {
        return;
    }
    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        service_rungs(json_array_get(list, i), &table);
    }
    buf_text(out, "\nservices\n");
    table_print(&table, out);
    table_release(&table);
}

/* ---- Paths ------------------------------------------------------------ */

static void paths(const json_t *report, struct buf *out)
{
    const json_t *paths = json_object_get(report, "paths");
    const json_t *container = json_object_get(report, "container");
    const char *config = field_text(report, "config");
    const char *store = field_text(paths, "store_state");

    buf_printf(out, "\nconfiguration  %s\n",
               config[0] == '\0' ? "none, all defaults hold" : config);
    buf_printf(out, "socket         %s (%s)\n", field_text(paths, "socket"),
               field_flag(paths, "coordinator_answers")
                   ? "a coordinator answers"
                   : "nobody answers");
    buf_printf(out, "store          %s%s\n", field_text(paths, "store"),
               strcmp(store, "new") == 0         ? " (not there yet)"
               : strcmp(store, "forbidden") == 0 ? " (not writable for you)"
                                                 : "");
    buf_printf(out,
               "containers     mount %s, and join group %" PRIu64
               " (--group-add %" PRIu64 ")\n",
               field_text(container, "mount"), field_number(container, "gid"),
               field_number(container, "gid"));
}

void check_text(const json_t *report, struct buf *out)
{
    uint64_t problems = field_number(report, "problems");

    gpus(report, out);
    processes(report, out);
    rungs_here(report, out);
    services(report, out);
    paths(report, out);
    if (problems == 0) {
        buf_text(out, "\neverything that is configured works here\n");
    } else {
        buf_printf(out, "\n%" PRIu64 " %s\n", problems,
                   problems == 1 ? "thing does not work"
                                 : "things do not work");
    }
}
