#include "control/watch.h"

#include "base/alloc.h"
#include "base/idmap.h"
#include "base/list.h"
#include "base/log.h"
#include "control/cgroup.h"
#include "control/pin.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    SCANS_MAX = 8, /* Members that die as they are found. */
    RETRY_US = 100000,
    NO_WATCH = -1
};

struct watched {
    struct list all;
    struct watch *watch;
    struct proc_set set;  /* What has been seen gone is taken out of it. */
    struct proc_set said; /* As it was opened. */
    struct pin named;
    struct pin member;   /* Of the group: any one that lives. */
    struct event *retry; /* No descriptor was left to look with. */
    struct cgroup cgroup;
    int wd;               /* Of the cgroup; NO_WATCH = none. */
    struct watched *next; /* Of the same lease, older. */
    uint64_t lease;
    bool is_due; /* To be looked at. */
};

struct watch {
    struct event_base *base;
    const char *root;
    watch_gone gone;
    void *arg;
    struct list all;
    struct idmap by_lease;
    struct event *changes; /* Of cgroups. */
    int inotify;           /* -1 = none; cgroups are not watched then. */
};

static void look(struct watched *watched);

/* ---- Cgroups ------------------------------------------------------------- */

/* Stop the inotify watch, unless another lease lives in the same cgroup. */
static void leave_cgroup(struct watched *watched)
{
    const struct watch *watch = watched->watch;
    const struct list *at;
    int wd = watched->wd;

    watched->wd = NO_WATCH;
    LIST_EACH (at, &watch->all) {
        if (CONTAINER_OF(at, struct watched, all)->wd == wd) {
            return;
        }
    }
    if (wd != NO_WATCH) {
        (void)inotify_rm_watch(watch->inotify, wd);
    }
}

/* Have changes of the cgroup told; without that it is not waited for. */
static void enter_cgroup(struct watched *watched)
{
    struct watch *watch = watched->watch;
    char path[CGROUP_FILE_SIZE];

    if (watched->set.cgroup[0] == '\0') {
        return;
    }
    if (cgroup_find(watch->root, watched->set.cgroup, &watched->cgroup) ==
        E_OK) {
        cgroup_events_path(&watched->cgroup, path);
        watched->wd = inotify_add_watch(watch->inotify, path, IN_MODIFY);
    }
    if (watched->wd == NO_WATCH) {
        log_warn("cgroup '%s' cannot be watched", watched->set.cgroup);
        watched->set.cgroup[0] = '\0';
    }
}

/* Look at all leases in the cgroup that has changed.  What is called may add
 * and drop any of them, so the list is begun again after each. */
static void look_at_all(struct watch *watch, int wd)
{
    struct list *at;

    LIST_EACH (at, &watch->all) {
        struct watched *watched = CONTAINER_OF(at, struct watched, all);

        /* -1: changes were lost, of whom nobody knows. */
        watched->is_due = wd < 0 || watched->wd == wd;
    }
    at = watch->all.next;
    while (at != &watch->all) {
        struct watched *watched = CONTAINER_OF(at, struct watched, all);

        at = at->next;
        if (watched->is_due) {
            watched->is_due = false;
            look(watched);
            at = watch->all.next;
        }
    }
}

static void on_change(evutil_socket_t fd, short what, void *arg)
{
    struct inotify_event seen;
    char bytes[1024];
    ssize_t size = read(fd, bytes, sizeof bytes);
    size_t at = 0;

    (void)what;
    while (size > 0 && at + sizeof seen <= (size_t)size) {
        memcpy(&seen, bytes + at, sizeof seen);
        at += sizeof seen + seen.len;
        look_at_all(arg, seen.wd);
    }
}

/* ---- What lives ---------------------------------------------------------- */

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    look(arg);
}

static void look_later(struct watched *watched)
{
    const struct timeval delay = {.tv_usec = RETRY_US};

    if (event_add(watched->retry, &delay) != 0) {
        log_warn("lease %" PRIu64 ": its processes cannot be watched",
                 watched->lease);
    }
}

static void on_member_died(evutil_socket_t fd, short what, void *arg)
{
    struct watched *watched = arg;

    (void)fd;
    (void)what;
    pin_close(&watched->member);
    look(watched);
}

struct search {
    const struct proc_set *set;
    struct proc_stat found; /* .id.pid = 0: none. */
};

static bool is_member(void *arg, const struct proc_stat *stat)
{
    struct search *search = arg;

    if (proc_set_has_group(search->set, stat)) {
        search->found = *stat;
    }
    return search->found.id.pid == 0;
}

/* Hold @found, if it still is what it was. */
static int hold_member(struct watched *watched, const struct proc_stat *found)
{
    const struct watch *watch = watched->watch;
    struct proc_stat again;
    int rc = pin_open(&watched->member, found->id.pid, watch->base,
                      on_member_died, watched);

    if (rc != E_OK) {
        return rc;
    }
    rc = proc_read_stat(watch->root, found->id.pid, &again);
    if (rc == E_OK && !proc_is_same(&again.id, &found->id)) {
        rc = E_NOT_FOUND;
    }
    if (rc == E_OK) {
        rc = pin_listen(&watched->member);
    }
    if (rc != E_OK) {
        pin_close(&watched->member);
    }
    return rc;
}

/* Say whether another process has the leader's number: as long as somebody was
 * in the group nobody could get it. */
static bool group_is_anothers(const struct watched *watched)
{
    struct proc_stat leader;

    return proc_read_stat(watched->watch->root, watched->set.pgid, &leader) ==
               E_OK &&
           !proc_is_same(&leader.id, &watched->set.id);
}

/* Say whether nobody lives in the group; else somebody of it is held, or it is
 * looked at again later. */
static bool group_has_gone(struct watched *watched)
{
    struct search search = {.set = &watched->set};
    unsigned scans;
    int rc = E_NOT_FOUND;

    if (watched->set.pgid == 0 || watched->member.event != NULL) {
        return watched->set.pgid == 0;
    }
    if (group_is_anothers(watched)) {
        watched->set.pgid = 0;
        return true;
    }
    for (scans = 0; rc == E_NOT_FOUND && scans < SCANS_MAX; scans++) {
        search.found.id.pid = 0;
        rc = proc_each(watched->watch->root, is_member, &search);
        if (rc == E_OK && search.found.id.pid != 0) {
            rc = hold_member(watched, &search.found);
        } else if (rc == E_OK && scans > 0) {
            watched->set.pgid = 0; /* Twice, as one may have forked between. */
            return true;
        } else if (rc == E_OK) {
            rc = E_NOT_FOUND;
        }
    }
    if (rc != E_OK) {
        look_later(watched);
    }
    return false;
}

static bool cgroup_has_gone(struct watched *watched)
{
    bool is_populated = false;
    int rc = E_OK;

    if (watched->set.cgroup[0] != '\0') {
        rc = cgroup_is_populated(&watched->cgroup, &is_populated);
    }
    if (rc != E_OK && rc != E_NOT_FOUND) {
        look_later(watched);
        return false;
    }
    return !is_populated;
}

/* Tell where nobody of the set lives any more. */
static void look(struct watched *watched)
{
    struct watch *watch = watched->watch;
    uint64_t lease = watched->lease;

    if (watched->named.event != NULL || !cgroup_has_gone(watched) ||
        !group_has_gone(watched)) {
        return;
    }
    log_info("lease %" PRIu64 ": its process %d has died%s", lease,
             (int)watched->set.id.pid,
             watched->said.pgid != 0 || watched->said.cgroup[0] != '\0'
                 ? ", and all that belonged to it"
                 : "");
    watch_drop(watched);
    if (idmap_find(&watch->by_lease, 0, lease) == NULL) {
        watch->gone(watch->arg, lease);
    }
}

static void on_named_died(evutil_socket_t fd, short what, void *arg)
{
    struct watched *watched = arg;

    (void)fd;
    (void)what;
    pin_close(&watched->named);
    look(watched);
}

/* ---- Opening ------------------------------------------------------------- */

/* Read what the process is and what belongs to it. */
static int read_set(struct watched *watched, pid_t pid, uid_t uid)
{
    struct proc_facts facts;
    int rc = proc_read(watched->watch->root, pid, &facts);

    if (rc == E_OK && !pin_is_there(&watched->named)) {
        rc = E_NOT_FOUND; /* That was somebody else. */
    }
    if (rc == E_OK && uid != 0 && facts.uid != uid) {
        rc = E_FORBIDDEN;
    }
    if (rc == E_OK) {
        proc_set_init(&watched->set, &facts);
        watched->said = watched->set;
        enter_cgroup(watched);
    }
    return rc == E_CORRUPT ? E_IO : rc;
}

int watch_open(struct watch *watch, pid_t pid, uid_t uid, struct watched **out)
{
    struct watched *watched = calloc(1, sizeof(*watched));
    int rc;

    if (watched == NULL) {
        return E_NOMEM;
    }
    watched->watch = watch;
    watched->wd = NO_WATCH;
    watched->retry = evtimer_new(watch->base, on_retry, watched);
    rc = watched->retry == NULL ? E_NOMEM : idmap_reserve(&watch->by_lease);
    if (rc == E_OK) {
        rc =
            pin_open(&watched->named, pid, watch->base, on_named_died, watched);
    }
    if (rc == E_OK) {
        rc = read_set(watched, pid, uid);
    }
    if (rc != E_OK) {
        watch_drop(watched);
        return rc;
    }
    *out = watched;
    return E_OK;
}

/* Take @watched off its lease. */
static void leave_lease(struct watched *watched)
{
    struct idmap *leases = &watched->watch->by_lease;
    struct watched *newest = idmap_remove(leases, 0, watched->lease);
    struct watched **place = &newest;

    while (*place != watched) {
        place = &(*place)->next;
    }
    *place = watched->next;
    if (newest != NULL) {
        idmap_put(leases, 0, watched->lease, newest);
    }
    list_remove(&watched->all);
}

void watch_drop(struct watched *watched)
{
    if (watched == NULL) {
        return;
    }
    if (list_is_linked(&watched->all)) {
        leave_lease(watched);
    }
    leave_cgroup(watched);
    pin_close(&watched->named);
    pin_close(&watched->member);
    if (watched->retry != NULL) {
        event_free(watched->retry);
    }
    free(watched);
}

/* ---- Leases -------------------------------------------------------------- */

/* Drop what is watched of the lease already as @id, and the oldest of too
 * many. */
static void
make_room(struct watch *watch, uint64_t lease, const struct proc_id *id)
{
    struct watched *at = idmap_find(&watch->by_lease, 0, lease);
    unsigned count = 0;

    while (at != NULL) {
        struct watched *older = at->next;

        if (proc_is_same(&at->said.id, id) || ++count == WATCH_JOINED_MAX) {
            watch_drop(at);
        }
        at = older;
    }
}

/* Put @watched, which is on the list of all, on its lease. */
static void
enter_lease(struct watch *watch, struct watched *watched, uint64_t lease)
{
    watched->lease = lease;
    watched->next = idmap_remove(&watch->by_lease, 0, lease);
    idmap_put(&watch->by_lease, 0, lease, watched);
    if (pin_listen(&watched->named) != E_OK) {
        log_warn("lease %" PRIu64 ": its process cannot be watched", lease);
    }
}

/* In both it is listed before others are dropped: it may live in the cgroup of
 * one of them, and goes on listening to it. */
void watch_lease(struct watch *watch, struct watched *watched, uint64_t lease)
{
    list_append(&watch->all, &watched->all);
    watch_forget(watch, lease);
    enter_lease(watch, watched, lease);
}

void watch_join(struct watch *watch, struct watched *watched, uint64_t lease)
{
    list_append(&watch->all, &watched->all);
    make_room(watch, lease, &watched->said.id);
    enter_lease(watch, watched, lease);
}

void watch_rename(struct watch *watch, uint64_t from, uint64_t to)
{
    struct watched *watched = idmap_remove(&watch->by_lease, 0, from);

    if (watched != NULL) {
        idmap_put(&watch->by_lease, 0, to, watched);
    }
    for (; watched != NULL; watched = watched->next) {
        watched->lease = to;
    }
}

void watch_forget(struct watch *watch, uint64_t lease)
{
    struct watched *newest;

    while ((newest = idmap_find(&watch->by_lease, 0, lease)) != NULL) {
        watch_drop(newest);
    }
}

const struct proc_set *watch_set(const struct watched *watched)
{
    return &watched->said;
}

const struct proc_set *watch_find(const struct watch *watch, uint64_t lease)
{
    const struct watched *watched = idmap_find(&watch->by_lease, 0, lease);

    return watched == NULL ? NULL : &watched->said;
}

void watch_each(const struct watch *watch, watch_each_seen seen, void *arg)
{
    const struct list *at;

    LIST_EACH (at, &watch->all) {
        const struct watched *watched = CONTAINER_OF(at, struct watched, all);

        seen(arg, watched->lease, &watched->said);
    }
}

/* ---- Life ---------------------------------------------------------------- */

int watch_create(struct event_base *base,
                 const char *root,
                 watch_gone gone,
                 void *arg,
                 struct watch **out)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        return E_NOMEM;
    }
    watch->base = base;
    watch->root = root;
    watch->gone = gone;
    watch->arg = arg;
    list_init(&watch->all);
    idmap_init(&watch->by_lease, &alloc_libc);
    watch->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->inotify < 0) {
        log_warn("cgroups cannot be watched: %s", strerror(errno));
    } else {
        watch->changes = event_new(base, watch->inotify, EV_READ | EV_PERSIST,
                                   on_change, watch);
        if (watch->changes == NULL || event_add(watch->changes, NULL) != 0) {
            watch_destroy(watch);
            return E_NOMEM;
        }
    }
    *out = watch;
    return E_OK;
}

void watch_destroy(struct watch *watch)
{
    if (watch == NULL) {
        return;
    }
    while (!list_is_empty(&watch->all)) {
        watch_drop(CONTAINER_OF(watch->all.next, struct watched, all));
    }
    if (watch->changes != NULL) {
        event_free(watch->changes);
    }
    if (watch->inotify >= 0) {
        (void)close(watch->inotify);
    }
    idmap_release(&watch->by_lease);
    free(watch);
}
