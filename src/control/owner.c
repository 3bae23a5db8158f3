#include "control/owner.h"

#include <string.h>

/* What claims a process so far. */
struct claim {
    const struct owner_holder *holder; /* NULL = nothing yet. */
    size_t rank;                       /* The higher one wins. */
    bool is_several;                   /* Of this rank. */
    bool is_mixed;                     /* And of more than one service. */
};

/* Take the claim of @holder with @rank, where it is not the weaker one. */
static void
take(struct claim *claim, const struct owner_holder *holder, size_t rank)
{
    if (claim->holder == NULL || rank > claim->rank) {
        *claim = (struct claim){.holder = holder, .rank = rank};
    } else if (rank == claim->rank && holder->lease != claim->holder->lease) {
        claim->is_several = true;
        claim->is_mixed =
            claim->is_mixed || holder->service != claim->holder->service;
        if (holder->lease < claim->holder->lease) {
            claim->holder = holder;
        }
    }
}

/* Return how near @id is to the process: the highest for itself, less for each
 * generation, 0 where it is none of its ancestors. */
static size_t nearness(const struct owner_subject *subject,
                       const struct proc_id *id)
{
    size_t i;

    if (proc_is_same(&subject->facts.stat.id, id)) {
        return OWNER_ANCESTORS_MAX + 1;
    }
    for (i = 0; i < subject->ancestor_count; i++) {
        if (proc_is_same(&subject->ancestors[i], id)) {
            return OWNER_ANCESTORS_MAX - i;
        }
    }
    return 0;
}

/* The ways in which a lease can claim a process: its rank, 0 = it cannot. */
typedef size_t (*claim_rank)(const struct owner_subject *subject,
                             const struct proc_set *set);

/* Where cgroups nest the longer path is the innermost. */
static size_t rank_by_cgroup(const struct owner_subject *subject,
                             const struct proc_set *set)
{
    return proc_set_has_cgroup(set, subject->facts.cgroup) ? strlen(set->cgroup)
                                                           : 0;
}

static size_t rank_by_tree(const struct owner_subject *subject,
                           const struct proc_set *set)
{
    return nearness(subject, &set->id);
}

static size_t rank_by_group(const struct owner_subject *subject,
                            const struct proc_set *set)
{
    return proc_set_has_group(set, &subject->facts.stat) ? 1 : 0;
}

static struct owner find_lease(const struct owner_table *table,
                               const struct owner_subject *subject)
{
    static const claim_rank ways[] = {rank_by_tree, rank_by_cgroup,
                                      rank_by_group};
    struct claim claim = {.holder = NULL};
    bool is_shared;
    size_t way;
    size_t i;

    for (way = 0; claim.holder == NULL && way < sizeof ways / sizeof ways[0];
         way++) {
        for (i = 0; i < table->holder_count; i++) {
            const struct owner_holder *holder = &table->holders[i];
            size_t rank = ways[way](subject, holder->set);

            if (rank != 0) {
                take(&claim, holder, rank);
            }
        }
    }
    if (claim.holder == NULL) {
        return (struct owner){.type = OWNER_NOBODY};
    }
    is_shared = claim.is_several && !claim.is_mixed;
    return (struct owner){
        .type = is_shared ? OWNER_SERVICE : OWNER_LEASE,
        .service = claim.holder->service,
        .lease = is_shared ? 0 : claim.holder->lease,
    };
}

static struct owner find_rule(const struct owner_table *table,
                              const struct owner_subject *subject)
{
    size_t i;

    for (i = 0; i < table->rule_count; i++) {
        if (owner_matches(table, &table->rules[i], &subject->facts)) {
            return (struct owner){.type = OWNER_SERVICE,
                                  .service = table->rules[i].service};
        }
    }
    return (struct owner){.type = OWNER_NOBODY};
}

/* The nearest counts; of one process that spoke for several services the first
 * one. */
static struct owner find_peer(const struct owner_table *table,
                              const struct owner_subject *subject)
{
    struct owner owner = {.type = OWNER_NOBODY};
    size_t nearest = 0;
    size_t i;

    for (i = 0; i < table->peer_count; i++) {
        size_t rank = nearness(subject, &table->peers[i].id);

        if (rank > nearest) {
            nearest = rank;
            owner.type = OWNER_SERVICE;
            owner.service = table->peers[i].service;
        }
    }
    return owner;
}

struct owner owner_find(const struct owner_table *table,
                        const struct owner_subject *subject)
{
    struct owner owner = find_lease(table, subject);

    if (owner.type == OWNER_NOBODY) {
        owner = find_rule(table, subject);
    }
    if (owner.type == OWNER_NOBODY) {
        owner = find_peer(table, subject);
    }
    return owner;
}
