#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum {
    HUGE_BYTES = 2097152, /* Of a huge page. */
    PAGE_BYTES = 4096
};

/* Ask for huge pages: a block of that size is read all over, and where each of
 * its small pages lies would have to be looked up first. */
static void use_huge_pages(void *block, size_t size)
{
    size_t skip = (PAGE_BYTES - (uintptr_t)block % PAGE_BYTES) % PAGE_BYTES;
    size_t whole = (size - skip) / PAGE_BYTES * PAGE_BYTES;

    /* Advice: where it is not taken all works as before. */
    (void)madvise((char *)block + skip, whole, MADV_HUGEPAGE);
}

static void *libc_resize(void *arg, void *old, size_t size)
{
    void *block = realloc(old, size);

    (void)arg;
    if (block != NULL && size >= HUGE_BYTES) {
        use_huge_pages(block, size);
    }
    return block;
}

static void libc_release(void *arg, void *old)
{
    (void)arg;
    free(old);
}

const struct alloc alloc_libc = {libc_resize, libc_release, NULL};
