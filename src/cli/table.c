#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    CELL_MAX = 512
};

void table_init(struct table *table, size_t columns)
{
    assert(columns >= 1 && columns <= TABLE_COLUMNS_MAX);
    *table = (struct table){.columns = columns};
    buf_init(&table->cells, 0);
}

void table_release(struct table *table)
{
    buf_release(&table->cells);
}

/* Count the characters of the UTF-8 text @cell. */
static size_t width_of(const char *cell)
{
    size_t width = 0;

    for (; *cell != '\0'; cell++) {
        if (((unsigned char)*cell & 0xc0u) != 0x80u) {
            width++;
        }
    }
    return width;
}

void table_cell(struct table *table, const char *format, ...)
{
    char cell[CELL_MAX];
    size_t *width = &table->widths[table->count % table->columns];
    va_list args;
    char *c;

    va_start(args, format);
    (void)vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    for (c = cell; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    if (width_of(cell) > *width) {
        *width = width_of(cell);
    }
    buf_add(&table->cells, cell, strlen(cell) + 1);
    table->count++;
}

void table_heads(struct table *table, const char *const *heads)
{
    size_t i;

    for (i = 0; i < table->columns; i++) {
        table_cell(table, "%s", heads[i]);
    }
}

void table_print(const struct table *table, struct buf *out)
{
    const char *cell = buf_string(&table->cells);
    size_t i;

    if (table->cells.error != E_OK) {
        return; /* No memory for the cells: there is nothing to show. */
    }
    for (i = 0; i < table->count - table->count % table->columns; i++) {
        size_t column = i % table->columns;
        bool is_last = column + 1 == table->columns;
        size_t pad = is_last ? 0 : table->widths[column] - width_of(cell);

        buf_printf(out, "  %s%*s%s", cell, (int)pad, "", is_last ? "\n" : "");
        cell += strlen(cell) + 1;
    }
}
