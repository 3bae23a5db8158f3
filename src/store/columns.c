#include "store/columns.h"

#include "core/lease.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* The numbers of the states are what is stored (and what the view names). */
_Static_assert(LEASE_AWAY == 0 && LEASE_QUEUED == 1 && LEASE_CLEARING == 2 &&
                   LEASE_HELD == 3 && LEASE_PAUSING == 4 && LEASE_PAUSED == 5 &&
                   LEASE_RECLAIMING == 6 && LEASE_ENDED == 7,
               "a change of these needs a migration");

enum width {
    U8,
    U32,
    U64
};

static const struct {
    const char *name;
    size_t offset; /* In struct core_lease_row. */
    enum width width;
} numbers[] = {
#define COLUMN(name, width)                                 \
    {                                                       \
#name, offsetof(struct core_lease_row, name), width \
    }
    COLUMN(id, U64),
    COLUMN(token, U64),
    COLUMN(token_before, U64),
    COLUMN(seq, U64),
    COLUMN(devices, U64),
    COLUMN(granted, U64),
    COLUMN(submitted_at_ms, U64),
    COLUMN(granted_at_ms, U64),
    COLUMN(first_granted_at_ms, U64),
    COLUMN(timeout_ms, U64),
    COLUMN(state, U8),
    COLUMN(vram_mib, U32),
    COLUMN(gpus, U32),
    COLUMN(ttl_ms, U32),
    COLUMN(pause_grace_ms, U32),
    COLUMN(max_hold_ms, U32),
    COLUMN(charge_mib, U32),
    COLUMN(footprint_mib, U32),
    COLUMN(flags, U32),
    COLUMN(rungs, U32),
    COLUMN(rung, U8),
#undef COLUMN
};

_Static_assert(COLUMN_COUNT - COLUMN_NUMBERS ==
                   (int)(sizeof numbers / sizeof numbers[0]),
               "the count of columns is that of the table");

static const char *const other_names[COLUMN_NUMBERS] = {
    [COLUMN_SERVICE] = "service_id",  [COLUMN_JOB] = "job_id",
    [COLUMN_CLASS] = "class",         [COLUMN_PRIORITY] = "priority",
    [COLUMN_METADATA] = "metadata",   [COLUMN_WATCHES] = "watches",
    [COLUMN_WATCH_PID] = "watch_pid", [COLUMN_WATCH_STARTED] = "watch_started",
    [COLUMN_SHARES] = "shares",
};

const char *columns_name(int place)
{
    return place < COLUMN_NUMBERS ? other_names[place]
                                  : numbers[place - COLUMN_NUMBERS].name;
}

void columns_names(struct buf *sql)
{
    int i;

    for (i = 0; i < COLUMN_COUNT; i++) {
        buf_printf(sql, i == 0 ? "%s" : ",%s", columns_name(i));
    }
}

uint64_t columns_get(const struct core_lease_row *row, int place)
{
    int i = place - COLUMN_NUMBERS;
    const char *at = (const char *)row + numbers[i].offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;

    switch (numbers[i].width) {
    case U8:
        return (unsigned char)*at;
    case U32:
        memcpy(&narrow, at, sizeof narrow);
        return narrow;
    case U64:
        memcpy(&wide, at, sizeof wide);
        break;
    }
    return wide;
}

bool columns_set(struct core_lease_row *row, int place, uint64_t value)
{
    int i = place - COLUMN_NUMBERS;
    char *at = (char *)row + numbers[i].offset;
    uint32_t narrow = (uint32_t)value;

    switch (numbers[i].width) {
    case U8:
        *at = (char)(unsigned char)value;
        return value <= UINT8_MAX;
    case U32:
        memcpy(at, &narrow, sizeof narrow);
        return narrow == value;
    case U64:
        memcpy(at, &value, sizeof value);
        break;
    }
    return true;
}

/* Read the shares of a gang, "4096/0,2048/0": charge and footprint of each
 * of its devices.  False where @text is none. */
static bool read_shares(const char *text,
                        struct core_share shares[CORE_DEVICES_MAX],
                        uint32_t count)
{
    char *end = NULL;
    uint32_t i;

    for (i = 0; i < count; i++) {
        unsigned long charge = strtoul(text, &end, 10);
        unsigned long footprint;

        if (end == text || *end != '/') {
            return false;
        }
        text = end + 1;
        footprint = strtoul(text, &end, 10);
        if (end == text || *end != (i + 1 < count ? ',' : '\0') ||
            charge > UINT32_MAX || footprint > UINT32_MAX) {
            return false;
        }
        text = end + 1;
        shares[i] = (struct core_share){(uint32_t)charge, (uint32_t)footprint};
    }
    return true;
}

int columns_finish(struct store_lease *lease,
                   const struct column_others *others,
                   struct core_share shares[CORE_DEVICES_MAX])
{
    bool fits;

    lease->watch_pid = (uint32_t)others->watch_pid;
    lease->watch_started = (uint64_t)others->watch_started;
    fits = lease->watch_pid == others->watch_pid;
    if (others->shares != NULL) {
        lease->core.shares = shares;
        fits = fits && lease->core.gpus > 1 &&
               lease->core.gpus <= CORE_DEVICES_MAX &&
               read_shares(others->shares, shares, lease->core.gpus);
    }
    if (lease->class_name == NULL) {
        fits =
            fits && others->priority >= 0 && others->priority < CORE_PRIORITIES;
        lease->core.class_id = (uint32_t)others->priority;
    }
    return fits && lease->service_id != NULL && lease->core.id != 0 &&
                   lease->core.state < LEASE_ENDED
               ? E_OK
               : E_CORRUPT;
}
