#include "unit/core/state_table.h"

#include "core/ladder.h"
#include "core/lease.h"

/* The rungs of the ladder: which state walks them, and what is undone. */
static void print_rungs(struct buf *out)
{
    int i;

    buf_text(out, "\n# The rungs of a ladder\n\n"
                  "Printed from the table in `src/core/ladder.c`. A ladder has "
                  "each rung at most once, in\n"
                  "this order; every rule is in "
                  "[decision 4](decisions/0004-the-ladder.md).\n\n"
                  "| rung | what is done | walked while | undone at a resume "
                  "|\n| --- | --- | --- | --- |\n");
    for (i = RUNG_ASK; i < RUNGS; i++) {
        enum rung rung = (enum rung)i;
        bool pauses = rung_pauses(rung);
        bool reclaims = rung_reclaims(rung);

        buf_printf(out, "| `%s` | %s | %s%s%s | %s |\n", rung_name(rung),
                   rung_help(rung), pauses ? "`pausing`" : "",
                   pauses && reclaims ? ", " : "",
                   reclaims ? "`reclaiming`" : "",
                   rung_needs_undo(rung) ? "yes" : "no");
    }
}

void state_table_print(struct buf *out)
{
    int from;
    int to;

    buf_text(out, "# The states of a lease\n\n"
                  "Printed from the table in `src/core/lease.c` by "
                  "`tests/unit/core/state_table_main`;\n"
                  "a test compares. The drawing is in `src/core/lease.h`.\n\n"
                  "| state | what it is | holds a device | moves to |\n"
                  "| --- | --- | --- | --- |\n");
    for (from = 0; from < LEASE_STATES; from++) {
        enum lease_state state = (enum lease_state)from;
        const char *comma = "";

        buf_printf(out, "| `%s` | %s | %s | ", lease_state_name(state),
                   lease_state_help(state),
                   lease_state_holds(state) ? "yes" : "no");
        for (to = 0; to < LEASE_STATES; to++) {
            if (lease_may_move(state, (enum lease_state)to)) {
                buf_printf(out, "%s`%s`", comma,
                           lease_state_name((enum lease_state)to));
                comma = ", ";
            }
        }
        buf_text(out, " |\n");
    }
    print_rungs(out);
}
