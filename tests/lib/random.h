/* random.h - numbers that are a function of their seed (SplitMix64).
 */
#ifndef GPUCOORD_TESTS_LIB_RANDOM_H
#define GPUCOORD_TESTS_LIB_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state; /* The seed, at first. */
};

/* Return the next number of all 64 bits. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Return a number below @end, which is above 0. */
static inline uint32_t random_below(struct random *random, uint32_t end)
{
    return (uint32_t)(random_next(random) % end);
}

/* Return a number from @low to @high, both included. */
static inline uint32_t
random_between(struct random *random, uint32_t low, uint32_t high)
{
    return low + random_below(random, high - low + 1);
}

/* Say yes once in @times. */
static inline bool random_once_in(struct random *random, uint32_t times)
{
    return random_below(random, times) == 0;
}

#endif
