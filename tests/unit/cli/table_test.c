/* Columns line up, whatever is in them. */
#include "cli/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void columns_are_as_wide_as_their_widest(void **state)
{
    struct table table;
    struct buf out;

    (void)state;
    table_init(&table, 2);
    table_cell(&table, "A");
    table_cell(&table, "LAST");
    table_cell(&table, "%d", 12345);
    table_cell(&table, "x");
    table_cell(&table, "\xc3\xa9"); /* One character, two bytes. */
    table_cell(&table, "y");
    buf_init(&out, 0);
    table_print(&table, &out);
    assert_string_equal(buf_string(&out), "  A      LAST\n"
                                          "  12345  x\n"
                                          "  \xc3\xa9      y\n");
    buf_release(&out);
    table_release(&table);
}

/* A job's name comes from anybody: it must not move the cursor. */
static void control_characters_are_not_printed(void **state)
{
    struct table table;
    struct buf out;

    (void)state;
    table_init(&table, 1);
    table_cell(&table, "a\033[2Jb\nc\x7f");
    buf_init(&out, 0);
    table_print(&table, &out);
    assert_string_equal(buf_string(&out), "  a?[2Jb?c?\n");
    buf_release(&out);
    table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest),
        cmocka_unit_test(control_characters_are_not_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
