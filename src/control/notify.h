/* notify.h - at most one message per cause and hour; pure.
 *
 * A cause is a short text, as "rogue 812" or "revoked transcription".  The
 * table is bounded: what was said longest ago is forgotten first.
 */
#ifndef GPUCOORD_CONTROL_NOTIFY_H
#define GPUCOORD_CONTROL_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NOTIFY_PERIOD_MS = 3600000,
    NOTIFY_CAUSES_MAX = 256,
    NOTIFY_CAUSE_SIZE = 96 /* Longer ones are told apart by that much. */
};

struct notify_cause {
    char text[NOTIFY_CAUSE_SIZE];
    uint64_t said_at_ms;
    uint32_t unsaid; /* Since then. */
};

struct notify_limit {
    struct notify_cause causes[NOTIFY_CAUSES_MAX];
    uint32_t count;
};

/* Say whether @cause may be told at @now_ms, and count it; @unsaid is set to
 * how many times it was not told since it last was. */
bool notify_allows(struct notify_limit *limit,
                   const char *cause,
                   uint64_t now_ms,
                   uint32_t *unsaid);

#endif
