#include "cli/field.h"

const char *field_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text == NULL ? "" : text;
}

uint64_t field_number(const json_t *object, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(object, key));

    return number < 0 ? 0 : (uint64_t)number;
}

bool field_has_number(const json_t *object, const char *key)
{
    return json_is_integer(json_object_get(object, key));
}

bool field_flag(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}
