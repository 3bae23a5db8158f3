#include "control/notify.h"

#include <stdio.h>
#include <string.h>

/* Find the place of @cause; where it has none, a free one or that of the cause
 * said longest ago. */
static struct notify_cause *place(struct notify_limit *limit, const char *cause)
{
    struct notify_cause *oldest = &limit->causes[0];
    uint32_t i;

    for (i = 0; i < limit->count; i++) {
        struct notify_cause *at = &limit->causes[i];

        if (strncmp(at->text, cause, NOTIFY_CAUSE_SIZE - 1) == 0) {
            return at;
        }
        if (at->said_at_ms < oldest->said_at_ms) {
            oldest = at;
        }
    }
    if (limit->count < NOTIFY_CAUSES_MAX) {
        oldest = &limit->causes[limit->count++];
    }
    *oldest = (struct notify_cause){.text = ""};
    return oldest;
}

bool notify_allows(struct notify_limit *limit,
                   const char *cause,
                   uint64_t now_ms,
                   uint32_t *unsaid)
{
    struct notify_cause *at = place(limit, cause);
    bool is_new = at->text[0] == '\0';

    *unsaid = at->unsaid;
    if (!is_new && now_ms - at->said_at_ms < NOTIFY_PERIOD_MS) {
        at->unsaid++;
        return false;
    }
    (void)snprintf(at->text, sizeof at->text, "%s", cause);
    at->said_at_ms = now_ms;
    at->unsaid = 0;
    return true;
}
