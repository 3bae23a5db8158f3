#include "daemon/why_use.h"

#include "core/lease.h"
#include "daemon/census.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/members.h"

#include <inttypes.h>

enum {
    NAMED_MAX = 3 /* Processes in a sentence. */
};

/* ---- Words ------------------------------------------------------------ */

/* Append @mib with a comma between thousands. */
static void put_mib(struct buf *out, uint32_t mib)
{
    if (mib >= 1000000) {
        buf_printf(out, "%" PRIu32 ",%03" PRIu32 ",%03" PRIu32, mib / 1000000,
                   mib / 1000 % 1000, mib % 1000);
    } else if (mib >= 1000) {
        buf_printf(out, "%" PRIu32 ",%03" PRIu32, mib / 1000, mib % 1000);
    } else {
        buf_printf(out, "%" PRIu32, mib);
    }
}

/* Append ", WORD 1.2 s ago". */
static void put_ago(const struct why_use *use,
                    const char *word,
                    uint64_t at_ms,
                    struct buf *out)
{
    uint64_t now_ms = driver_now_ms(use->daemon->driver);
    uint64_t ago_ms = now_ms > at_ms ? now_ms - at_ms : 0;

    buf_printf(out, ", %s %" PRIu64 ".%" PRIu64 " s ago", word, ago_ms / 1000,
               ago_ms / 100 % 10);
}

/* ---- Processes -------------------------------------------------------- */

/* Who is meant: the processes of a lease, of a service, or of nobody. */
static bool is_meant(const struct why_use *use, const struct census_user *user)
{
    if (user->used_mib == 0) {
        return false;
    }
    if (use->blocker != NULL) {
        return user->lease == use->why->blocker ||
               (user->lease == 0 && user->service != 0 &&
                user->service == use->blocker->row.service);
    }
    return use->why->wait == CORE_WAIT_RESIDENT
               ? user->service == use->why->service
               : user->is_rogue;
}

/* Append " by pid 812 (python3), pid 813 and 2 more"; nothing for nobody. */
static void put_processes(const struct why_use *use, struct buf *out)
{
    uint32_t count;
    const struct census_user *users =
        census_users(use->daemon->census, use->why->device, &count);
    uint32_t named = 0;
    uint32_t more = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        if (!is_meant(use, &users[i])) {
            continue;
        }
        if (named == NAMED_MAX) {
            more++;
            continue;
        }
        buf_text(out, named == 0 ? " by" : ",");
        buf_printf(out, " pid %" PRIu32, users[i].pid);
        if (users[i].name[0] != '\0') {
            buf_printf(out, " (%s)", users[i].name);
        }
        named++;
    }
    if (more > 0) {
        buf_printf(out, " and %" PRIu32 " more", more);
    }
}

static void put_pids(const struct why_use *use, struct buf *out)
{
    uint32_t count;
    const struct census_user *users =
        census_users(use->daemon->census, use->why->device, &count);
    const char *comma = "";
    uint32_t i;

    member_name(out, "pids");
    buf_byte(out, '[');
    for (i = 0; i < count; i++) {
        if (is_meant(use, &users[i])) {
            buf_text(out, comma);
            buf_u64(out, users[i].pid);
            comma = ",";
        }
    }
    buf_byte(out, ']');
}

/* ---- Sentences -------------------------------------------------------- */

/* Append how much of its charge the blocker still uses. */
static void put_remains(const struct why_use *use, struct buf *out)
{
    const struct core_why *why = use->why;

    if (why->blocker_used_mib == 0) {
        return;
    }
    buf_text(out, ", ");
    put_mib(out, why->blocker_used_mib);
    if (why->blocker_charge_mib >= why->blocker_used_mib) {
        buf_text(out, " of ");
        put_mib(out, why->blocker_charge_mib);
    }
    buf_text(out, " MiB still in use");
    put_processes(use, out);
}

/* Append what the holder has beyond what it asked for. */
static void put_excess(const struct why_use *use, struct buf *out)
{
    const struct core_why *why = use->why;

    if (why->blocker_used_mib > why->blocker_charge_mib) {
        buf_text(out, ", which uses ");
        put_mib(out, why->blocker_used_mib);
        buf_text(out, " MiB and asked for ");
        put_mib(out, why->blocker_charge_mib);
    }
}

/* Append the VRAM of nobody, or of a warm model. */
static void put_others(const struct why_use *use, struct buf *out)
{
    uint32_t count;
    const struct census_user *users =
        census_users(use->daemon->census, use->why->device, &count);
    bool is_resident = use->why->wait == CORE_WAIT_RESIDENT;
    uint64_t mib = 0;
    uint32_t i;

    for (i = 0; i < count; i++) {
        if (is_meant(use, &users[i]) && users[i].used_mib != DEVICE_UNKNOWN) {
            mib += users[i].used_mib;
        }
    }
    if (mib == 0) {
        return;
    }
    buf_text(out, ", ");
    put_mib(out, (uint32_t)mib);
    buf_text(out, is_resident ? " MiB in use" : " MiB in use without a lease");
    put_processes(use, out);
}

void why_use_text(const struct why_use *use, struct buf *out)
{
    switch (use->why->wait) {
    case CORE_WAIT_VRAM:
        if (use->blocker == NULL) {
            put_others(use, out);
        } else {
            put_ago(use, "acknowledged", use->blocker->acked_at_ms, out);
            put_remains(use, out);
        }
        return;
    case CORE_WAIT_RECLAIM:
        if (use->blocker != NULL) {
            put_ago(use,
                    use->blocker->reason == CORE_REASON_GONE ? "taken back"
                                                             : "revoked",
                    use->blocker->state_at_ms, out);
            buf_printf(out, " (%s)", core_reason_name(use->blocker->reason));
        }
        put_remains(use, out);
        return;
    case CORE_WAIT_FROZEN:
        put_remains(use, out);
        return;
    case CORE_WAIT_HOLDER:
        put_excess(use, out);
        return;
    case CORE_WAIT_RESIDENT:
        put_others(use, out);
        return;
    case CORE_WAIT_NOTHING:
    case CORE_WAIT_STARTUP:
    case CORE_WAIT_DRAINING:
    case CORE_WAIT_AWAY:
    case CORE_WAIT_DEVICE:
    case CORE_WAIT_PAUSE:
    case CORE_WAIT_LINGER:
    case CORE_WAIT_LIMIT:
    case CORE_WAIT_TURN:
    case CORE_WAIT_OPERATOR:
    case CORE_WAIT_STORE:
    case CORE_WAIT_FOREIGN:
    case CORE_WAITS:
        return;
    }
}

void why_use_members(const struct why_use *use, struct buf *out)
{
    uint64_t now_ms = driver_now_ms(use->daemon->driver);
    uint64_t acked_ms = use->blocker->acked_at_ms;

    member_u64(out, "used_mib", use->why->blocker_used_mib);
    member_u64(out, "charged_mib", use->why->blocker_charge_mib);
    member_maybe(out, "acknowledged_ms", acked_ms != 0,
                 now_ms > acked_ms ? now_ms - acked_ms : 0);
    put_pids(use, out);
}
