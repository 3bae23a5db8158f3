/* census_processes.c - the processes of a service or a lease. */
#include "daemon/census_parts.h"
#include "daemon/daemon.h"

#include <stdlib.h>

struct search {
    struct owner_table table;
    struct owner_subject subject; /* Scratch: it is large. */
    uint32_t service;
    struct proc_id *out;
    size_t count;
    size_t max;
};

static bool look(void *arg, const struct proc_stat *stat)
{
    struct search *search = arg;
    struct owner_subject *subject = &search->subject;
    struct owner owner;

    if (proc_has_died(stat) ||
        proc_read(PROC_ROOT, stat->id.pid, &subject->facts) != E_OK) {
        return true;
    }
    subject->ancestor_count = proc_ancestors(
        PROC_ROOT, stat->id.pid, subject->ancestors, OWNER_ANCESTORS_MAX);
    owner = owner_find(&search->table, subject);
    if (owner.type == OWNER_SERVICE && owner.service == search->service) {
        search->out[search->count++] = subject->facts.stat.id;
    }
    return search->count < search->max;
}

/* Say whether `processes:` has anything of @service. */
static bool has_rules(const struct census *census, uint32_t service)
{
    size_t i;

    for (i = 0; i < census->rules.count; i++) {
        if (census->rules.items[i].service == service) {
            return true;
        }
    }
    return false;
}

size_t census_processes(const struct daemon *daemon,
                        uint32_t service,
                        struct proc_id *out,
                        size_t max)
{
    struct search *search;
    size_t count = 0;

    if (max == 0 || !has_rules(daemon->census, service)) {
        return 0;
    }
    search = calloc(1, sizeof *search);
    if (search == NULL) {
        return 0;
    }
    search->service = service;
    search->out = out;
    search->max = max;
    if (census_gather(daemon, &search->table)) {
        search->table.peer_count = 0; /* Who speaks need not be who works. */
        count = proc_each(PROC_ROOT, look, search) == E_OK ? search->count : 0;
    }
    free(search);
    return count;
}

size_t census_of_lease(const struct census *census,
                       uint64_t lease,
                       struct proc_id *out,
                       size_t max)
{
    const struct list *at;
    size_t count = 0;
    uint32_t i;

    for (i = 0; i < CORE_DEVICES_MAX; i++) {
        if (census->boards[i] == NULL) {
            continue;
        }
        LIST_EACH (at, &census->boards[i]->known) {
            const struct known *known =
                CONTAINER_OF(at, struct known, of_device);

            if (known->claim == CLAIM_FOUND && known->owner.lease == lease &&
                count < max) {
                out[count++] = known->subject.facts.stat.id;
            }
        }
    }
    return count;
}
