/* fault_malloc.h - the C library's allocator, which fails when told.
 *
 * Linked into a test this takes the place of malloc() and its kin, also for the
 * libraries that the test loads.  As a library of its own, preloaded, it does
 * the same to a whole program: FAULT_MALLOC_FILE then names a file that holds a
 * struct fault_malloc, by which another process arms it
 * (tests/integration/test_memory.py).  Only the main thread is hit, the others
 * are the sanitizers' too, and only until main() has ended.
 *
 * Tests let the n-th allocation fail, for n = 1, 2, ... until a run does not
 * reach the n-th: then every allocation has failed once.
 */
#ifndef GPUCOORD_TESTS_LIB_FAULT_MALLOC_H
#define GPUCOORD_TESTS_LIB_FAULT_MALLOC_H

#include <stdbool.h>
#include <stdint.h>

struct fault_malloc {
    _Atomic uint64_t left;   /* Allocations until it is over; 0 = disarmed. */
    _Atomic uint64_t fails;  /* So many of them, the last ones, fail. */
    _Atomic uint64_t failed; /* So many have failed. */
};

/* From now on allocation number @nth (from 1) fails, and those after it until
 * @count have failed. */
void fault_malloc_arm(uint64_t nth, uint64_t count);

/* Let everything work again; say whether an allocation has failed since. */
bool fault_malloc_disarm(void);

#endif
