#include "daemon/observed.h"

#include <stdlib.h>
#include <string.h>

enum {
    FADE = 16 /* The newest hold has at least this part of the mean. */
};

struct holds {
    uint32_t count;
    uint64_t mean_ms;
};

struct observed {
    struct holds *holds; /* By number of the service. */
    uint32_t capacity;
};

int observed_create(struct observed **out)
{
    *out = calloc(1, sizeof(**out));
    return *out == NULL ? E_NOMEM : E_OK;
}

void observed_destroy(struct observed *observed)
{
    if (observed != NULL) {
        free(observed->holds);
        free(observed);
    }
}

static struct holds *holds_get(struct observed *observed, uint32_t service)
{
    uint32_t capacity = (service + 1) * 2;
    struct holds *grown;

    if (service < observed->capacity) {
        return &observed->holds[service];
    }
    grown = realloc(observed->holds, capacity * sizeof(*grown));
    if (grown == NULL) {
        return NULL;
    }
    memset(grown + observed->capacity, 0,
           (capacity - observed->capacity) * sizeof(*grown));
    observed->holds = grown;
    observed->capacity = capacity;
    return &observed->holds[service];
}

void observed_add(struct observed *observed, uint32_t service, uint64_t held_ms)
{
    struct holds *holds = holds_get(observed, service);
    uint64_t parts;

    if (holds == NULL) {
        return;
    }
    if (holds->count < UINT32_MAX) {
        holds->count++;
    }
    parts = holds->count < FADE ? holds->count : FADE;
    holds->mean_ms = (holds->mean_ms * (parts - 1) + held_ms) / parts;
}

uint32_t observed_count(const struct observed *observed, uint32_t service)
{
    return service < observed->capacity ? observed->holds[service].count : 0;
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
    mean_ms = observed->holds[service].mean_ms;
    *left_ms = mean_ms > held_ms ? mean_ms - held_ms : 0;
    return true;
}
