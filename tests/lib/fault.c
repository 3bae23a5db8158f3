#include "lib/fault.h"

#include <stdlib.h>

/* Before each block: its size, in a place that keeps the alignment. */
union header {
    size_t size;
    max_align_t align;
};

static void *fault_resize(void *arg, void *old, size_t size)
{
    struct fault *fault = arg;
    union header *block = old == NULL ? NULL : (union header *)old - 1;
    size_t size_before = block == NULL ? 0 : block->size;

    fault->calls++;
    if (fault->fail_at != 0 &&
        (fault->calls == fault->fail_at ||
         (fault->fails_on && fault->calls > fault->fail_at))) {
        fault->has_failed = true;
        return NULL;
    }
    block = realloc(block, sizeof *block + size);
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    fault->held_bytes += size - size_before;
    if (fault->held_bytes > fault->held_bytes_max) {
        fault->held_bytes_max = fault->held_bytes;
    }
    return block + 1;
}

static void fault_release(void *arg, void *old)
{
    struct fault *fault = arg;
    union header *block = old;

    if (old == NULL) {
        return;
    }
    block--;
    fault->held_bytes -= block->size;
    free(block);
}

void fault_init(struct fault *fault, uint64_t fail_at)
{
    *fault = (struct fault){.alloc = {fault_resize, fault_release, fault},
                            .fail_at = fail_at};
}
