/* views_walk.c - on which rung of its ladder a lease is, and how it came there
 * (B8, C10). */
#include "core/lease.h"
#include "daemon/acting.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/members.h"
#include "daemon/views.h"
#include "daemon/walks.h"

static uint64_t between(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? to_ms - from_ms : 0;
}

/* Append the steps of @walk. */
static void
write_walk(const struct walks_walk *walk, uint64_t now_ms, struct buf *out)
{
    uint32_t count = walk == NULL ? 0 : walk->count;
    uint32_t i;

    member_name(out, "walk");
    buf_byte(out, '[');
    for (i = 0; i < count; i++) {
        const struct walks_step *step = &walk->steps[i];
        bool is_over = step->outcome != WALKS_RUNNING;

        buf_text(out, i == 0 ? "{\"rung\":" : ",{\"rung\":");
        buf_json(out, rung_name(step->rung));
        member_bool(out, "undo", step->is_undo);
        member_text(out, "outcome", walks_outcome_name(step->outcome));
        member_text(out, "reason",
                    step->reason[0] == '\0' ? NULL : step->reason);
        member_u64(out, "ago_ms", between(step->begun_at_ms, now_ms));
        member_maybe(out, "took_ms", is_over,
                     between(step->begun_at_ms, step->ended_at_ms));
        buf_byte(out, '}');
    }
    buf_byte(out, ']');
}

void views_walk(const struct daemon *daemon,
                const struct core_lease_view *view,
                struct buf *out)
{
    uint64_t now_ms = driver_now_ms(daemon->driver);
    bool is_on = view->rung != RUNG_NONE;

    member_text(out, "rung", is_on ? rung_name(view->rung) : NULL);
    member_maybe(out, "rung_ms", is_on, between(view->rung_at_ms, now_ms));
    member_maybe(out, "rung_left_ms", is_on && view->rung_by_ms != 0,
                 between(now_ms, view->rung_by_ms));
    member_bool(out, "frozen", (view->row.flags & CORE_ROW_FROZEN) != 0);
    member_bool(out, "checkpointed",
                (view->row.flags & CORE_ROW_CHECKPOINTED) != 0);
    member_bool(out, "unchecked", (view->row.flags & CORE_ROW_UNCHECKED) != 0);
    write_walk(walks_find(acting_walks(daemon->acting), view->row.id), now_ms,
               out);
}

/* Return the rung that follows the one @view is on; NONE = no other. */
static enum rung next_rung(const struct core_lease_view *view)
{
    uint32_t rungs = view->row.rungs != 0 ? view->row.rungs : LADDER_DEFAULT;
    enum rung next = RUNG_NONE;

    if (view->row.state == LEASE_PAUSING) {
        next = ladder_next_pause(rungs, view->rung);
    }
    return next != RUNG_NONE ? next : ladder_next_reclaim(rungs, view->rung);
}

void views_walk_text(const struct daemon *daemon,
                     const struct core_lease_view *view,
                     struct buf *out)
{
    const struct walks_walk *walk =
        walks_find(acting_walks(daemon->acting), view->row.id);
    uint64_t now_ms = driver_now_ms(daemon->driver);
    enum rung next = next_rung(view);

    if (walk == NULL || walk->count == 0) {
        return;
    }
    buf_text(out, ": ");
    walks_print(walk, now_ms, out);
    if (view->rung != RUNG_NONE && next != RUNG_NONE &&
        view->rung_by_ms > now_ms) {
        buf_text(out, ", next: '");
        buf_text(out, rung_name(next));
        buf_text(out, "' in ");
        walks_print_time(view->rung_by_ms - now_ms, out);
    }
}
