#include "base/heap.h"

#include <assert.h>

enum {
    ARITY = 8,
    CAPACITY_FIRST = 64
};

void heap_init(struct heap *heap, const struct alloc *alloc)
{
    *heap = (struct heap){.alloc = alloc};
}

void heap_release(struct heap *heap)
{
    heap->alloc->release(heap->alloc->arg, heap->entries);
    heap->entries = NULL;
    heap->count = 0;
    heap->capacity = 0;
}

int heap_reserve(struct heap *heap, uint32_t count)
{
    uint32_t capacity = heap->capacity == 0 ? CAPACITY_FIRST : heap->capacity;
    void *entries;

    if (count <= heap->capacity) {
        return E_OK;
    }
    while (capacity < count) {
        capacity *= 2;
    }
    entries = heap->alloc->resize(heap->alloc->arg, heap->entries,
                                  (size_t)capacity * sizeof *heap->entries);
    if (entries == NULL) {
        return E_NOMEM;
    }
    heap->entries = entries;
    heap->capacity = capacity;
    return E_OK;
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void put(struct heap *heap, uint32_t at, struct heap_entry entry)
{
    heap->entries[at] = entry;
    entry.node->at = at + 1;
}

static void sift_up(struct heap *heap, uint32_t at, struct heap_entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;

        if (!before(&entry, &heap->entries[parent])) {
            break;
        }
        put(heap, at, heap->entries[parent]);
        at = parent;
    }
    put(heap, at, entry);
}

static void sift_down(struct heap *heap, uint32_t at, struct heap_entry entry)
{
    for (;;) {
        uint32_t first = at * ARITY + 1;
        uint32_t end = first + ARITY;
        uint32_t best = first;
        uint32_t child;

        if (first >= heap->count) {
            break;
        }
        end = end < heap->count ? end : heap->count;
        for (child = first + 1; child < end; child++) {
            if (before(&heap->entries[child], &heap->entries[best])) {
                best = child;
            }
        }
        if (!before(&heap->entries[best], &entry)) {
            break;
        }
        put(heap, at, heap->entries[best]);
        at = best;
    }
    put(heap, at, entry);
}

static void settle(struct heap *heap, uint32_t at, struct heap_entry entry)
{
    if (at > 0 && before(&entry, &heap->entries[(at - 1) / ARITY])) {
        sift_up(heap, at, entry);
    } else {
        sift_down(heap, at, entry);
    }
}

void heap_set(struct heap *heap,
              struct heap_node *node,
              uint64_t key,
              uint64_t tie)
{
    struct heap_entry entry = {key, tie, node};

    if (node->at != 0) {
        settle(heap, node->at - 1, entry);
        return;
    }
    assert(heap->count < heap->capacity);
    heap->count++;
    sift_up(heap, heap->count - 1, entry);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    uint32_t at = node->at;

    if (at == 0) {
        return;
    }
    at--;
    node->at = 0;
    heap->count--;
    if (at != heap->count) {
        settle(heap, at, heap->entries[heap->count]);
    }
}

const struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : &heap->entries[0];
}

uint64_t heap_key(const struct heap *heap, const struct heap_node *node)
{
    assert(node->at != 0);
    return heap->entries[node->at - 1].key;
}

void heap_check(const struct heap *heap)
{
    uint32_t i;

    for (i = 0; i < heap->count; i++) {
        assert(heap->entries[i].node->at == i + 1);
        assert(i == 0 ||
               !before(&heap->entries[i], &heap->entries[(i - 1) / ARITY]));
    }
}
