/* mib.h - arithmetic on amounts of VRAM, none of which is below 0. */
#ifndef GPUCOORD_CORE_MIB_H
#define GPUCOORD_CORE_MIB_H

#include <stdint.h>

/* Return how much @a is above @b, which fits; 0 where it is not. */
static inline uint32_t mib_above(uint64_t a, uint64_t b)
{
    return a > b ? (uint32_t)(a - b) : 0;
}

/* Return the smaller of both. */
static inline uint32_t mib_smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Return the larger of both. */
static inline uint32_t mib_larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

#endif
