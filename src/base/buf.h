/* buf.h - a growing byte buffer with a maximum.
 *
 * A failed append marks the buffer; the writer checks once, at the end.  The
 * bytes are always followed by a NUL that is not counted.
 */
#ifndef GPUCOORD_BASE_BUF_H
#define GPUCOORD_BASE_BUF_H

#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while nothing was appended. */
    size_t size;
    size_t capacity;
    size_t size_max; /* Bytes; 0 = no limit. */
    int error;       /* The first failure; what follows it is dropped. */
};

/* Make an empty buffer that never holds more than @size_max bytes (0 = no
 * limit). */
void buf_init(struct buf *buf, size_t size_max);

/* Free what the buffer owns; it can be used again afterwards. */
void buf_release(struct buf *buf);

/* Forget the contents and the error; keep the memory. */
void buf_clear(struct buf *buf);

/* Make room for @more bytes and return where they go; NULL on error, which is
 * then also in the buffer.  buf_grown() says how many were written. */
char *buf_room(struct buf *buf, size_t more);

/* Count @more bytes written at buf_room(). */
void buf_grown(struct buf *buf, size_t more);

/* Append @size bytes. */
void buf_add(struct buf *buf, const void *data, size_t size);

/* Append a string. */
void buf_text(struct buf *buf, const char *text);

/* Append one byte. */
void buf_byte(struct buf *buf, char byte);

/* Append a number in decimal. */
void buf_u64(struct buf *buf, uint64_t number);

/* Append as printf() does. */
void buf_printf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Append as vprintf() does. */
void buf_vprintf(struct buf *buf, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Append @text as a JSON string with its quotes.  It is valid UTF-8. */
void buf_json(struct buf *buf, const char *text);

/* Drop @size bytes from the front. */
void buf_drop(struct buf *buf, size_t size);

/* Return the contents as a string; "" where nothing was appended. */
const char *buf_string(const struct buf *buf);

/* Return the first failure, or 0.
 *
 * Errors:
 *   E_NOMEM    no memory; the contents end before the failed append.
 *   E_TOO_BIG  the maximum was reached, likewise.
 */
MUST_USE int buf_error(const struct buf *buf);

#endif
