/* The words in which a body is refused: what the field must be, and what was
 * given instead. */
#include "proto/body.h"

#include <jansson.h>
#include <stdarg.h>

enum {
    ECHO_MAX = 32 /* Longer texts are not repeated in a refusal. */
};

int body_refuse(struct api_error *error,
                int code,
                const char *field,
                const char *format,
                ...)
{
    va_list args;

    error->code = code;
    (void)snprintf(error->field, sizeof error->field, "%s",
                   field == NULL ? "" : field);
    va_start(args, format);
    (void)vsnprintf(error->detail, sizeof error->detail, format, args);
    va_end(args);
    return code;
}

static bool is_echoed(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return false;
        }
    }
    return size <= ECHO_MAX;
}

/* Write what the user gave, in the words of JSON. */
static void describe(const struct value *value, char *out, size_t size)
{
    const char *what = "something else";

    switch (value->kind) {
    case VALUE_NONE:
    case VALUE_NULL:
        what = "null";
        break;
    case VALUE_FALSE:
        what = "false";
        break;
    case VALUE_TRUE:
        what = "true";
        break;
    case VALUE_NUMBER:
        (void)snprintf(out, size, "%llu", (unsigned long long)value->number);
        return;
    case VALUE_TEXT:
        if (is_echoed(value->text, value->size)) {
            (void)snprintf(out, size, "\"%.*s\"", (int)value->size,
                           value->text);
            return;
        }
        what = "this text";
        break;
    case VALUE_OTHER:
        if (json_is_integer(value->json)) {
            (void)snprintf(out, size, "%lld",
                           (long long)json_integer_value(value->json));
            return;
        }
        if (json_is_real(value->json)) {
            (void)snprintf(out, size, "%.12g", json_real_value(value->json));
            return;
        }
        what = json_is_array(value->json) ? "this array" : "an object";
        break;
    }
    (void)snprintf(out, size, "%s", what);
}

/* Write what @field must be. */
static void expect(const struct field *field, char *out, size_t size)
{
    switch (field->type) {
    case FIELD_NUMBER:
        (void)snprintf(out, size, "a whole number from %llu to %llu",
                       (unsigned long long)field->min,
                       (unsigned long long)field->max);
        return;
    case FIELD_BOOL:
        (void)snprintf(out, size, "true or false");
        return;
    case FIELD_WORD:
        (void)snprintf(out, size, "%s", field->words_text);
        return;
    case FIELD_NAME:
        (void)snprintf(out, size, "1 to %d of A-Z a-z 0-9 . _ -",
                       (int)API_NAME_MAX);
        return;
    case FIELD_TEXT:
        (void)snprintf(out, size,
                       "a text of 1 to %zu bytes without control characters",
                       field->width - 1);
        return;
    case FIELD_DETAIL:
        (void)snprintf(out, size, "a text");
        return;
    case FIELD_OBJECT:
        (void)snprintf(out, size, "an object of at most %zu bytes",
                       field->width - 1);
        return;
    case FIELD_DEVICES:
        (void)snprintf(out, size,
                       "an index from 0 to %d, a UUID, or an array of them",
                       CORE_DEVICES_MAX - 1);
        return;
    case FIELD_RUNGS:
        (void)snprintf(out, size,
                       "an array of rungs in their order, as [\"ask\", "
                       "\"checkpoint\", \"term\"]");
        return;
    }
}

int body_refuse_value(struct api_error *error,
                      const struct field *field,
                      const struct value *value)
{
    char expected[80];
    char given[48];

    expect(field, expected, sizeof expected);
    if (value == NULL) {
        return body_refuse(error, E_INVALID, field->name, "\"%s\" must be %s",
                           field->name, expected);
    }
    describe(value, given, sizeof given);
    return body_refuse(error, E_INVALID, field->name,
                       "\"%s\" must be %s, not %s", field->name, expected,
                       given);
}
