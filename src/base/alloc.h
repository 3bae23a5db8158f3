/* alloc.h - an allocator that is handed in, so that pure code asks nobody.
 *
 * The core and the containers below take theirs from the caller: the daemon
 * gives the C library's, tests one that fails at the n-th call.
 */
#ifndef GPUCOORD_BASE_ALLOC_H
#define GPUCOORD_BASE_ALLOC_H

#include <stddef.h>

struct alloc {
    /* As realloc(); @size is never 0.  NULL leaves @old as it was. */
    void *(*resize)(void *arg, void *old, size_t size);
    /* As free(); NULL is allowed. */
    void (*release)(void *arg, void *old);
    void *arg; /* Given to both; may be NULL. */
};

/* The C library's allocator.  Not used by the core: it is told. */
extern const struct alloc alloc_libc;

#endif
