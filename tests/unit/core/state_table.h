/* state_table.h - docs/state-machines.md, printed from the table of moves.
 */
#ifndef GPUCOORD_TESTS_UNIT_CORE_STATE_TABLE_H
#define GPUCOORD_TESTS_UNIT_CORE_STATE_TABLE_H

#include "base/buf.h"

/* Append the page. */
void state_table_print(struct buf *out);

#endif
