#include "cli/lease_text.h"

#include "cli/field.h"
#include "cli/human.h"

#include <inttypes.h>
#include <string.h>

void lease_text_plain(const char *text, struct buf *out)
{
    for (; *text != '\0'; text++) {
        char c = *text;

        if ((unsigned char)c < 0x20 || c == 0x7f) {
            c = '?';
        }
        buf_byte(out, c);
    }
}

void lease_text_devices(const json_t *lease, struct buf *out)
{
    const json_t *devices = json_object_get(lease, "devices");
    size_t count = json_array_size(devices);
    size_t i;

    if (count == 0) {
        buf_text(out, "no gpu");
        return;
    }
    buf_text(out, count == 1 ? "gpu " : "gpus ");
    for (i = 0; i < count; i++) {
        buf_text(out, i == 0 ? "" : i + 1 == count ? " and " : ", ");
        buf_u64(out, field_number(json_array_get(devices, i), "index"));
    }
}

/* Append "'service' (lease 42)". */
static void name(const json_t *lease, struct buf *out)
{
    buf_byte(out, '\'');
    lease_text_plain(field_text(lease, "service_id"), out);
    buf_printf(out, "' (lease %" PRIu64 ")", field_number(lease, "lease"));
}

/* Append a line "until" with @ms, if @key is there, else @unknown. */
static void until(const json_t *object,
                  const char *key,
                  const char *unknown,
                  struct buf *out)
{
    char time[HUMAN_SIZE];

    if (field_has_number(object, key)) {
        buf_printf(out, "  until when: at the latest in %s%s\n",
                   human_time(field_number(object, key), time),
                   field_flag(object, "unless_renewed") ? " unless it renews"
                                                        : "");
    } else {
        buf_printf(out, "  until when: %s\n", unknown);
    }
}

static void blocker(const json_t *why, struct buf *out)
{
    const json_t *lease = json_object_get(why, "blocker");
    const char *rung = field_text(lease, "rung");

    if (!json_is_object(lease)) {
        return;
    }
    buf_text(out, "  on whom: ");
    name(lease, out);
    buf_printf(out, ", %s", field_text(lease, "state"));
    if (rung[0] != '\0') {
        buf_printf(out, ", rung '%s'", rung);
    }
    buf_byte(out, '\n');
}

static void room(const json_t *why, struct buf *out)
{
    char need[HUMAN_SIZE];
    char free[HUMAN_SIZE];

    if (!field_has_number(why, "device")) {
        return;
    }
    buf_printf(out, "  room: %s of gpu %" PRIu64 ", where %s can be had now\n",
               field_has_number(why, "need_mib")
                   ? human_vram(field_number(why, "need_mib"), need)
                   : "all",
               field_number(why, "device"),
               human_vram(field_number(why, "free_mib"), free));
}

static void estimate(const json_t *why, struct buf *out)
{
    char time[HUMAN_SIZE];

    if (field_has_number(why, "estimate_ms")) {
        buf_printf(out, "  estimate: about %s, from %" PRIu64 " holds before\n",
                   human_time(field_number(why, "estimate_ms"), time),
                   field_number(why, "observations"));
    } else {
        buf_text(out, "  estimate: unknown\n");
    }
}

static void waiting(const json_t *lease, const json_t *why, struct buf *out)
{
    char since[HUMAN_SIZE];

    name(lease, out);
    buf_printf(out, " has waited for %s, place %" PRIu64 ": ",
               human_time(field_number(lease, "waited_ms"), since),
               field_number(why, "position"));
    lease_text_plain(field_text(why, "text"), out);
    buf_byte(out, '\n');
    blocker(why, out);
    until(why, "until_in_ms", "not known", out);
    room(why, out);
    estimate(why, out);
}

/* Append how the lease was made to give way so far, a line a rung. */
static void walk(const json_t *lease, struct buf *out)
{
    const json_t *steps = json_object_get(lease, "walk");
    char time[HUMAN_SIZE];
    size_t i;

    for (i = 0; i < json_array_size(steps); i++) {
        const json_t *step = json_array_get(steps, i);
        const char *reason = field_text(step, "reason");

        buf_printf(out, "  %s%s: %s", field_flag(step, "undo") ? "undo " : "",
                   field_text(step, "rung"), field_text(step, "outcome"));
        if (reason[0] != '\0') {
            buf_text(out, ", ");
            lease_text_plain(reason, out);
        }
        buf_printf(out, ", begun %s ago\n",
                   human_time(field_number(step, "ago_ms"), time));
    }
    if (field_has_number(lease, "rung_left_ms")) {
        buf_printf(out, "  next: in %s\n",
                   human_time(field_number(lease, "rung_left_ms"), time));
    }
}

static void holding(const json_t *lease, struct buf *out)
{
    char since[HUMAN_SIZE];

    name(lease, out);
    buf_text(out, " does not wait: it has held ");
    lease_text_devices(lease, out);
    buf_printf(out, " for %s\n",
               human_time(field_number(lease, "held_ms"), since));
    until(lease, "expires_in_ms", "its connection closes", out);
}

static void pausing(const json_t *lease, struct buf *out)
{
    const char *requester = field_text(lease, "requester");
    char size[HUMAN_SIZE];

    name(lease, out);
    buf_text(out, " does not wait: it is asked by ");
    if (requester[0] != '\0') {
        buf_byte(out, '\'');
        lease_text_plain(requester, out);
        buf_byte(out, '\'');
    } else {
        buf_text(out, "an operator");
    }
    buf_printf(out, " to pause and to free %s of ",
               human_vram(field_number(lease, "release_mib"), size));
    lease_text_devices(lease, out);
    buf_byte(out, '\n');
    until(lease, "deadline_in_ms", "not known", out);
}

static void ended(const json_t *lease, struct buf *out)
{
    char held[HUMAN_SIZE];

    name(lease, out);
    buf_printf(out, " does not wait: it has ended, %s",
               field_text(lease, "reason"));
    if (field_has_number(lease, "held_ms")) {
        buf_printf(out, " after %s",
                   human_time(field_number(lease, "held_ms"), held));
    }
    buf_byte(out, '\n');
}

void lease_text_why(const json_t *lease, struct buf *out)
{
    const json_t *why = json_object_get(lease, "why");
    const char *state = field_text(lease, "state");

    if (json_is_object(why)) {
        waiting(lease, why, out);
    } else if (strcmp(state, "held") == 0) {
        holding(lease, out);
    } else if (strcmp(state, "pausing") == 0) {
        pausing(lease, out);
    } else if (strcmp(state, "ended") == 0) {
        ended(lease, out);
    } else {
        name(lease, out);
        buf_printf(out, " does not wait: it is %s\n", state);
    }
    if (!json_is_object(why)) {
        walk(lease, out);
    }
}
