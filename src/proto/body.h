/* body.h - a JSON object as a table of fields.
 *
 * Each body of the interface is a table: name, type, range, and the place in
 * its struct.  Reading has two halves.  A reader (scan.h, json.h) finds the
 * values of the fields and knows nothing of their meaning; field by field
 * they are then checked and stored here, so that it does not matter which
 * reader found them.
 */
#ifndef GPUCOORD_PROTO_BODY_H
#define GPUCOORD_PROTO_BODY_H

#include "proto/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t; /* jansson's. */

enum field_type {
    FIELD_NUMBER,  /* A whole number from .min to .max. */
    FIELD_BOOL,    /* true or false. */
    FIELD_WORD,    /* One of .words, stored as its index. */
    FIELD_NAME,    /* As api_is_name(). */
    FIELD_TEXT,    /* Bytes that fit, no control characters, not empty. */
    FIELD_DETAIL,  /* Any text, cut where it does not fit. */
    FIELD_OBJECT,  /* An object, stored as text that fits. */
    FIELD_DEVICES, /* An index, a UUID, or an array of them. */
    FIELD_RUNGS,   /* An array of rungs that rise; packed as ladder_pack(). */
};

struct field {
    const char *name;
    enum field_type type;
    bool is_required;
    uint32_t flag; /* Reported by body_read() where it was given; or 0. */
    size_t offset; /* Its place in the struct ... */
    size_t width;  /* ... and the bytes there: 1, 4 or 8 of a number. */
    uint64_t min;  /* NUMBER. */
    uint64_t max;  /* NUMBER: at most INT64_MAX. */
    const char *const *words; /* WORD: NULL at the end. */
    const char *words_text;   /* WORD: as in "must be ...". */
};

enum {
    BODY_FIELDS_MAX = 16
};

struct body {
    const struct field *fields;
    size_t count; /* At most BODY_FIELDS_MAX. */
};

extern const struct body body_request; /* struct api_request */
extern const struct body body_release;
extern const struct body body_renew;
extern const struct body body_ack;
extern const struct body body_cancel;
extern const struct body body_drain; /* struct api_admin */
extern const struct body body_undrain;
extern const struct body body_lease; /* revoke, pause, resume */
extern const struct body body_bypass;

enum value_kind {
    VALUE_NONE, /* Not given. */
    VALUE_NULL, /* Counts as not given. */
    VALUE_FALSE,
    VALUE_TRUE,
    VALUE_NUMBER, /* A whole number, 0 or more. */
    VALUE_TEXT,
    VALUE_OTHER, /* Anything else that JSON has. */
};

/* What a reader found for a field; borrowed from the reader's input. */
struct value {
    enum value_kind kind;
    uint64_t number;  /* NUMBER: at most INT64_MAX. */
    const char *text; /* TEXT: valid UTF-8 without a NUL. */
    size_t size;
    const struct json_t *json; /* OTHER. */
};

/* Read a body into the struct @out of its table, which holds the defaults.
 *
 * The flags of the fields that were given are in @given.
 *
 * Errors, with what is wrong in @error:
 *   E_SYNTAX   not a JSON object.
 *   E_INVALID  a field is missing, or its value is impossible.
 *   E_NOMEM    no memory.
 */
MUST_USE int body_read(const struct body *body,
                       const char *data,
                       size_t size,
                       void *out,
                       uint32_t *given,
                       struct api_error *error);

/* The same by jansson alone: the reference that body_read() is held to.
 *
 * Errors: as body_read(). */
MUST_USE int body_read_slowly(const struct body *body,
                              const char *data,
                              size_t size,
                              void *out,
                              uint32_t *given,
                              struct api_error *error);

/* Return the index of the field called @name in @body; .count where there is
 * none. */
size_t body_find(const struct body *body, const char *name, size_t size);

/* Describe in @error what @field (NULL = the body as a whole) must be and
 * return @code. */
int body_refuse(struct api_error *error,
                int code,
                const char *field,
                const char *format,
                ...) __attribute__((format(printf, 4, 5)));

/* Describe in @error that @field has the wrong value; @value may be NULL
 * where it cannot be told.  Returns E_INVALID. */
int body_refuse_value(struct api_error *error,
                      const struct field *field,
                      const struct value *value);

#endif
