#include "daemon/census.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/acting.h"
#include "daemon/census_parts.h"
#include "daemon/containers.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What comes of it ------------------------------------------------- */

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
static void count_rogue(const struct daemon *daemon,
                        struct board *board,
                        struct known *known,
                        const struct census_user *user)
{
    struct census_rogues *rogues = &board->rogues;
    char size[32];
    char cause[80];
    char text[200];

    rogues->count++;
    rogues->mib += user->used_mib == DEVICE_UNKNOWN ? 0 : user->used_mib;
    if (known->is_logged) {
        return;
    }
    known->is_logged = true;
    rogues->seen++;
    (void)snprintf(size, sizeof size, "%" PRIu32 " MiB of ", user->used_mib);
    (void)snprintf(
        text, sizeof text,
        "pid %" PRIu32 " (%s) uses %sgpu %" PRIu32 " and belongs to no service",
        user->pid, user->name, user->used_mib == DEVICE_UNKNOWN ? "" : size,
        board->sample.device);
    (void)snprintf(cause, sizeof cause, "rogue %s", user->name);
    acting_tell_operator(daemon->acting, "rogue", cause, "", 0, text);
}

/* Write down who uses the device of @board; false where that does not tell all
 * users apart. */
static bool tell_users(const struct daemon *daemon, struct board *board)
{
    const struct device_sample *sample = &board->sample;
    struct census *census = daemon->census;
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
            count_rogue(daemon, board, known, user);
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
    bool is_whole = true;
    struct owner_table table = {.holders = NULL};
    uint32_t i;

    if (sample->process_count > 0) {
        is_whole = census_gather(daemon, &table);
    }
    for (i = 0; i < sample->process_count; i++) {
        struct known *known = census_know(census, sample->device,
                                          sample->processes[i].pid, now_ms);

        if (known != NULL) {
            known->seen = board->samples;
            census_match(daemon, known, &table);
            is_unknown = is_unknown || known->claim == CLAIM_NONE;
        }
    }
    /* Before anybody is presumed: who has gone is not there any more. */
    census_forget_gone(census, sample->device);
    if (is_unknown) {
        census_presume(daemon, sample->device);
    }
    return tell_users(daemon, board) && is_whole;
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
    if (event->report.is_attributed) {
        event->report.usages = census->usages;
        event->report.usage_count = census->usage_count;
    }
}

/* ---- Looking ---------------------------------------------------------- */

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

/* ---- Life ------------------------------------------------------------- */

int census_create(struct census **out)
{
    struct census *census = calloc(1, sizeof *census);

    if (census == NULL) {
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
    containers_destroy(census->containers);
    census_rules_release(&census->rules);
    free(census->holders);
    free(census);
}
