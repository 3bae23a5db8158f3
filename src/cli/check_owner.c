#include "cli/check_owner.h"

#include "control/owner.h"
#include "daemon/config.h"

#include <stdio.h>
#include <string.h>

/* Return the service whose rule matches first; NULL where none does. */
static const char *match(const struct config *config,
                         const struct proc_facts *facts)
{
    static const struct owner_table nothing = {.holders = NULL};
    size_t i;

    for (i = 0; i < config->process_count; i++) {
        const struct owner_rule rule = {.service = 1,
                                        .kind = config->processes[i].kind,
                                        .pattern =
                                            config->processes[i].pattern};

        if (owner_matches(&nothing, &rule, facts)) {
            return config->processes[i].service;
        }
    }
    return NULL;
}

void check_owner_find(const struct config *config,
                      pid_t pid,
                      struct check_owner *out)
{
    struct proc_facts facts;
    const char *slash;

    *out = (struct check_owner){.service = NULL};
    if (proc_read(PROC_ROOT, pid, &facts) == E_OK) {
        slash = strrchr(facts.exe, '/');
        (void)snprintf(out->name, sizeof out->name, "%s",
                       slash == NULL ? facts.name : slash + 1);
        out->service = match(config, &facts);
    }
}

struct search {
    const struct config *config;
    const char *service;
    struct tree_target *out;
    size_t count;
};

static bool look(void *arg, const struct proc_stat *stat)
{
    struct search *search = arg;
    struct proc_facts facts;
    const char *service;

    if (proc_has_died(stat) ||
        proc_read(PROC_ROOT, stat->id.pid, &facts) != E_OK) {
        return true;
    }
    service = match(search->config, &facts);
    if (service != NULL && strcmp(service, search->service) == 0) {
        search->count++;
        if (search->out->root_count < TREE_ROOTS_MAX) {
            search->out->roots[search->out->root_count++] = stat->id;
        }
    }
    return true;
}

size_t check_owner_tree(const struct config *config,
                        const char *service,
                        struct tree_target *out)
{
    struct search search = {config, service, out, 0};

    *out = (struct tree_target){.root_count = 0};
    if (proc_each(PROC_ROOT, look, &search) != E_OK) {
        return 0;
    }
    return search.count;
}
