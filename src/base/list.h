/* list.h - doubly linked lists whose links live in the members.
 *
 * A list is a `struct list` whose ends point to itself when it is empty; a
 * member not on a list has NULL links, so membership can be asserted.
 */
#ifndef GPUCOORD_BASE_LIST_H
#define GPUCOORD_BASE_LIST_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* The structure of type @type whose member @member is at @ptr.  By way of a
 * number, so that it serves const pointers too. */
#define CONTAINER_OF(ptr, type, member) \
    ((type *)((uintptr_t)(ptr)-offsetof(type, member)))

#define LIST_EACH(pos, head) \
    for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* The same, where the body may remove @pos. */
#define LIST_EACH_SAFE(pos, after, head)                               \
    for ((pos) = (head)->next, (after) = (pos)->next; (pos) != (head); \
         (pos) = (after), (after) = (pos)->next)

/* Make @head an empty list. */
static inline void list_init(struct list *head)
{
    head->next = head;
    head->prev = head;
}

/* Say whether @head has no members. */
static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

/* Say whether the member link @item is on a list. */
static inline bool list_is_linked(const struct list *item)
{
    return item->next != NULL;
}

/* Append @item, borrowed until list_remove(), to @head. */
static inline void list_append(struct list *head, struct list *item)
{
    assert(item->next == NULL);
    item->prev = head->prev;
    item->next = head;
    head->prev->next = item;
    head->prev = item;
}

/* Take @item off the list it is on. */
static inline void list_remove(struct list *item)
{
    assert(item->next != NULL);
    item->prev->next = item->next;
    item->next->prev = item->prev;
    item->next = NULL;
    item->prev = NULL;
}

#endif
