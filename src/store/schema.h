/* schema.h - the tables of the SQLite store, and how older ones become newer.
 *
 * The version is SQLite's user_version; the application_id tells our files
 * from others.  A migration is a number and a text of SQL, applied in one
 * transaction after the file was copied to PATH.before-vN.
 */
#ifndef GPUCOORD_STORE_SCHEMA_H
#define GPUCOORD_STORE_SCHEMA_H

#include "base/err.h"
#include "store/files.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct schema {
    const char *const *migrations; /* The first makes version 1, and so on. */
    int version;                   /* How many there are. */
};

/* The schema that this program reads and writes. */
extern const struct schema schema_current;

/* Find the version of @db; 0 for an empty file.
 *
 * Errors:
 *   E_CORRUPT  not a database, damaged, or not one of ours.
 *   E_BUSY     another process has it open.
 *   E_STORE    it cannot be read.
 */
MUST_USE int
schema_version(sqlite3 *db, int *version, struct store_message *msg);

/* Bring @db, whose version is @version, to the version of @schema.  @path is
 * its name: a file that is not new is copied first.
 *
 * Errors (the version stays what it was, or is one in between):
 *   E_STORE_FULL  the disk is full.
 *   E_STORE       it cannot be copied or changed.
 *   E_NOMEM       no memory.
 */
MUST_USE int schema_migrate(sqlite3 *db,
                            const struct schema *schema,
                            const char *path,
                            int version,
                            struct store_message *msg);

/* Translate SQLite's result @rc (of @db) to one of ours: E_NOMEM, E_STORE_FULL,
 * E_BUSY, E_CORRUPT, E_STORE or E_OK. */
int schema_error(sqlite3 *db, int rc);

#endif
