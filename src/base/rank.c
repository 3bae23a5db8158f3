#include "base/rank.h"

#include <assert.h>

/* The balance: a parent's weight is never below its children's. */
static uint64_t weight(const struct rank_node *node)
{
    uint64_t x = node->seq * 0x9e3779b97f4a7c15u;

    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

static void sum(struct rank_node *node)
{
    node->size = 1;
    node->need_min = node->need;
    if (node->left != NULL) {
        node->size += node->left->size;
        if (node->left->need_min < node->need_min) {
            node->need_min = node->left->need_min;
        }
    }
    if (node->right != NULL) {
        node->size += node->right->size;
        if (node->right->need_min < node->need_min) {
            node->need_min = node->right->need_min;
        }
    }
}

/* Make @child stand where @node stood. */
static void
replace(struct rank *set, struct rank_node *node, struct rank_node *child)
{
    struct rank_node *parent = node->parent;

    if (parent == NULL) {
        set->root = child;
    } else if (parent->left == node) {
        parent->left = child;
    } else {
        parent->right = child;
    }
    if (child != NULL) {
        child->parent = parent;
    }
}

/* Lift @node over its parent. */
static void lift(struct rank *set, struct rank_node *node)
{
    struct rank_node *parent = node->parent;
    struct rank_node *between;

    replace(set, parent, node);
    if (parent->left == node) {
        between = node->right;
        node->right = parent;
        parent->left = between;
    } else {
        between = node->left;
        node->left = parent;
        parent->right = between;
    }
    if (between != NULL) {
        between->parent = parent;
    }
    parent->parent = node;
    sum(parent);
    sum(node);
}

void rank_insert(struct rank *set,
                 struct rank_node *node,
                 uint64_t seq,
                 uint32_t need)
{
    struct rank_node **place = &set->root;
    struct rank_node *parent = NULL;

    assert(node->size == 0);
    *node = (struct rank_node){.seq = seq, .need = need};
    while (*place != NULL) {
        parent = *place;
        assert(parent->seq != seq);
        place = seq < parent->seq ? &parent->left : &parent->right;
    }
    *place = node;
    node->parent = parent;
    sum(node);
    if (set->first == NULL || seq < set->first->seq) {
        set->first = node;
    }
    for (; parent != NULL; parent = parent->parent) {
        parent->size++;
        if (need < parent->need_min) {
            parent->need_min = need;
        }
    }
    while (node->parent != NULL && weight(node) > weight(node->parent)) {
        lift(set, node);
    }
}

void rank_remove(struct rank *set, struct rank_node *node)
{
    struct rank_node *parent;

    assert(node->size != 0);
    if (set->first == node) {
        set->first = rank_next(node);
    }
    while (node->left != NULL && node->right != NULL) {
        lift(set, weight(node->left) > weight(node->right) ? node->left
                                                           : node->right);
    }
    parent = node->parent;
    replace(set, node, node->left != NULL ? node->left : node->right);
    for (; parent != NULL; parent = parent->parent) {
        sum(parent);
    }
    *node = (struct rank_node){0};
}

/* The first member that fits in a subtree that has one. */
static struct rank_node *first_fit(struct rank_node *node, uint32_t room)
{
    for (;;) {
        if (node->left != NULL && node->left->need_min <= room) {
            node = node->left;
        } else if (node->need <= room) {
            return node;
        } else {
            node = node->right;
        }
    }
}

/* The first member whose seq is above @after: mostly the first of all, which
 * saves a walk over memory that is far away. */
static struct rank_node *first_above(const struct rank *set, uint64_t after)
{
    struct rank_node *node = set->root;
    struct rank_node *turn = NULL; /* Last node left with its right side. */

    if (set->first == NULL || set->first->seq > after) {
        return set->first;
    }
    while (node != NULL) {
        if (node->seq > after) {
            turn = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return turn;
}

struct rank_node *
rank_find(const struct rank *set, uint64_t after, uint32_t room)
{
    struct rank_node *node = first_above(set, after);

    /* From there upwards: the node itself, then all of its right side. */
    while (node != NULL) {
        if (node->need <= room) {
            return node;
        }
        if (node->right != NULL && node->right->need_min <= room) {
            return first_fit(node->right, room);
        }
        while (node->parent != NULL && node->parent->right == node) {
            node = node->parent;
        }
        node = node->parent;
    }
    return NULL;
}

struct rank_node *rank_next(const struct rank_node *node)
{
    struct rank_node *next = node->right;

    if (next != NULL) {
        while (next->left != NULL) {
            next = next->left;
        }
        return next;
    }
    while (node->parent != NULL && node->parent->right == node) {
        node = node->parent;
    }
    return node->parent;
}

size_t rank_count_below(const struct rank *set, uint64_t seq)
{
    const struct rank_node *node = set->root;
    size_t count = 0;

    while (node != NULL) {
        if (node->seq < seq) {
            count += 1 + (node->left == NULL ? 0 : node->left->size);
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return count;
}

void rank_check(const struct rank *set)
{
    const struct rank_node *node;
    uint64_t last = 0;
    size_t count = 0;

    for (node = set->root; node != NULL && node->left != NULL;) {
        node = node->left;
    }
    assert(node == set->first);
    for (; node != NULL; node = rank_next(node)) {
        struct rank_node copy = *node;

        assert(count == 0 || node->seq > last);
        assert(node->parent == NULL || weight(node) <= weight(node->parent));
        sum(&copy);
        assert(copy.size == node->size && copy.need_min == node->need_min);
        last = node->seq;
        count++;
    }
    assert(count == rank_count(set));
}
