#include "lib/fault_malloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The libraries must find these names in the program. */
#define EXPORTED __attribute__((visibility("default")))

/* The real ones: the sanitizer's where there is one, else the C library's. */
void *__interceptor_malloc(size_t size) __attribute__((weak));
void *__interceptor_calloc(size_t count, size_t size) __attribute__((weak));
void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static struct fault_malloc own;
static struct fault_malloc *fault = &own;
static atomic_bool watches_end;
static atomic_bool has_ended; /* main() has; what follows is the runtime's. */

void fault_malloc_arm(uint64_t nth, uint64_t count)
{
    fault->failed = 0;
    fault->fails = count;
    fault->left = nth + count - 1;
}

bool fault_malloc_disarm(void)
{
    fault->left = 0;
    return fault->failed != 0;
}

/* A preloaded library is armed from outside. */
__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("FAULT_MALLOC_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *at;

    if (fd < 0) {
        return;
    }
    at = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (at != MAP_FAILED) {
        fault = at;
    }
}

static void on_end(void)
{
    has_ended = true;
}

static bool fails(void)
{
    uint64_t left = has_ended ? 0 : fault->left;

    do {
        if (left == 0 || gettid() != getpid()) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&fault->left, &left, left - 1));
    if (left > fault->fails) {
        return false;
    }
    /* Not before main(): what is registered last is called first, so before
     * the counters of lines are written, which does not survive this. */
    if (!atomic_exchange(&watches_end, true)) {
        (void)atexit(on_end);
    }
    fault->failed++;
    errno = ENOMEM;
    return true;
}

EXPORTED void *malloc(size_t size)
{
    if (fails()) {
        return NULL;
    }
    return __interceptor_malloc != NULL ? __interceptor_malloc(size)
                                        : __libc_malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    if (fails()) {
        return NULL;
    }
    return __interceptor_calloc != NULL ? __interceptor_calloc(count, size)
                                        : __libc_calloc(count, size);
}

EXPORTED void *realloc(void *old, size_t size)
{
    if (fails()) {
        return NULL;
    }
    return __interceptor_realloc != NULL ? __interceptor_realloc(old, size)
                                         : __libc_realloc(old, size);
}

/* The two below call those above in the C library, but not in a sanitizer's. */

EXPORTED void *reallocarray(void *old, size_t count, size_t size)
{
    size_t all;

    if (__builtin_mul_overflow(count, size, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, all);
}

EXPORTED char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    return copy == NULL ? NULL : memcpy(copy, text, size);
}
