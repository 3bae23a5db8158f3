/* status_devices.c - what /gpu/status says of each device: its figures, its
 * VRAM, and the processes that use it (B3, C8). */
#include "daemon/census.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/members.h"
#include "daemon/names.h"
#include "daemon/views.h"
#include "device/device.h"

static const char *device_state_text(enum core_device_state state)
{
    switch (state) {
    case CORE_DEVICE_OK:
        return "ok";
    case CORE_DEVICE_STALE:
        return "stale";
    case CORE_DEVICE_GONE:
        return "gone";
    }
    return "";
}

static void write_linger(const struct daemon *daemon,
                         const struct core_device_view *view,
                         uint64_t now_ms,
                         struct buf *out)
{
    if (view->linger_until_ms <= now_ms) {
        member_text(out, "linger", NULL);
        return;
    }
    member_name(out, "linger");
    buf_text(out, "{\"service_id\":");
    buf_json(out, names_service_name(daemon->names, view->linger_service));
    member_u64(out, "ms", view->linger_until_ms - now_ms);
    buf_byte(out, '}');
}

/* Append a figure that the driver may not have. */
static void
write_figure(struct buf *out, const char *name, bool is_there, uint32_t figure)
{
    member_maybe(out, name, is_there && figure != DEVICE_UNKNOWN, figure);
}

static void write_figures(const struct device_info *info,
                          const struct device_sample *sample,
                          struct buf *out)
{
    bool is_there = sample != NULL;

    member_text(out, "driver", info->driver[0] == '\0' ? NULL : info->driver);
    write_figure(out, "utilisation_percent", is_there,
                 is_there ? sample->utilisation_percent : 0);
    write_figure(out, "temperature_c", is_there,
                 is_there ? sample->temperature_c : 0);
    write_figure(out, "power_mw", is_there, is_there ? sample->power_mw : 0);
}

static void write_process(const struct daemon *daemon,
                          const struct census_user *user,
                          struct buf *out)
{
    buf_text(out, "{\"pid\":");
    buf_u64(out, user->pid);
    member_text(out, "name", user->name[0] == '\0' ? NULL : user->name);
    write_figure(out, "used_mib", true, user->used_mib);
    member_bool(out, "graphics", (user->use & DEVICE_GRAPHICS) != 0);
    member_text(out, "service_id",
                user->service == 0
                    ? NULL
                    : names_service_name(daemon->names, user->service));
    member_maybe(out, "lease", user->lease != 0, user->lease);
    member_bool(out, "rogue", user->is_rogue);
    buf_byte(out, '}');
}

static void write_processes(const struct daemon *daemon,
                            const struct device_sample *sample,
                            uint32_t index,
                            struct buf *out)
{
    uint32_t count;
    const struct census_user *users =
        census_users(daemon->census, index, &count);
    uint32_t i;

    member_name(out, "processes");
    if (sample == NULL || !sample->processes_known) {
        buf_text(out, "null");
        member_text(out, "processes_reason",
                    sample == NULL ? NULL : sample->processes_reason);
        return;
    }
    buf_byte(out, '[');
    for (i = 0; i < count; i++) {
        buf_text(out, i == 0 ? "" : ",");
        write_process(daemon, &users[i], out);
    }
    buf_byte(out, ']');
    member_text(out, "processes_reason", NULL);
}

static void write_vram(const struct core_device_view *view,
                       uint32_t rogue_mib,
                       struct buf *out)
{
    member_u64(out, "capacity_mib", view->capacity_mib);
    member_u64(out, "reserve_mib", view->reserve_mib);
    member_maybe(out, "used_mib", view->sampled_at_ms != 0, view->used_mib);
    member_u64(out, "charged_mib", view->charged_mib);
    member_u64(out, "resident_mib", view->resident_mib);
    member_u64(out, "unleased_mib", view->unleased_mib);
    member_u64(out, "rogue_mib", rogue_mib);
    member_u64(out, "free_mib", view->free_mib);
    member_bool(out, "measured", view->is_measured);
    member_bool(out, "attributed", view->is_attributed);
    member_bool(out, "drained", view->is_drained);
    member_bool(out, "foreign", view->is_foreign);
    member_bool(out, "overcommitted", view->is_overcommitted);
}

static void
write_device(const struct daemon *daemon, uint32_t index, struct buf *out)
{
    const struct device_info *info = device_info(daemon->devices, index);
    const struct device_sample *sample = census_sample(daemon->census, index);
    uint64_t now_ms = driver_now_ms(daemon->driver);
    struct core_device_view view;
    struct census_rogues rogues;

    core_device_view(driver_core(daemon->driver), index, &view);
    census_rogues(daemon->census, index, &rogues);
    buf_text(out, "{\"index\":");
    buf_u64(out, index);
    member_text(out, "uuid", info->uuid);
    member_text(out, "name", info->name);
    member_text(out, "source", device_kind_name(device_kind(daemon->devices)));
    member_text(out, "state", device_state_text(view.state));
    member_maybe(out, "age_ms", view.sampled_at_ms != 0,
                 now_ms - view.sampled_at_ms);
    write_vram(&view, rogues.mib, out);
    write_linger(daemon, &view, now_ms, out);
    write_figures(info, sample, out);
    write_processes(daemon, sample, index, out);
    buf_byte(out, '}');
}

void views_devices(const struct daemon *daemon, struct buf *out)
{
    uint32_t i;

    member_name(out, "devices");
    buf_byte(out, '[');
    for (i = 0; i < daemon->core_config.device_count; i++) {
        buf_text(out, i == 0 ? "" : ",");
        write_device(daemon, i, out);
    }
    buf_byte(out, ']');
}
