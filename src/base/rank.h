/* rank.h - an ordered set of numbered members that knows everybody's position.
 *
 * A treap: a search tree by `seq`, balanced by a hash of `seq`, so that its
 * shape is a function of its members and not of a random source.  Each node
 * knows the size of its subtree (positions) and the smallest `need` in it
 * (the first member that fits in so much room).  All calls are O(log n).
 */
#ifndef GPUCOORD_BASE_RANK_H
#define GPUCOORD_BASE_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Put this into the member. */
struct rank_node {
    struct rank_node *left;
    struct rank_node *right;
    struct rank_node *parent;
    uint64_t seq;      /* The order; unique in a set. */
    uint32_t need;     /* What the member asks for. */
    uint32_t need_min; /* The smallest need in this subtree. */
    uint32_t size;     /* Of this subtree; 0 when in no set. */
};

struct rank {
    struct rank_node *root;  /* NULL when the set is empty, */
    struct rank_node *first; /*   and so is the first member. */
};

/* Put @node, borrowed until removed, into the set. */
void rank_insert(struct rank *set,
                 struct rank_node *node,
                 uint64_t seq,
                 uint32_t need);

/* Take @node out of the set, which holds it. */
void rank_remove(struct rank *set, struct rank_node *node);

/* Return the first member whose seq is above @after and whose need is at most
 * @room; NULL where there is none. */
struct rank_node *
rank_find(const struct rank *set, uint64_t after, uint32_t room);

/* Return the first member; NULL when the set is empty. */
static inline struct rank_node *rank_first(const struct rank *set)
{
    return set->first;
}

/* Return the member after @node; NULL after the last. */
struct rank_node *rank_next(const struct rank_node *node);

/* Return how many members have a seq below @seq. */
size_t rank_count_below(const struct rank *set, uint64_t seq);

/* Return how many members there are. */
static inline size_t rank_count(const struct rank *set)
{
    return set->root == NULL ? 0 : set->root->size;
}

/* Say whether @node is in a set. */
static inline bool rank_holds(const struct rank_node *node)
{
    return node->size != 0;
}

/* Assert order, balance and sums of the whole set. */
void rank_check(const struct rank *set);

#endif
