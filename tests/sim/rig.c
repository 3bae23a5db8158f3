#include "sim/rig.h"

#include "sim/trace.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBERS_BLOCK = 1000,
    /* More than one step can use. */
    NUMBERS_LOW = 300
};

#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

/* Values for maps that are sets, or from a lease to its class. */
static char slots[RIG_CLASSES];

_Noreturn void rig_fail(const struct rig *rig, const char *format, ...)
{
    va_list args;

    if (rig->failure != NULL) {
        *rig->failure = format;
    }
    (void)fprintf(stderr,
                  "sim: event %llu at %llu: ", (unsigned long long)rig->events,
                  (unsigned long long)rig->now_ms);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    abort();
}

/* ---- The table -------------------------------------------------------- */

static void map_put(struct idmap *map, uint64_t key, void *value)
{
    (void)idmap_remove(map, 0, key);
    if (idmap_reserve(map) != E_OK) {
        abort();
    }
    idmap_put(map, 0, key, value);
}

/* That map's values are numbers in the dress of pointers. */
static void *place_value(size_t index)
{
    return (void *)(uintptr_t)(index + 1);
}

static size_t place_index(const void *place)
{
    return (size_t)((uintptr_t)place - 1);
}

const struct core_lease_row *rig_row(const struct rig *rig, uint64_t lease)
{
    const void *place = idmap_find(&rig->store.places, 0, lease);

    return place == NULL ? NULL : &rig->store.rows[place_index(place)];
}

/* Free the table's copy of a gang's shares; they were ours to write. */
static void free_shares(const struct core_lease_row *row)
{
    free((void *)(uintptr_t)row->shares);
}

/* Let @kept, a row of the table, be a copy of @row. */
static void keep(struct core_lease_row *kept, const struct core_lease_row *row)
{
    struct core_share *shares = NULL;

    if (row->shares != NULL) {
        shares = calloc(row->gpus, sizeof *shares);
        if (shares == NULL) {
            abort();
        }
        memcpy(shares, row->shares, row->gpus * sizeof *shares);
    }
    free_shares(kept);
    *kept = *row;
    kept->shares = shares;
}

static void store_put(struct rig_store *store, const struct core_lease_row *row)
{
    const void *place = idmap_find(&store->places, 0, row->id);

    if (place != NULL) {
        keep(&store->rows[place_index(place)], row);
        return;
    }
    if (store->count == store->capacity) {
        store->capacity = store->capacity == 0 ? 64 : store->capacity * 2;
        store->rows =
            realloc(store->rows, store->capacity * sizeof *store->rows);
        if (store->rows == NULL) {
            abort();
        }
    }
    map_put(&store->places, row->id, place_value(store->count));
    store->rows[store->count] = (struct core_lease_row){0};
    keep(&store->rows[store->count++], row);
}

static void store_drop(struct rig_store *store, uint64_t lease)
{
    const void *place = idmap_remove(&store->places, 0, lease);
    size_t index;

    if (place == NULL) {
        return;
    }
    index = place_index(place);
    free_shares(&store->rows[index]);
    store->count--;
    if (index != store->count) {
        store->rows[index] = store->rows[store->count];
        map_put(&store->places, store->rows[index].id, place_value(index));
    }
}

static void store_apply(struct rig_store *store,
                        const struct core_record *record)
{
    switch (record->type) {
    case CORE_RECORD_LEASE:
        store_put(store, &record->lease);
        break;
    case CORE_RECORD_LEASE_END:
        store_drop(store, record->lease.id);
        break;
    case CORE_RECORD_CLASS:
        store->classes[record->class_row.class_id] = record->class_row;
        store->has_class[record->class_row.class_id] = true;
        break;
    case CORE_RECORD_MODE:
        store->mode = record->mode;
        store->has_mode = true;
        break;
    case CORE_RECORDS:
        assert(false);
        break;
    }
}

/* ---- Building a core -------------------------------------------------- */

static void
feed_or_fail(struct rig *rig, struct core *core, const struct core_event *event)
{
    struct core_effects effects;
    int rc = core_step(core, event, &effects);

    if (rc == E_NOMEM && rig->expects_nomem) {
        rc = core_step(core, event, &effects);
    }
    if (rc != E_OK) {
        rig_fail(rig, "rebuilding: %s", err_text(rc));
    }
}

static int by_id(const void *a, const void *b)
{
    const struct core_lease_row *left = a;
    const struct core_lease_row *right = b;

    return left->id < right->id ? -1 : left->id > right->id;
}

/* Give @core every row of the table, in the order of their ids. */
static void restore_rows(struct rig *rig, struct core *core, uint64_t at_ms)
{
    struct core_event event = {.type = CORE_RESTORE, .at_ms = at_ms};
    struct rig_store *store = &rig->store;
    struct core_lease_row *sorted;
    size_t i;

    sorted = calloc(store->count + 1, sizeof *sorted);
    if (sorted == NULL) {
        abort();
    }
    for (i = 0; i < store->count; i++) {
        sorted[i] = store->rows[i];
    }
    qsort(sorted, store->count, sizeof *sorted, by_id);
    for (i = 0; i < store->count; i++) {
        event.restore.type = CORE_RECORD_LEASE;
        event.restore.lease = sorted[i];
        feed_or_fail(rig, core, &event);
    }
    free(sorted);
    for (i = 0; i < RIG_CLASSES; i++) {
        if (store->has_class[i]) {
            event.restore.type = CORE_RECORD_CLASS;
            event.restore.class_row = store->classes[i];
            feed_or_fail(rig, core, &event);
        }
    }
    if (store->has_mode) {
        event.restore.type = CORE_RECORD_MODE;
        event.restore.mode = store->mode;
        feed_or_fail(rig, core, &event);
    }
}

static struct core *
build(struct rig *rig, uint64_t at_ms, uint64_t number_first)
{
    struct core *core;
    int rc;

    rc = core_create(&rig->config, rig->alloc, at_ms, number_first, &core);
    if (rc == E_NOMEM && rig->expects_nomem) {
        rc = core_create(&rig->config, rig->alloc, at_ms, number_first, &core);
    }
    if (rc != E_OK) {
        rig_fail(rig, "cannot create a core: %s", err_text(rc));
    }
    restore_rows(rig, core, at_ms);
    return core;
}

static void allow_numbers(struct rig *rig, struct core *core)
{
    struct core_event event = {.type = CORE_ADMIN, .at_ms = rig->now_ms};

    event.admin.action = CORE_NUMBERS;
    event.admin.id_end = rig->numbers_end;
    event.admin.token_end = rig->numbers_end;
    feed_or_fail(rig, core, &event);
}

/* Forget all connections and who waited on them; the rows' classes stay. */
static void forget_connections(struct rig *rig)
{
    size_t i;

    idmap_release(&rig->refs);
    idmap_release(&rig->lasting);
    idmap_release(&rig->waiting);
    idmap_release(&rig->classes);
    for (i = 0; i < RIG_CLASSES; i++) {
        rig->waiting_count[i] = 0;
    }
    for (i = 0; i < rig->store.count; i++) {
        const struct core_lease_row *row = &rig->store.rows[i];

        map_put(&rig->classes, row->id, &slots[row->class_id]);
    }
}

static void rebuild(struct rig *rig, uint64_t at_ms, uint64_t number_first)
{
    core_destroy(rig->core);
    rig->now_ms = at_ms;
    rig->core = build(rig, at_ms, number_first);
    allow_numbers(rig, rig->core);
    forget_connections(rig);
    core_check(rig->core);
}

void rig_init(struct rig *rig,
              const struct core_config *config,
              const struct alloc *alloc,
              uint64_t start_ms)
{
    *rig = (struct rig){.config = *config,
                        .alloc = alloc,
                        .now_ms = start_ms,
                        .hash = FNV_START,
                        .check_every = 1,
                        .expects_nomem = alloc != &alloc_libc,
                        .numbers_block = NUMBERS_BLOCK,
                        .numbers_end = NUMBERS_BLOCK};
    idmap_init(&rig->store.places, &alloc_libc);
    idmap_init(&rig->refs, &alloc_libc);
    idmap_init(&rig->lasting, &alloc_libc);
    idmap_init(&rig->waiting, &alloc_libc);
    idmap_init(&rig->classes, &alloc_libc);
    idmap_init(&rig->restarted, &alloc_libc);
    rig->core = build(rig, start_ms, 1);
    allow_numbers(rig, rig->core);
}

void rig_release(struct rig *rig)
{
    size_t i;

    for (i = 0; i < rig->store.count; i++) {
        free_shares(&rig->store.rows[i]);
    }
    core_destroy(rig->core);
    free(rig->store.rows);
    idmap_release(&rig->store.places);
    idmap_release(&rig->refs);
    idmap_release(&rig->lasting);
    idmap_release(&rig->waiting);
    idmap_release(&rig->classes);
    idmap_release(&rig->restarted);
}

void rig_restart(struct rig *rig, uint64_t at_ms)
{
    uint64_t first = rig->numbers_end;

    if (rig->trace != NULL) {
        buf_printf(rig->trace, "[%6llu] restart\n", (unsigned long long)at_ms);
    }
    rig->numbers_end += rig->numbers_block;
    rebuild(rig, at_ms, first);
}

/* Dump, again where memory failed. */
static void dump(const struct core *core, struct buf *out)
{
    core_dump(core, out);
    if (buf_error(out) != E_OK) {
        buf_clear(out);
        core_dump(core, out);
    }
}

void rig_check_replay(struct rig *rig)
{
    struct core *again = build(rig, rig->now_ms, rig->numbers_end);
    struct buf live;
    struct buf replayed;

    buf_init(&live, 0);
    buf_init(&replayed, 0);
    dump(rig->core, &live);
    dump(again, &replayed);
    if (strcmp(buf_string(&live), buf_string(&replayed)) != 0) {
        rig_fail(rig, "a replay differs\nlive:\n%s\nreplayed:\n%s",
                 buf_string(&live), buf_string(&replayed));
    }
    buf_release(&live);
    buf_release(&replayed);
    core_destroy(again);
}

/* ---- What records and messages must obey ------------------------------ */

static uint64_t hash_number(uint64_t hash, uint64_t number)
{
    int i;

    for (i = 0; i < 8; i++) {
        hash = (hash ^ (number & 0xff)) * FNV_PRIME;
        number >>= 8;
    }
    return hash;
}

static uint64_t hash_shares(uint64_t hash, const struct core_lease_row *row)
{
    uint32_t i;

    for (i = 0; row->shares != NULL && i < row->gpus; i++) {
        hash = hash_number(hash, row->shares[i].charge_mib);
        hash = hash_number(hash, row->shares[i].footprint_mib);
    }
    return hash;
}

static void hash_effects(struct rig *rig, const struct core_effects *effects)
{
    uint64_t hash = rig->hash;
    size_t i;

    for (i = 0; i < effects->record_count; i++) {
        const struct core_record *record = &effects->records[i];

        hash = hash_number(hash, record->type);
        if (record->type == CORE_RECORD_LEASE) {
            hash = hash_number(hash, record->lease.id);
            hash = hash_number(hash, record->lease.token);
            hash = hash_number(hash, record->lease.state);
            hash = hash_number(hash, record->lease.granted);
            hash = hash_number(hash, record->lease.charge_mib);
            hash = hash_shares(hash, &record->lease);
        }
    }
    for (i = 0; i < effects->message_count; i++) {
        const struct core_message *message = &effects->messages[i];

        hash = hash_number(hash, message->type);
        hash = hash_number(hash, message->lease);
        hash = hash_number(hash, message->token);
        hash = hash_number(hash, message->ref);
        hash = hash_number(hash, message->requester);
        hash = hash_number(hash, message->deadline_at_ms);
        hash = hash_number(hash, message->release_mib);
        hash = hash_number(hash, message->state);
        hash = hash_number(hash, message->rung);
    }
    rig->hash = hash;
}

/* A token is new where the row before this step had another. */
static bool token_is_new(struct rig *rig, const struct core_message *message)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);

    return row == NULL || row->token != message->token;
}

/* Grants of new tokens rise; called before the records are applied. */
static void check_tokens(struct rig *rig, const struct core_effects *effects)
{
    size_t i;

    for (i = 0; i < effects->message_count; i++) {
        const struct core_message *message = &effects->messages[i];

        if ((message->type != CORE_MSG_GRANT &&
             message->type != CORE_MSG_RESUME) ||
            !token_is_new(rig, message)) {
            continue;
        }
        if (message->token <= rig->token_last) {
            rig_fail(rig, "lease %llu: token %llu after token %llu",
                     (unsigned long long)message->lease,
                     (unsigned long long)message->token,
                     (unsigned long long)rig->token_last);
        }
        rig->token_last = message->token;
    }
}

/* Whether the message answers the request that waits on its connection. */
static void check_answer(struct rig *rig, const struct core_message *message)
{
    if (message->ref == 0 ||
        idmap_find(&rig->lasting, 0, message->ref) != NULL) {
        return;
    }
    if (idmap_remove(&rig->refs, 0, message->ref) == NULL) {
        rig_fail(rig, "connection %llu is answered (%s), but does not wait",
                 (unsigned long long)message->ref,
                 core_message_name(message->type));
    }
}

static void set_waiting(struct rig *rig, uint64_t lease, bool waits)
{
    const char *slot = idmap_remove(&rig->waiting, 0, lease);

    if (slot != NULL) {
        rig->waiting_count[slot - slots]--;
    }
    slot = idmap_find(&rig->classes, 0, lease);
    if (waits && slot != NULL) {
        map_put(&rig->waiting, lease, &slots[slot - slots]);
        rig->waiting_count[slot - slots]++;
    }
}

static uint32_t class_priority(const struct rig *rig, uint32_t class_id)
{
    return class_id < CORE_PRIORITIES
               ? class_id
               : rig->config.classes[class_id - CORE_PRIORITIES].priority;
}

/* A first grant: the limits in a row hold while another class waits (A6). */
static void check_limit(struct rig *rig, const struct core_lease_row *row)
{
    uint32_t priority = class_priority(rig, row->class_id);
    uint64_t others = 0;
    uint32_t limit;
    uint32_t i;

    for (i = 0; i < CORE_PRIORITIES + rig->config.class_count; i++) {
        if (i != row->class_id && class_priority(rig, i) == priority) {
            others += rig->waiting_count[i];
            rig->grants_in_a_row[i] = 0;
        }
    }
    rig->grants_in_a_row[row->class_id]++;
    if (row->class_id < CORE_PRIORITIES) {
        return;
    }
    limit =
        rig->config.classes[row->class_id - CORE_PRIORITIES].max_consecutive;
    if (limit != 0 && rig->grants_in_a_row[row->class_id] > limit &&
        (others != 0 || rig->config.classes[row->class_id - CORE_PRIORITIES]
                            .waits_when_alone)) {
        rig_fail(rig, "lease %llu: grant %llu in a row of class %u",
                 (unsigned long long)row->id,
                 (unsigned long long)rig->grants_in_a_row[row->class_id],
                 row->class_id);
    }
}

/* A grant or a resume: its row is in the table, with its token and devices. */
static void
check_grant(struct rig *rig, const struct core_message *message, bool is_new)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);

    if (row == NULL || row->token != message->token || row->granted == 0) {
        rig_fail(rig, "lease %llu is granted, but the store does not know it",
                 (unsigned long long)message->lease);
    }
    if (is_new && message->type == CORE_MSG_GRANT) {
        rig->grants++;
        set_waiting(rig, message->lease, false);
        if ((row->flags & (CORE_ROW_BYPASSED | CORE_ROW_UNCHECKED)) == 0) {
            check_limit(rig, row);
        }
    }
}

static void note_state(struct rig *rig, const struct core_message *message)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);

    set_waiting(rig, message->lease,
                message->state == LEASE_QUEUED ||
                    (message->state == LEASE_CLEARING &&
                     (row == NULL || row->first_granted_at_ms == 0)));
    if (message->state == LEASE_ENDED) {
        (void)idmap_remove(&rig->classes, 0, message->lease);
    }
}

/* Under bypass nobody is ended but by an operator (C15). */
static void check_bypass(struct rig *rig, const struct core_message *message)
{
    struct core_lease_view view;
    struct core_stats stats;

    core_stats(rig->core, &stats);
    if (stats.bypass_until_ms != 0 &&
        (message->rung == RUNG_TERM || message->rung == RUNG_KILL) &&
        core_lease_view(rig->core, message->lease, &view) == E_OK &&
        view.reason != CORE_REASON_OPERATOR) {
        rig_fail(rig, "lease %llu: %s under bypass",
                 (unsigned long long)message->lease, rung_name(message->rung));
    }
}

/* A rung is begun: the store knows it, and no service is restarted twice for
 * one revocation (B8). */
static void check_rung(struct rig *rig, const struct core_message *message)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);
    uint32_t flag = message->rung == RUNG_FREEZE       ? CORE_ROW_FROZEN
                    : message->rung == RUNG_CHECKPOINT ? CORE_ROW_CHECKPOINTED
                                                       : 0;

    if (message->rung == RUNG_RESTART) {
        if (idmap_find(&rig->restarted, 0, message->lease) != NULL) {
            rig_fail(rig, "lease %llu: restarted twice",
                     (unsigned long long)message->lease);
        }
        map_put(&rig->restarted, message->lease, slots);
        flag = CORE_ROW_RESTARTED;
    }
    if (message->is_undo || row == NULL) {
        return; /* It may be the last that is heard of the lease. */
    }
    check_bypass(rig, message);
    if ((row->flags & flag) != flag ||
        (message->state == row->state && row->rung != message->rung)) {
        rig_fail(rig, "lease %llu: %s is begun, but the store does not know it",
                 (unsigned long long)message->lease, rung_name(message->rung));
    }
    if (rung_pauses(message->rung) != (message->state == LEASE_PAUSING) &&
        rung_reclaims(message->rung) != (message->state == LEASE_RECLAIMING)) {
        rig_fail(rig, "lease %llu: %s while %s",
                 (unsigned long long)message->lease, rung_name(message->rung),
                 lease_state_name((enum lease_state)message->state));
    }
}

/* Whoever was let in as overdue has its turn: nobody else makes it go (C9). */
static void check_turn(const struct rig *rig,
                       const struct core_message *message)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);

    if (row != NULL && (row->flags & CORE_ROW_OVERDUE) != 0 &&
        rig->now_ms - row->granted_at_ms < 2000) {
        rig_fail(rig, "lease %llu is to go before its turn is over",
                 (unsigned long long)message->lease);
    }
}

static void check_messages(struct rig *rig,
                           const struct core_effects *effects,
                           uint64_t token_before)
{
    size_t i;

    /* States are said last: who left the queue did so before the grants. */
    for (i = 0; i < effects->message_count; i++) {
        if (effects->messages[i].type == CORE_MSG_STATE &&
            (effects->messages[i].state == LEASE_AWAY ||
             effects->messages[i].state == LEASE_ENDED)) {
            note_state(rig, &effects->messages[i]);
        }
    }
    for (i = 0; i < effects->message_count; i++) {
        const struct core_message *message = &effects->messages[i];

        switch (message->type) {
        case CORE_MSG_GRANT:
        case CORE_MSG_RESUME:
            check_answer(rig, message);
            check_grant(rig, message, message->token > token_before);
            break;
        case CORE_MSG_REFUSE:
        case CORE_MSG_SUPERSEDED:
            check_answer(rig, message);
            break;
        case CORE_MSG_STATE:
            note_state(rig, message);
            break;
        case CORE_MSG_RUNG:
            check_rung(rig, message);
            break;
        case CORE_MSG_PAUSE:
            if (message->requester != 0) {
                check_turn(rig, message);
            }
            break;
        case CORE_MSG_REVOKE:
            if (message->reason == CORE_REASON_PREEMPTED) {
                check_turn(rig, message);
            }
            break;
        case CORE_MSG_OFFER:
        case CORE_MSG_UNLOAD:
        case CORE_MSG_SHUTDOWN:
        case CORE_MSG_STOPPED:
        case CORE_MESSAGES:
            break;
        }
    }
}

/* One device: an exclusive holder is alone, and the charges fit (B11). */
static void check_device(struct rig *rig, uint32_t device)
{
    const struct core_device_config *config = &rig->config.devices[device];
    uint32_t size = config->capacity_mib - config->reserve_mib;
    uint64_t charged = 0;
    uint64_t exclusive = 0;
    size_t holders = 0;
    size_t i;

    for (i = 0; i < rig->store.count; i++) {
        const struct core_lease_row *row = &rig->store.rows[i];
        enum lease_state state = (enum lease_state)row->state;

        if ((row->granted >> device & 1) == 0 ||
            (row->flags & (CORE_ROW_BYPASSED | CORE_ROW_UNCHECKED)) != 0) {
            continue;
        }
        if (!lease_state_holds(state) && state != LEASE_PAUSED) {
            continue;
        }
        charged += core_row_share(row, device).charge_mib;
        if (lease_state_holds(state) && (row->flags & CORE_ROW_ASLEEP) == 0) {
            holders++;
            exclusive = row->vram_mib == 0 ? row->id : exclusive;
        }
    }
    if (exclusive != 0 && holders > 1) {
        rig_fail(rig, "device %u: exclusive lease %llu is not alone", device,
                 (unsigned long long)exclusive);
    }
    if (charged < rig->tolerated_mib[device]) {
        rig->tolerated_mib[device] = charged;
    }
    if (charged > size && charged > rig->tolerated_mib[device]) {
        rig_fail(rig, "device %u: %llu MiB are charged", device,
                 (unsigned long long)charged);
    }
}

static void check_store(struct rig *rig)
{
    uint32_t i;

    for (i = 0; i < rig->config.device_count; i++) {
        check_device(rig, i);
    }
}

/* ---- Feeding ---------------------------------------------------------- */

static void trace_effects(struct rig *rig,
                          const struct core_event *event,
                          const struct core_effects *effects,
                          int rc)
{
    size_t i;

    if (rc != E_OK) {
        buf_printf(rig->trace, " -> %s\n", err_type(rc));
        return;
    }
    if (event->type == CORE_SUBMIT) {
        buf_printf(rig->trace, " -> lease %llu",
                   (unsigned long long)effects->lease);
    }
    buf_text(rig->trace, effects->is_repeat ? " (again)\n" : "\n");
    for (i = 0; i < effects->message_count; i++) {
        trace_message(rig->trace, &effects->messages[i]);
        buf_byte(rig->trace, '\n');
    }
}

/* What the event itself says about who waits on which connection. */
static void note_event(struct rig *rig,
                       const struct core_event *event,
                       const struct core_effects *effects)
{
    if (event->type == CORE_SUBMIT) {
        if (!effects->is_repeat) {
            map_put(&rig->classes, effects->lease,
                    &slots[event->submit.class_id]);
        }
        if (event->submit.ref != 0) {
            map_put(event->submit.holds_by_connection ? &rig->lasting
                                                      : &rig->refs,
                    event->submit.ref, slots);
        }
    } else if (event->type == CORE_DETACH && event->detach.ref != 0) {
        (void)idmap_remove(&rig->refs, 0, event->detach.ref);
    }
}

/* The configuration is another one: what is held stays, but counts of grants
 * begin below the limits that were. */
static void reconfigure(struct rig *rig, const struct core_config *config)
{
    uint32_t i;

    for (i = 0; i < rig->config.class_count; i++) {
        uint64_t *row = &rig->grants_in_a_row[CORE_CLASS(i)];
        uint32_t limit = rig->config.classes[i].max_consecutive;

        *row = *row < limit ? *row : limit;
    }
    for (i = 0; i < config->device_count; i++) {
        rig->tolerated_mib[i] = rig->config.devices[i].capacity_mib;
    }
    rig->config = *config;
}

static void commit(struct rig *rig, const struct core_effects *effects)
{
    uint64_t token_before = rig->token_last;
    size_t i;

    check_tokens(rig, effects);
    for (i = 0; i < effects->record_count; i++) {
        store_apply(&rig->store, &effects->records[i]);
    }
    check_messages(rig, effects, token_before);
    hash_effects(rig, effects);
}

static void begin(struct rig *rig, const struct core_event *event)
{
    assert(event->at_ms >= rig->now_ms);
    /* At the time of the event before: nothing else is due then. */
    if (core_number_next(rig->core) + NUMBERS_LOW > rig->numbers_end) {
        rig->numbers_end += rig->numbers_block;
        allow_numbers(rig, rig->core);
    }
    rig->now_ms = event->at_ms;
    rig->events++;
}

/* Step; where memory fails, hold the core to "nothing has changed" and step
 * again. */
static int
step(struct rig *rig, const struct core_event *event, struct core_effects *out)
{
    struct buf before;
    struct buf after;
    int rc;

    if (!rig->expects_nomem) {
        return core_step(rig->core, event, out);
    }
    buf_init(&before, 0);
    buf_init(&after, 0);
    dump(rig->core, &before);
    rc = core_step(rig->core, event, out);
    if (rc == E_NOMEM) {
        core_check(rig->core);
        dump(rig->core, &after);
        if (strcmp(buf_string(&before), buf_string(&after)) != 0) {
            rig_fail(rig,
                     "out of memory, but changed\nbefore:\n%s\n"
                     "after:\n%s",
                     buf_string(&before), buf_string(&after));
        }
        rc = core_step(rig->core, event, out);
    }
    buf_release(&before);
    buf_release(&after);
    return rc;
}

int rig_feed(struct rig *rig,
             const struct core_event *event,
             struct core_effects *out)
{
    bool checks;
    int rc;

    begin(rig, event);
    if (rig->trace != NULL) {
        trace_event(rig->trace, event);
    }
    rc = step(rig, event, out);
    if (rig->trace != NULL) {
        trace_effects(rig, event, out, rc);
    }
    checks = rig->events % rig->check_every == 0;
    if (checks) {
        core_check(rig->core);
    }
    rig->hash = hash_number(rig->hash, (uint64_t)(int64_t)rc);
    if (rc != E_OK) {
        return rc;
    }
    note_event(rig, event, out);
    if (event->type == CORE_ADMIN && event->admin.action == CORE_CONFIGURE) {
        reconfigure(rig, event->admin.config);
    }
    commit(rig, out);
    if (checks) {
        check_store(rig);
    }
    return E_OK;
}

int rig_feed_lost(struct rig *rig, const struct core_event *event)
{
    struct core_effects effects;
    int rc;

    begin(rig, event);
    rc = core_step(rig->core, event, &effects);
    if (rc != E_OK) {
        return rc;
    }
    if (rig->trace != NULL) {
        trace_event(rig->trace, event);
        buf_text(rig->trace, " -> the commit fails\n");
    }
    rebuild(rig, event->at_ms, core_number_next(rig->core));
    return E_OK;
}
