/* ladder.c - what each rung is, and the walk over them. */
#include "core/ladder.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum {
    RUNG_BITS = 4,
    RUNG_MASK = (1 << RUNG_BITS) - 1
};

static const struct {
    const char *name;
    const char *help;
    bool pauses;
    bool reclaims;
    bool needs_undo;
} table[RUNGS] = {
    [RUNG_NONE] = {"none", "no rung", false, false, false},
    [RUNG_ASK] = {"ask", "the holder is asked to pause, and acknowledges", true,
                  false, false},
    [RUNG_UNLOAD] = {"unload", "its engine is told to unload", true, true,
                     false},
    [RUNG_FREEZE] = {"freeze", "its processes are stopped; frees no VRAM", true,
                     false, true},
    [RUNG_CHECKPOINT] = {"checkpoint", "its VRAM is moved to host RAM", true,
                         false, true},
    [RUNG_TERM] = {"term", "its processes are asked to end", false, true,
                   false},
    [RUNG_KILL] = {"kill", "its processes are ended", false, true, false},
    [RUNG_RESTART] = {"restart", "its service is started again", false, true,
                      false},
};

static const char *const results[RUNG_RESULTS] = {
    [RUNG_OK] = "ok",
    [RUNG_FAILED] = "failed",
    [RUNG_SKIPPED] = "skipped",
};

const char *rung_name(enum rung rung)
{
    assert(rung < RUNGS);
    return table[rung].name;
}

const char *rung_help(enum rung rung)
{
    assert(rung < RUNGS);
    return table[rung].help;
}

enum rung rung_find(const char *name)
{
    int i;

    for (i = RUNG_ASK; i < RUNGS; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return (enum rung)i;
        }
    }
    return RUNG_NONE;
}

const char *rung_result_name(enum rung_result result)
{
    assert(result < RUNG_RESULTS);
    return results[result];
}

bool rung_pauses(enum rung rung)
{
    assert(rung < RUNGS);
    return table[rung].pauses;
}

bool rung_reclaims(enum rung rung)
{
    assert(rung < RUNGS);
    return table[rung].reclaims;
}

bool rung_needs_undo(enum rung rung)
{
    assert(rung < RUNGS);
    return table[rung].needs_undo;
}

bool ladder_is_valid(const struct core_ladder *ladder)
{
    enum rung before = RUNG_NONE;
    uint32_t i;

    if (ladder->count == 0 || ladder->count > LADDER_STEPS_MAX) {
        return false;
    }
    for (i = 0; i < ladder->count; i++) {
        enum rung rung = ladder->steps[i].rung;

        if (rung <= before || rung >= RUNGS) {
            return false;
        }
        before = rung;
    }
    return true;
}

uint32_t ladder_pack(const struct core_ladder *ladder)
{
    uint32_t rungs = 0;
    uint32_t i;

    for (i = 0; i < ladder->count; i++) {
        rungs |= (uint32_t)ladder->steps[i].rung << (i * RUNG_BITS);
    }
    return rungs;
}

bool ladder_is_packed(uint32_t rungs)
{
    uint32_t before = RUNG_NONE;

    if (rungs == 0) {
        return false;
    }
    for (; rungs != 0; rungs >>= RUNG_BITS) {
        uint32_t rung = rungs & RUNG_MASK;

        if (rung <= before || rung >= RUNGS) {
            return false;
        }
        before = rung;
    }
    return true;
}

bool ladder_has(uint32_t rungs, enum rung rung)
{
    for (; rungs != 0; rungs >>= RUNG_BITS) {
        if ((rungs & RUNG_MASK) == rung) {
            return true;
        }
    }
    return false;
}

/* The first rung above @after that @is_walked says yes to. */
static enum rung
next(uint32_t rungs, enum rung after, bool (*is_walked)(enum rung rung))
{
    for (; rungs != 0; rungs >>= RUNG_BITS) {
        enum rung rung = (enum rung)(rungs & RUNG_MASK);

        if (rung > after && is_walked(rung)) {
            return rung;
        }
    }
    return RUNG_NONE;
}

enum rung ladder_next_pause(uint32_t rungs, enum rung after)
{
    return next(rungs, after, rung_pauses);
}

enum rung ladder_next_reclaim(uint32_t rungs, enum rung after)
{
    return next(rungs, after, rung_reclaims);
}

uint32_t ladder_grace_ms(const struct core_ladder *ladder, enum rung rung)
{
    uint32_t i;

    for (i = 0; ladder != NULL && i < ladder->count; i++) {
        if (ladder->steps[i].rung == rung && ladder->steps[i].grace_ms != 0) {
            return ladder->steps[i].grace_ms;
        }
    }
    return LADDER_GRACE_MS;
}
