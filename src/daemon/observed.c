#include "daemon/observed.h"

#include <stdlib.h>
#include <string.h>

enum {
    FADE = 16 /* The newest hold has at least this part of the mean. */
};

/* A running mean. */
struct mean {
    uint32_t count;
    uint64_t ms;
};

struct service {
    struct mean holds;
    struct mean swaps[OBSERVED_SWAPS];
    uint32_t footprint_mib;
};

/* A swap under way. */
struct begun {
    uint64_t lease;
    uint64_t at_ms;
    enum observed_swap swap;
};

struct observed {
    struct service *services; /* By number. */
    uint32_t capacity;
    struct begun *begun;
    size_t begun_count;
    size_t begun_room;
};

int observed_create(struct observed **out)
{
    *out = calloc(1, sizeof(**out));
    return *out == NULL ? E_NOMEM : E_OK;
}

void observed_destroy(struct observed *observed)
{
    if (observed != NULL) {
        free(observed->services);
        free(observed->begun);
        free(observed);
    }
}

static struct service *service_get(struct observed *observed, uint32_t service)
{
    uint32_t capacity = (service + 1) * 2;
    struct service *grown;

    if (service < observed->capacity) {
        return &observed->services[service];
    }
    grown = realloc(observed->services, capacity * sizeof(*grown));
    if (grown == NULL) {
        return NULL;
    }
    memset(grown + observed->capacity, 0,
           (capacity - observed->capacity) * sizeof(*grown));
    observed->services = grown;
    observed->capacity = capacity;
    return &observed->services[service];
}

static void mean_add(struct mean *mean, uint64_t ms)
{
    uint64_t parts;

    if (mean->count < UINT32_MAX) {
        mean->count++;
    }
    parts = mean->count < FADE ? mean->count : FADE;
    mean->ms = (mean->ms * (parts - 1) + ms) / parts;
}

/* ---- Holds ------------------------------------------------------------ */

void observed_add(struct observed *observed, uint32_t service, uint64_t held_ms)
{
    struct service *seen = service_get(observed, service);

    if (seen != NULL) {
        mean_add(&seen->holds, held_ms);
    }
}

uint32_t observed_count(const struct observed *observed, uint32_t service)
{
    return service < observed->capacity
               ? observed->services[service].holds.count
               : 0;
}

bool observed_left(const struct observed *observed,
                   uint32_t service,
                   uint64_t held_ms,
                   uint64_t *left_ms)
{
    uint64_t mean_ms;

    if (observed_count(observed, service) < OBSERVED_MIN) {
        return false;
    }
    mean_ms = observed->services[service].holds.ms;
    *left_ms = mean_ms > held_ms ? mean_ms - held_ms : 0;
    return true;
}

/* ---- Swaps ------------------------------------------------------------ */

static struct begun *
begun_find(struct observed *observed, uint64_t lease, enum observed_swap swap)
{
    size_t i;

    for (i = 0; i < observed->begun_count; i++) {
        struct begun *begun = &observed->begun[i];

        if (begun->lease == lease && begun->swap == swap) {
            return begun;
        }
    }
    return NULL;
}

static void begun_remove(struct observed *observed, struct begun *begun)
{
    if (begun != NULL) {
        *begun = observed->begun[--observed->begun_count];
    }
}

void observed_begin(struct observed *observed,
                    uint64_t lease,
                    enum observed_swap swap,
                    uint64_t at_ms)
{
    size_t room = observed->begun_room == 0 ? 16 : observed->begun_room * 2;
    struct begun *grown;

    begun_remove(observed, begun_find(observed, lease, swap));
    if (observed->begun_count == observed->begun_room) {
        grown = realloc(observed->begun, room * sizeof(*grown));
        if (grown == NULL) {
            return;
        }
        observed->begun = grown;
        observed->begun_room = room;
    }
    observed->begun[observed->begun_count++] =
        (struct begun){lease, at_ms, swap};
}

void observed_end(struct observed *observed,
                  uint64_t lease,
                  uint32_t service,
                  enum observed_swap swap,
                  uint64_t at_ms)
{
    struct begun *begun = begun_find(observed, lease, swap);
    struct service *seen =
        begun == NULL ? NULL : service_get(observed, service);

    if (seen != NULL) {
        mean_add(&seen->swaps[swap],
                 at_ms > begun->at_ms ? at_ms - begun->at_ms : 0);
    }
    begun_remove(observed, begun);
}

void observed_forget(struct observed *observed, uint64_t lease)
{
    int swap;

    for (swap = 0; swap < OBSERVED_SWAPS; swap++) {
        begun_remove(observed,
                     begun_find(observed, lease, (enum observed_swap)swap));
    }
}

/* ---- Use -------------------------------------------------------------- */

void observed_use(struct observed *observed, uint32_t service, uint32_t mib)
{
    struct service *seen = service_get(observed, service);

    if (seen != NULL && mib > seen->footprint_mib) {
        seen->footprint_mib = mib;
    }
}

void observed_get(const struct observed *observed,
                  uint32_t service,
                  struct observed_service *out)
{
    const struct service *seen;
    int swap;

    *out = (struct observed_service){0};
    if (service >= observed->capacity) {
        return;
    }
    seen = &observed->services[service];
    out->holds = seen->holds.count;
    out->hold_ms = seen->holds.ms;
    out->footprint_mib = seen->footprint_mib;
    for (swap = 0; swap < OBSERVED_SWAPS; swap++) {
        out->swaps[swap] = seen->swaps[swap].count;
        out->swap_ms[swap] = seen->swaps[swap].ms;
    }
}
