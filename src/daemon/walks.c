#include "daemon/walks.h"

#include "base/alloc.h"
#include "base/idmap.h"
#include "base/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct list link; /* Of .live or .ended, oldest first. */
    uint64_t lease;
    bool has_ended;
    struct walks_walk walk;
};

struct walks {
    struct idmap leases;
    struct list live;
    struct list ended;
    uint32_t ended_count;
    uint64_t counts[RUNGS][WALKS_OUTCOMES];
};

static const char *const outcome_names[WALKS_OUTCOMES] = {
    [WALKS_RUNNING] = "running", [WALKS_OK] = "ok",
    [WALKS_FAILED] = "failed",   [WALKS_SKIPPED] = "skipped",
    [WALKS_LATE] = "late",
};

const char *walks_outcome_name(enum walks_outcome outcome)
{
    return outcome_names[outcome];
}

int walks_create(struct walks **out)
{
    struct walks *walks = calloc(1, sizeof *walks);

    if (walks == NULL) {
        return E_NOMEM;
    }
    idmap_init(&walks->leases, &alloc_libc);
    list_init(&walks->live);
    list_init(&walks->ended);
    *out = walks;
    return E_OK;
}

static void forget(struct walks *walks, struct entry *entry)
{
    list_remove(&entry->link);
    (void)idmap_remove(&walks->leases, 0, entry->lease);
    walks->ended_count -= entry->has_ended ? 1 : 0;
    free(entry);
}

void walks_destroy(struct walks *walks)
{
    if (walks == NULL) {
        return;
    }
    while (!list_is_empty(&walks->live)) {
        forget(walks, CONTAINER_OF(walks->live.next, struct entry, link));
    }
    while (!list_is_empty(&walks->ended)) {
        forget(walks, CONTAINER_OF(walks->ended.next, struct entry, link));
    }
    idmap_release(&walks->leases);
    free(walks);
}

static struct entry *entry_get(struct walks *walks, uint64_t lease)
{
    struct entry *entry = idmap_find(&walks->leases, 0, lease);

    if (entry != NULL || idmap_reserve(&walks->leases) != E_OK) {
        return entry;
    }
    entry = calloc(1, sizeof *entry);
    if (entry != NULL) {
        entry->lease = lease;
        list_append(&walks->live, &entry->link);
        idmap_put(&walks->leases, 0, lease, entry);
    }
    return entry;
}

/* @step was late, after @ms. */
static void give_reason(struct walks_step *step, uint64_t ms)
{
    struct buf text;

    buf_init(&text, 0);
    buf_text(&text, step->rung == RUNG_ASK ? "no answer in " : "not done in ");
    walks_print_time(ms, &text);
    (void)snprintf(step->reason, sizeof step->reason, "%s", buf_string(&text));
    buf_release(&text);
}

/* @step ends as @outcome says. */
static void end_step(struct walks *walks,
                     struct walks_step *step,
                     enum walks_outcome outcome,
                     uint64_t now_ms)
{
    if (step->outcome != WALKS_RUNNING) {
        return;
    }
    if (outcome == WALKS_FAILED && now_ms >= step->due_at_ms) {
        outcome = WALKS_LATE;
    }
    step->outcome = outcome;
    step->ended_at_ms = now_ms;
    if (outcome == WALKS_LATE && step->reason[0] == '\0') {
        give_reason(step, now_ms - step->begun_at_ms);
    }
    walks->counts[step->rung][outcome]++;
}

void walks_close(struct walks *walks,
                 uint64_t lease,
                 enum walks_outcome outcome,
                 uint64_t now_ms)
{
    struct entry *entry = idmap_find(&walks->leases, 0, lease);
    uint32_t i;

    for (i = 0; entry != NULL && i < entry->walk.count; i++) {
        struct walks_step *step = &entry->walk.steps[i];

        if (!step->is_undo && step->rung != RUNG_RESTART) {
            end_step(walks, step, outcome, now_ms);
        }
    }
}

/* Say whether @step goes on with the walk: it rises, or undoes. */
static bool rises(const struct walks_walk *walk, const struct walks_step *step)
{
    uint32_t i;

    for (i = 0; !step->is_undo && i < walk->count; i++) {
        if (walk->steps[i].is_undo || walk->steps[i].rung >= step->rung) {
            return false;
        }
    }
    return true;
}

void walks_begin(struct walks *walks,
                 uint64_t lease,
                 const struct walks_step *step)
{
    struct entry *entry = entry_get(walks, lease);
    struct walks_walk *walk;

    if (entry == NULL) {
        return;
    }
    walk = &entry->walk;
    if (!step->is_undo) {
        walks_close(walks, lease, WALKS_FAILED, step->begun_at_ms);
    }
    if (!rises(walk, step)) {
        walk->count = 0;
    }
    if (walk->count == WALKS_STEPS_MAX) {
        walk->count--;
        memmove(&walk->steps[0], &walk->steps[1],
                walk->count * sizeof walk->steps[0]);
    }
    walk->steps[walk->count] = *step;
    walk->steps[walk->count].outcome = WALKS_RUNNING;
    walk->count++;
}

void walks_end(struct walks *walks,
               uint64_t lease,
               const struct walks_step *step,
               uint64_t now_ms)
{
    struct entry *entry = idmap_find(&walks->leases, 0, lease);
    uint32_t i = entry == NULL ? 0 : entry->walk.count;

    while (i-- > 0) {
        struct walks_step *at = &entry->walk.steps[i];

        if (at->rung == step->rung && at->is_undo == step->is_undo) {
            if (at->outcome == WALKS_RUNNING) {
                memcpy(at->reason, step->reason, sizeof at->reason);
            }
            end_step(walks, at, step->outcome, now_ms);
            return;
        }
    }
}

void walks_lease_ended(struct walks *walks, uint64_t lease)
{
    struct entry *entry = idmap_find(&walks->leases, 0, lease);

    if (entry == NULL || entry->has_ended) {
        return;
    }
    entry->has_ended = true;
    list_remove(&entry->link);
    entry->link = (struct list){NULL, NULL};
    list_append(&walks->ended, &entry->link);
    if (++walks->ended_count > WALKS_ENDED_MAX) {
        forget(walks, CONTAINER_OF(walks->ended.next, struct entry, link));
    }
}

const struct walks_walk *walks_find(const struct walks *walks, uint64_t lease)
{
    const struct entry *entry = idmap_find(&walks->leases, 0, lease);

    return entry == NULL ? NULL : &entry->walk;
}

uint64_t walks_count(const struct walks *walks,
                     enum rung rung,
                     enum walks_outcome outcome)
{
    return walks->counts[rung][outcome];
}
