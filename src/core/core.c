/* core.c - one step: an event in, effects out. */
#include "core/core.h"

#include "core/state.h"

#include <assert.h>
#include <string.h>

/* ---- Life ------------------------------------------------------------- */

static int reserve_array(struct core *core, void **array, size_t size)
{
    void *grown = core->alloc.resize(core->alloc.arg, *array, size);

    if (grown == NULL) {
        return E_NOMEM;
    }
    *array = grown;
    return E_OK;
}

/* Set the four arrays of effects to hold @count each. */
static int resize_effects(struct core *core, uint32_t count)
{
    void *records = core->records;
    void *messages = core->messages;
    void *touched = core->touched;
    void *moved = core->moved;
    int rc = reserve_array(core, &records, count * sizeof *core->records);

    core->records = records;
    if (rc == E_OK) {
        rc = reserve_array(core, &messages, count * sizeof *core->messages);
        core->messages = messages;
    }
    if (rc == E_OK) {
        rc = reserve_array(core, &touched, count * sizeof(void *));
        core->touched = touched;
    }
    if (rc == E_OK) {
        rc = reserve_array(core, &moved, count * sizeof(void *));
        core->moved = moved;
    }
    if (rc == E_OK) {
        core->effects_capacity = count;
    }
    return rc;
}

int core_reserve_effects(struct core *core, uint32_t count)
{
    /* A moved lease needs one message, a touched one a record. */
    uint32_t wanted = core->config.effects_max + 2 * count;

    return wanted <= core->effects_capacity ? E_OK
                                            : resize_effects(core, wanted);
}

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
        rc = resize_effects(core, config->effects_max);
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
    void *grown = core->services;

    while (capacity <= id) {
        capacity *= 2;
    }
    if (reserve_array(core, &grown, capacity * sizeof *core->services) !=
        E_OK) {
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

struct core_message *
core_say(struct core *core, enum core_message_type type, struct lease *lease)
{
    struct core_message *message;

    assert(core->message_count < core->effects_capacity);
    message = &core->messages[core->message_count++];
    *message = (struct core_message){.type = type};
    if (lease != NULL) {
        message->lease = lease->row.id;
        message->token = lease->row.token;
        message->service = lease->row.service;
        message->state = lease->row.state;
    }
    return message;
}

bool core_has_room(struct core *core)
{
    /* At the end each class may add a record, each moved lease a message. */
    uint32_t records = core->record_count + core->touched_count + CLASSES_ALL;
    uint32_t messages = core->message_count + core->moved_count;

    if (records + EFFECTS_SPARE < core->config.effects_max &&
        messages + EFFECTS_SPARE < core->config.effects_max) {
        return true;
    }
    core->has_more = true;
    return false;
}

/* ---- Ended leases ----------------------------------------------------- */

static struct ended *ended_place(const struct core *core, uint64_t id)
{
    uint64_t place = id % (ENDED_CHUNKS * ENDED_CHUNK);
    struct ended *chunk = core->ended[place / ENDED_CHUNK];

    return chunk == NULL ? NULL : &chunk[place % ENDED_CHUNK];
}

const struct ended *core_ended(const struct core *core, uint64_t id)
{
    const struct ended *ended = ended_place(core, id);

    return ended != NULL && ended->id == id && id != 0 &&
                   core->now_ms - ended->ended_at_ms < ENDED_MS
               ? ended
               : NULL;
}

void core_remember(struct core *core,
                   const struct lease *lease,
                   enum core_reason reason)
{
    uint64_t id = lease->row.id;
    uint64_t first = lease->row.first_granted_at_ms;
    struct ended *ended = ended_place(core, id);

    if (ended == NULL) {
        size_t size = ENDED_CHUNK * sizeof *ended;
        void *chunk = core->alloc.resize(core->alloc.arg, NULL, size);

        if (chunk == NULL) {
            return; /* It is forgotten a little early. */
        }
        memset(chunk, 0, size);
        core->ended[id % (ENDED_CHUNKS * ENDED_CHUNK) / ENDED_CHUNK] = chunk;
        ended = ended_place(core, id);
    }
    *ended = (struct ended){
        .id = id,
        .token = lease->row.token,
        .ended_at_ms = core->now_ms,
        .held_ms = first == 0 ? 0 : core->now_ms - first,
        .service = lease->row.service,
        .class_id = lease->row.class_id,
        .reason = reason,
    };
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
    if (event->report.device >= core->config.device_count) {
        return E_INVALID;
    }
    device_report(core, event);
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

/* The store learns of leases that outlive a restart: granted ones, and
 * waiters with a job. */
static bool is_kept(const struct lease *lease)
{
    return lease->row.first_granted_at_ms != 0 || lease->row.job != 0;
}

static void record_touched(struct core *core)
{
    uint32_t i;

    for (i = 0; i < core->touched_count; i++) {
        struct lease *lease = core->touched[i];

        lease->is_touched = false;
        if (is_kept(lease)) {
            lease->is_stored = true;
            core->records[core->record_count++] = (struct core_record){
                .type = CORE_RECORD_LEASE, .lease = lease->row};
        }
    }
    for (i = 0; i < CORE_PRIORITIES + core->config.class_count; i++) {
        struct class *class = &core->classes[i];

        if (class->is_touched) {
            class->is_touched = false;
            core->records[core->record_count++] = (struct core_record){
                .type = CORE_RECORD_CLASS,
                .class_row = {i, class->consecutive, class->credit}};
        }
    }
    if (core->is_mode_touched) {
        core->is_mode_touched = false;
        core->records[core->record_count++] = (struct core_record){
            .type = CORE_RECORD_MODE, .mode = replay_mode(core)};
    }
}

static void say_moved(struct core *core)
{
    uint32_t i;

    for (i = 0; i < core->moved_count; i++) {
        core->moved[i]->is_moved = false;
        (void)core_say(core, CORE_MSG_STATE, core->moved[i]);
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
    record_touched(core);
    say_moved(core);
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
