#include "daemon/events.h"

#include <stdlib.h>

struct events {
    uint64_t epoch;
    uint64_t next; /* Sequence number of the next event. */
    struct events_entry ring[EVENTS_KEPT];
};

int events_create(uint64_t epoch, struct events **out)
{
    struct events *events = calloc(1, sizeof(*events));

    if (events == NULL) {
        return E_NOMEM;
    }
    events->epoch = epoch;
    events->next = 1;
    *out = events;
    return E_OK;
}

void events_destroy(struct events *events)
{
    free(events);
}

void events_push(struct events *events,
                 uint64_t wall_ms,
                 const struct core_message *message)
{
    events->ring[events->next % EVENTS_KEPT] =
        (struct events_entry){wall_ms, *message};
    events->next++;
}

uint64_t events_next(const struct events *events)
{
    return events->next;
}

/* Return the sequence number of the oldest event kept. */
static uint64_t events_first(const struct events *events)
{
    return events->next > EVENTS_KEPT ? events->next - EVENTS_KEPT : 1;
}

const struct events_entry *events_find(const struct events *events,
                                       uint64_t seq)
{
    if (seq < events_first(events) || seq >= events->next) {
        return NULL;
    }
    return &events->ring[seq % EVENTS_KEPT];
}

/* Read an id, "EPOCH-NUMBER"; false where it is none of ours. */
static bool id_read(const char *id, uint64_t *epoch, uint64_t *last)
{
    char *end;

    *epoch = strtoull(id, &end, 10);
    if (end[0] != '-' || end[1] < '0' || end[1] > '9') {
        return false;
    }
    *last = strtoull(end + 1, &end, 10);
    return *end == '\0';
}

bool events_resume(const struct events *events, const char *id, uint64_t *seq)
{
    uint64_t epoch;
    uint64_t last;

    *seq = events->next;
    if (id == NULL || id[0] == '\0') {
        return false;
    }
    if (!id_read(id, &epoch, &last) || epoch != events->epoch ||
        last >= events->next || last + 1 < events_first(events)) {
        return true;
    }
    *seq = last + 1;
    return false;
}

void events_write_id(const struct events *events, uint64_t seq, struct buf *out)
{
    buf_u64(out, events->epoch);
    buf_byte(out, '-');
    buf_u64(out, seq);
}
