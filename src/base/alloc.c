#include "base/alloc.h"

#include <stdlib.h>

static void *libc_resize(void *arg, void *old, size_t size)
{
    (void)arg;
    return realloc(old, size);
}

static void libc_release(void *arg, void *old)
{
    (void)arg;
    free(old);
}

const struct alloc alloc_libc = {libc_resize, libc_release, NULL};
