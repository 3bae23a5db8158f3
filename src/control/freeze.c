#include "control/freeze.h"

#include "base/buf.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_MS = 2,         /* Between two looks at who is not stopped yet. */
    CGROUP_LOOK_MS = 50, /* The kernel tells; this is for what it forgets. */
    QUIET_LOOKS = 2,
    UNWIND_MS = 2000
};

/* ---- SIGSTOP ------------------------------------------------------------- */

/* A tree that is being stopped. */
struct stopper {
    const struct tree_target *target;
    const struct patience *patience;
    const struct journal *journal; /* NULL = nothing is written down. */
    struct journal_entry form;     /* Of each entry, but for its process. */
    struct journal_entry *entries; /* Of those that were signalled. */
    size_t count;
    struct tree tree;
};

/* Return an array of the journal's entries for who is new; NULL without
 * memory. */
static struct journal_entry *entries_of_new(const struct stopper *stopper,
                                            size_t *count)
{
    const struct tree *tree = &stopper->tree;
    struct journal_entry *fresh = calloc(tree->count + 1, sizeof *fresh);
    size_t i;

    *count = 0;
    for (i = 0; fresh != NULL && i < tree->count; i++) {
        if (!tree->members[i].is_signalled && !tree->members[i].is_stopped) {
            fresh[*count] = stopper->form;
            fresh[*count].id = tree->members[i].id;
            (*count)++;
        }
    }
    return fresh;
}

/* Have them in the journal, and in our list of what to undo. */
static int write_down(struct stopper *stopper,
                      const struct journal_entry *fresh,
                      size_t count)
{
    struct journal_entry *entries =
        realloc(stopper->entries, (stopper->count + count) * sizeof *entries);

    if (entries == NULL) {
        return E_NOMEM;
    }
    memcpy(&entries[stopper->count], fresh, count * sizeof *entries);
    stopper->entries = entries;
    stopper->count += count;
    return stopper->journal == NULL
               ? E_OK
               : journal_add(stopper->journal, fresh, count, stopper->patience);
}

/* Stop who is new, and say how many that were. */
static int stop_new(struct stopper *stopper, size_t *count)
{
    struct journal_entry *fresh = entries_of_new(stopper, count);
    int rc = fresh == NULL ? E_NOMEM : E_OK;
    size_t i;

    if (rc == E_OK && *count > 0) {
        rc = write_down(stopper, fresh, *count);
    }
    for (i = 0; rc == E_OK && i < *count; i++) {
        rc = tree_signal(&fresh[i].id, SIGSTOP);
        rc = rc == E_NOT_FOUND ? E_OK : rc;
        tree_find(&stopper->tree, &fresh[i].id)->is_signalled = true;
    }
    free(fresh);
    return rc;
}

static bool all_are_stopped(const struct tree *tree)
{
    size_t i;

    for (i = 0; i < tree->count && tree->members[i].is_stopped; i++) {
    }
    return i == tree->count;
}

/* Stop all.  One that was running while the processes were counted may have
 * forked and stopped since: only a look that began when all had stopped, and
 * finds nobody else, is the last. */
static int stop_all(struct stopper *stopper)
{
    int quiet = 0;
    size_t fresh;
    int rc = E_OK;

    while (rc == E_OK) {
        rc = tree_read(stopper->target, &stopper->tree);
        if (rc == E_OK) {
            rc = stop_new(stopper, &fresh);
        }
        if (rc != E_OK) {
            break;
        }
        quiet = fresh == 0 && all_are_stopped(&stopper->tree) ? quiet + 1 : 0;
        if (quiet == QUIET_LOOKS) {
            return E_OK;
        }
        rc = patience_wait(stopper->patience, NULL, 0, quiet > 0 ? 0 : LOOK_MS);
        rc = rc == E_BUSY ? E_OK : rc;
    }
    return rc;
}

/* Let those go on that were stopped, and forget them. */
static void unwind(struct stopper *stopper)
{
    struct patience patience = patience_for(UNWIND_MS);
    size_t i;

    for (i = 0; i < stopper->count; i++) {
        (void)!tree_signal(&stopper->entries[i].id, SIGCONT);
    }
    if (stopper->journal != NULL && stopper->count > 0) {
        (void)!journal_remove(stopper->journal, stopper->entries,
                              stopper->count, &patience);
    }
}

int freeze_hold(const struct tree_target *target,
                const struct patience *patience)
{
    struct stopper stopper = {.target = target, .patience = patience};
    int rc;

    tree_init(&stopper.tree);
    rc = stop_all(&stopper);
    tree_release(&stopper.tree);
    free(stopper.entries);
    return rc;
}

static void explain(int rc, const struct tree *tree, struct outcome *out)
{
    struct buf names;

    buf_init(&names, OUTCOME_REASON_SIZE);
    tree_print(tree, &names);
    if (rc == E_ENDED) {
        outcome_set(out, OUTCOME_SKIPPED, "cancelled");
    } else if (rc == E_TIMEOUT) {
        outcome_set(out, OUTCOME_FAILED, "not all of it stopped in time: %s",
                    buf_string(&names));
    } else if (rc == E_FORBIDDEN) {
        outcome_set(out, OUTCOME_FAILED,
                    "not allowed to stop a process of another user: %s",
                    buf_string(&names));
    } else if (rc == E_IO) {
        outcome_set(out, OUTCOME_FAILED,
                    "what is frozen cannot be written down");
    } else {
        outcome_set(out, OUTCOME_FAILED, "%s", err_text(rc));
    }
    buf_release(&names);
}

static void freeze_by_signal(struct stopper *stopper, struct outcome *out)
{
    int rc;

    tree_init(&stopper->tree);
    rc = stop_all(stopper);
    if (rc == E_OK && stopper->tree.count == 0) {
        outcome_set(out, OUTCOME_SKIPPED, "none of its processes is left");
    } else if (rc == E_OK) {
        outcome_set(out, OUTCOME_OK, "%s", "");
    } else {
        unwind(stopper);
        explain(rc, &stopper->tree, out);
    }
    tree_release(&stopper->tree);
    free(stopper->entries);
}

/* ---- The cgroup's freezer ------------------------------------------------ */

/* Wait until the cgroup is frozen, or is not. */
static int wait_frozen(const struct cgroup *cgroup,
                       bool wanted,
                       const struct patience *patience)
{
    char path[CGROUP_FILE_SIZE];
    struct pollfd events = {.events = POLLPRI};
    bool is_frozen = !wanted;
    int rc;

    cgroup_events_path(cgroup, path);
    events.fd = open(path, O_RDONLY | O_CLOEXEC);
    do {
        char bytes[256];

        /* A read re-arms the poll; the value is read after it. */
        (void)!pread(events.fd, bytes, sizeof bytes, 0);
        rc = cgroup_is_frozen(cgroup, &is_frozen);
        if (rc == E_OK && is_frozen != wanted) {
            rc = patience_wait(patience, &events, 1, CGROUP_LOOK_MS);
            rc = rc == E_BUSY ? E_OK : rc;
        }
    } while (rc == E_OK && is_frozen != wanted);
    if (events.fd >= 0) {
        (void)close(events.fd);
    }
    return rc;
}

static bool is_not_us(void *arg, pid_t pid)
{
    bool *is_in_it = arg;

    *is_in_it = pid == getpid();
    return !*is_in_it;
}

/* Freeze by the cgroup.
 *
 * Errors:
 *   E_UNSUPPORTED  this way does not work here; nothing was done.
 *   others         it failed, and was taken back.
 */
static int freeze_by_cgroup(const struct stopper *stopper)
{
    const struct cgroup *cgroup = &stopper->target->cgroup;
    struct journal_entry entry = stopper->form;
    struct patience unwinding;
    bool is_in_it = false;
    int rc;

    if (cgroup->dir[0] == '\0' || stopper->target->root_count == 0 ||
        cgroup_each(cgroup, is_not_us, &is_in_it) != E_OK || is_in_it) {
        return E_UNSUPPORTED;
    }
    entry.kind = JOURNAL_CGROUP;
    entry.cgroup = *cgroup;
    entry.id = stopper->target->roots[0];
    rc = journal_add(stopper->journal, &entry, 1, stopper->patience);
    if (rc != E_OK) {
        return rc;
    }
    rc = cgroup_freeze(cgroup, true);
    if (rc == E_OK) {
        rc = wait_frozen(cgroup, true, stopper->patience);
        if (rc == E_OK) {
            return E_OK;
        }
        (void)!cgroup_freeze(cgroup, false);
    } else {
        rc = E_UNSUPPORTED;
    }
    unwinding = patience_for(UNWIND_MS);
    (void)!journal_remove(stopper->journal, &entry, 1, &unwinding);
    return rc;
}

/* ---- Both ---------------------------------------------------------------- */

void freeze_tree(const struct tree_target *target,
                 const struct journal *journal,
                 uint64_t lease,
                 const char *service,
                 const struct patience *patience,
                 struct outcome *out)
{
    struct stopper stopper = {
        .target = target,
        .patience = patience,
        .journal = journal,
        .form = {.kind = JOURNAL_STOPPED, .lease = lease}};
    int rc;

    (void)snprintf(stopper.form.service, sizeof stopper.form.service, "%s",
                   service);
    rc = freeze_by_cgroup(&stopper);
    if (rc == E_UNSUPPORTED) {
        freeze_by_signal(&stopper, out);
    } else if (rc == E_OK) {
        outcome_set(out, OUTCOME_OK, "%s", "");
    } else {
        explain(rc, &stopper.tree, out);
    }
}

void freeze_undo(const struct journal_entry *entry,
                 const struct patience *patience,
                 struct outcome *out)
{
    int rc = entry->kind == JOURNAL_CGROUP
                 ? cgroup_freeze(&entry->cgroup, false)
                 : tree_signal(&entry->id, SIGCONT);

    if (rc == E_OK && entry->kind == JOURNAL_CGROUP) {
        rc = wait_frozen(&entry->cgroup, false, patience);
    }
    if (rc == E_OK || rc == E_NOT_FOUND) {
        outcome_set(out, OUTCOME_OK, "%s", rc == E_OK ? "" : "has gone");
        return;
    }
    outcome_set(out, rc == E_ENDED ? OUTCOME_SKIPPED : OUTCOME_FAILED,
                "pid %d cannot go on: %s", (int)entry->id.pid,
                rc == E_FORBIDDEN ? "it belongs to another user"
                                  : err_text(rc));
}
