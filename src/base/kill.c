#include "base/kill.h"

#include "base/clock.h"

#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const place_names[] = {
    [KILL_BEFORE_COMMIT] = "before-commit",
    [KILL_AFTER_COMMIT] = "after-commit",
    [KILL_AFTER_REPLY] = "after-reply",
    [KILL_IN_MIGRATION] = "in-migration",
};

/* xorshift, seeded by the clock: a test places no weight on its quality. */
static uint64_t random_next(void)
{
    static uint64_t state;

    if (state == 0) {
        state = clock_mono_ns() | 1;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void kill_here(enum kill_place place)
{
    const char *wanted = getenv("GPUCOORD_KILL_AT");
    const char *one_in = getenv("GPUCOORD_KILL_ONE_IN");
    uint64_t odds = one_in == NULL ? 1 : strtoull(one_in, NULL, 10);

    if (wanted != NULL && strcmp(wanted, place_names[place]) == 0 &&
        (odds <= 1 || random_next() % odds == 0)) {
        (void)raise(SIGKILL);
    }
}
