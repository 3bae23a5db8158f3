/* fault_clock.c - a wall clock that jumps when told, preloaded.
 *
 * FAULT_CLOCK_FILE names a file of one signed 64-bit number, the seconds that
 * CLOCK_REALTIME is off; another process changes it
 * (tests/integration/test_clock.py).  The other clocks are as they are.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static _Atomic int64_t none;
static _Atomic int64_t *off_s = &none;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("FAULT_CLOCK_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *at;

    if (fd < 0) {
        return;
    }
    at = mmap(NULL, sizeof *off_s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED) {
        off_s = at;
    }
}

/* The C library's own function is this one. */
EXPORTED int clock_gettime(clockid_t id, struct timespec *now)
{
    int rc = (int)syscall(SYS_clock_gettime, id, now);

    if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += (time_t)*off_s;
    }
    return rc;
}

EXPORTED int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

EXPORTED time_t time(time_t *out)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
