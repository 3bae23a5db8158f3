#include "control/backoff.h"

bool backoff_is_over(const struct backoff *backoff, uint64_t now_ms)
{
    return backoff->wait_ms == 0 ||
           now_ms >= backoff->last_at_ms + backoff->wait_ms + BACKOFF_QUIET_MS;
}

uint64_t backoff_ready_at(const struct backoff *backoff, uint64_t now_ms)
{
    uint64_t ready_at_ms = backoff->last_at_ms + backoff->wait_ms;

    return backoff->wait_ms == 0 || ready_at_ms < now_ms ? now_ms : ready_at_ms;
}

void backoff_note(struct backoff *backoff, uint64_t now_ms)
{
    if (backoff_is_over(backoff, now_ms)) {
        backoff->wait_ms = BACKOFF_FIRST_MS;
    } else {
        backoff->wait_ms = backoff->wait_ms >= BACKOFF_MAX_MS / 2
                               ? BACKOFF_MAX_MS
                               : 2 * backoff->wait_ms;
    }
    backoff->last_at_ms = now_ms;
}
