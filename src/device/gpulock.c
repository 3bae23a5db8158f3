#include "device/gpulock.h"

#include "base/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct gpulock {
    size_t count; /* Of the descriptors that hold a lock. */
    int fds[];
};

/* Say who holds the file: what it wrote there, "PID SOCKET". */
static void explain_busy(int fd, const char *uuid, struct buf *why)
{
    char text[512];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    char *socket;

    text[size > 0 ? size : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    socket = strchr(text, ' ');
    if (socket == NULL) { /* It has the lock and has yet to write. */
        buf_printf(why, "%s is coordinated by another process", uuid);
        return;
    }
    *socket++ = '\0';
    buf_printf(why, "%s is coordinated by process %s, at '%s'", uuid, text,
               socket);
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

/* Lock the file @path of the GPU @uuid and return its descriptor. */
static int
take(const char *path, const char *uuid, const char *socket, struct buf *why)
{
    int fd = open_file(path);

    if (fd < 0) {
        buf_printf(why, "cannot open '%s': %s", path, strerror(errno));
        return E_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;

        if (error == EWOULDBLOCK) {
            explain_busy(fd, uuid, why);
        } else {
            buf_printf(why, "cannot lock '%s': %s", path, strerror(error));
        }
        (void)close(fd);
        return error == EWOULDBLOCK ? E_BUSY : E_IO;
    }
    /* The lock counts; that the note beside it is there is a courtesy. */
    (void)!ftruncate(fd, 0);
    (void)dprintf(fd, "%ld %s\n", (long)getpid(), socket);
    return fd;
}

int gpulock_take(const char *dir,
                 const char *const *uuids,
                 size_t count,
                 const char *socket,
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
        rc = take(path, uuids[i], socket, why);
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
