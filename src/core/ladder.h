/* ladder.h - the rungs by which a holder is made to give way, mildest first.
 *
 * A ladder is a rising sequence of rungs, each at most once.  While a lease is
 * PAUSING its pause rungs are walked, while it is RECLAIMING its force rungs;
 * which is which says the table in ladder.c, from which docs/state-machines.md
 * is printed.  A lease keeps its ladder packed in its row, so that neither a
 * reload nor a restart changes what it was promised.  What a rung does to
 * processes is not known here.  docs/decisions/0004-the-ladder.md has every
 * rule.
 */
#ifndef GPUCOORD_CORE_LADDER_H
#define GPUCOORD_CORE_LADDER_H

#include <stdbool.h>
#include <stdint.h>

enum rung {
    RUNG_NONE,
    RUNG_ASK,        /* The holder is asked to pause, and acknowledges. */
    RUNG_UNLOAD,     /* Its engine is told to unload. */
    RUNG_FREEZE,     /* Its processes are stopped; frees no VRAM. */
    RUNG_CHECKPOINT, /* Its VRAM is moved to host RAM by the driver. */
    RUNG_TERM,       /* Its processes are asked to end. */
    RUNG_KILL,       /* Its processes are ended. */
    RUNG_RESTART,    /* Its service's restart command is run. */
    RUNGS
};

/* How a rung ended, as whoever carried it out says. */
enum rung_result {
    RUNG_OK,
    RUNG_FAILED,
    RUNG_SKIPPED, /* It cannot be done here, or there is nothing to do. */
    RUNG_RESULTS
};

enum {
    LADDER_STEPS_MAX = 8,
    LADDER_GRACE_MS = 10000 /* Where a step names no grace. */
};

/* One service's ladder, as configured. */
struct core_ladder {
    uint32_t count; /* 1 to LADDER_STEPS_MAX. */
    struct {
        enum rung rung;    /* Rising from step to step. */
        uint32_t grace_ms; /* Until the next rung; 0 = LADDER_GRACE_MS.  ASK:
                              not used, a request has its own. */
    } steps[LADDER_STEPS_MAX];
};

/* The ladder of whoever names none: ask. */
#define LADDER_DEFAULT ((uint32_t)RUNG_ASK)

/* Return the name of @rung as in the interfaces ("term"); static. */
const char *rung_name(enum rung rung);

/* Return what @rung does, a sentence part for the documentation; static. */
const char *rung_help(enum rung rung);

/* Return the rung called @name; RUNG_NONE where there is none. */
enum rung rung_find(const char *name);

/* Return the name of @result as in the interfaces ("ok"); static. */
const char *rung_result_name(enum rung_result result);

/* Say whether @rung is walked while a lease is PAUSING. */
bool rung_pauses(enum rung rung);

/* Say whether @rung is walked while a lease is RECLAIMING. */
bool rung_reclaims(enum rung rung);

/* Say whether what @rung did has to be undone before the holder can go on. */
bool rung_needs_undo(enum rung rung);

/* Say whether @ladder keeps the ranges stated above. */
bool ladder_is_valid(const struct core_ladder *ladder);

/* Return @ladder, valid, as four bits a rung, the first in the lowest. */
uint32_t ladder_pack(const struct core_ladder *ladder);

/* Say whether @rungs is what ladder_pack() can return. */
bool ladder_is_packed(uint32_t rungs);

/* Say whether the packed ladder @rungs has @rung. */
bool ladder_has(uint32_t rungs, enum rung rung);

/* Return the first rung above @after in the packed ladder @rungs that is
 * walked while PAUSING / while RECLAIMING; RUNG_NONE where there is none. */
enum rung ladder_next_pause(uint32_t rungs, enum rung after);
enum rung ladder_next_reclaim(uint32_t rungs, enum rung after);

/* Return the grace of @rung in @ladder; LADDER_GRACE_MS where @ladder is NULL,
 * or has no such rung. */
uint32_t ladder_grace_ms(const struct core_ladder *ladder, enum rung rung);

#endif
