/* rows.h - rows of the SQLite store to structures and back.
 *
 * Statements, binding and reading follow the table of columns.c.
 */
#ifndef GPUCOORD_STORE_ROWS_H
#define GPUCOORD_STORE_ROWS_H

#include "store/batch.h"
#include "store/store.h"

#include <sqlite3.h>

/* Prepare the statement that inserts or replaces a lease, and the one that
 * reads all in the order of seq.  Returns SQLite's result. */
int rows_prepare_put_lease(sqlite3 *db, sqlite3_stmt **out);
int rows_prepare_read_leases(sqlite3 *db, sqlite3_stmt **out);

/* Bind @lease of @batch, borrowed until the statement is bound again. */
void rows_bind_lease(sqlite3_stmt *stmt,
                     const struct batch *batch,
                     const struct batch_lease *lease);

/* Read the row at which @stmt stands; the strings of @lease are valid until
 * its next step.  @shares is filled for a gang, and pointed to.
 *
 * Errors:
 *   E_CORRUPT  a value is none that we write.
 */
MUST_USE int rows_read_lease(sqlite3_stmt *stmt,
                             struct core_share shares[CORE_DEVICES_MAX],
                             struct store_lease *lease);

#endif
