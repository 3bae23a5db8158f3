/* sqlite.h - the store in one SQLite file.
 *
 * WAL, one coordinator a file.  Commits are made in the loop's thread and
 * reach the page cache: they outlive this process.  Where a commit is to
 * outlive a power loss a thread of its own syncs the log (syncer.h).
 * Checkpoints sync the log and the database, so that a power loss at any
 * instant leaves a whole store; docs/store.md says what it then holds.
 */
#ifndef GPUCOORD_STORE_SQLITE_H
#define GPUCOORD_STORE_SQLITE_H

#include "store/store.h"

/* Open the database file @path: store_open() for "sqlite:".
 *
 * Errors: as store_open().
 */
MUST_USE int sqlite_open(const char *path,
                         const struct store_options *options,
                         struct store **out,
                         char *msg,
                         size_t msg_size);

#endif
