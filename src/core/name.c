/* name.c - the words of the interfaces for what the core numbers. */
#include "core/core.h"

#include <assert.h>

static const char *const reasons[CORE_REASONS] = {
    [CORE_REASON_NONE] = "none",
    [CORE_REASON_RELEASED] = "released",
    [CORE_REASON_CANCELLED] = "cancelled",
    [CORE_REASON_TIMEOUT] = "timeout",
    [CORE_REASON_GONE] = "gone",
    [CORE_REASON_EXPIRED] = "expired",
    [CORE_REASON_MAX_HOLD] = "max_hold",
    [CORE_REASON_PAUSE_LATE] = "pause_late",
    [CORE_REASON_PAUSE_FAILED] = "pause_failed",
    [CORE_REASON_OPERATOR] = "operator",
    [CORE_REASON_AWAY] = "away",
    [CORE_REASON_DRAINING] = "draining",
    [CORE_REASON_PREEMPTED] = "preempted",
    [CORE_REASON_RESTORE_FAILED] = "restore_failed",
};

static const char *const waits[CORE_WAITS] = {
    [CORE_WAIT_NOTHING] = "nothing",   [CORE_WAIT_STARTUP] = "startup",
    [CORE_WAIT_DRAINING] = "draining", [CORE_WAIT_AWAY] = "away",
    [CORE_WAIT_DEVICE] = "device",     [CORE_WAIT_HOLDER] = "holder",
    [CORE_WAIT_PAUSE] = "pause",       [CORE_WAIT_VRAM] = "vram",
    [CORE_WAIT_RECLAIM] = "reclaim",   [CORE_WAIT_RESIDENT] = "resident",
    [CORE_WAIT_LINGER] = "linger",     [CORE_WAIT_LIMIT] = "limit",
    [CORE_WAIT_TURN] = "turn",         [CORE_WAIT_OPERATOR] = "operator",
    [CORE_WAIT_FROZEN] = "frozen",     [CORE_WAIT_STORE] = "store",
    [CORE_WAIT_FOREIGN] = "foreign",
};

static const char *const messages[CORE_MESSAGES] = {
    [CORE_MSG_GRANT] = "grant",       [CORE_MSG_RESUME] = "resume",
    [CORE_MSG_REFUSE] = "refuse",     [CORE_MSG_SUPERSEDED] = "superseded",
    [CORE_MSG_OFFER] = "offer",       [CORE_MSG_PAUSE] = "pause",
    [CORE_MSG_UNLOAD] = "unload",     [CORE_MSG_REVOKE] = "revoke",
    [CORE_MSG_SHUTDOWN] = "shutdown", [CORE_MSG_STOPPED] = "stopped",
    [CORE_MSG_STATE] = "state",       [CORE_MSG_RUNG] = "rung",
};

const char *core_reason_name(enum core_reason reason)
{
    assert(reason < CORE_REASONS);
    return reasons[reason];
}

const char *core_wait_name(enum core_wait wait)
{
    assert(wait < CORE_WAITS);
    return waits[wait];
}

const char *core_message_name(enum core_message_type type)
{
    assert(type < CORE_MESSAGES);
    return messages[type];
}

const char *core_guarantee_name(enum core_guarantee guarantee)
{
    switch (guarantee) {
    case CORE_ADVISORY:
        return "advisory";
    case CORE_VERIFIED:
        return "verified";
    case CORE_SUPERVISED:
        return "supervised";
    }
    return "advisory";
}
