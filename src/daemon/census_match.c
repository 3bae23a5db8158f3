/* census_match.c - whose the processes on a device are. */
#include "base/clock.h"
#include "control/runtime.h"
#include "control/watch.h"
#include "core/lease.h"
#include "daemon/census_blind.h"
#include "daemon/census_parts.h"
#include "daemon/config.h"
#include "daemon/containers.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "daemon/names.h"

#include <stdlib.h>

/* ---- What there is to match it with ----------------------------------- */

enum {
    LEFT_MS = 2 * DEVICE_IDLE_MS /* A sample comes within it. */
};

struct gathering {
    const struct daemon *daemon;
    struct census *census;
    bool is_whole;
};

static void add_holder(void *arg, uint64_t lease, const struct proc_set *set)
{
    struct gathering *gathering = arg;
    struct census *census = gathering->census;
    size_t room = census->holder_room == 0 ? 16 : census->holder_room * 2;
    struct core_lease_view view;

    if (core_lease_view(driver_core(gathering->daemon->driver), lease, &view) !=
        E_OK) {
        return;
    }
    if (census->holder_count == census->holder_room) {
        struct owner_holder *grown =
            realloc(census->holders, room * sizeof *grown);

        if (grown == NULL) {
            gathering->is_whole = false;
            return;
        }
        census->holders = grown;
        census->holder_room = room;
    }
    census->holders[census->holder_count++] = (struct owner_holder){
        .lease = lease, .service = view.row.service, .set = set};
}

bool census_gather(const struct daemon *daemon, struct owner_table *out)
{
    struct census *census = daemon->census;
    struct gathering gathering = {daemon, census, true};

    size_t container_count = 0;
    const struct owner_container *containers =
        census->containers == NULL
            ? NULL
            : containers_list(census->containers, &container_count);

    census->holder_count = 0;
    watch_each(daemon->watch, add_holder, &gathering);
    *out = (struct owner_table){
        .holders = census->holders,
        .holder_count = census->holder_count,
        .rules = census->rules.items,
        .rule_count = census->rules.count,
        .containers = containers,
        .container_count = container_count,
        .peers = census->peer_list,
        .peer_count = peers_list(&census->peers, PROC_ROOT, census->peer_list),
    };
    return gathering.is_whole;
}

int census_rules_init(struct census_rules *rules,
                      const struct config *config,
                      struct names *names)
{
    size_t i;
    int rc;

    *rules = (struct census_rules){
        .items = calloc(config->process_count + 1, sizeof *rules->items),
        .count = config->process_count,
        .services = calloc(config->process_count + DEVICE_PROCESSES_MAX,
                           sizeof *rules->services)};
    rc = rules->items == NULL || rules->services == NULL ? E_NOMEM : E_OK;
    for (i = 0; rc == E_OK && i < rules->count; i++) {
        rules->items[i].kind = config->processes[i].kind;
        rules->items[i].pattern = config->processes[i].pattern;
        rc = names_service(names, config->processes[i].service,
                           &rules->items[i].service);
    }
    if (rc != E_OK) {
        census_rules_release(rules);
    }
    return rc;
}

void census_rules_release(struct census_rules *rules)
{
    free(rules->items);
    free(rules->services);
    *rules = (struct census_rules){.items = NULL};
}

void census_configure(struct census *census, struct census_rules *rules)
{
    census_rules_release(&census->rules);
    census->rules = *rules;
}

void census_hear(struct daemon *daemon, pid_t pid, uint32_t service)
{
    peers_hear(&daemon->census->peers, pid, service);
}

/* ---- Matching --------------------------------------------------------- */

static bool is_live(const struct daemon *daemon, uint64_t lease)
{
    struct core_lease_view view;

    return core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK &&
           view.row.state != LEASE_ENDED;
}

/* Say whether the name of the container of @known may still tell whose it
 * is. */
static bool asks_for_name(const struct daemon *daemon,
                          const struct known *known)
{
    struct census *census = daemon->census;
    size_t i = 0;

    while (i < census->rules.count &&
           !runtime_is_named(&census->rules.items[i])) {
        i++;
    }
    if (i == census->rules.count ||
        (census->containers == NULL &&
         containers_create(loop_base(daemon->loop), &census->containers) !=
             E_OK)) {
        return false;
    }
    return containers_ask(census->containers, &known->subject.facts);
}

void census_match(const struct daemon *daemon,
                  struct known *known,
                  const struct owner_table *table)
{
    struct owner owner = owner_find(table, &known->subject);

    if (known->is_asked_for) {
        known->is_asked_for = false;
        known->claim = CLAIM_NONE;
    }
    if (owner.type != OWNER_NOBODY) {
        known->owner = owner;
        known->claim = CLAIM_FOUND;
    } else if (known->claim == CLAIM_FOUND && known->owner.lease == 0) {
        known->owner = owner; /* By a rule or a peer that is no more. */
        known->claim = CLAIM_NONE;
    } else if (known->claim == CLAIM_FOUND &&
               !is_live(daemon, known->owner.lease)) {
        known->owner.lease = 0;
        known->claim = CLAIM_LEFT;
    }
    if (known->claim == CLAIM_NONE && asks_for_name(daemon, known)) {
        known->is_asked_for = true;
        known->claim = CLAIM_SUSPECTED;
    }
}

/* List the services that can be recognized on @board: those with rules, and
 * those of which somebody is there. */
static size_t list_known(const struct census *census, const struct board *board)
{
    uint32_t *out = census->rules.services;
    const struct list *at;
    size_t count = 0;
    size_t i;

    for (i = 0; i < census->rules.count; i++) {
        out[count++] = census->rules.items[i].service;
    }
    LIST_EACH (at, &board->known) {
        const struct known *known = CONTAINER_OF(at, struct known, of_device);

        if (known->claim == CLAIM_FOUND || known->claim == CLAIM_LEFT) {
            out[count++] = known->owner.service;
        }
    }
    return count;
}

void census_leave(struct daemon *daemon, uint32_t service)
{
    struct census *census = daemon->census;
    uint64_t now_ms = clock_mono_ms();
    bool is_recent = now_ms - census->left_at_ms < LEFT_MS;

    census->left_several =
        is_recent && census->left_service != 0 &&
        (census->left_several || census->left_service != service);
    census->left_service = service;
    census->left_at_ms = now_ms;
}

/* Where no blind holder is there, one that has just left may be meant: it may
 * have come and gone between two samples. */
static void add_left(const struct census *census,
                     size_t known_count,
                     struct census_blind *blind)
{
    size_t i;

    if (blind->service != 0 || census->left_service == 0 ||
        clock_mono_ms() - census->left_at_ms >= LEFT_MS) {
        return;
    }
    for (i = 0; i < known_count; i++) {
        if (census->rules.services[i] == census->left_service) {
            return;
        }
    }
    blind->service = census->left_service;
    blind->is_several = census->left_several;
}

/* Say whether the process began before the lease that was granted at
 * @granted_at_ms. */
static bool is_older(const struct daemon *daemon,
                     const struct known *known,
                     uint64_t granted_at_ms)
{
    uint64_t age_ms = proc_age_ms(&known->subject.facts.stat.id);

    return age_ms > driver_now_ms(daemon->driver) - granted_at_ms;
}

/* Say whether @known, which nobody knows, may be that of a blind holder. */
static bool
may_be_holders(const struct known *known, uint32_t used_mib, uint32_t slack_mib)
{
    return known->is_new || (used_mib > known->base_mib &&
                             used_mib - known->base_mib > slack_mib);
}

void census_presume(struct daemon *daemon, uint32_t device)
{
    struct census *census = daemon->census;
    struct board *board = census->boards[device];
    struct census_blind blind;
    size_t known_count;
    uint32_t i;

    known_count = list_known(census, board);
    census_blind_find(daemon, device, census->rules.services, known_count,
                      &blind);
    add_left(census, known_count, &blind);
    for (i = 0; i < board->sample.process_count; i++) {
        const struct device_process *process = &board->sample.processes[i];
        struct known *known = idmap_find(&census->known, device, process->pid);

        if (known == NULL || known->claim != CLAIM_NONE) {
            continue;
        }
        if (blind.service == 0) {
            known->base_mib = process->used_mib;
        } else if (may_be_holders(
                       known, process->used_mib,
                       daemon->core_config.devices[device].residue_mib)) {
            /* At our start somebody may have been there long before. */
            bool is_clear = !blind.is_several &&
                            (board->samples > 1 ||
                             !is_older(daemon, known, blind.granted_at_ms));

            known->claim = is_clear ? CLAIM_PRESUMED : CLAIM_SUSPECTED;
            known->owner.service = is_clear ? blind.service : 0;
        }
    }
}
