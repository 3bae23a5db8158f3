/* members.h - members of a JSON object, each written with a comma before it.
 *
 * The first member of an object is written by hand.
 */
#ifndef GPUCOORD_DAEMON_MEMBERS_H
#define GPUCOORD_DAEMON_MEMBERS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Append the member's name and colon. */
void member_name(struct buf *out, const char *name);

/* Append a number. */
void member_u64(struct buf *out, const char *name, uint64_t number);

/* Append a number, or null where there is none. */
void member_maybe(struct buf *out,
                  const char *name,
                  bool is_there,
                  uint64_t number);

/* Append a text; NULL is null. */
void member_text(struct buf *out, const char *name, const char *text);

/* Append true or false. */
void member_bool(struct buf *out, const char *name, bool value);

/* Append an instant of wall time as text. */
void member_time(struct buf *out, const char *name, uint64_t wall_ms);

#endif
