#include "base/buf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CAPACITY_FIRST = 128
};

void buf_init(struct buf *buf, size_t size_max)
{
    *buf = (struct buf){.size_max = size_max};
}

void buf_release(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->size_max);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->error = E_OK;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

char *buf_room(struct buf *buf, size_t more)
{
    size_t capacity = buf->capacity == 0 ? CAPACITY_FIRST : buf->capacity;
    char *data;

    if (buf->error != E_OK) {
        return NULL;
    }
    if (buf->size_max != 0 && more > buf->size_max - buf->size) {
        buf->error = E_TOO_BIG;
        return NULL;
    }
    /* One byte more for the NUL. */
    if (buf->size + more < buf->capacity) {
        return buf->data + buf->size;
    }
    while (capacity <= buf->size + more) {
        capacity *= 2;
    }
    data = realloc(buf->data, capacity);
    if (data == NULL) {
        buf->error = E_NOMEM;
        return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
    return data + buf->size;
}

void buf_grown(struct buf *buf, size_t more)
{
    assert(buf->size + more < buf->capacity);
    buf->size += more;
    buf->data[buf->size] = '\0';
}

void buf_add(struct buf *buf, const void *data, size_t size)
{
    char *room = buf_room(buf, size);

    if (room == NULL) {
        return;
    }
    if (size != 0) {
        memcpy(room, data, size);
    }
    buf_grown(buf, size);
}

void buf_text(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

void buf_byte(struct buf *buf, char byte)
{
    buf_add(buf, &byte, 1);
}

void buf_u64(struct buf *buf, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    buf_add(buf, digits + at, sizeof digits - at);
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    char *room;
    int size;

    va_copy(again, args);
    size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    assert(size >= 0);
    room = buf_room(buf, (size_t)size);
    if (room == NULL) {
        return;
    }
    (void)vsnprintf(room, (size_t)size + 1, format, args);
    buf_grown(buf, (size_t)size);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    buf_vprintf(buf, format, args);
    va_end(args);
}

void buf_json(struct buf *buf, const char *text)
{
    const char *plain = text; /* Start of the run that needs no escape. */
    const char *at;

    buf_byte(buf, '"');
    for (at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;

        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        buf_add(buf, plain, (size_t)(at - plain));
        plain = at + 1;
        if (byte >= 0x20) {
            buf_byte(buf, '\\');
            buf_byte(buf, *at);
        } else {
            buf_printf(buf, "\\u%04x", byte);
        }
    }
    buf_add(buf, plain, (size_t)(at - plain));
    buf_byte(buf, '"');
}

void buf_drop(struct buf *buf, size_t size)
{
    assert(size <= buf->size);
    if (size == 0) {
        return;
    }
    memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
    buf->data[buf->size] = '\0';
}

const char *buf_string(const struct buf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

int buf_error(const struct buf *buf)
{
    return buf->error;
}
