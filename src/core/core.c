/* core.c - one step: an event in, effects out. */
#include "core/core.h"

#include "core/parts.h"

#include <assert.h>
#include <string.h>

/* ---- Life ------------------------------------------------------------- */

static void init_classes(struct core *core)
{
    uint32_t i;

    for (i = 0; i < CLASSES_ALL; i++) {
        core->classes[i].id = i;
    }
    for (i = 0; i < CORE_PRIORITIES; i++) {
        core->classes[i].config = (struct core_class_config){
            .priority = i, .weight = CORE_WEIGHT_IMPLICIT};
    }
}

int core_create(const struct core_config *config,
                const struct alloc *alloc,
                uint64_t start_ms,
                uint64_t number_first,
                struct core **out)
{
    struct core *core;
    uint32_t i;
    int rc;

    if (start_ms == 0 || number_first == 0) {
        return E_INVALID;
    }
    core = alloc->resize(alloc->arg, NULL, sizeof *core);
    if (core == NULL) {
        return E_NOMEM;
    }
    memset(core, 0, sizeof *core);
    core->alloc = *alloc;
    core->now_ms = start_ms;
    core->next_number = number_first;
    core->next_seq = 1;
    core->pass_at_ms = CORE_FOREVER;
    core->stats.last_class = UINT32_MAX;
    idmap_init(&core->leases, &core->alloc);
    idmap_init(&core->jobs, &core->alloc);
    idmap_init(&core->ended_by_id, &core->alloc);
    heap_init(&core->timers, &core->alloc);
    for (i = 0; i < LEASE_STATES; i++) {
        list_init(&core->states[i]);
    }
    for (i = 0; i < CORE_PRIORITIES; i++) {
        list_init(&core->sleepers[i]);
    }
    init_classes(core);
    rc = admin_configure(core, config);
    if (rc == E_OK) {
        rc = effects_resize(core, config->effects_max);
    }
    if (rc != E_OK) {
        core_destroy(core);
        return rc;
    }
    for (i = 0; i < config->device_count; i++) {
        device_init(&core->devices[i], i, &config->devices[i]);
    }
    core->hold_until_ms = start_ms + config->startup_hold_ms;
    *out = core;
    return E_OK;
}

static void free_ptr(struct core *core, void *ptr)
{
    core->alloc.release(core->alloc.arg, ptr);
}

/* Free what single leases own beside their place in a slab. */
static void destroy_leases(struct core *core)
{
    uint32_t state;

    for (state = 0; state < LEASE_STATES; state++) {
        struct list *at;

        LIST_EACH (at, &core->states[state]) {
            struct lease *lease = CONTAINER_OF(at, struct lease, state_link);

            if (lease->seats != &lease->seat) {
                free_ptr(core, lease->seats);
            }
        }
    }
}

void core_destroy(struct core *core)
{
    struct alloc alloc;
    uint32_t i;

    if (core == NULL) {
        return;
    }
    destroy_leases(core);
    for (i = 0; i < core->slab_count; i++) {
        free_ptr(core, core->slabs[i]);
    }
    for (i = 0; i < CLASSES_ALL; i++) {
        free_ptr(core, core->classes[i].shapes);
    }
    for (i = 0; i < core->service_capacity; i++) {
        free_ptr(core, core->services[i]);
    }
    for (i = 0; i < ENDED_CHUNKS; i++) {
        free_ptr(core, core->ended[i]);
    }
    free_ptr(core, core->slabs);
    free_ptr(core, core->services);
    free_ptr(core, core->records);
    free_ptr(core, core->messages);
    free_ptr(core, core->touched);
    free_ptr(core, core->moved);
    idmap_release(&core->leases);
    idmap_release(&core->jobs);
    idmap_release(&core->ended_by_id);
    heap_release(&core->timers);
    alloc = core->alloc;
    alloc.release(alloc.arg, core);
}

/* ---- Shared by all ---------------------------------------------------- */

uint64_t core_all_devices(const struct core *core)
{
    return core->config.device_count == CORE_DEVICES_MAX
               ? UINT64_MAX
               : (1ull << core->config.device_count) - 1;
}

struct service *core_service_find(const struct core *core, uint32_t id)
{
    return id < core->service_capacity ? core->services[id] : NULL;
}

static int grow_services(struct core *core, uint32_t id)
{
    uint32_t capacity =
        core->service_capacity == 0 ? 16 : core->service_capacity;
    void *grown;

    while (capacity <= id) {
        capacity *= 2;
    }
    grown = core->alloc.resize(core->alloc.arg, core->services,
                               capacity * sizeof *core->services);
    if (grown == NULL) {
        return E_NOMEM;
    }
    core->services = grown;
    memset(core->services + core->service_capacity, 0,
           (capacity - core->service_capacity) * sizeof *core->services);
    core->service_capacity = capacity;
    return E_OK;
}

struct service *core_service(struct core *core, uint32_t id)
{
    struct service *service = core_service_find(core, id);

    if (service != NULL) {
        return service;
    }
    if (id >= core->service_capacity && grow_services(core, id) != E_OK) {
        return NULL;
    }
    service = core->alloc.resize(core->alloc.arg, NULL, sizeof *service);
    if (service == NULL) {
        return NULL;
    }
    *service = (struct service){.id = id};
    list_init(&service->leases);
    core->services[id] = service;
    return service;
}

/* ---- One step --------------------------------------------------------- */

static void tick(struct core *core)
{
    const struct heap_entry *first;

    core->has_more = false;
    while ((first = heap_first(&core->timers)) != NULL &&
           first->key <= core->now_ms && core_has_room(core)) {
        struct lease *lease = CONTAINER_OF(first->node, struct lease, timer);

        heap_remove(&core->timers, &lease->timer);
        if (lease->deadline_at_ms > core->now_ms) {
            lease_deadline(core, lease, lease->deadline_at_ms);
        } else if (lease_is_waiter(lease)) {
            waiter_due(core, lease);
        } else {
            holder_due(core, lease);
        }
    }
    admin_tick(core);
    core->needs_pass = true;
}

static int report(struct core *core, const struct core_event *event)
{
    if (event->report.device >= core->config.device_count ||
        event->report.usage_count > CORE_USAGES_MAX) {
        return E_INVALID;
    }
    account_report(core, event);
    return E_OK;
}

static int apply(struct core *core, const struct core_event *event)
{
    switch (event->type) {
    case CORE_SUBMIT:
        return waiter_submit(core, event);
    case CORE_ATTACH:
        return waiter_attach(core, event);
    case CORE_DETACH:
        return waiter_detach(core, event);
    case CORE_RELEASE:
        return holder_release(core, event);
    case CORE_RENEW:
        return holder_renew(core, event);
    case CORE_ACK:
        return holder_ack(core, event);
    case CORE_CANCEL:
        return waiter_cancel(core, event);
    case CORE_TICK:
        tick(core);
        return E_OK;
    case CORE_DEVICE_REPORT:
        return report(core, event);
    case CORE_PROCESS_GONE:
        return holder_process_gone(core, event);
    case CORE_WATCH:
        return answer_watch(core, event);
    case CORE_RUNG:
        return answer_rung(core, event);
    case CORE_FOREIGN:
        return foreign_step(core, event);
    case CORE_ADMIN:
        return admin_step(core, event);
    case CORE_RESTORE:
        return replay_restore(core, event);
    case CORE_EVENTS:
        break;
    }
    return E_INVALID;
}

/* A request for "now or not at all" does not wait. */
static void refuse_at_once(struct core *core, const struct core_event *event)
{
    struct lease *lease;

    if (event->type != CORE_SUBMIT || event->submit.timeout_ms != 0) {
        return;
    }
    lease = lease_find(core, core->about);
    if (lease != NULL && lease_is_waiter(lease)) {
        /* Only a request that came in with this event leaves no trace. */
        waiter_refuse(core, lease, E_TIMEOUT, CORE_REASON_TIMEOUT,
                      core->is_repeat);
    }
}

int core_step(struct core *core,
              const struct core_event *event,
              struct core_effects *out)
{
    int rc;

    assert(event->at_ms >= core->now_ms);
    core->now_ms = event->at_ms;
    core->record_count = 0;
    core->message_count = 0;
    core->touched_count = 0;
    core->moved_count = 0;
    core->about = 0;
    core->is_repeat = false;
    *out = (struct core_effects){0};
    rc = apply(core, event);
    if (rc != E_OK) {
        assert(core->message_count == 0 && core->touched_count == 0);
        out->lease = core->about;
        return rc;
    }
    if (core->needs_pass || core->now_ms >= core->pass_at_ms) {
        pass_run(core);
    }
    refuse_at_once(core, event);
    admin_stop(core);
    effects_record(core);
    effects_say_moved(core);
    *out = (struct core_effects){
        .records = core->records,
        .record_count = core->record_count,
        .messages = core->messages,
        .message_count = core->message_count,
        .lease = core->about,
        .is_repeat = core->is_repeat,
    };
    return E_OK;
}

uint64_t core_deadline(const struct core *core)
{
    const struct heap_entry *first = heap_first(&core->timers);
    uint64_t at = core->pass_at_ms;

    if (core->has_more || core->needs_pass) {
        return core->now_ms;
    }
    if (first != NULL && first->key < at) {
        at = first->key;
    }
    if (core->bypass_until_ms != 0 && core->bypass_until_ms < at) {
        at = core->bypass_until_ms;
    }
    if (core->is_stopping && !core->is_stopped && core->stop_at_ms < at) {
        at = core->stop_at_ms;
    }
    return at < core->now_ms ? core->now_ms : at;
}

uint64_t core_number_next(const struct core *core)
{
    return core->next_number;
}
