/* fault.h - an allocator that fails when told, and counts what is held.
 *
 * Tests let the n-th allocation fail, for n = 1, 2, ... until a run does not
 * reach the n-th: then every allocation has failed once.
 */
#ifndef GPUCOORD_TESTS_LIB_FAULT_H
#define GPUCOORD_TESTS_LIB_FAULT_H

#include "base/alloc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fault {
    struct alloc alloc;    /* Hand this in. */
    uint64_t calls;        /* Allocations asked for so far. */
    uint64_t fail_at;      /* The call that fails, from 1; 0 = none. */
    bool fails_on;         /* So do all calls after it. */
    bool has_failed;       /* It was reached. */
    size_t held_bytes;     /* Given and not yet released. */
    size_t held_bytes_max; /* The most there ever was. */
};

/* Make an allocator whose call number @fail_at fails (0 = none). */
void fault_init(struct fault *fault, uint64_t fail_at);

#endif
