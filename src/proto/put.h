/* put.h - members of JSON objects, appended to a buffer.
 *
 * A name comes with all that stands around it, as in ",\"token\":".
 */
#ifndef GPUCOORD_PROTO_PUT_H
#define GPUCOORD_PROTO_PUT_H

#include "base/buf.h"

/* Append a member with a number. */
static inline void
put_number(struct buf *out, const char *name, uint64_t number)
{
    buf_text(out, name);
    buf_u64(out, number);
}

/* Append a member with a text, or null where it is NULL. */
static inline void put_text(struct buf *out, const char *name, const char *text)
{
    buf_text(out, name);
    if (text == NULL) {
        buf_text(out, "null");
    } else {
        buf_json(out, text);
    }
}

#endif
