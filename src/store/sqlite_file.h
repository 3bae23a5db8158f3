/* sqlite_file.h - the database file: looked at first, then brought up to date.
 *
 * Private to sqlite_open.c.
 */
#ifndef GPUCOORD_STORE_SQLITE_FILE_H
#define GPUCOORD_STORE_SQLITE_FILE_H

#include "store/files.h"
#include "store/sqlite_store.h"

#include <stdint.h>

/* Run @sql; on an error say in @msg what failed.
 *
 * Errors: as schema_error().
 */
MUST_USE int sqlite_file_run(struct sqlite_store *store,
                             const char *sql,
                             struct store_message *msg);

/* Read the first column of the only row of @sql as text, into @text, and as a
 * number.
 *
 * Errors: as schema_error(), and
 *   E_CORRUPT  there is no row.
 */
MUST_USE int sqlite_file_read(struct sqlite_store *store,
                              const char *sql,
                              struct store_message *text,
                              uint64_t *number);

/* Open the database and look at it without changing it.
 *
 * Errors: as schema_version(), and
 *   E_VERSION  a newer program wrote it.
 *   E_NOMEM    no memory.
 */
MUST_USE int sqlite_file_look(struct sqlite_store *store,
                              int *version,
                              struct store_message *msg);

/* Make the tables of a new store, or bring older ones up to date, and have
 * all of it on the disk.
 *
 * Errors: as schema_migrate(), files_were_moved_aside() and schema_error().
 */
MUST_USE int sqlite_file_bring_up(struct sqlite_store *store,
                                  int version,
                                  struct store_message *msg);

#endif
