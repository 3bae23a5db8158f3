/* ended.c - leases that are over, remembered for a while.
 *
 * A table by id: a release that is sent twice is answered alike, and whoever
 * comes late learns how it ended.
 */
#include "core/parts.h"

#include <string.h>

/* Where the lease @id has its place in the table. */
static size_t place_of(uint64_t id)
{
    return (size_t)(id % ((uint64_t)ENDED_CHUNKS * ENDED_CHUNK));
}

static struct ended *ended_place(const struct core *core, uint64_t id)
{
    size_t place = place_of(id);
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
        core->ended[place_of(id) / ENDED_CHUNK] = chunk;
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
