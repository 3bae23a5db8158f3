/* The states of a lease: the table, the drawing, and what both say. */
#include "base/buf.h"
#include "core/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "unit/core/state_table.h"

/* The drawing in the design, arrow by arrow. */
static const struct {
    enum lease_state from;
    enum lease_state to;
} drawing[] = {
    {LEASE_AWAY, LEASE_QUEUED},        {LEASE_AWAY, LEASE_ENDED},
    {LEASE_QUEUED, LEASE_AWAY},        {LEASE_QUEUED, LEASE_CLEARING},
    {LEASE_QUEUED, LEASE_ENDED},       {LEASE_CLEARING, LEASE_AWAY},
    {LEASE_CLEARING, LEASE_QUEUED},    {LEASE_CLEARING, LEASE_HELD},
    {LEASE_CLEARING, LEASE_PAUSED},    {LEASE_CLEARING, LEASE_ENDED},
    {LEASE_HELD, LEASE_PAUSING},       {LEASE_HELD, LEASE_RECLAIMING},
    {LEASE_HELD, LEASE_ENDED},         {LEASE_PAUSING, LEASE_PAUSED},
    {LEASE_PAUSING, LEASE_RECLAIMING}, {LEASE_PAUSING, LEASE_ENDED},
    {LEASE_PAUSED, LEASE_CLEARING},    {LEASE_PAUSED, LEASE_ENDED},
    {LEASE_PAUSED, LEASE_RECLAIMING},  {LEASE_CLEARING, LEASE_RECLAIMING},
    {LEASE_RECLAIMING, LEASE_ENDED},   {LEASE_HELD, LEASE_AWAY},
    {LEASE_HELD, LEASE_QUEUED},        {LEASE_HELD, LEASE_PAUSED},
    {LEASE_PAUSING, LEASE_AWAY},       {LEASE_PAUSING, LEASE_QUEUED},
};

static bool is_drawn(enum lease_state from, enum lease_state to)
{
    size_t i;

    for (i = 0; i < sizeof drawing / sizeof drawing[0]; i++) {
        if (drawing[i].from == from && drawing[i].to == to) {
            return true;
        }
    }
    return false;
}

static void every_pair_of_states_is_as_drawn(void **state)
{
    int from;
    int to;

    (void)state;
    for (from = 0; from < LEASE_STATES; from++) {
        for (to = 0; to < LEASE_STATES; to++) {
            assert_int_equal(
                lease_may_move((enum lease_state)from, (enum lease_state)to),
                is_drawn((enum lease_state)from, (enum lease_state)to));
        }
    }
}

static void holders_are_those_that_use_the_device(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < LEASE_STATES; i++) {
        assert_int_equal(lease_state_holds((enum lease_state)i),
                         i == LEASE_HELD || i == LEASE_PAUSING ||
                             i == LEASE_RECLAIMING);
    }
}

/* A page that says other than the code is worse than none. */
static void the_documentation_is_printed_from_the_table(void **state)
{
    struct buf printed;
    char page[8192];
    FILE *file = fopen(STATE_MACHINES_MD, "r");
    size_t size;

    (void)state;
    assert_non_null(file);
    size = fread(page, 1, sizeof page - 1, file);
    page[size] = '\0';
    (void)fclose(file);
    buf_init(&printed, 0);
    state_table_print(&printed);
    assert_string_equal(page, buf_string(&printed));
    buf_release(&printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_states_is_as_drawn),
        cmocka_unit_test(holders_are_those_that_use_the_device),
        cmocka_unit_test(the_documentation_is_printed_from_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
