#include "daemon/watch.h"

#include "base/alloc.h"
#include "base/idmap.h"
#include "base/list.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "http/http.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct watched {
    struct driver_owed owed; /* First: what the death brings about. */
    struct list all;
    struct watch *watch;
    struct event *event; /* Readable once the process has died. */
    uint64_t lease;
    pid_t pid;
    int fd;
};

struct watch {
    struct daemon *daemon;
    struct list all;
    struct idmap by_lease;
};

int watch_create(struct daemon *daemon, struct watch **out)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        return E_NOMEM;
    }
    watch->daemon = daemon;
    list_init(&watch->all);
    idmap_init(&watch->by_lease, &alloc_libc);
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
    idmap_release(&watch->by_lease);
    free(watch);
}

/* Watch no more. */
static void stop(struct watched *watched)
{
    if (list_is_linked(&watched->all)) {
        list_remove(&watched->all);
        (void)idmap_remove(&watched->watch->by_lease, 0, watched->lease);
    }
    if (watched->event != NULL) {
        event_free(watched->event);
    }
    if (watched->fd >= 0) {
        (void)close(watched->fd);
    }
}

void watch_drop(struct watched *watched)
{
    if (watched != NULL) {
        stop(watched);
        free(watched);
    }
}

static void on_death(evutil_socket_t fd, short what, void *arg)
{
    struct watched *watched = arg;
    struct driver *driver = watched->watch->daemon->driver;

    (void)fd;
    (void)what;
    log_info("lease %" PRIu64 ": its process %d has died", watched->lease,
             (int)watched->pid);
    stop(watched);
    watched->owed.event = (struct core_event){.type = CORE_PROCESS_GONE,
                                              .process_gone = {watched->lease}};
    driver_owe(driver, &watched->owed);
}

/* Say whether @pid belongs to @uid: nobody may have others' processes
 * watched. */
static bool is_owned(pid_t pid, uid_t uid)
{
    char path[32];
    struct stat status;

    (void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    return stat(path, &status) == 0 && status.st_uid == uid;
}

int watch_open(struct watch *watch,
               const struct http_request *request,
               uint32_t pid,
               struct watched **out)
{
    struct watched *watched;

    if (!request->is_unix || idmap_reserve(&watch->by_lease) != E_OK) {
        return request->is_unix ? E_NOMEM : E_INVALID;
    }
    watched = calloc(1, sizeof(*watched));
    if (watched == NULL) {
        return E_NOMEM;
    }
    watched->watch = watch;
    watched->pid = pid == 0 ? request->pid : (pid_t)pid;
    watched->fd = (int)syscall(SYS_pidfd_open, watched->pid, 0);
    if (watched->fd < 0 || !is_owned(watched->pid, request->uid)) {
        int rc = watched->fd < 0 && errno == EMFILE ? E_NOMEM : E_INVALID;

        watch_drop(watched);
        return rc;
    }
    watched->event = event_new(loop_base(watch->daemon->loop), watched->fd,
                               EV_READ, on_death, watched);
    if (watched->event == NULL) {
        watch_drop(watched);
        return E_NOMEM;
    }
    *out = watched;
    return E_OK;
}

void watch_lease(struct watch *watch, struct watched *watched, uint64_t lease)
{
    watch_forget(watch, lease);
    watched->lease = lease;
    idmap_put(&watch->by_lease, 0, lease, watched);
    list_append(&watch->all, &watched->all);
    if (event_add(watched->event, NULL) != 0) {
        log_warn("lease %" PRIu64 ": its process cannot be watched", lease);
    }
}

void watch_forget(struct watch *watch, uint64_t lease)
{
    watch_drop(idmap_find(&watch->by_lease, 0, lease));
}

void watch_rename(struct watch *watch, uint64_t from, uint64_t to)
{
    struct watched *watched = idmap_remove(&watch->by_lease, 0, from);

    if (watched != NULL) {
        watched->lease = to;
        idmap_put(&watch->by_lease, 0, to, watched);
    }
}
