#include "daemon/containers.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/hook.h"
#include "control/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONTAINERS_MAX = 128, /* With a process on a GPU; the oldest goes. */
    ASK_MS = 10000,
    AGAIN_MS = 60000
};

enum asked {
    ASKED_NOW,
    ASKED_KNOWN,
    ASKED_IN_VAIN
};

struct container {
    struct containers *all;
    char id[OWNER_CONTAINER_SIZE]; /* "" = none. */
    char name[RUNTIME_NAME_SIZE];
    enum asked asked;
    uint64_t at_ms; /* When it was asked for. */
};

struct containers {
    struct hooks *hooks;
    struct container list[CONTAINERS_MAX];
    struct owner_container known[CONTAINERS_MAX];
};

int containers_create(struct event_base *base, struct containers **out)
{
    struct containers *containers = calloc(1, sizeof *containers);
    int rc = E_NOMEM;

    if (containers != NULL) {
        rc = hooks_open(base, &containers->hooks);
    }
    if (rc != E_OK) {
        free(containers);
        return rc;
    }
    *out = containers;
    return E_OK;
}

void containers_destroy(struct containers *containers)
{
    if (containers != NULL) {
        hooks_close(containers->hooks);
        free(containers);
    }
}

/* Find the place of @id; where it has none, the one asked for longest ago whose
 * answer has come. */
static struct container *place(struct containers *containers, const char *id)
{
    struct container *oldest = NULL;
    size_t i;

    for (i = 0; i < CONTAINERS_MAX; i++) {
        struct container *at = &containers->list[i];

        if (strcmp(at->id, id) == 0) {
            return at;
        }
        if ((at->id[0] == '\0' || at->asked != ASKED_NOW) &&
            (oldest == NULL || at->at_ms < oldest->at_ms)) {
            oldest = at;
        }
    }
    if (oldest != NULL) {
        *oldest = (struct container){.all = containers, .asked = ASKED_IN_VAIN};
    }
    return oldest;
}

/* Its first line is the name; what else it prints is not. */
static void on_line(void *arg, const char *line)
{
    struct container *container = arg;

    if (container->asked == ASKED_NOW &&
        runtime_read_name(line, container->name)) {
        container->asked = ASKED_KNOWN;
        log_info("container %.12s is called '%s'", container->id,
                 container->name);
    }
}

static void on_done(void *arg, const struct outcome *outcome)
{
    struct container *container = arg;

    if (container->asked == ASKED_NOW) {
        container->asked = ASKED_IN_VAIN;
        log_warn("the name of container %.12s is not known%s%s: name it by its "
                 "id, its unit or its cgroup",
                 container->id, outcome->reason[0] == '\0' ? "" : ": ",
                 outcome->reason);
    }
}

bool containers_ask(struct containers *containers,
                    const struct proc_facts *facts)
{
    uint64_t now_ms = clock_mono_ms();
    const char *argv[RUNTIME_WORDS];
    char id[OWNER_CONTAINER_SIZE];
    char key[HOOK_KEY_SIZE];
    struct hook_call call = {.key = key,
                             .argv = argv,
                             .timeout_ms = ASK_MS,
                             .line = on_line,
                             .done = on_done};
    struct container *container;

    owner_container(facts, id);
    if (!runtime_command(facts, id, argv)) {
        return false;
    }
    container = place(containers, id);
    if (container == NULL) {
        return false;
    }
    if (container->asked == ASKED_IN_VAIN &&
        (container->id[0] == '\0' || now_ms - container->at_ms > AGAIN_MS)) {
        memcpy(container->id, id, sizeof id);
        container->at_ms = now_ms;
        (void)snprintf(key, sizeof key, "container %.12s", id);
        call.arg = container;
        container->asked = hook_run(containers->hooks, &call) == E_OK
                               ? ASKED_NOW
                               : ASKED_IN_VAIN;
    }
    return container->asked == ASKED_NOW;
}

const struct owner_container *containers_list(struct containers *containers,
                                              size_t *count)
{
    size_t i;

    *count = 0;
    for (i = 0; i < CONTAINERS_MAX; i++) {
        const struct container *at = &containers->list[i];
        struct owner_container *known = &containers->known[*count];

        if (at->id[0] != '\0' && at->asked == ASKED_KNOWN) {
            memcpy(known->id, at->id, sizeof known->id);
            known->name = at->name;
            (*count)++;
        }
    }
    return containers->known;
}
