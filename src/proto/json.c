#include "proto/json.h"

#include <errno.h>
#include <jansson.h>

/* What a walk over the bytes of a body has seen. */
struct walk {
    const char *text; /* The newest string, and whether it is done. */
    size_t text_size;
    const char *key; /* The newest key of the outermost object. */
    size_t key_size;
    int depth;
    int depth_max;
};

/* Return the index after the string that starts at @at. */
static size_t walk_string(const char *data, size_t at, size_t end)
{
    for (at++; at < end && data[at] != '"'; at++) {
        if (data[at] == '\\') {
            at++;
        }
    }
    return at + 1;
}

/* Look at the bytes up to @end without judging them. */
static void walk_bytes(struct walk *walk, const char *data, size_t end)
{
    size_t at = 0;

    *walk = (struct walk){0};
    while (at < end) {
        size_t next = at + 1;

        if (data[at] == '"') {
            next = walk_string(data, at, end);
            walk->text = data + at + 1;
            walk->text_size = next < end ? next - at - 2 : 0;
        } else if (data[at] == ':' && walk->depth == 1) {
            walk->key = walk->text;
            walk->key_size = walk->text_size;
        } else if (data[at] == '{' || data[at] == '[') {
            walk->depth++;
            if (walk->depth > walk->depth_max) {
                walk->depth_max = walk->depth;
            }
        } else if (data[at] == '}' || data[at] == ']') {
            walk->depth--;
        }
        at = next;
    }
}

static const char *reason(enum json_error_code code)
{
    switch (code) {
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "something follows the object";
    case json_error_invalid_utf8:
        return "it is not valid UTF-8";
    case json_error_duplicate_key:
        return "a field is given twice";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a text holds a NUL";
    case json_error_out_of_memory:
    case json_error_stack_overflow:
    case json_error_unknown:
    case json_error_invalid_argument:
    case json_error_cannot_open_file:
    case json_error_invalid_syntax:
    case json_error_invalid_format:
    case json_error_wrong_type:
    case json_error_null_value:
    case json_error_numeric_overflow:
    case json_error_item_not_found:
    case json_error_index_out_of_range:
        break;
    }
    return "not valid JSON";
}

/* jansson stops at a number beyond its own range (2^63, 1e999) and names no
 * field: find the one it stands in. */
static int refuse_number(const char *data, size_t stop, struct api_error *error)
{
    struct walk walk;
    char name[sizeof error->field] = "";

    walk_bytes(&walk, data, stop);
    if (walk.key != NULL && api_is_name(walk.key, walk.key_size) &&
        walk.key_size < sizeof name) {
        memcpy(name, walk.key, walk.key_size);
        name[walk.key_size] = '\0';
    }
    return body_refuse(error, E_INVALID, name,
                       "a number in \"%s\" is too large to be read",
                       name[0] != '\0' ? name : "the body");
}

int json_object_read(const char *data,
                     size_t size,
                     struct json_t **root,
                     struct api_error *error)
{
    struct walk walk;
    json_error_t jerror;
    json_t *json;

    walk_bytes(&walk, data, size);
    if (walk.depth_max > API_DEPTH_MAX) {
        return body_refuse(error, E_SYNTAX, NULL,
                           "the body is nested deeper than %d levels",
                           (int)API_DEPTH_MAX);
    }
    errno = 0;
    json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &jerror);
    if (json == NULL) {
        enum json_error_code code = json_error_code(&jerror);

        /* Most places in jansson that find no memory give no reason, or a
         * wrong one: in the middle of a text it calls that invalid. */
        if (errno == ENOMEM || code == json_error_out_of_memory ||
            code == json_error_unknown) {
            return body_refuse(error, E_NOMEM, NULL, "no memory to read it");
        }
        if (code == json_error_numeric_overflow) {
            size_t stop = (size_t)jerror.position;

            return refuse_number(data, stop < size ? stop : size, error);
        }
        return body_refuse(error, E_SYNTAX, NULL,
                           "the body must be a JSON object: %s (line %d, "
                           "column %d)",
                           reason(code), jerror.line, jerror.column);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return body_refuse(error, E_SYNTAX, NULL,
                           "the body must be a JSON object, not an array");
    }
    *root = json;
    return E_OK;
}

struct value json_value(const struct json_t *json)
{
    struct value value = {.kind = VALUE_OTHER, .json = json};

    switch (json_typeof(json)) {
    case JSON_NULL:
        value.kind = VALUE_NULL;
        break;
    case JSON_TRUE:
        value.kind = VALUE_TRUE;
        break;
    case JSON_FALSE:
        value.kind = VALUE_FALSE;
        break;
    case JSON_STRING:
        value.kind = VALUE_TEXT;
        value.text = json_string_value(json);
        value.size = json_string_length(json);
        break;
    case JSON_INTEGER:
        if (json_integer_value(json) >= 0) {
            value.kind = VALUE_NUMBER;
            value.number = (uint64_t)json_integer_value(json);
        }
        break;
    case JSON_REAL:
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    return value;
}

void json_values(const struct body *body,
                 const struct json_t *root,
                 struct value *values)
{
    for (size_t i = 0; i < body->count; i++) {
        const json_t *json = json_object_get(root, body->fields[i].name);

        if (json != NULL) {
            values[i] = json_value(json);
        }
    }
}
