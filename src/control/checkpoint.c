#include "control/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SETTLE_MS = 300
};

/* A tree whose VRAM is being moved. */
struct mover {
    const struct checkpoint_context *context;
    const struct tree_target *target;
    const struct journal_entry *form; /* Of each entry, but for its process. */
    const struct patience *patience;
    struct cuda_tool tool;
    struct tree tree;
    struct journal_entry *entries; /* Of those that use CUDA. */
    size_t count;
    size_t locked; /* The first so many of them. */
    struct buf why;
};

static void mover_release(struct mover *mover)
{
    free(mover->entries);
    tree_release(&mover->tree);
    buf_release(&mover->why);
}

/* ---- Back ---------------------------------------------------------------- */

/* What became of one process that was to run again. */
enum back {
    BACK_RUNS,
    BACK_GONE,
    BACK_LOST, /* These three leave nothing to undo. */
    BACK_LOCKED,
    BACK_MOVED,  /* It is checkpointed, */
    BACK_UNKNOWN /* or may be. */
};

/* Processes that are to run again, and what became of how many. */
struct way_back {
    const struct checkpoint_context *context;
    const struct cuda_tool *tool;
    const struct journal_entry *entries; /* Of those processes. */
    size_t count;
    const struct patience *patience;
    const struct patience *room; /* As long as it lasts their VRAM is theirs;
                                  * NULL = it is not. */
    size_t runs;
    size_t gone;
    size_t lost;
    size_t moved;
    size_t stays;
};

/* Take the process of @entry one step back, from @from, by @action. */
static void step_back(const struct cuda_tool *tool,
                      const struct journal_entry *entry,
                      enum cuda_state from,
                      const struct patience *patience,
                      struct buf *why)
{
    enum cuda_action action =
        from == CUDA_CHECKPOINTED ? CUDA_RESTORE : CUDA_UNLOCK;
    enum cuda_state state;
    struct buf ignored;

    buf_init(&ignored, OUTCOME_REASON_SIZE);
    if (cuda_ask(tool, &entry->id, patience, &state, &ignored) == E_OK &&
        state == from) {
        if (buf_string(why)[0] != '\0') {
            why = &ignored; /* The first cause is the one to tell. */
        }
        (void)!cuda_do(tool, tool->toggles_only ? CUDA_TOGGLE : action,
                       &entry->id, patience, why);
    }
    buf_release(&ignored);
}

/* Say how the process of @entry is now. */
static enum back look_back(const struct cuda_tool *tool,
                           const struct journal_entry *entry,
                           const struct patience *patience,
                           struct buf *why)
{
    enum cuda_state state;
    struct buf cause;
    int rc;

    buf_init(&cause, OUTCOME_REASON_SIZE);
    rc = cuda_ask(tool, &entry->id, patience, &state, &cause);
    if (rc != E_OK && rc != E_NOT_FOUND && buf_string(why)[0] == '\0') {
        buf_text(why, buf_string(&cause));
    }
    buf_release(&cause);
    if (rc != E_OK) {
        return rc == E_NOT_FOUND ? BACK_GONE : BACK_UNKNOWN;
    }
    switch (state) {
    case CUDA_RUNNING:
    case CUDA_NONE:
        return BACK_RUNS;
    case CUDA_BROKEN:
        return BACK_LOST;
    case CUDA_LOCKED:
        return BACK_LOCKED;
    case CUDA_CHECKPOINTED:
        return BACK_MOVED;
    }
    return BACK_UNKNOWN;
}

static bool has_room(const struct way_back *way)
{
    return way->room != NULL && patience_wait(way->room, NULL, 0, 0) == E_BUSY;
}

/* Restore those that are checkpointed, as long as there is room; say whether
 * the others may go on: with peers in host RAM they would only wait. */
static bool restore_all(const struct way_back *way, struct buf *why)
{
    bool has_moved = false;
    struct buf ignored;
    size_t i;

    buf_init(&ignored, OUTCOME_REASON_SIZE);
    for (i = 0; i < way->count; i++) {
        if (has_room(way)) {
            step_back(way->tool, &way->entries[i], CUDA_CHECKPOINTED,
                      way->patience, why);
        } else {
            enum back back =
                look_back(way->tool, &way->entries[i], way->patience, &ignored);

            has_moved = has_moved || back == BACK_MOVED || back == BACK_UNKNOWN;
        }
    }
    buf_release(&ignored);
    return !has_moved;
}

/* Have all processes of @way run again: those that are checkpointed are
 * restored before the first is unlocked.  The journal keeps those that stay as
 * they are.  The first cause is in @why. */
static void bring_back(struct way_back *way, struct buf *why)
{
    struct patience writing = patience_for(CHECKPOINT_UNWIND_MS);
    bool go_on = restore_all(way, why);
    size_t i;

    for (i = 0; go_on && i < way->count; i++) {
        step_back(way->tool, &way->entries[i], CUDA_LOCKED, way->patience, why);
    }
    for (i = 0; i < way->count; i++) {
        switch (look_back(way->tool, &way->entries[i], way->patience, why)) {
        case BACK_RUNS:
            way->runs++;
            break;
        case BACK_GONE:
            way->gone++;
            break;
        case BACK_LOST:
            way->lost++;
            break;
        case BACK_MOVED:
            way->moved++;
            continue;
        case BACK_LOCKED:
        case BACK_UNKNOWN:
            way->stays++;
            continue;
        }
        (void)!journal_remove(way->context->journal, &way->entries[i], 1,
                              &writing);
    }
}

/* ---- There --------------------------------------------------------------- */

/* Say in *@uses whether the process @id is to be checkpointed. */
static int uses_cuda(struct mover *mover, const struct proc_id *id, bool *uses)
{
    enum cuda_state state;
    int rc = cuda_ask(&mover->tool, id, mover->patience, &state, &mover->why);

    *uses = false;
    if (rc == E_NOT_FOUND) {
        buf_clear(&mover->why);
        return E_OK;
    }
    if (rc != E_OK) {
        return rc;
    }
    switch (state) {
    case CUDA_RUNNING:
        *uses = true;
        return E_OK;
    case CUDA_NONE:
        return E_OK;
    case CUDA_LOCKED:
    case CUDA_CHECKPOINTED:
        if (mover->tool.toggles_only) {
            return E_OK; /* The library is there, no GPU in use. */
        }
        break;
    case CUDA_BROKEN:
        break;
    }
    buf_printf(&mover->why, "pid %d is %s already", (int)id->pid,
               cuda_state_name(state));
    return E_STATE;
}

static int add_entry(struct mover *mover, const struct proc_id *id)
{
    struct journal_entry *entries =
        realloc(mover->entries, (mover->count + 1) * sizeof *entries);

    if (entries == NULL) {
        return E_NOMEM;
    }
    entries[mover->count] = *mover->form;
    entries[mover->count].kind = JOURNAL_CHECKPOINT;
    entries[mover->count].id = *id;
    mover->entries = entries;
    mover->count++;
    return E_OK;
}

/* Append those to .entries that use CUDA and have not been looked at; all that
 * were are marked as signalled. */
static int find_new(struct mover *mover)
{
    int rc = tree_read(mover->target, &mover->tree);
    size_t i;

    for (i = 0; rc == E_OK && i < mover->tree.count; i++) {
        struct tree_member *member = &mover->tree.members[i];
        bool uses = false;

        if (!member->is_signalled) {
            rc = uses_cuda(mover, &member->id, &uses);
            member->is_signalled = true;
        }
        if (rc != E_OK || !uses) {
            continue;
        }
        if (member->is_stopped) {
            buf_printf(&mover->why, "pid %d is stopped: thaw it first",
                       (int)member->id.pid);
            return E_STATE;
        }
        rc = add_entry(mover, &member->id);
    }
    return rc;
}

/* Lock those that are not. */
static int lock_new(struct mover *mover)
{
    size_t begin = mover->locked;
    int rc = journal_add(mover->context->journal, &mover->entries[begin],
                         mover->count - begin, mover->patience);

    if (rc != E_OK) {
        buf_text(&mover->why, "what is checkpointed cannot be written down");
    }
    while (rc == E_OK && mover->locked < mover->count) {
        const struct proc_id *id = &mover->entries[mover->locked].id;

        rc = mover->tool.toggles_only ? E_OK
                                      : cuda_do(&mover->tool, CUDA_LOCK, id,
                                                mover->patience, &mover->why);
        mover->locked++;
    }
    return rc;
}

/* Lock all, until a look finds no new one: a process that is locked starts no
 * CUDA, but others of the tree may. */
static int lock_all(struct mover *mover)
{
    int rc = E_OK;

    while (rc == E_OK && mover->locked < mover->count) {
        rc = lock_new(mover);
        if (rc == E_OK && !mover->tool.toggles_only) {
            rc = find_new(mover);
        }
    }
    return rc;
}

static int move_all(struct mover *mover)
{
    enum cuda_action action =
        mover->tool.toggles_only ? CUDA_TOGGLE : CUDA_CHECKPOINT;
    enum cuda_state state = CUDA_RUNNING;
    int rc = E_OK;
    size_t i;

    for (i = 0; rc == E_OK && i < mover->count; i++) {
        const struct proc_id *id = &mover->entries[i].id;

        rc = cuda_do(&mover->tool, action, id, mover->patience, &mover->why);
        if (rc == E_OK) {
            rc = cuda_ask(&mover->tool, id, mover->patience, &state,
                          &mover->why);
        }
        if (rc == E_OK && state != CUDA_CHECKPOINTED) {
            buf_printf(&mover->why, "pid %d is %s after its checkpoint",
                       (int)id->pid, cuda_state_name(state));
            rc = E_IO;
        }
    }
    return rc;
}

/* Say how the way back of a checkpoint that failed with @rc ended. */
static void tell_way(const struct way_back *way,
                     int rc,
                     const char *why,
                     struct outcome *out)
{
    const char *rest = "";
    bool is_back = way->lost + way->moved + way->stays == 0;

    if (way->lost > 0) {
        rest = "; a process was lost by it";
    } else if (way->moved > 0) {
        rest = "; what is in host memory stays there, 'gpucoord thaw' brings "
               "it back";
    } else if (way->stays > 0) {
        rest = "; it could not be taken back, 'gpucoord thaw' tries again";
    }
    outcome_set(out,
                rc == E_ENDED && is_back ? OUTCOME_SKIPPED : OUTCOME_FAILED,
                "%.150s%s", why, rest);
    out->is_lost = way->lost > 0;
}

/* Take back what was done, and say how it ended. */
static void unwind(struct mover *mover, int rc, struct outcome *out)
{
    struct patience patience = patience_for(CHECKPOINT_UNWIND_MS);
    struct way_back way = {.context = mover->context,
                           .tool = &mover->tool,
                           .entries = mover->entries,
                           .count = mover->count,
                           .patience = &patience,
                           .room = mover->patience};

    if (buf_string(&mover->why)[0] == '\0') {
        buf_text(&mover->why, err_text(rc));
    }
    if (rc == E_TIMEOUT || rc == E_ENDED) {
        /* What the killed call had begun in the process may still happen. */
        (void)!patience_wait(&patience, NULL, 0, SETTLE_MS);
    }
    bring_back(&way, &mover->why);
    if (way.moved > 0 && way.moved + way.gone == way.count) {
        outcome_set(out, OUTCOME_OK, "%s", ""); /* Late, but done. */
    } else {
        tell_way(&way, rc, buf_string(&mover->why), out);
    }
}

/* Find whom to move, and see that it can be; nothing is touched. */
static int prepare(struct mover *mover)
{
    struct proc_id id;
    int rc = cuda_find(mover->context->cuda, mover->patience, &mover->tool,
                       &mover->why);

    if (rc == E_OK) {
        rc = find_new(mover);
    }
    if (rc != E_OK) {
        return rc;
    }
    if (mover->count == 0) {
        buf_text(&mover->why, "none of its processes uses CUDA");
        return E_STATE;
    }
    if (mover->tool.toggles_only && mover->count > 1) {
        buf_printf(&mover->why,
                   "%zu processes use CUDA, and the cuda-checkpoint program "
                   "of driver %s cannot lock all before it moves one",
                   mover->count, mover->tool.driver);
        return E_UNSUPPORTED;
    }
    id = mover->entries[0].id;
    return hostram_take(mover->context->ram, &id, mover->form->vram_mib,
                        &mover->why);
}

void checkpoint_tree(const struct checkpoint_context *context,
                     const struct tree_target *target,
                     const struct journal_entry *entry,
                     const struct patience *patience,
                     struct outcome *out)
{
    struct mover mover = {.context = context,
                          .target = target,
                          .form = entry,
                          .patience = patience};
    int rc;

    tree_init(&mover.tree);
    buf_init(&mover.why, OUTCOME_REASON_SIZE);
    rc = prepare(&mover);
    if (rc != E_OK) {
        outcome_set(out,
                    rc == E_TIMEOUT || rc == E_IO ? OUTCOME_FAILED
                                                  : OUTCOME_SKIPPED,
                    "%s",
                    buf_string(&mover.why)[0] != '\0' ? buf_string(&mover.why)
                                                      : err_text(rc));
        mover_release(&mover);
        return;
    }
    rc = lock_all(&mover);
    if (rc == E_OK) {
        rc = move_all(&mover);
    }
    if (rc == E_OK) {
        outcome_set(out, OUTCOME_OK, "%s", "");
    } else {
        unwind(&mover, rc, out);
    }
    hostram_give(context->ram, entry->vram_mib);
    mover_release(&mover);
}

void checkpoint_undo(const struct checkpoint_context *context,
                     const struct checkpoint_moved *moved,
                     const struct patience *patience,
                     struct outcome *out)
{
    struct way_back way = {.context = context,
                           .entries = moved->entries,
                           .count = moved->count,
                           .patience = patience,
                           .room = moved->may_restore ? patience : NULL};
    struct cuda_tool tool;
    struct buf why;
    int rc;

    if (moved->may_restore && moved->free_mib < moved->need_mib) {
        outcome_set(out, OUTCOME_SKIPPED,
                    "needs %" PRIu64 " MiB, only %" PRIu64 " are free",
                    moved->need_mib, moved->free_mib);
        return;
    }
    buf_init(&why, OUTCOME_REASON_SIZE);
    rc = cuda_find(context->cuda, patience, &tool, &why);
    if (rc != E_OK) {
        outcome_set(out, OUTCOME_FAILED, "%s", buf_string(&why));
        buf_release(&why);
        return;
    }
    way.tool = &tool;
    bring_back(&way, &why);
    if (way.moved > 0 && !moved->may_restore) {
        outcome_set(out, OUTCOME_FAILED, "%s",
                    "it holds no lease, and stays in host memory: "
                    "'gpucoord thaw' brings it back");
    } else if (way.lost + way.moved + way.stays > 0) {
        outcome_set(out, OUTCOME_FAILED, "%.190s%s", buf_string(&why),
                    way.lost > 0 ? "; the process is lost" : "");
        out->is_lost = way.lost > 0;
    } else if (way.runs == 0) {
        outcome_set(out, OUTCOME_FAILED, "none of its processes is left");
    } else {
        outcome_set(out, OUTCOME_OK, "%s", "");
    }
    buf_release(&why);
}
