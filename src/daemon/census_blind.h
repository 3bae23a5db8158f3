/* census_blind.h - which holders of a device could not be told from strangers.
 */
#ifndef GPUCOORD_DAEMON_CENSUS_BLIND_H
#define GPUCOORD_DAEMON_CENSUS_BLIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon;

struct census_blind {
    uint32_t service;       /* Of the first such holder; 0 = there is none. */
    bool is_several;        /* And there is one of another service. */
    uint64_t granted_at_ms; /* The earliest grant of them. */
};

/* Find the holders on @device of which no process is watched and whose service
 * is not among the @count services @known. */
void census_blind_find(const struct daemon *daemon,
                       uint32_t device,
                       const uint32_t *known,
                       size_t count,
                       struct census_blind *out);

#endif
