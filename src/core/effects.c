/* effects.c - what a step tells the driver: records, then messages. */
#include "core/parts.h"

#include <assert.h>

static int reserve_array(struct core *core, void **array, size_t size)
{
    void *grown = core->alloc.resize(core->alloc.arg, *array, size);

    if (grown == NULL) {
        return E_NOMEM;
    }
    *array = grown;
    return E_OK;
}

int effects_resize(struct core *core, uint32_t count)
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
                                            : effects_resize(core, wanted);
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

/* The store learns of leases that outlive a restart: granted ones, and
 * waiters with a job. */
static bool is_kept(const struct lease *lease)
{
    return lease->row.first_granted_at_ms != 0 || lease->row.job != 0;
}

void effects_record(struct core *core)
{
    uint32_t i;

    for (i = 0; i < core->touched_count; i++) {
        struct lease *lease = core->touched[i];

        lease->is_touched = false;
        if (is_kept(lease)) {
            lease->is_stored = true;
            core->records[core->record_count++] = (struct core_record){
                .type = CORE_RECORD_LEASE, .lease = lease->row};
        } else if (lease->is_stored) {
            /* Its grant was taken back: it waits on its connection again. */
            lease->is_stored = false;
            core->records[core->record_count++] = (struct core_record){
                .type = CORE_RECORD_LEASE_END, .lease = {.id = lease->row.id}};
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

void effects_say_moved(struct core *core)
{
    uint32_t i;

    for (i = 0; i < core->moved_count; i++) {
        core->moved[i]->is_moved = false;
        (void)core_say(core, CORE_MSG_STATE, core->moved[i]);
    }
}
