/* outcome.h - how a rung of the ladder ended, with the reason for people. */
#ifndef GPUCOORD_CONTROL_OUTCOME_H
#define GPUCOORD_CONTROL_OUTCOME_H

#include <stdbool.h>

enum outcome_kind {
    OUTCOME_OK,
    OUTCOME_FAILED, /* Tried; what was half done has been taken back. */
    OUTCOME_SKIPPED /* Not tried: it cannot work here, or not now. */
};

enum {
    OUTCOME_REASON_SIZE = 240
};

struct outcome {
    enum outcome_kind kind;
    bool is_lost; /* FAILED: a process can never go on (a failed restore). */
    char reason[OUTCOME_REASON_SIZE]; /* "" where OK and nothing is to say. */
};

/* Set @out; the reason is shortened where it is too long. */
void outcome_set(struct outcome *out,
                 enum outcome_kind kind,
                 const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

#endif
