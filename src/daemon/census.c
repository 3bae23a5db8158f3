#include "daemon/census.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/idmap.h"
#include "base/list.h"
#include "base/log.h"
#include "control/watch.h"
#include "core/lease.h"
#include "daemon/census_blind.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/names.h"
#include "daemon/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHECK_MS = 1000 /* From one look at a known number to the next. */
};

/* Whom a process was last found to belong to. */
enum claim {
    CLAIM_NONE,
    CLAIM_FOUND,    /* By owner_find(). */
    CLAIM_LEFT,     /* Of a service whose lease has ended. */
    CLAIM_PRESUMED, /* Nobody else can be meant. */
    CLAIM_SUSPECTED /* One of several; nobody can say which. */
};

/* A process on one device. */
struct known {
    struct list of_device;
    uint32_t pid;
    struct owner_subject subject;
    struct owner owner;
    enum claim claim;
    uint64_t checked_at_ms;
    uint64_t seen;     /* The sample it was in last. */
    uint32_t base_mib; /* What it used while no blind holder was there. */
    bool is_new;       /* In this sample for the first time. */
    bool is_logged;
};

struct board {
    struct device_sample sample;
    struct list known;
    struct census_user users[DEVICE_PROCESSES_MAX];
    uint32_t user_count;
    uint64_t samples;
    struct census_rogues rogues;
};

struct census {
    struct board *boards[CORE_DEVICES_MAX]; /* NULL = never sampled. */
    struct idmap known;                     /* By device and pid. */
    struct owner_rule *rules;
    size_t rule_count;
    uint32_t *services; /* Scratch: room for all rules and processes. */
    struct owner_holder *holders;
    size_t holder_count;
    size_t holder_room;
    struct peers peers;
    struct owner_peer peer_list[PEERS_MAX];
    struct core_usage usages[DEVICE_PROCESSES_MAX + 1];
    uint32_t usage_count;
};

/* ---- What is known of a process ------------------------------------------ */

/* Read what the process is.  Of one that cannot be read only the number is
 * known. */
static void read_facts(struct known *known, uint64_t now_ms)
{
    struct owner_subject *subject = &known->subject;
    pid_t pid = (pid_t)known->pid;

    *subject = (struct owner_subject){.ancestor_count = 0};
    if (proc_read(PROC_ROOT, pid, &subject->facts) == E_OK) {
        subject->ancestor_count = proc_ancestors(
            PROC_ROOT, pid, subject->ancestors, OWNER_ANCESTORS_MAX);
    }
    known->checked_at_ms = now_ms;
    known->owner = (struct owner){.type = OWNER_NOBODY};
    known->claim = CLAIM_NONE;
    known->base_mib = 0;
    known->is_new = true;
    known->is_logged = false;
}

/* Read the facts again where the number has become another process.  What is
 * known of one that has died stays: its VRAM is still there. */
static void check_number(struct known *known, uint64_t now_ms)
{
    struct proc_stat stat;

    if (now_ms - known->checked_at_ms < CHECK_MS) {
        return;
    }
    known->checked_at_ms = now_ms;
    if (proc_read_stat(PROC_ROOT, (pid_t)known->pid, &stat) == E_OK &&
        !proc_is_same(&stat.id, &known->subject.facts.stat.id)) {
        read_facts(known, now_ms);
    }
}

/* Return what is known of @pid on @device; NULL where there is no memory. */
static struct known *
know(struct census *census, uint32_t device, uint32_t pid, uint64_t now_ms)
{
    struct known *known = idmap_find(&census->known, device, pid);

    if (known != NULL) {
        known->is_new = false;
        check_number(known, now_ms);
        return known;
    }
    known = calloc(1, sizeof *known);
    if (known == NULL || idmap_reserve(&census->known) != E_OK) {
        free(known);
        return NULL;
    }
    known->pid = pid;
    read_facts(known, now_ms);
    idmap_put(&census->known, device, pid, known);
    list_append(&census->boards[device]->known, &known->of_device);
    return known;
}

static void forget(struct census *census, uint32_t device, struct known *known)
{
    list_remove(&known->of_device);
    (void)idmap_remove(&census->known, device, known->pid);
    free(known);
}

/* Forget who was not in the newest sample of @device. */
static void forget_gone(struct census *census, uint32_t device)
{
    const struct board *board = census->boards[device];
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &board->known) {
        struct known *known = CONTAINER_OF(at, struct known, of_device);

        if (known->seen != board->samples) {
            forget(census, device, known);
        }
    }
}

/* ---- What there is to match it with ---------------------------------------
 */

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

/* Fill @out with all that is known now; false where there is no memory. */
static bool gather(const struct daemon *daemon, struct owner_table *out)
{
    struct census *census = daemon->census;
    struct gathering gathering = {daemon, census, true};

    census->holder_count = 0;
    watch_each(daemon->watch, add_holder, &gathering);
    *out = (struct owner_table){
        .holders = census->holders,
        .holder_count = census->holder_count,
        .rules = census->rules,
        .rule_count = census->rule_count,
        .peers = census->peer_list,
        .peer_count = peers_list(&census->peers, PROC_ROOT, census->peer_list),
    };
    return gathering.is_whole;
}

int census_configure(struct daemon *daemon)
{
    const struct config *config = daemon->config;
    struct census *census = daemon->census;
    struct owner_rule *rules = calloc(config->process_count + 1, sizeof *rules);
    uint32_t *services =
        calloc(config->process_count + DEVICE_PROCESSES_MAX, sizeof *services);
    size_t i;
    int rc = rules == NULL || services == NULL ? E_NOMEM : E_OK;

    for (i = 0; rc == E_OK && i < config->process_count; i++) {
        rules[i].kind = config->processes[i].kind;
        rules[i].pattern = config->processes[i].pattern;
        rc = names_service(daemon->names, config->processes[i].service,
                           &rules[i].service);
    }
    if (rc != E_OK) {
        free(rules);
        free(services);
        return rc;
    }
    free(census->rules);
    free(census->services);
    census->services = services;
    census->rules = rules;
    census->rule_count = config->process_count;
    return E_OK;
}

void census_hear(struct daemon *daemon, pid_t pid, uint32_t service)
{
    peers_hear(&daemon->census->peers, pid, service);
}

/* ---- Matching -------------------------------------------------------------
 */

static bool is_live(const struct daemon *daemon, uint64_t lease)
{
    struct core_lease_view view;

    return core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK &&
           view.row.state != LEASE_ENDED;
}

/* Say whose @known is, by what is known for certain.  Who was a lease's is so
 * after the end of the watch, and its service's after that of the lease. */
static void match(const struct daemon *daemon,
                  struct known *known,
                  const struct owner_table *table)
{
    struct owner owner = owner_find(table, &known->subject);

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
}

/* List the services that can be recognized on @board: those with rules, and
 * those of which somebody is there. */
static size_t list_known(const struct census *census, const struct board *board)
{
    uint32_t *out = census->services;
    const struct list *at;
    size_t count = 0;
    size_t i;

    for (i = 0; i < census->rule_count; i++) {
        out[count++] = census->rules[i].service;
    }
    LIST_EACH (at, &board->known) {
        const struct known *known = CONTAINER_OF(at, struct known, of_device);

        if (known->claim == CLAIM_FOUND || known->claim == CLAIM_LEFT) {
            out[count++] = known->owner.service;
        }
    }
    return count;
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

/* Presume whose those processes are that nobody knows. */
static void presume(struct daemon *daemon, uint32_t device)
{
    struct census *census = daemon->census;
    struct board *board = census->boards[device];
    struct census_blind blind;
    uint32_t i;

    census_blind_find(daemon, device, census->services,
                      list_known(census, board), &blind);
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

/* ---- What comes of it ------------------------------------------------------
 */

static void show_user(struct census_user *user,
                      const struct known *known,
                      const struct device_process *process)
{
    const struct proc_facts *facts = &known->subject.facts;
    const char *slash = strrchr(facts->exe, '/');

    *user = (struct census_user){
        .pid = process->pid,
        .used_mib = process->used_mib,
        .use = process->use,
        .service = known->owner.service,
        .lease = known->claim == CLAIM_FOUND ? known->owner.lease : 0,
        .is_rogue = known->claim == CLAIM_NONE,
    };
    (void)snprintf(user->name, sizeof user->name, "%s",
                   slash == NULL ? facts->name : slash + 1);
}

/* Count @user, a rogue, and tell of it once. */
static void count_rogue(struct board *board,
                        struct known *known,
                        const struct census_user *user)
{
    struct census_rogues *rogues = &board->rogues;

    rogues->count++;
    rogues->mib += user->used_mib == DEVICE_UNKNOWN ? 0 : user->used_mib;
    if (known->is_logged) {
        return;
    }
    known->is_logged = true;
    rogues->seen++;
    if (user->used_mib == DEVICE_UNKNOWN) {
        log_warn("pid %" PRIu32 " (%s) uses gpu %" PRIu32
                 " and belongs to no service",
                 user->pid, user->name, board->sample.device);
    } else {
        log_warn("pid %" PRIu32 " (%s) uses %" PRIu32 " MiB of gpu %" PRIu32
                 " and belongs to no service",
                 user->pid, user->name, user->used_mib, board->sample.device);
    }
}

/* Write down who uses the device of @board; false where that does not tell all
 * users apart. */
static bool tell_users(struct census *census, struct board *board)
{
    const struct device_sample *sample = &board->sample;
    bool is_exact = true;
    uint32_t i;

    board->user_count = 0;
    board->rogues.count = 0;
    board->rogues.mib = 0;
    census->usage_count = 0;
    for (i = 0; i < sample->process_count; i++) {
        const struct device_process *process = &sample->processes[i];
        struct known *known =
            idmap_find(&census->known, sample->device, process->pid);
        struct census_user *user = &board->users[board->user_count];

        if (known == NULL) {
            is_exact = false; /* There was no memory. */
            continue;
        }
        show_user(user, known, process);
        board->user_count++;
        is_exact = is_exact && process->used_mib != DEVICE_UNKNOWN &&
                   known->claim != CLAIM_SUSPECTED;
        if (user->is_rogue) {
            count_rogue(board, known, user);
        }
        census->usages[census->usage_count++] =
            (struct core_usage){user->lease, user->service, process->used_mib};
    }
    if (sample->rest_count > 0) {
        census->usages[census->usage_count++] =
            (struct core_usage){.used_mib = sample->rest_mib};
    }
    return is_exact && sample->rest_mib != DEVICE_UNKNOWN;
}

/* Match all processes of the newest sample; false as tell_users(). */
static bool match_all(struct daemon *daemon, struct board *board)
{
    struct census *census = daemon->census;
    const struct device_sample *sample = &board->sample;
    uint64_t now_ms = clock_mono_ms();
    bool is_unknown = false;
    struct owner_table table;
    bool is_whole;
    uint32_t i;

    if (sample->process_count == 0) {
        return tell_users(census, board);
    }
    is_whole = gather(daemon, &table);
    for (i = 0; i < sample->process_count; i++) {
        struct known *known =
            know(census, sample->device, sample->processes[i].pid, now_ms);

        if (known != NULL) {
            known->seen = board->samples;
            match(daemon, known, &table);
            is_unknown = is_unknown || known->claim == CLAIM_NONE;
        }
    }
    if (is_unknown) {
        presume(daemon, sample->device);
    }
    return tell_users(census, board) && is_whole;
}

/* Return the board of @device; NULL where there is no memory. */
static struct board *board_of(struct census *census, uint32_t device)
{
    struct board *board = census->boards[device];

    if (board == NULL) {
        board = calloc(1, sizeof *board);
        if (board != NULL) {
            list_init(&board->known);
            census->boards[device] = board;
        }
    }
    return board;
}

void census_take(struct daemon *daemon,
                 const struct device_sample *sample,
                 struct core_event *event)
{
    struct census *census = daemon->census;
    struct board *board = board_of(census, sample->device);

    if (sample->state != DEVICE_OK || board == NULL) {
        return;
    }
    if (board->samples > 0) {
        board->rogues.mib_ms +=
            (uint64_t)board->rogues.mib *
            (sample->begun_at_ms - board->sample.begun_at_ms);
    }
    board->sample = *sample;
    board->samples++;
    event->report.is_attributed =
        match_all(daemon, board) && sample->processes_known;
    forget_gone(census, sample->device);
    if (event->report.is_attributed) {
        event->report.usages = census->usages;
        event->report.usage_count = census->usage_count;
    }
}

/* ---- Looking ----------------------------------------------------------------
 */

const struct device_sample *census_sample(const struct census *census,
                                          uint32_t device)
{
    const struct board *board = census->boards[device];

    return board == NULL || board->samples == 0 ? NULL : &board->sample;
}

const struct census_user *
census_users(const struct census *census, uint32_t device, uint32_t *count)
{
    const struct board *board = census->boards[device];

    *count = board == NULL ? 0 : board->user_count;
    return board == NULL ? NULL : board->users;
}

void census_rogues(const struct census *census,
                   uint32_t device,
                   struct census_rogues *out)
{
    const struct board *board = census->boards[device];

    *out = board == NULL ? (struct census_rogues){0} : board->rogues;
}

/* ---- Life
 * --------------------------------------------------------------------- */

int census_create(struct census **out)
{
    struct census *census = calloc(1, sizeof *census);

    if (census == NULL) {
        return E_NOMEM;
    }
    census->services = calloc(DEVICE_PROCESSES_MAX, sizeof *census->services);
    if (census->services == NULL) {
        free(census);
        return E_NOMEM;
    }
    idmap_init(&census->known, &alloc_libc);
    *out = census;
    return E_OK;
}

void census_destroy(struct census *census)
{
    struct list *at;
    struct list *after;
    uint32_t i;

    if (census == NULL) {
        return;
    }
    for (i = 0; i < CORE_DEVICES_MAX; i++) {
        if (census->boards[i] != NULL) {
            LIST_EACH_SAFE (at, after, &census->boards[i]->known) {
                free(CONTAINER_OF(at, struct known, of_device));
            }
            free(census->boards[i]);
        }
    }
    idmap_release(&census->known);
    free(census->rules);
    free(census->services);
    free(census->holders);
    free(census);
}
