#include "cli/on_pause.h"

#include "cli/say.h"
#include "control/rung.h"

#include <stdio.h>
#include <string.h>

/* Say at the start where a checkpoint could never be made. */
static int check_checkpoint(uint32_t rungs)
{
    static const struct rung_config here = {.state_dir = "/"};
    struct buf why;
    int rc = E_OK;

    if (!ladder_has(rungs, RUNG_CHECKPOINT)) {
        return E_OK;
    }
    buf_init(&why, 0);
    if (!rung_available(&here, RUNG_DO_CHECKPOINT, NULL, &why)) {
        say("--on-pause: no checkpoint can be made here: %s", buf_string(&why));
        rc = E_UNSUPPORTED;
    }
    buf_release(&why);
    return rc;
}

int on_pause_read(const char *text, struct api_request *out)
{
    struct core_ladder ladder = {.count = 0};

    out->is_preemptible = false; /* A program that knows of no leases. */
    out->fields |= API_HAS_PREEMPTIBLE;
    if (text == NULL || strcmp(text, "never") == 0) {
        return E_OK;
    }
    while (ladder.count < LADDER_STEPS_MAX) {
        size_t size = strcspn(text, ",");
        char word[16];

        (void)snprintf(word, sizeof word, "%.*s", (int)size, text);
        ladder.steps[ladder.count++].rung = rung_find(word);
        if (text[size] == '\0') {
            break;
        }
        text += size + 1;
    }
    if (!ladder_is_valid(&ladder)) {
        say("--on-pause: never, or of ask, unload, freeze, checkpoint, term, "
            "kill and restart, in this order, as checkpoint,term");
        return E_INVALID;
    }
    out->is_preemptible = true;
    out->ladder = ladder_pack(&ladder);
    out->fields |= API_HAS_LADDER;
    return check_checkpoint(out->ladder);
}
