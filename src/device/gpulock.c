#include "device/gpulock.h"

#include "base/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct gpulock {
    size_t count; /* Of the descriptors that hold a lock. */
    int fds[];
};

enum {
    TEXT_SIZE = 1024,
    SHARE_TRIES = 10,
    SHARE_PAUSE_MS = 20
};

/* Read what the file says, "" where that is nothing yet. */
static void read_file(int fd, char text[TEXT_SIZE])
{
    ssize_t size = pread(fd, text, TEXT_SIZE - 1, 0);

    text[size > 0 ? size : 0] = '\0';
}

/* Say who holds the file: what it wrote there. */
static void explain_busy(int fd, const char *uuid, struct buf *why)
{
    char text[TEXT_SIZE];
    char *cluster;
    char *socket;

    read_file(fd, text);
    cluster = strchr(text, '\n');
    if (cluster != NULL) {
        *cluster++ = '\0';
        cluster[strcspn(cluster, "\n")] = '\0';
    }
    socket = strchr(text, ' ');
    if (socket == NULL) { /* It has the lock and has yet to write. */
        buf_printf(why, "%s is coordinated by another process", uuid);
        return;
    }
    *socket++ = '\0';
    buf_printf(why, "%s is coordinated by process %s, at '%s'", uuid, text,
               socket);
    if (cluster != NULL && cluster[0] != '\0') {
        buf_printf(why, ", and others of the cluster '%s'", cluster);
    }
}

/* Open the file of a lock.  Whoever made it, everybody may lock it: it outlives
 * its maker, and the next coordinator may be another user's. */
static int open_file(const char *path)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    int fd = open(path, flags);

    /* Not O_CREAT on what is there: in a directory open to all the kernel
     * refuses that for files of other users. */
    if (fd < 0 && errno == ENOENT) {
        fd = open(path, flags | O_CREAT | O_EXCL, 0666);
        if (fd >= 0) {
            (void)fchmod(fd, 0666); /* Past the umask. */
        } else if (errno == EEXIST) {
            fd = open(path, flags);
        }
    }
    return fd;
}

/* Note who has the lock of @fd, which is ours alone.  The lock counts; that the
 * note beside it is there matters to other members only. */
static void note_owner(int fd, const struct gpulock_owner *owner)
{
    (void)!ftruncate(fd, 0);
    (void)dprintf(fd, "%ld %s\n%s%s", (long)getpid(), owner->socket,
                  owner->cluster != NULL ? owner->cluster : "",
                  owner->cluster != NULL ? "\n" : "");
}

/* Say whether the file was written by a member of the cluster @name. */
static bool is_of_cluster(int fd, const char *name)
{
    char text[TEXT_SIZE];
    const char *line;

    read_file(fd, text);
    line = strchr(text, '\n');
    return line != NULL && strncmp(line + 1, name, strlen(name)) == 0 &&
           line[1 + strlen(name)] == '\n';
}

/* Lock @fd.
 *
 * Whoever is alone writes who it is, with nobody beside it; a member of a
 * cluster then lets others of the same one in.  It gives the lock up for a
 * moment in between, so it looks again at what the file says.
 *
 * Errors:
 *   E_BUSY  somebody has it who does not share it with us.
 *   E_IO    errno says why.
 */
static int try_lock(int fd, const struct gpulock_owner *owner)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        note_owner(fd, owner);
        if (owner->cluster == NULL) {
            return E_OK;
        }
    } else if (errno != EWOULDBLOCK) {
        return E_IO;
    }
    if (owner->cluster == NULL) {
        return E_BUSY;
    }
    if (flock(fd, LOCK_SH | LOCK_NB) != 0) {
        return errno == EWOULDBLOCK ? E_BUSY : E_IO;
    }
    return is_of_cluster(fd, owner->cluster) ? E_OK : E_BUSY;
}

/* Lock @fd likewise.  Members that start together are in each other's way for a
 * moment, while one of them writes who it is. */
static int lock_file(int fd, const struct gpulock_owner *owner)
{
    const struct timespec pause = {.tv_nsec = SHARE_PAUSE_MS * 1000000L};
    int tries = owner->cluster != NULL ? SHARE_TRIES : 1;
    int rc = try_lock(fd, owner);

    while (rc == E_BUSY && --tries > 0) {
        (void)nanosleep(&pause, NULL);
        rc = try_lock(fd, owner);
    }
    return rc;
}

/* Lock the file @path of the GPU @uuid and return its descriptor. */
static int take(const char *path,
                const char *uuid,
                const struct gpulock_owner *owner,
                struct buf *why)
{
    int fd = open_file(path);
    int rc;

    if (fd < 0) {
        buf_printf(why, "cannot open '%s': %s", path, strerror(errno));
        return E_IO;
    }
    rc = lock_file(fd, owner);
    if (rc == E_BUSY) {
        explain_busy(fd, uuid, why);
    } else if (rc != E_OK) {
        buf_printf(why, "cannot lock '%s': %s", path, strerror(errno));
    }
    if (rc != E_OK) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int gpulock_take(const char *dir,
                 const char *const *uuids,
                 size_t count,
                 const struct gpulock_owner *owner,
                 struct gpulock **out,
                 struct buf *why)
{
    struct gpulock *lock = calloc(1, sizeof *lock + count * sizeof(int));
    size_t i;
    int rc;

    if (lock == NULL) {
        return E_NOMEM;
    }
    rc = paths_make(dir);
    if (rc != E_OK) {
        buf_printf(why, "cannot make '%s': %s", dir, strerror(errno));
    }
    for (i = 0; i < count && rc >= 0; i++) {
        char *path;

        if (asprintf(&path, "%s/gpucoord-%s.lock", dir, uuids[i]) < 0) {
            rc = E_NOMEM;
            break;
        }
        rc = take(path, uuids[i], owner, why);
        free(path);
        if (rc >= 0) {
            lock->fds[lock->count++] = rc;
        }
    }
    if (rc < 0) {
        gpulock_release(lock);
        return rc;
    }
    *out = lock;
    return E_OK;
}

void gpulock_release(struct gpulock *lock)
{
    size_t i;

    if (lock == NULL) {
        return;
    }
    for (i = 0; i < lock->count; i++) {
        (void)close(lock->fds[i]);
    }
    free(lock);
}
