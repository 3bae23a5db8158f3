#include "unit/core/state_table.h"

#include "core/lease.h"

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
}
