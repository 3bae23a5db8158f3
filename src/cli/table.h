/* table.h - columns as wide as their widest cell.
 *
 * Cells are added row by row, the heads first.
 */
#ifndef GPUCOORD_CLI_TABLE_H
#define GPUCOORD_CLI_TABLE_H

#include "base/buf.h"

#include <stddef.h>

enum {
    TABLE_COLUMNS_MAX = 12
};

struct table {
    struct buf cells; /* Each with its NUL. */
    size_t columns;
    size_t count; /* Of cells. */
    size_t widths[TABLE_COLUMNS_MAX];
};

/* Make an empty table of @columns columns, at most TABLE_COLUMNS_MAX. */
void table_init(struct table *table, size_t columns);

/* Free what the table owns. */
void table_release(struct table *table);

/* Add a row of heads, as many as there are columns. */
void table_heads(struct table *table, const char *const *heads);

/* Add a cell as printf() writes it; control characters are shown as '?'. */
void table_cell(struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Append the whole rows to @out, each indented by two spaces. */
void table_print(const struct table *table, struct buf *out);

#endif
