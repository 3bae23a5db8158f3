/* census_known.c - what is known of the processes on the devices. */
#include "daemon/census_parts.h"

#include <stdlib.h>

enum {
    CHECK_MS = 1000 /* From one look at a known number to the next. */
};

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

struct known *census_know(struct census *census,
                          uint32_t device,
                          uint32_t pid,
                          uint64_t now_ms)
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

void census_forget_gone(struct census *census, uint32_t device)
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
