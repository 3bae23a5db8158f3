#include "control/terminate.h"

#include "base/buf.h"
#include "control/freeze.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LOOK_MS = 250,     /* Between two looks at who is left. */
    HOLD_MS_MAX = 1000 /* For stopping all before they are killed. */
};

/* Signal each member once; a frozen one can only obey if it goes on. */
static int signal_new(struct tree *tree, int signal, const char **trouble)
{
    int worst = E_OK;
    size_t i;

    for (i = 0; i < tree->count; i++) {
        struct tree_member *member = &tree->members[i];
        int rc = member->is_signalled ? E_OK : tree_signal(&member->id, signal);

        if (rc == E_OK && !member->is_signalled && signal == SIGTERM) {
            (void)!tree_signal(&member->id, SIGCONT);
        }
        member->is_signalled = rc == E_OK || rc == E_NOT_FOUND;
        if (rc == E_FORBIDDEN) {
            *trouble = "not allowed to signal a process of another user";
            worst = rc;
        }
    }
    return worst;
}

/* Wait until the first of @tree has died, but not for long: others appear. */
static int wait_for_one(const struct tree *tree,
                        const struct patience *patience)
{
    struct pollfd fd = {.events = POLLIN};
    int rc;

    fd.fd = (int)syscall(SYS_pidfd_open, tree->members[0].id.pid, 0);
    if (fd.fd < 0) { /* It has died already, or there is no descriptor. */
        return patience_wait(patience, NULL, 0, errno == ESRCH ? 0 : LOOK_MS);
    }
    rc = patience_wait(patience, &fd, 1, LOOK_MS);
    (void)close(fd.fd);
    return rc == E_OK ? E_BUSY : rc;
}

static void say_who_is_left(const struct tree *tree,
                            const char *trouble,
                            int rc,
                            struct outcome *out)
{
    struct buf names;

    buf_init(&names, OUTCOME_REASON_SIZE);
    tree_print(tree, &names);
    if (trouble != NULL) {
        outcome_set(out, OUTCOME_FAILED, "%s: %s", trouble, buf_string(&names));
    } else if (rc == E_TIMEOUT) {
        outcome_set(out, OUTCOME_FAILED, "still alive at the deadline: %s",
                    buf_string(&names));
    } else if (rc == E_ENDED) {
        outcome_set(out, OUTCOME_SKIPPED, "cancelled");
    } else {
        outcome_set(out, OUTCOME_FAILED, "cannot look at the processes: %s",
                    err_text(rc));
    }
    buf_release(&names);
}

/* Signal all members, also those that appear, until nobody is left. */
static void end_all(const struct tree_target *target,
                    int signal,
                    const struct patience *patience,
                    struct outcome *out)
{
    const char *trouble = NULL;
    struct tree tree;
    int rc;

    tree_init(&tree);
    do {
        rc = tree_read(target, &tree);
        if (rc != E_OK || tree.count == 0) {
            break;
        }
        rc = signal_new(&tree, signal, &trouble);
        if (rc == E_OK) {
            rc = wait_for_one(&tree, patience);
        }
    } while (rc == E_BUSY);
    if (rc == E_OK) {
        outcome_set(out, OUTCOME_OK, "%s", "");
    } else {
        say_who_is_left(&tree, trouble, rc, out);
    }
    tree_release(&tree);
}

void terminate_tree(const struct tree_target *target,
                    const struct patience *patience,
                    struct outcome *out)
{
    if (target->cgroup.dir[0] != '\0') {
        (void)!cgroup_freeze(&target->cgroup, false);
    }
    end_all(target, SIGTERM, patience, out);
}

void terminate_kill(const struct tree_target *target,
                    const struct patience *patience,
                    struct outcome *out)
{
    struct patience hold = patience_for(HOLD_MS_MAX);

    if (target->cgroup.dir[0] == '\0' || cgroup_kill(&target->cgroup) != E_OK) {
        /* Half of what is left is enough to try to stop them; they are killed
         * in any case. */
        if (patience_left_ms(patience) / 2 < HOLD_MS_MAX) {
            hold = patience_for((uint64_t)patience_left_ms(patience) / 2);
        }
        hold.cancel_fd = patience->cancel_fd;
        (void)!freeze_hold(target, &hold);
    }
    end_all(target, SIGKILL, patience, out);
}
