#include "cli/check_owner.h"

#include "control/owner.h"
#include "control/runtime.h"
#include "daemon/config.h"

#include <stdio.h>
#include <string.h>

enum {
    CONTAINERS_MAX = 64,
    RUNTIME_MS = 5000
};

/* What was asked of containers' runtimes: each is asked once, as that takes
 * a while. */
static struct {
    char ids[CONTAINERS_MAX][OWNER_CONTAINER_SIZE];
    char names[CONTAINERS_MAX][RUNTIME_NAME_SIZE]; /* "" = nobody says. */
    size_t count;
} containers;

/* Return the name of the container that the process runs in; "" = none. */
static const char *container_name(const struct proc_facts *facts)
{
    struct patience patience = patience_for(RUNTIME_MS);
    char id[OWNER_CONTAINER_SIZE];
    size_t i;

    owner_container(facts, id);
    for (i = 0; i < containers.count; i++) {
        if (strcmp(containers.ids[i], id) == 0) {
            return containers.names[i];
        }
    }
    if (id[0] == '\0' || i == CONTAINERS_MAX) {
        return "";
    }
    containers.count++;
    memcpy(containers.ids[i], id, sizeof id);
    if (!runtime_ask(facts, &patience, id, containers.names[i])) {
        containers.names[i][0] = '\0';
    }
    return containers.names[i];
}

/* Return the service whose rule matches first; NULL where none does. */
static const char *match(const struct config *config,
                         const struct proc_facts *facts)
{
    struct owner_container container;
    struct owner_table table = {.containers = &container};
    size_t i;

    for (i = 0; i < config->process_count; i++) {
        const struct owner_rule rule = {.service = 1,
                                        .kind = config->processes[i].kind,
                                        .pattern =
                                            config->processes[i].pattern};

        if (table.container_count == 0 && runtime_is_named(&rule)) {
            container.name = container_name(facts);
            owner_container(facts, container.id);
            table.container_count = container.name[0] != '\0' ? 1 : 0;
        }
        if (owner_matches(&table, &rule, facts)) {
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
