/* queue.c - who waits, in order.
 *
 * Waiters of a class that ask for the same kind of room (set of devices,
 * number, alone or shared) form a shape: among them the first that fits in so
 * much room is found in O(log n), so that nobody is scanned who cannot fit.
 */
#include "core/parts.h"

#include <assert.h>

enum {
    CACHE_LINE = 64 /* Bytes. */
};

struct lease *queue_lease(struct rank_node *node)
{
    return node == NULL ? NULL : CONTAINER_OF(node, struct lease, place);
}

static uint32_t need_of(const struct lease *lease)
{
    return lease_is_exclusive(lease) ? NEED_ALL : lease->row.vram_mib;
}

/* Index of the shape of such a request; shape_count where there is none. */
static uint32_t shape_find(const struct class *class,
                           uint64_t devices,
                           uint32_t gpus,
                           bool is_exclusive)
{
    uint32_t i;

    for (i = 0; i < class->shape_count; i++) {
        const struct shape *shape = &class->shapes[i];

        if (shape->devices == devices && shape->gpus == gpus &&
            shape->is_exclusive == is_exclusive) {
            break;
        }
    }
    return i;
}

/* Index of a shape without members, to be used anew; else shape_count. */
static uint32_t shape_idle(const struct class *class)
{
    uint32_t i;

    for (i = 0; i < class->shape_count; i++) {
        if (class->shapes[i].members == 0) {
            break;
        }
    }
    return i;
}

int queue_prepare(struct core *core,
                  struct class *class,
                  const struct core_request *request)
{
    if (class->shapes == NULL) {
        class->shapes = core->alloc.resize(core->alloc.arg, NULL,
                                           SHAPES_MAX * sizeof *class->shapes);
        if (class->shapes == NULL) {
            return E_NOMEM;
        }
    }
    if (shape_find(class, request->devices, request->gpus,
                   request->vram_mib == 0) == class->shape_count &&
        class->shape_count == SHAPES_MAX &&
        shape_idle(class) == class->shape_count) {
        return E_LIMIT;
    }
    return E_OK;
}

/* The shape of @lease, made if there is none: queue_prepare() was asked, and
 * a waiter that is away keeps its shape. */
static uint32_t shape_get(struct class *class, const struct lease *lease)
{
    uint32_t i = shape_find(class, lease->row.devices, lease->row.gpus,
                            lease_is_exclusive(lease));

    if (i < class->shape_count) {
        return i;
    }
    i = shape_idle(class);
    if (i == class->shape_count) {
        class->shape_count++;
    }
    assert(i < SHAPES_MAX);
    class->shapes[i] = (struct shape){
        .devices = lease->row.devices,
        .gpus = lease->row.gpus,
        .is_exclusive = lease_is_exclusive(lease),
    };
    return i;
}

void queue_insert(struct lease *lease)
{
    struct class *class = lease->class;

    lease->shape = shape_get(class, lease);
    class->shapes[lease->shape].members++;
    if (lease->row.state == LEASE_AWAY) {
        rank_insert(&class->away, &lease->place, lease->row.seq,
                    need_of(lease));
        return;
    }
    rank_insert(&class->shapes[lease->shape].waiting, &lease->place,
                lease->row.seq, need_of(lease));
    class->waiting++;
}

/* Who is first now will be looked at soon; among very many waiters it was last
 * touched long ago. */
static void fetch_first(const struct rank *set)
{
    const char *at = (const char *)queue_lease(rank_first(set));
    size_t i;

    for (i = 0; at != NULL && i < sizeof(struct lease); i += CACHE_LINE) {
        __builtin_prefetch(at + i, 1);
    }
}

void queue_remove(struct lease *lease)
{
    struct class *class = lease->class;

    class->shapes[lease->shape].members--;
    if (lease->row.state == LEASE_AWAY) {
        rank_remove(&class->away, &lease->place);
        return;
    }
    rank_remove(&class->shapes[lease->shape].waiting, &lease->place);
    fetch_first(&class->shapes[lease->shape].waiting);
    class->waiting--;
}

struct lease *queue_first(const struct class *class)
{
    struct rank_node *best = NULL;
    uint32_t i;

    for (i = 0; i < class->shape_count; i++) {
        struct rank_node *node = rank_first(&class->shapes[i].waiting);

        if (node != NULL && (best == NULL || node->seq < best->seq)) {
            best = node;
        }
    }
    return queue_lease(best);
}

struct lease *queue_next(struct core *core, struct class *class)
{
    struct rank_node *best = NULL;
    uint32_t i;

    for (i = 0; i < class->shape_count; i++) {
        struct shape *shape = &class->shapes[i];
        uint32_t room = NEED_ALL;
        struct rank_node *node;

        if (shape->waiting.root == NULL) {
            continue;
        }
        if (shape->is_blocked) {
            room = fit_room(core, class, shape);
            if (room == 0) {
                continue;
            }
        }
        node = rank_find(&shape->waiting, shape->cursor, room);
        if (node != NULL && (best == NULL || node->seq < best->seq)) {
            best = node;
        }
    }
    return queue_lease(best);
}

static uint64_t waiting_below(const struct class *class, uint64_t seq)
{
    uint64_t count = 0;
    uint32_t i;

    for (i = 0; i < class->shape_count; i++) {
        count += rank_count_below(&class->shapes[i].waiting, seq);
    }
    return count;
}

uint64_t queue_position(const struct core *core, const struct lease *lease)
{
    uint32_t priority = lease_priority(lease);
    uint64_t position = 1;
    const struct list *at;
    uint32_t i;

    for (i = 0; i < CORE_PRIORITIES + core->config.class_count; i++) {
        const struct class *class = &core->classes[i];

        if (class->config.priority < priority) {
            position += class->waiting + class->paused;
        } else if (class->config.priority == priority &&
                   !lease_is_sleeper(lease)) {
            position += waiting_below(class, lease->row.seq) + class->paused;
        }
    }
    if (lease->row.state == LEASE_AWAY) {
        position += rank_count_below(&lease->class->away, lease->row.seq);
    }
    if (lease_is_sleeper(lease)) {
        LIST_EACH (at, &core->sleepers[priority]) {
            if (at == &lease->sleeper_link) {
                break;
            }
            position++;
        }
    }
    return position;
}
