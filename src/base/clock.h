/* clock.h - the three clocks, each under the name of its use. */
#ifndef GPUCOORD_BASE_CLOCK_H
#define GPUCOORD_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: what the coordinator counts. */
uint64_t clock_mono_ms(void);

/* Nanoseconds of CLOCK_MONOTONIC, for measurements. */
uint64_t clock_mono_ns(void);

/* Milliseconds of CLOCK_BOOTTIME, which runs on while the machine sleeps:
 * what clients count before they stop trusting a lease. */
uint64_t clock_boot_ms(void);

/* Milliseconds since 1970, for display only. */
uint64_t clock_wall_ms(void);

enum {
    CLOCK_TEXT_SIZE = 25 /* "2026-01-31T23:59:59.999Z" and a NUL. */
};

/* Write the ISO 8601 form of @wall_ms, UTC, to @text. */
void clock_text(uint64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

#endif
