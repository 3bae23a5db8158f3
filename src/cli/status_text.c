#include "cli/status_text.h"

#include "cli/field.h"
#include "cli/human.h"
#include "cli/lease_text.h"
#include "cli/status_gpu.h"
#include "cli/table.h"

#include <inttypes.h>
#include <string.h>

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

/* Write the time @key of @object to @text; "-" where there is none. */
static const char *
time_or_dash(const json_t *object, const char *key, char text[HUMAN_SIZE])
{
    return field_has_number(object, key)
               ? human_time(field_number(object, key), text)
               : "-";
}

/* ---- The first lines ---------------------------------------------------- */

static void who_holds(const json_t *status, struct buf *out)
{
    const json_t *holders = json_object_get(status, "holders");
    const json_t *first = json_array_get(holders, 0);
    size_t count = json_array_size(holders);
    char since[HUMAN_SIZE];

    if (count == 0) {
        buf_text(out, "nobody holds a gpu");
    } else if (count == 1) {
        buf_byte(out, '\'');
        lease_text_plain(field_text(first, "service_id"), out);
        buf_text(out, "' has held ");
        lease_text_devices(first, out);
        buf_printf(out, " for %s",
                   human_time(field_number(first, "held_ms"), since));
    } else {
        buf_printf(out, "%zu leases hold gpus", count);
    }
}

static void who_waits(const json_t *status, struct buf *out)
{
    const json_t *waiters = json_object_get(status, "waiters");
    uint64_t away = field_number(status, "away");
    uint64_t waiting = field_number(status, "waiting") + away;
    size_t paused = json_array_size(json_object_get(status, "paused"));

    if (waiting == 0) {
        buf_text(out, ", nobody waits");
    } else if (waiting == 1) {
        buf_text(out, ", '");
        lease_text_plain(field_text(json_array_get(waiters, 0), "service_id"),
                         out);
        buf_text(out, "' waits");
    } else {
        buf_printf(out, ", %" PRIu64 " wait", waiting);
    }
    if (away > 0) {
        buf_printf(out, " (%" PRIu64 " away)", away);
    }
    if (paused > 0) {
        buf_printf(out, ", %zu %s paused", paused, paused == 1 ? "is" : "are");
    }
    buf_byte(out, '\n');
}

static void alarm_line(bool has_colour, const char *text, struct buf *out)
{
    buf_printf(out, "%s%s%s\n", has_colour ? "\033[1;31m" : "", text,
               has_colour ? "\033[0m" : "");
}

/* Say that Redis is away, if it is: signals wait, and that is all. */
static void redis_alarm(const json_t *status, bool has_colour, struct buf *out)
{
    const json_t *redis = json_object_get(status, "redis");
    struct buf line;

    if (strcmp(field_text(redis, "state"), "away") != 0) {
        return;
    }
    buf_init(&line, 0);
    buf_text(&line, "redis is away, signals wait: ");
    lease_text_plain(field_text(redis, "why"), &line);
    alarm_line(has_colour, buf_string(&line), out);
    buf_release(&line);
}

/* Append what is not as usual. */
static void alarms(const json_t *status, bool has_colour, struct buf *out)
{
    const char *store = field_text(status, "store");
    char time[HUMAN_SIZE];
    char line[384];

    if (field_flag(status, "bypass")) {
        (void)snprintf(line, sizeof line,
                       "bypass is on%s%s: everything is granted at once, "
                       "nobody is paused",
                       field_has_number(status, "bypass_ms") ? " for " : "",
                       field_has_number(status, "bypass_ms")
                           ? human_time(field_number(status, "bypass_ms"), time)
                           : "");
        alarm_line(has_colour, line, out);
    }
    if (field_flag(status, "observing")) {
        (void)snprintf(
            line, sizeof line,
            "observing only: everything is granted at once, nobody is paused; "
            "%" PRIu64 " would have waited",
            field_number(json_object_get(status, "stats"), "prevented"));
        alarm_line(has_colour, line, out);
    }
    if (field_flag(status, "stopping")) {
        alarm_line(has_colour, "stopping: waits for the last holders", out);
    } else if (field_flag(status, "draining")) {
        alarm_line(has_colour, "draining: nothing new is granted", out);
    }
    if (strcmp(store, "store-full") == 0) {
        alarm_line(has_colour, "the store is full: nothing new is accepted",
                   out);
    } else if (strcmp(store, "store-away") == 0) {
        (void)snprintf(line, sizeof line,
                       "the store is away, nothing is granted until it is "
                       "back: %s",
                       or_dash(field_text(status, "store_why")));
        alarm_line(has_colour, line, out);
    } else if (strcmp(store, "ok") != 0) {
        alarm_line(has_colour, "the store has failed: nothing is granted", out);
    }
    redis_alarm(status, has_colour, out);
}

/* ---- The tables --------------------------------------------------------- */

/* Append what is special about @device, "-" for nothing. */
static void device_notes(const json_t *device, struct buf *out)
{
    const json_t *linger = json_object_get(device, "linger");
    const char *state = field_text(device, "state");
    size_t before = out->size;
    char time[HUMAN_SIZE];

    if (strcmp(state, "ok") != 0) {
        buf_printf(out, "%s, ", state);
    }
    if (field_flag(device, "drained")) {
        buf_text(out, "drained, ");
    }
    if (field_flag(device, "foreign")) {
        buf_text(out, "key held by another program, ");
    }
    if (field_flag(device, "overcommitted")) {
        buf_text(out, "overcommitted, ");
    }
    if (json_is_object(linger)) {
        buf_printf(out, "kept for '%s' for %s, ",
                   field_text(linger, "service_id"),
                   human_time(field_number(linger, "ms"), time));
    }
    if (out->size == before) {
        buf_byte(out, '-');
    } else if (out->error == E_OK) {
        out->size -= 2; /* The last comma. */
        out->data[out->size] = '\0';
    }
}

/* Write the size @key of @device; "-" where there is none. */
static const char *
size_or_dash(const json_t *device, const char *key, char text[HUMAN_SIZE])
{
    return field_has_number(device, key)
               ? human_vram(field_number(device, key), text)
               : "-";
}

static void device_row(const json_t *device, struct table *table)
{
    char text[HUMAN_SIZE];
    struct buf notes;

    table_cell(table, "%" PRIu64, field_number(device, "index"));
    table_cell(table, "%s", or_dash(field_text(device, "name")));
    table_cell(table, "%s", size_or_dash(device, "capacity_mib", text));
    table_cell(table, "%s", size_or_dash(device, "used_mib", text));
    if (field_flag(device, "measured")) {
        table_cell(table, "%s, %s ago", field_text(device, "source"),
                   time_or_dash(device, "age_ms", text));
    } else {
        table_cell(table, "%s", field_text(device, "source"));
    }
    table_cell(table, "%s", size_or_dash(device, "charged_mib", text));
    table_cell(table, "%s", size_or_dash(device, "resident_mib", text));
    table_cell(table, "%s", size_or_dash(device, "unleased_mib", text));
    table_cell(table, "%s", size_or_dash(device, "free_mib", text));
    buf_init(&notes, 0);
    device_notes(device, &notes);
    table_cell(table, "%s", buf_string(&notes));
    buf_release(&notes);
}

static void devices(const json_t *status, struct buf *out)
{
    static const char *const heads[] = {
        "GPU",    "NAME",     "SIZE",     "USED", "MEASURED",
        "LEASED", "RESIDENT", "UNLEASED", "FREE", "NOTES"};
    const json_t *list = json_object_get(status, "devices");
    struct table table;
    size_t i;

    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        device_row(json_array_get(list, i), &table);
    }
    buf_byte(out, '\n');
    table_print(&table, out);
    table_release(&table);
}

/* Add the cells that all leases have. */
static void lease_cells(const json_t *lease, struct table *table)
{
    table_cell(table, "%" PRIu64, field_number(lease, "lease"));
    table_cell(table, "%s", field_text(lease, "service_id"));
    table_cell(table, "%s", or_dash(field_text(lease, "job_id")));
    table_cell(table, "%s", or_dash(field_text(lease, "class")));
    table_cell(table, "%" PRIu64, field_number(lease, "priority"));
    table_cell(table, "%s", field_text(lease, "state"));
}

/* Say until when a holder may go on as it does. */
static void holder_until(const json_t *lease, struct table *table)
{
    char time[HUMAN_SIZE];

    const char *rung = field_text(lease, "rung");

    if (rung[0] != '\0' && strcmp(rung, "ask") != 0) {
        table_cell(table, "rung '%s' within %s", rung,
                   time_or_dash(lease, "rung_left_ms", time));
    } else if (strcmp(field_text(lease, "state"), "pausing") == 0) {
        table_cell(table, "pauses within %s",
                   time_or_dash(lease, "deadline_in_ms", time));
    } else if (field_has_number(lease, "expires_in_ms")) {
        table_cell(table, "renews within %s",
                   time_or_dash(lease, "expires_in_ms", time));
    } else {
        table_cell(table, "-");
    }
}

/* Say how much it asked for, and what it uses where that is more. */
static void holder_vram(const json_t *lease, struct table *table)
{
    uint64_t used_mib = field_number(lease, "measured_mib");
    char asked[HUMAN_SIZE];
    char used[HUMAN_SIZE];

    if (!field_has_number(lease, "vram_mib")) {
        table_cell(table, "all");
    } else if (field_has_number(lease, "measured_mib") &&
               used_mib > field_number(lease, "vram_mib") *
                              field_number(lease, "gpus")) {
        table_cell(table, "%s, uses %s", size_or_dash(lease, "vram_mib", asked),
                   human_vram(used_mib, used));
    } else {
        table_cell(table, "%s", size_or_dash(lease, "vram_mib", asked));
    }
}

static void holder_row(const json_t *lease, struct table *table)
{
    char time[HUMAN_SIZE];
    struct buf where;

    lease_cells(lease, table);
    buf_init(&where, 0);
    lease_text_devices(lease, &where);
    table_cell(table, "%s", buf_string(&where));
    buf_release(&where);
    holder_vram(lease, table);
    table_cell(table, "%s", time_or_dash(lease, "held_ms", time));
    holder_until(lease, table);
}

/* Append the leases of @key as a table under @title; nothing for none. */
static void holders(const json_t *status,
                    const char *key,
                    const char *title,
                    struct buf *out)
{
    static const char *const heads[] = {"LEASE", "SERVICE", "JOB", "CLASS",
                                        "PRIO",  "STATE",   "ON",  "VRAM",
                                        "SINCE", "UNTIL"};
    const json_t *list = json_object_get(status, key);
    struct table table;
    size_t i;

    if (json_array_size(list) == 0) {
        return;
    }
    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < json_array_size(list); i++) {
        holder_row(json_array_get(list, i), &table);
    }
    buf_printf(out, "\n%s\n", title);
    table_print(&table, out);
    table_release(&table);
}

static void waiter_row(const json_t *lease, struct table *table)
{
    const json_t *why = json_object_get(lease, "why");
    char time[HUMAN_SIZE];

    table_cell(table, "%" PRIu64, field_number(why, "position"));
    lease_cells(lease, table);
    table_cell(table, "%s",
               field_has_number(lease, "vram_mib")
                   ? size_or_dash(lease, "vram_mib", time)
                   : "all");
    table_cell(table, "%s", time_or_dash(lease, "waited_ms", time));
    table_cell(table, "%s", or_dash(field_text(why, "text")));
    table_cell(table, "%s%s", time_or_dash(why, "until_in_ms", time),
               field_flag(why, "unless_renewed") ? " unless it renews" : "");
}

static void waiters(const json_t *status, struct buf *out)
{
    static const char *const heads[] = {"PLACE", "LEASE",   "SERVICE", "JOB",
                                        "CLASS", "PRIO",    "STATE",   "VRAM",
                                        "SINCE", "ON WHOM", "UNTIL"};
    const json_t *list = json_object_get(status, "waiters");
    uint64_t total =
        field_number(status, "waiting") + field_number(status, "away");
    size_t shown = json_array_size(list);
    struct table table;
    size_t i;

    if (shown == 0) {
        return;
    }
    table_init(&table, sizeof heads / sizeof heads[0]);
    table_heads(&table, heads);
    for (i = 0; i < shown; i++) {
        waiter_row(json_array_get(list, i), &table);
    }
    buf_text(out, "\nwaiting\n");
    table_print(&table, out);
    if (total > shown) {
        buf_printf(out, "  and %" PRIu64 " more\n", total - shown);
    }
    table_release(&table);
}

void status_text(const json_t *status, bool has_colour, struct buf *out)
{
    who_holds(status, out);
    who_waits(status, out);
    alarms(status, has_colour, out);
    devices(status, out);
    status_gpu_figures(status, out);
    status_gpu_processes(status, out);
    holders(status, "holders", "holding", out);
    holders(status, "paused", "paused", out);
    waiters(status, out);
}
