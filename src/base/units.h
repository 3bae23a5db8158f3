/* units.h - times and sizes as people write them: 30s, 500ms, 4GiB. */
#ifndef GPUCOORD_BASE_UNITS_H
#define GPUCOORD_BASE_UNITS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* Read a whole number.
 *
 * Errors:
 *   E_INVALID  not one, or above 2^53; @out is untouched.
 */
MUST_USE int units_parse_count(const char *text, uint64_t *out);

/* Read a time in `ms`, `s`, `m` or `min`, `h` or `d`, whole numbers only;
 * without a unit it counts milliseconds.
 *
 * Errors:
 *   E_INVALID  not a number, an unknown unit, or above 2^53 ms; @out is
 *              untouched.
 */
MUST_USE int units_parse_time(const char *text, uint64_t *out);

/* Read a size in `MiB`, `GiB` or `TiB`, whole numbers only; without a unit it
 * counts MiB.  Decimal units (MB, GB) are refused: they are mostly meant as
 * binary ones, and 24GB of the one are not 24GB of the other.
 *
 * Errors: as units_parse_time(), above 2^53 MiB.
 */
MUST_USE int units_parse_size(const char *text, uint64_t *out);

/* Append a time in the largest unit that holds it exactly, as "30s". */
void units_print_time(struct buf *out, uint64_t time_ms);

/* Append a size likewise, as "4GiB". */
void units_print_size(struct buf *out, uint64_t size_mib);

#endif
