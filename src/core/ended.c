/* ended.c - leases that are over, remembered for a while.
 *
 * A ring of the newest, found by id: a release that is sent twice is answered
 * alike, and whoever comes late learns how it ended.
 */
#include "core/parts.h"

#include <string.h>

const struct ended *core_ended(const struct core *core, uint64_t id)
{
    const struct ended *ended = idmap_find(&core->ended_by_id, 0, id);

    return ended != NULL && core->now_ms - ended->ended_at_ms < ENDED_MS ? ended
                                                                         : NULL;
}

/* Return the oldest place of the ring, forgotten; NULL without memory. */
static struct ended *take_place(struct core *core)
{
    size_t place =
        (size_t)(core->ended_count % ((uint64_t)ENDED_CHUNKS * ENDED_CHUNK));
    struct ended **chunk = &core->ended[place / ENDED_CHUNK];
    size_t size = ENDED_CHUNK * sizeof **chunk;
    struct ended *ended;

    if (idmap_reserve(&core->ended_by_id) != E_OK) {
        return NULL;
    }
    if (*chunk == NULL) {
        *chunk = core->alloc.resize(core->alloc.arg, NULL, size);
        if (*chunk == NULL) {
            return NULL;
        }
        memset(*chunk, 0, size);
    }
    core->ended_count++;
    ended = &(*chunk)[place % ENDED_CHUNK];
    if (ended->id != 0) {
        (void)idmap_remove(&core->ended_by_id, 0, ended->id);
    }
    return ended;
}

void core_remember(struct core *core,
                   const struct lease *lease,
                   enum core_reason reason)
{
    uint64_t id = lease->row.id;
    uint64_t first = lease->row.first_granted_at_ms;
    struct ended *ended = take_place(core);

    if (ended == NULL) {
        return; /* It is forgotten a little early. */
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
    idmap_put(&core->ended_by_id, 0, id, ended);
}
