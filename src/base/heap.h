/* heap.h - an 8-ary heap of keys, smallest first, whose members know their
 * place.
 *
 * The keys lie in the heap's own array, so that a sift compares without
 * touching the members; ties come out in no stated order, so a key that must
 * be reproducible carries its own tie-breaker.
 */
#ifndef GPUCOORD_BASE_HEAP_H
#define GPUCOORD_BASE_HEAP_H

#include "base/alloc.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Put this into the member. */
struct heap_node {
    uint32_t at; /* 1 + the index in the heap; 0 when in none. */
};

struct heap_entry {
    uint64_t key;
    uint64_t tie; /* Compared where the keys are equal. */
    struct heap_node *node;
};

struct heap {
    const struct alloc *alloc;
    struct heap_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

/* Make an empty heap that allocates from @alloc, borrowed until release. */
void heap_init(struct heap *heap, const struct alloc *alloc);

/* Free what the heap owns; members are the caller's. */
void heap_release(struct heap *heap);

/* Make room for @count members in all.
 *
 * Errors:
 *   E_NOMEM  nothing has changed.
 */
MUST_USE int heap_reserve(struct heap *heap, uint32_t count);

/* Put @node, borrowed until removed, in the heap, or move it to a new key.
 * There is room: heap_reserve() was called for it. */
void heap_set(struct heap *heap,
              struct heap_node *node,
              uint64_t key,
              uint64_t tie);

/* Take @node out; nothing happens where it is not in the heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* Return the entry with the smallest key; NULL when the heap is empty. */
const struct heap_entry *heap_first(const struct heap *heap);

/* Return the key of @node, which is in the heap. */
uint64_t heap_key(const struct heap *heap, const struct heap_node *node);

/* Say whether @node is in a heap. */
static inline bool heap_holds(const struct heap_node *node)
{
    return node->at != 0;
}

/* Assert the order of the whole heap. */
void heap_check(const struct heap *heap);

#endif
