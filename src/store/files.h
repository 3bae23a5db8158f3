/* files.h - the files around the database: its directory, its lock, its copies.
 *
 * Beside PATH lie SQLite's PATH-wal, the lock PATH-lock (it holds the pid of
 * who has the store open) and the reserve PATH-reserve.  A store that was
 * moved aside is PATH.aside-TIME, the copy before a migration PATH.before-vN.
 */
#ifndef GPUCOORD_STORE_FILES_H
#define GPUCOORD_STORE_FILES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Why something could not be opened, for people; .size bytes at .text. */
struct store_message {
    char *text;
    size_t size;
};

/* Write the message as printf() does. */
void store_message_set(struct store_message *msg, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Return @path followed by @suffix, allocated; NULL without memory. */
char *files_join(const char *path, const char *suffix);

/* Make the directory of @path, and those above it, 0700 where missing.
 *
 * Errors:
 *   E_STORE  it cannot be made.
 *   E_NOMEM  no memory.
 */
MUST_USE int files_make_directory(const char *path, struct store_message *msg);

/* Take the lock of the store at @path for as long as the descriptor returned
 * in @fd is open.
 *
 * Errors:
 *   E_BUSY   another process, named in @msg, holds it.
 *   E_STORE  the lock file cannot be made.
 *   E_NOMEM  no memory.
 */
MUST_USE int files_lock(const char *path, struct store_message *msg, int *fd);

/* Make the file @path, empty and 0600, unless there is one.
 *
 * Errors:
 *   E_STORE_FULL  no room for it.
 *   E_STORE       it cannot be made.
 */
MUST_USE int files_make_private(const char *path, struct store_message *msg);

/* Rename the database at @path and its log to names with the time in them;
 * nothing happens where there is no database.
 *
 * Errors:
 *   E_STORE  one cannot be renamed; those before it were.
 *   E_NOMEM  no memory.
 */
MUST_USE int files_move_aside(const char *path, struct store_message *msg);

/* Say in @out whether a database that was once at @path has been moved aside.
 *
 * Errors:
 *   E_STORE  the directory cannot be read.
 *   E_NOMEM  no memory.
 */
MUST_USE int
files_were_moved_aside(const char *path, struct store_message *msg, bool *out);

/* Make the directory entries beside @path outlive a power loss.
 *
 * Errors:
 *   E_STORE  fsync failed.
 *   E_NOMEM  no memory.
 */
MUST_USE int files_sync_directory(const char *path, struct store_message *msg);

#endif
