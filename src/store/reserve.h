/* reserve.h - a file that only takes up room, so that there is some to give.
 *
 * When the disk is full the file is removed, and what has to be written still
 * fits; it is made again when there is room.
 */
#ifndef GPUCOORD_STORE_RESERVE_H
#define GPUCOORD_STORE_RESERVE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct reserve {
    char *path;        /* Owned. */
    size_t size_bytes; /* What it takes up while it is held. */
    bool is_held;
};

/* Describe the reserve at @path, copied; whatever lies there from an earlier
 * run is its own.  Does not make it.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int
reserve_init(struct reserve *reserve, const char *path, size_t size_bytes);

/* Forget the reserve; the file stays for the next run. */
void reserve_release(struct reserve *reserve);

/* Make the file, if there is room for it and @spare_bytes besides.
 *
 * Errors (the file is then gone or as it was):
 *   E_STORE_FULL  there is no room.
 *   E_STORE       it cannot be made.
 */
MUST_USE int reserve_hold(struct reserve *reserve, size_t spare_bytes);

/* Remove the file, which is held, and so free its room. */
void reserve_give(struct reserve *reserve);

#endif
