#include "control/thaw.h"

#include <stdio.h>

size_t
thaw_select(struct journal_list *list, uint64_t lease, bool is_checkpointed)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < list->count; i++) {
        struct journal_entry entry = list->entries[i];

        if (entry.lease == lease &&
            (entry.kind == JOURNAL_CHECKPOINT) == is_checkpointed) {
            list->entries[i] = list->entries[count];
            list->entries[count++] = entry;
        }
    }
    return count;
}

void thaw_stopped(const struct journal *journal,
                  const struct journal_entry *entries,
                  size_t count,
                  const struct patience *patience,
                  struct outcome *out)
{
    struct outcome one;
    size_t i;

    outcome_set(out, OUTCOME_OK, "%s", "");
    for (i = 0; i < count; i++) {
        freeze_undo(&entries[i], patience, &one);
        /* It is dropped one by one: who is killed here has thawed so far. */
        if (one.kind == OUTCOME_OK &&
            journal_remove(journal, &entries[i], 1, patience) != E_OK) {
            outcome_set(&one, OUTCOME_FAILED, "the journal cannot be written");
        }
        if (one.kind != OUTCOME_OK) {
            *out = one;
        }
    }
}

/* Undo what @list has of @lease; the entry of the first is in @done. */
static bool
thaw_lease(const struct thaw *thaw, struct journal_list *list, uint64_t lease)
{
    struct patience patience = patience_for(thaw->time_ms);
    bool is_undone = true;
    struct outcome out;
    size_t count = thaw_select(list, lease, false);

    if (count > 0) {
        thaw_stopped(thaw->context->journal, list->entries, count, &patience,
                     &out);
        is_undone = out.kind == OUTCOME_OK;
        thaw->done(thaw->arg, &list->entries[0], count, &out);
    }
    count = thaw_select(list, lease, true);
    if (count > 0) {
        const struct journal_entry *first = &list->entries[0];

        checkpoint_undo(thaw->context,
                        &(struct checkpoint_moved){
                            .entries = first,
                            .count = count,
                            .need_mib = first->vram_mib,
                            .free_mib = thaw->room(thaw->arg, first->gpus),
                            .may_restore = true},
                        &patience, &out);
        is_undone = is_undone && out.kind == OUTCOME_OK;
        thaw->done(thaw->arg, first, count, &out);
    }
    return is_undone;
}

/* Say whether no entry before @i is of its lease. */
static bool is_first(const struct journal_list *list, size_t i)
{
    size_t j;

    for (j = 0; j < i && list->entries[j].lease != list->entries[i].lease;
         j++) {
    }
    return j == i;
}

int thaw_run(const struct thaw *thaw,
             uint64_t lease,
             size_t *failed,
             size_t *damaged)
{
    struct journal_list all;
    struct journal_list work;
    size_t i;
    int rc = journal_read(thaw->context->journal, &all);

    *failed = 0;
    *damaged = 0;
    if (rc != E_OK) {
        return rc;
    }
    /* One list keeps the order of the leases, the other is turned around. */
    rc = journal_read(thaw->context->journal, &work);
    *damaged = all.damaged;
    for (i = 0; rc == E_OK && i < all.count; i++) {
        if ((lease == 0 || all.entries[i].lease == lease) &&
            is_first(&all, i) &&
            !thaw_lease(thaw, &work, all.entries[i].lease)) {
            (*failed)++;
        }
    }
    journal_list_release(&work);
    journal_list_release(&all);
    return rc;
}
