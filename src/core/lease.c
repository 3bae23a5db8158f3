/* lease.c - states, the lists they name, and deadlines. */
#include "core/lease.h"

#include "core/parts.h"

#include <assert.h>
#include <string.h>

#define TO(state) (1u << LEASE_##state)

static const struct {
    const char *name;
    const char *help;
    unsigned next; /* Bit set of the states it may move to. */
    bool holds;
} table[LEASE_STATES] = {
    [LEASE_AWAY] = {"away", "a waiter nobody attends", TO(QUEUED) | TO(ENDED),
                    false},
    [LEASE_QUEUED] = {"queued", "waits for its turn",
                      TO(AWAY) | TO(CLEARING) | TO(ENDED), false},
    [LEASE_CLEARING] = {"clearing", "chosen; waits for measured VRAM",
                        TO(AWAY) | TO(QUEUED) | TO(HELD) | TO(PAUSED) |
                            TO(RECLAIMING) | TO(ENDED),
                        false},
    [LEASE_HELD] = {"held", "its holder may use the devices",
                    TO(AWAY) | TO(QUEUED) | TO(PAUSING) | TO(PAUSED) |
                        TO(RECLAIMING) | TO(ENDED),
                    true},
    [LEASE_PAUSING] = {"pausing", "asked to pause; still uses the devices",
                       TO(AWAY) | TO(QUEUED) | TO(PAUSED) | TO(RECLAIMING) |
                           TO(ENDED),
                       true},
    [LEASE_PAUSED] = {"paused", "off the devices; waits for its resume",
                      TO(CLEARING) | TO(RECLAIMING) | TO(ENDED), false},
    [LEASE_RECLAIMING] = {"reclaiming", "taken back; its VRAM is still charged",
                          TO(ENDED), true},
    [LEASE_ENDED] = {"ended", "over; remembered for a while", 0, false},
};

const char *lease_state_name(enum lease_state state)
{
    assert(state < LEASE_STATES);
    return table[state].name;
}

const char *lease_state_help(enum lease_state state)
{
    assert(state < LEASE_STATES);
    return table[state].help;
}

bool lease_may_move(enum lease_state from, enum lease_state to)
{
    assert(from < LEASE_STATES && to < LEASE_STATES);
    return (table[from].next & (1u << to)) != 0;
}

bool lease_state_holds(enum lease_state state)
{
    assert(state < LEASE_STATES);
    return table[state].holds;
}

/* ---- What a lease is -------------------------------------------------- */

static enum lease_state state_of(const struct lease *lease)
{
    return (enum lease_state)lease->row.state;
}

bool lease_holds(const struct lease *lease)
{
    return table[lease->row.state].holds;
}

bool lease_is_waiter(const struct lease *lease)
{
    return lease->row.state == LEASE_AWAY || lease->row.state == LEASE_QUEUED ||
           (lease->row.state == LEASE_CLEARING &&
            lease->row.first_granted_at_ms == 0);
}

bool lease_is_sleeper(const struct lease *lease)
{
    return lease->row.state == LEASE_PAUSED ||
           (lease->row.state == LEASE_CLEARING &&
            lease->row.first_granted_at_ms != 0);
}

bool lease_is_attended(const struct lease *lease)
{
    return lease->ref != 0 || lease->service->streams > 0;
}

bool lease_can_hear(const struct core *core, const struct lease *lease)
{
    bool by_connection = (lease->row.flags & CORE_ROW_BY_CONNECTION) != 0;

    return lease->service->streams > 0 || (by_connection && lease->ref != 0) ||
           (lease->row.flags & CORE_ROW_REACHABLE) != 0 ||
           (lease->renewed_at_ms != 0 &&
            core->now_ms - lease->renewed_at_ms <= HEARS_MS);
}

bool lease_is_exclusive(const struct lease *lease)
{
    return lease->row.vram_mib == 0;
}

uint32_t lease_priority(const struct lease *lease)
{
    return lease->class->config.priority;
}

struct lease *lease_find(const struct core *core, uint64_t id)
{
    return idmap_find(&core->leases, 0, id);
}

/* ---- Memory ----------------------------------------------------------- */

enum {
    SLAB_LEASES = 128, /* At least; */
    SLAB_PART = 32     /*   and of all leases so far this part. */
};

static bool slab_grow(struct core *core)
{
    struct alloc *alloc = &core->alloc;
    void **slabs = alloc->resize(alloc->arg, core->slabs,
                                 (core->slab_count + 1) * sizeof *slabs);
    size_t count = idmap_count(&core->leases) / SLAB_PART;
    struct lease *leases;
    size_t i;

    if (slabs == NULL) {
        return false;
    }
    core->slabs = slabs;
    count = count < SLAB_LEASES ? SLAB_LEASES : count;
    leases = alloc->resize(alloc->arg, NULL, count * sizeof *leases);
    if (leases == NULL) {
        return false;
    }
    slabs[core->slab_count++] = leases;
    for (i = count; i > 0; i--) {
        leases[i - 1].next = core->slab_free;
        core->slab_free = &leases[i - 1];
    }
    return true;
}

/* Take a lease from the slabs, all zero; NULL where there is no memory.  No
 * list or index holds it. */
static struct lease *create(struct core *core, uint32_t gpus)
{
    struct lease *lease;
    struct seat *seats = NULL;
    uint32_t i;

    /* A gang's seats and shares are one block. */

    if (core->slab_free == NULL && !slab_grow(core)) {
        return NULL;
    }
    if (gpus > 1) {
        seats = core->alloc.resize(
            core->alloc.arg, NULL,
            gpus * (sizeof *seats + sizeof(struct core_share)));
        if (seats == NULL) {
            return NULL;
        }
    }
    lease = core->slab_free;
    core->slab_free = lease->next;
    memset(lease, 0, sizeof *lease);
    lease->deadline_at_ms = CORE_FOREVER;
    lease->row.gpus = gpus;
    lease->seats = seats == NULL ? &lease->seat : seats;
    for (i = 0; i < gpus; i++) {
        lease->seats[i] = (struct seat){.lease = lease};
    }
    return lease;
}

void lease_destroy(struct core *core, struct lease *lease)
{
    if (lease->seats != &lease->seat) {
        core->alloc.release(core->alloc.arg, lease->seats);
    }
    lease->next = core->slab_free;
    core->slab_free = lease;
}

struct lease *
lease_prepare(struct core *core, const struct core_request *request, int *rc)
{
    struct class *class = &core->classes[request->class_id];
    struct service *service = core_service(core, request->service);
    uint32_t leases = (uint32_t)idmap_count(&core->leases) + 1;
    struct lease *lease;

    *rc = queue_prepare(core, class, request);
    if (*rc != E_OK) {
        return NULL;
    }
    *rc = E_NOMEM;
    if (service == NULL || idmap_reserve(&core->leases) != E_OK ||
        (request->job != 0 && idmap_reserve(&core->jobs) != E_OK) ||
        heap_reserve(&core->timers, leases) != E_OK) {
        return NULL;
    }
    lease = create(core, request->gpus);
    if (lease == NULL) {
        return NULL;
    }
    lease->class = class;
    lease->service = service;
    *rc = E_OK;
    return lease;
}

/* ---- Indexes ---------------------------------------------------------- */

/* Sleepers stand in the order of their first grants. */
static void
sleeper_insert(struct core *core, struct lease *lease, uint32_t priority)
{
    struct list *head = &core->sleepers[priority];
    struct list *at;

    for (at = head->prev; at != head; at = at->prev) {
        struct lease *other = CONTAINER_OF(at, struct lease, sleeper_link);
        uint64_t mine = lease->row.first_granted_at_ms;
        uint64_t its = other->row.first_granted_at_ms;

        if (its < mine || (its == mine && other->row.seq < lease->row.seq)) {
            break;
        }
    }
    /* Appending to the list that starts behind @at inserts there. */
    list_append(at->next, &lease->sleeper_link);
    core->sleeper_count++;
}

static void sleeper_remove(struct core *core, struct lease *lease)
{
    list_remove(&lease->sleeper_link);
    core->sleeper_count--;
}

void lease_resort(struct core *core, struct lease *lease, uint32_t priority)
{
    sleeper_remove(core, lease);
    sleeper_insert(core, lease, priority);
}

/* Put @lease into the index of its state, and count it. */
static void index_enter(struct core *core, struct lease *lease)
{
    if (lease_is_waiter(lease)) {
        queue_insert(lease);
        core->waiter_count++;
        lease->service->waiters++;
    } else if (lease_is_sleeper(lease)) {
        sleeper_insert(core, lease, lease_priority(lease));
        lease->class->paused++;
    } else if (lease_holds(lease)) {
        lease->class->held++;
    }
}

static void index_leave(struct core *core, struct lease *lease)
{
    if (lease_is_waiter(lease)) {
        queue_remove(lease);
        core->waiter_count--;
        lease->service->waiters--;
    } else if (lease_is_sleeper(lease)) {
        sleeper_remove(core, lease);
        lease->class->paused--;
    } else if (lease_holds(lease)) {
        lease->class->held--;
    }
}

static void note_move(struct core *core, struct lease *lease)
{
    if (!lease->is_moved) {
        lease->is_moved = true;
        core->moved[core->moved_count++] = lease;
    }
}

void lease_enter(struct core *core, struct lease *lease)
{
    list_append(&core->states[lease->row.state], &lease->state_link);
    list_append(&lease->service->leases, &lease->service_link);
    core->state_count[lease->row.state]++;
    lease->state_at_ms = core->now_ms;
    index_enter(core, lease);
    note_move(core, lease);
}

void lease_move(struct core *core, struct lease *lease, enum lease_state next)
{
    assert(lease_may_move(state_of(lease), next));
    list_remove(&lease->state_link);
    core->state_count[lease->row.state]--;
    index_leave(core, lease);
    lease->row.state = (uint8_t)next;
    index_enter(core, lease);
    list_append(&core->states[next], &lease->state_link);
    core->state_count[next]++;
    lease->state_at_ms = core->now_ms;
    if (next != LEASE_CLEARING) {
        lease->reserved = 0;
    }
    note_move(core, lease);
}

void lease_deadline(struct core *core, struct lease *lease, uint64_t at_ms)
{
    lease->deadline_at_ms = at_ms;
    /* A deadline that moves away leaves the timer where it is: it will find
     * the lease not due and move then.  So renewals cost no sifting. */
    if (at_ms != CORE_FOREVER &&
        (!heap_holds(&lease->timer) ||
         heap_key(&core->timers, &lease->timer) > at_ms)) {
        heap_set(&core->timers, &lease->timer, at_ms, lease->row.id);
    }
}

void lease_touch(struct core *core, struct lease *lease)
{
    if (!lease->is_touched) {
        lease->is_touched = true;
        core->touched[core->touched_count++] = lease;
    }
}

/* Take @lease out of an array of this step's work. */
static void forget(struct lease **array, uint32_t *count, struct lease *lease)
{
    uint32_t i = *count;

    while (i > 0 && array[i - 1] != lease) {
        i--;
    }
    assert(i > 0);
    memmove(&array[i - 1], &array[i], (*count - i) * sizeof *array);
    (*count)--;
}

void lease_end(struct core *core, struct lease *lease, enum core_reason reason)
{
    struct core_message *message = core_say(core, CORE_MSG_STATE, lease);

    message->state = LEASE_ENDED;
    message->reason = reason;
    message->rung = walk_left(lease);
    core_remember(core, lease, reason);
    assert(lease_may_move(state_of(lease), LEASE_ENDED));
    list_remove(&lease->state_link);
    list_remove(&lease->service_link);
    core->state_count[lease->row.state]--;
    index_leave(core, lease);
    heap_remove(&core->timers, &lease->timer);
    (void)idmap_remove(&core->leases, 0, lease->row.id);
    if (lease->row.job != 0 &&
        idmap_find(&core->jobs, lease->row.service, lease->row.job) == lease) {
        (void)idmap_remove(&core->jobs, lease->row.service, lease->row.job);
    }
    if (lease->is_stored) {
        /* No more than the number: a gang's shares go now. */
        core->records[core->record_count++] = (struct core_record){
            .type = CORE_RECORD_LEASE_END, .lease = {.id = lease->row.id}};
    }
    if (lease->is_touched) {
        forget(core->touched, &core->touched_count, lease);
    }
    if (lease->is_moved) {
        forget(core->moved, &core->moved_count, lease);
    }
    core->needs_pass = true;
    lease_destroy(core, lease);
}
