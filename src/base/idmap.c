#include "base/idmap.h"

#include <assert.h>
#include <string.h>

enum {
    SIZE_FIRST = 64,
    /* The old table is empty after a quarter of the puts that would fill the
     * new one, twice its size, to three quarters. */
    MOVES_PER_PUT = 8
};

static size_t hash(uint64_t high, uint64_t low)
{
    uint64_t x = low + high * 0x9e3779b97f4a7c15u;

    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (size_t)x;
}

void idmap_init(struct idmap *map, const struct alloc *alloc)
{
    *map = (struct idmap){.alloc = alloc};
}

static void table_release(struct idmap *map, struct idmap_table *table)
{
    map->alloc->release(map->alloc->arg, table->entries);
    *table = (struct idmap_table){0};
}

void idmap_release(struct idmap *map)
{
    table_release(map, &map->now);
    table_release(map, &map->old);
}

static struct idmap_entry *
table_find(const struct idmap_table *table, uint64_t high, uint64_t low)
{
    size_t i;

    if (table->entries == NULL) {
        return NULL;
    }
    for (i = hash(high, low) & table->mask;; i = (i + 1) & table->mask) {
        struct idmap_entry *entry = &table->entries[i];

        if (entry->value == NULL) {
            return NULL;
        }
        if (entry->low == low && entry->high == high) {
            return entry;
        }
    }
}

void idmap_prefetch(const struct idmap *map, uint64_t high, uint64_t low)
{
    if (map->now.entries != NULL) {
        __builtin_prefetch(&map->now.entries[hash(high, low) & map->now.mask],
                           1);
    }
}

static void table_put(struct idmap_table *table, struct idmap_entry entry)
{
    size_t i = hash(entry.high, entry.low) & table->mask;

    while (table->entries[i].value != NULL) {
        i = (i + 1) & table->mask;
    }
    table->entries[i] = entry;
    table->count++;
}

static void table_remove(struct idmap_table *table, struct idmap_entry *entry)
{
    size_t hole = (size_t)(entry - table->entries);
    size_t i = hole;

    /* Pull back every later entry of the run that may stand in the hole. */
    for (;;) {
        size_t home;

        i = (i + 1) & table->mask;
        if (table->entries[i].value == NULL) {
            break;
        }
        home =
            hash(table->entries[i].high, table->entries[i].low) & table->mask;
        if (((i - home) & table->mask) >= ((i - hole) & table->mask)) {
            table->entries[hole] = table->entries[i];
            hole = i;
        }
    }
    table->entries[hole].value = NULL;
    table->count--;
}

/* Empty some places of the old table into the new one. */
static void move_some(struct idmap *map)
{
    int i;

    for (i = 0; i < MOVES_PER_PUT && map->old.entries != NULL; i++) {
        struct idmap_entry *entry = &map->old.entries[map->moved];

        if (entry->value != NULL) {
            struct idmap_entry copy = *entry;

            /* Shifting back may fill this place anew: look at it again. */
            table_remove(&map->old, entry);
            table_put(&map->now, copy);
        } else if (map->moved == map->old.mask) {
            /* A run that wraps may have been shifted behind us. */
            if (map->old.count == 0) {
                table_release(map, &map->old);
            } else {
                map->moved = 0;
            }
        } else {
            map->moved++;
        }
    }
}

int idmap_reserve(struct idmap *map)
{
    size_t size = map->now.entries == NULL ? 0 : map->now.mask + 1;
    size_t wanted = size == 0 ? SIZE_FIRST : size * 2;
    struct idmap_entry *entries;

    if (size != 0 && (map->now.count + map->old.count + 1) * 4 <= size * 3) {
        return E_OK;
    }
    /* By construction the old table is empty long before this. */
    while (map->old.entries != NULL) {
        move_some(map);
    }
    entries =
        map->alloc->resize(map->alloc->arg, NULL, wanted * sizeof *entries);
    if (entries == NULL) {
        return E_NOMEM;
    }
    memset(entries, 0, wanted * sizeof *entries);
    map->old = map->now;
    map->moved = 0;
    map->now = (struct idmap_table){entries, wanted - 1, 0};
    return E_OK;
}

void idmap_put(struct idmap *map, uint64_t high, uint64_t low, void *value)
{
    assert(value != NULL);
    assert(map->now.entries != NULL);
    assert(idmap_find(map, high, low) == NULL);
    move_some(map);
    table_put(&map->now, (struct idmap_entry){high, low, value});
}

void *idmap_find(const struct idmap *map, uint64_t high, uint64_t low)
{
    struct idmap_entry *entry = table_find(&map->now, high, low);

    if (entry == NULL) {
        entry = table_find(&map->old, high, low);
    }
    return entry == NULL ? NULL : entry->value;
}

void *idmap_remove(struct idmap *map, uint64_t high, uint64_t low)
{
    struct idmap_table *table = &map->now;
    struct idmap_entry *entry = table_find(table, high, low);
    void *value;

    if (entry == NULL) {
        table = &map->old;
        entry = table_find(table, high, low);
    }
    if (entry == NULL) {
        return NULL;
    }
    value = entry->value;
    table_remove(table, entry);
    return value;
}

size_t idmap_count(const struct idmap *map)
{
    return map->now.count + map->old.count;
}
