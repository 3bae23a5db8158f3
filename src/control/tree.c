#include "control/tree.h"

#include "base/buf.h"
#include "base/smallfile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    INIT = 1,
    KTHREADD = 2,
    SCAN_MAX = 1 << 20, /* Processes of the machine. */
    NAMED_MAX = 3       /* In a message. */
};

/* All processes of the machine. */
struct scan {
    struct seen {
        struct proc_stat stat;
        bool is_member;
    } * all;
    size_t count;
    size_t capacity;
    int error;
};

void tree_init(struct tree *tree)
{
    *tree = (struct tree){.members = NULL};
}

void tree_release(struct tree *tree)
{
    free(tree->members);
    tree_init(tree);
}

/* ---- Who is there -------------------------------------------------------- */

static bool scan_add(void *arg, const struct proc_stat *stat)
{
    struct scan *scan = arg;

    if (scan->count == scan->capacity) {
        size_t capacity = scan->capacity == 0 ? 256 : 2 * scan->capacity;
        struct seen *all = capacity > SCAN_MAX
                               ? NULL
                               : realloc(scan->all, capacity * sizeof *all);

        if (all == NULL) {
            scan->error = E_NOMEM;
            return false;
        }
        scan->all = all;
        scan->capacity = capacity;
    }
    if (!proc_has_died(stat)) {
        scan->all[scan->count++] = (struct seen){.stat = *stat};
    }
    return true;
}

static int by_pid(const void *left, const void *right)
{
    const struct seen *a = left;
    const struct seen *b = right;

    return (a->stat.id.pid > b->stat.id.pid) -
           (a->stat.id.pid < b->stat.id.pid);
}

static int scan_all(struct scan *scan)
{
    int rc = proc_each(PROC_ROOT, scan_add, scan);

    if (rc == E_OK) {
        rc = scan->error;
    }
    if (rc == E_OK && scan->count > 0) {
        qsort(scan->all, scan->count, sizeof *scan->all, by_pid);
    }
    return rc;
}

static struct seen *scan_find(const struct scan *scan, pid_t pid)
{
    struct seen key = {.stat = {.id = {.pid = pid}}};

    return scan->count == 0 ? NULL
                            : bsearch(&key, scan->all, scan->count,
                                      sizeof *scan->all, by_pid);
}

/* ---- Who belongs --------------------------------------------------------- */

/* Never touch those: who stops itself continues nobody. */
static bool is_exempt(const struct proc_stat *stat)
{
    return stat->id.pid == getpid() || stat->id.pid == INIT ||
           stat->id.pid == KTHREADD || stat->parent == KTHREADD;
}

static void mark(struct scan *scan, const struct proc_id *id)
{
    struct seen *seen = scan_find(scan, id->pid);

    if (seen != NULL && proc_is_same(&seen->stat.id, id) &&
        !is_exempt(&seen->stat)) {
        seen->is_member = true;
    }
}

static bool mark_pid(void *arg, pid_t pid)
{
    struct scan *scan = arg;
    const struct seen *seen = scan_find(scan, pid);

    if (seen != NULL) {
        mark(scan, &seen->stat.id);
    }
    return true;
}

/* Say whether the process with the number @pid is a member, and no younger
 * than @of, which names it as its parent or leader. */
static bool
is_behind(const struct scan *scan, pid_t pid, const struct proc_stat *of)
{
    const struct seen *seen = scan_find(scan, pid);

    return seen != NULL && seen->is_member &&
           seen->stat.id.start_ticks <= of->id.start_ticks;
}

/* Mark who came of a member, until nobody is new. */
static void spread(struct scan *scan)
{
    bool has_grown = true;
    size_t i;

    while (has_grown) {
        has_grown = false;
        for (i = 0; i < scan->count; i++) {
            struct seen *seen = &scan->all[i];
            const struct proc_stat *stat = &seen->stat;

            if (!seen->is_member && !is_exempt(stat) &&
                (is_behind(scan, stat->parent, stat) ||
                 is_behind(scan, stat->pgid, stat) ||
                 is_behind(scan, stat->sid, stat))) {
                seen->is_member = true;
                has_grown = true;
            }
        }
    }
}

static bool thread_is_stopped(void *arg, const struct proc_stat *stat)
{
    bool *is_stopped = arg;

    *is_stopped =
        stat->state == 'T' || stat->state == 't' || proc_has_died(stat);
    return *is_stopped;
}

static bool is_stopped(const struct proc_stat *stat)
{
    char tasks[64];
    bool all = stat->state == 'T' || stat->state == 't';

    int rc = E_OK;

    if (all) {
        (void)snprintf(tasks, sizeof tasks, PROC_ROOT "/%d/task",
                       (int)stat->id.pid);
        rc = proc_each(tasks, thread_is_stopped, &all);
    }
    /* One that is not there any more has just died. */
    return rc == E_NOT_FOUND || (rc == E_OK && all);
}

/* Put the members of @scan into @tree, with what was known of them. */
static int collect(const struct scan *scan, struct tree *tree)
{
    struct tree fresh = {.members = NULL};
    size_t i;

    fresh.members = calloc(scan->count + 1, sizeof *fresh.members);
    if (fresh.members == NULL) {
        return E_NOMEM;
    }
    for (i = 0; i < scan->count; i++) {
        const struct proc_stat *stat = &scan->all[i].stat;
        const struct tree_member *before = tree_find(tree, &stat->id);

        if (!scan->all[i].is_member) {
            continue;
        }
        fresh.members[fresh.count++] = (struct tree_member){
            .id = stat->id,
            .is_stopped = is_stopped(stat),
            .is_signalled = before != NULL && before->is_signalled};
    }
    if (fresh.count > TREE_PROCESSES_MAX) {
        tree_release(&fresh);
        return E_TOO_BIG;
    }
    tree_release(tree);
    *tree = fresh;
    return E_OK;
}

static void mark_group(struct scan *scan, pid_t pgid, pid_t sid)
{
    size_t i;

    for (i = 0; pgid > 0 && i < scan->count; i++) {
        const struct proc_stat *stat = &scan->all[i].stat;

        if (stat->pgid == pgid && stat->sid == sid) {
            mark(scan, &stat->id);
        }
    }
}

void tree_target_of(const struct proc_set *set, struct tree_target *out)
{
    *out = (struct tree_target){.roots = {set->id},
                                .root_count = 1,
                                .pgid = set->pgid,
                                .sid = set->sid};
    if (set->cgroup[0] != '\0' &&
        cgroup_find(PROC_ROOT, set->cgroup, &out->cgroup) != E_OK) {
        out->cgroup.dir[0] = '\0';
    }
}

int tree_read(const struct tree_target *target, struct tree *tree)
{
    struct scan scan = {.all = NULL};
    int rc = scan_all(&scan);
    size_t i;

    if (rc == E_OK) {
        for (i = 0; i < target->root_count; i++) {
            mark(&scan, &target->roots[i]);
        }
        for (i = 0; i < tree->count; i++) {
            mark(&scan, &tree->members[i].id);
        }
        if (target->cgroup.dir[0] != '\0') {
            /* One that has been removed has no members. */
            (void)!cgroup_each(&target->cgroup, mark_pid, &scan);
        }
        mark_group(&scan, target->pgid, target->sid);
        spread(&scan);
        rc = collect(&scan, tree);
    }
    free(scan.all);
    return rc;
}

struct tree_member *tree_find(const struct tree *tree, const struct proc_id *id)
{
    size_t i;

    for (i = 0; i < tree->count; i++) {
        if (proc_is_same(&tree->members[i].id, id)) {
            return &tree->members[i];
        }
    }
    return NULL;
}

/* ---- What is done to them ------------------------------------------------ */

int tree_signal(const struct proc_id *id, int signal)
{
    int fd = (int)syscall(SYS_pidfd_open, id->pid, 0);
    struct proc_stat stat;
    int rc = E_OK;

    if (fd < 0) {
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM
                   ? E_NOMEM
                   : E_NOT_FOUND;
    }
    /* Whom the descriptor names is looked at after it was opened: the number
     * cannot be used again while that process lives. */
    if (proc_read_stat(PROC_ROOT, id->pid, &stat) != E_OK ||
        !proc_is_same(&stat.id, id)) {
        rc = E_NOT_FOUND;
    } else if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) != 0) {
        rc = errno == EPERM ? E_FORBIDDEN : E_NOT_FOUND;
    }
    (void)close(fd);
    return rc;
}

static void print_member(const struct proc_id *id, struct buf *out)
{
    char path[64];
    char name[PROC_NAME_SIZE];

    (void)snprintf(path, sizeof path, PROC_ROOT "/%d/comm", (int)id->pid);
    smallfile_line(AT_FDCWD, path, name, sizeof name);
    buf_printf(out, "pid %d", (int)id->pid);
    if (name[0] != '\0') {
        buf_printf(out, " (%s)", name);
    }
}

void tree_print(const struct tree *tree, struct buf *out)
{
    size_t i;

    for (i = 0; i < tree->count && i < NAMED_MAX; i++) {
        buf_text(out, i == 0 ? "" : ", ");
        print_member(&tree->members[i].id, out);
    }
    if (tree->count > NAMED_MAX) {
        buf_printf(out, " and %zu more", tree->count - NAMED_MAX);
    }
}
