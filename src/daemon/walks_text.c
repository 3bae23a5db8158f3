/* walks_text.c - walks in words. */
#include "daemon/walks.h"

#include <inttypes.h>

static const char *deed(enum rung rung, bool is_undo)
{
    switch (rung) {
    case RUNG_ASK:
        return "asked to pause";
    case RUNG_UNLOAD:
        return "told to unload";
    case RUNG_FREEZE:
        return is_undo ? "thawed" : "frozen";
    case RUNG_CHECKPOINT:
        return is_undo ? "restored" : "checkpointed";
    case RUNG_TERM:
        return "TERM sent";
    case RUNG_KILL:
        return "KILL sent";
    case RUNG_RESTART:
        return "restarted";
    case RUNG_NONE:
    case RUNGS:
        break;
    }
    return "";
}

void walks_print_deed(enum rung rung, bool is_undo, struct buf *out)
{
    buf_text(out, deed(rung, is_undo));
}

void walks_print_time(uint64_t ms, struct buf *out)
{
    if (ms < 2000) {
        buf_printf(out, "%" PRIu64 " ms", ms);
    } else {
        buf_printf(out, "%" PRIu64 " s", (ms + 500) / 1000);
    }
}

void walks_print(const struct walks_walk *walk,
                 uint64_t now_ms,
                 struct buf *out)
{
    uint32_t i;

    for (i = 0; i < walk->count; i++) {
        const struct walks_step *step = &walk->steps[i];

        buf_text(out, i == 0 ? "" : ", ");
        walks_print_deed(step->rung, step->is_undo, out);
        if (step->outcome != WALKS_RUNNING) {
            buf_text(out, ": ");
            buf_text(out, step->reason[0] != '\0'
                              ? step->reason
                              : walks_outcome_name(step->outcome));
        } else if (now_ms != 0) {
            buf_byte(out, ' ');
            walks_print_time(now_ms - step->begun_at_ms, out);
            buf_text(out, " ago");
        }
    }
}
