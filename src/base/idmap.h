/* idmap.h - a hash map from a pair of numbers to a pointer.
 *
 * Open addressing with linear probing and deletion by shifting back, so there
 * are no tombstones and a lookup never slows down with age.  A growing map
 * moves its entries a few per insertion, so no single insertion pays for all.
 */
#ifndef GPUCOORD_BASE_IDMAP_H
#define GPUCOORD_BASE_IDMAP_H

#include "base/alloc.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct idmap_entry {
    uint64_t high;
    uint64_t low;
    void *value; /* NULL: the place is free. */
};

struct idmap_table {
    struct idmap_entry *entries;
    size_t mask; /* Size less one; the size is a power of two. */
    size_t count;
};

struct idmap {
    const struct alloc *alloc;
    struct idmap_table now;
    struct idmap_table old; /* Being emptied into `now`; usually absent. */
    size_t moved;           /* Places of `old` already looked at. */
};

/* Make an empty map that allocates from @alloc, borrowed until release. */
void idmap_init(struct idmap *map, const struct alloc *alloc);

/* Free what the map owns; the values are the caller's. */
void idmap_release(struct idmap *map);

/* Make sure that the next idmap_put() finds room.
 *
 * Errors:
 *   E_NOMEM  nothing has changed.
 */
MUST_USE int idmap_reserve(struct idmap *map);

/* Put @value, not NULL and borrowed until removed, under a key not yet there.
 * idmap_reserve() was called since the last put. */
void idmap_put(struct idmap *map, uint64_t high, uint64_t low, void *value);

/* Return the value of a key; NULL where there is none. */
void *idmap_find(const struct idmap *map, uint64_t high, uint64_t low);

/* Fetch the place of a key that is about to be put into the cache. */
void idmap_prefetch(const struct idmap *map, uint64_t high, uint64_t low);

/* Remove a key and return its value; NULL where there is none. */
void *idmap_remove(struct idmap *map, uint64_t high, uint64_t low);

/* Return how many keys there are. */
size_t idmap_count(const struct idmap *map);

#endif
