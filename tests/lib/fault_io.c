#include "lib/fault_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The libraries must find these names in the program.  (Built for files of any
 * size, pwrite() here is the symbol pwrite64, as in SQLite; and so on.) */
#define EXPORTED __attribute__((visibility("default")))

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER; /* Of syncs. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* Of all below. */
static unsigned armed_kinds;
static uint64_t calls_left; /* Until the one that fails. */
static int armed_error;
static bool armed_fails_on;
static bool has_failed;
static uint64_t syncs;

void fault_io_arm(unsigned kinds, uint64_t nth, int error, bool fails_on)
{
    pthread_mutex_lock(&lock);
    armed_kinds = kinds;
    calls_left = nth;
    armed_error = error;
    armed_fails_on = fails_on;
    has_failed = false;
    pthread_mutex_unlock(&lock);
}

bool fault_io_disarm(void)
{
    bool hit;

    pthread_mutex_lock(&lock);
    armed_kinds = 0;
    hit = has_failed;
    pthread_mutex_unlock(&lock);
    return hit;
}

uint64_t fault_io_syncs(void)
{
    uint64_t count;

    pthread_mutex_lock(&lock);
    count = syncs;
    pthread_mutex_unlock(&lock);
    return count;
}

void fault_io_hold(void)
{
    pthread_mutex_lock(&gate);
}

void fault_io_release(void)
{
    pthread_mutex_unlock(&gate);
}

/* Return the error with which this call on @fd fails; 0 = it works. */
static int fault_of(int fd, unsigned kind)
{
    struct stat about;
    int error = 0;

    if (fd <= STDERR_FILENO || fstat(fd, &about) != 0 ||
        (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode))) {
        return 0;
    }
    pthread_mutex_lock(&lock);
    syncs += kind == FAULT_IO_SYNC;
    if ((armed_kinds & kind) != 0) {
        if (calls_left > 0) {
            calls_left--;
        }
        if (calls_left == 0 && (!has_failed || armed_fails_on)) {
            has_failed = true;
            error = armed_error;
        }
    }
    pthread_mutex_unlock(&lock);
    return error;
}

EXPORTED ssize_t write(int fd, const void *data, size_t size)
{
    int error = fault_of(fd, FAULT_IO_WRITE);

    if (error != 0) {
        (void)syscall(SYS_write, fd, data, size / 2);
        errno = error;
        return -1;
    }
    return syscall(SYS_write, fd, data, size);
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    int error = fault_of(fd, FAULT_IO_WRITE);

    if (error != 0) {
        (void)syscall(SYS_pwrite64, fd, data, size / 2, at);
        errno = error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, size, at);
}

EXPORTED int ftruncate(int fd, off_t size)
{
    int error = fault_of(fd, FAULT_IO_WRITE);

    if (error != 0) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_ftruncate, fd, size);
}

EXPORTED int posix_fallocate(int fd, off_t at, off_t size)
{
    int error = fault_of(fd, FAULT_IO_WRITE);

    if (error != 0) {
        return error;
    }
    return syscall(SYS_fallocate, fd, 0, at, size) == 0 ? 0 : errno;
}

/* Pass the gate, then sync through the call @number. */
static int sync_through(int fd, long number)
{
    int error;

    pthread_mutex_lock(&gate);
    error = fault_of(fd, FAULT_IO_SYNC);
    pthread_mutex_unlock(&gate);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return (int)syscall(number, fd);
}

EXPORTED int fsync(int fd)
{
    return sync_through(fd, SYS_fsync);
}

EXPORTED int fdatasync(int fd)
{
    return sync_through(fd, SYS_fdatasync);
}
