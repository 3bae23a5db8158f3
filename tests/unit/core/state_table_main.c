/* state_table_main.c - print docs/state-machines.md. */
#include "unit/core/state_table.h"

#include <stdio.h>

int main(void)
{
    struct buf page;

    buf_init(&page, 0);
    state_table_print(&page);
    (void)fputs(buf_string(&page), stdout);
    buf_release(&page);
    return 0;
}
