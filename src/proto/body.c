#include "proto/body.h"

#include "proto/json.h"
#include "proto/scan.h"

#include <assert.h>
#include <jansson.h>

/* ---- Values ----------------------------------------------------------- */

bool api_is_name(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char byte = name[i];

        if (!((byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
              (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' ||
              byte == '-')) {
            return false;
        }
    }
    return size >= 1 && size <= API_NAME_MAX;
}

static bool is_uuid(const char *uuid, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (uuid[i] != '/' && uuid[i] != ':' && !api_is_name(uuid + i, 1)) {
            return false;
        }
    }
    return size >= 1 && size <= API_UUID_MAX;
}

static bool has_control(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == '\x7f') {
            return true;
        }
    }
    return false;
}

static void store_number(char *place, size_t width, uint64_t number)
{
    uint32_t number32 = (uint32_t)number;
    uint8_t number8 = (uint8_t)number;

    if (width == sizeof number) {
        memcpy(place, &number, width);
    } else if (width == sizeof number32) {
        memcpy(place, &number32, width);
    } else {
        assert(width == sizeof number8);
        memcpy(place, &number8, width);
    }
}

/* Store as much of a text as fits in @width with a NUL, whole characters. */
static void store_text(char *place, size_t width, const char *text, size_t size)
{
    if (size > width - 1) {
        size = width - 1;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    memcpy(place, text, size);
    place[size] = '\0';
}

static bool
store_word(char *place, const struct field *field, const struct value *value)
{
    for (size_t i = 0; field->words[i] != NULL; i++) {
        if (strlen(field->words[i]) == value->size &&
            memcmp(field->words[i], value->text, value->size) == 0) {
            store_number(place, field->width, i);
            return true;
        }
    }
    return false;
}

static bool store_device(struct api_devices *devices, const struct value *value)
{
    struct api_device *device = &devices->items[devices->count];

    if (devices->count == CORE_DEVICES_MAX) {
        return false;
    }
    device->index = 0;
    device->uuid[0] = '\0';
    if (value->kind == VALUE_NUMBER && value->number < CORE_DEVICES_MAX) {
        device->index = (uint32_t)value->number;
    } else if (value->kind == VALUE_TEXT && is_uuid(value->text, value->size)) {
        store_text(device->uuid, sizeof device->uuid, value->text, value->size);
    } else {
        return false;
    }
    devices->count++;
    return true;
}

static bool store_devices(char *place, const struct value *value)
{
    struct api_devices *devices = (struct api_devices *)(void *)place;

    devices->count = 0;
    if (value->kind != VALUE_OTHER || !json_is_array(value->json)) {
        return store_device(devices, value);
    }
    for (size_t i = 0; i < json_array_size(value->json); i++) {
        struct value item = json_value(json_array_get(value->json, i));

        if (!store_device(devices, &item)) {
            return false;
        }
    }
    return devices->count != 0;
}

/* Store a ladder, four bits a rung. */
static bool store_rungs(char *place, size_t width, const struct value *value)
{
    struct core_ladder ladder = {.count = 0};

    if (value->kind != VALUE_OTHER || !json_is_array(value->json) ||
        json_array_size(value->json) > LADDER_STEPS_MAX) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(value->json); i++) {
        struct value item = json_value(json_array_get(value->json, i));

        ladder.steps[ladder.count++].rung =
            item.kind == VALUE_TEXT ? rung_find(item.text) : RUNG_NONE;
    }
    if (!ladder_is_valid(&ladder)) {
        return false;
    }
    store_number(place, width, ladder_pack(&ladder));
    return true;
}

/* Errors: E_INVALID where @value is no object that fits, E_NOMEM. */
static int store_object(char *place, size_t width, const struct value *value)
{
    size_t size;

    if (value->kind != VALUE_OTHER || !json_is_object(value->json)) {
        return E_INVALID;
    }
    size = json_dumpb(value->json, place, width - 1, JSON_COMPACT);
    if (size == 0) {
        return E_NOMEM;
    }
    if (size > width - 1) {
        return E_INVALID;
    }
    place[size] = '\0';
    return E_OK;
}

/* Store a text that is fit for @field. */
static bool store_any_text(const struct field *field,
                           const struct value *value,
                           char *place)
{
    bool is_good = value->kind == VALUE_TEXT;

    if (is_good && field->type == FIELD_NAME) {
        is_good = api_is_name(value->text, value->size);
    } else if (is_good && field->type == FIELD_TEXT) {
        is_good = value->size != 0 && value->size < field->width &&
                  !has_control(value->text, value->size);
    }
    if (is_good) {
        store_text(place, field->width, value->text, value->size);
    }
    return is_good;
}

static bool
store_ranged(const struct field *field, const struct value *value, char *place)
{
    if (value->kind != VALUE_NUMBER || value->number < field->min ||
        value->number > field->max) {
        return false;
    }
    store_number(place, field->width, value->number);
    return true;
}

static bool
store_bool(const struct field *field, const struct value *value, char *place)
{
    store_number(place, field->width, value->kind == VALUE_TRUE);
    return value->kind == VALUE_TRUE || value->kind == VALUE_FALSE;
}

/* Store @value, which was given, at its place.
 *
 * Errors: E_INVALID where it is impossible, E_NOMEM. */
static int
store_value(const struct field *field, const struct value *value, char *place)
{
    bool is_good = false;

    switch (field->type) {
    case FIELD_NUMBER:
        is_good = store_ranged(field, value, place);
        break;
    case FIELD_BOOL:
        is_good = store_bool(field, value, place);
        break;
    case FIELD_WORD:
        is_good = value->kind == VALUE_TEXT && store_word(place, field, value);
        break;
    case FIELD_NAME:
    case FIELD_TEXT:
    case FIELD_DETAIL:
        is_good = store_any_text(field, value, place);
        break;
    case FIELD_OBJECT:
        return store_object(place, field->width, value);
    case FIELD_DEVICES:
        is_good = store_devices(place, value);
        break;
    case FIELD_RUNGS:
        is_good = store_rungs(place, field->width, value);
        break;
    }
    return is_good ? E_OK : E_INVALID;
}

static int store_values(const struct body *body,
                        const struct value *values,
                        void *out,
                        uint32_t *given,
                        struct api_error *error)
{
    *given = 0;
    for (size_t i = 0; i < body->count; i++) {
        const struct field *field = &body->fields[i];
        int rc;

        if (values[i].kind == VALUE_NONE || values[i].kind == VALUE_NULL) {
            if (field->is_required) {
                return body_refuse(error, E_INVALID, field->name,
                                   "\"%s\" is required", field->name);
            }
            continue;
        }
        rc = store_value(field, &values[i], (char *)out + field->offset);
        if (rc == E_INVALID) {
            return body_refuse_value(error, field, &values[i]);
        }
        if (rc != E_OK) {
            return body_refuse(error, rc, NULL, "no memory to read it");
        }
        *given |= field->flag;
    }
    return E_OK;
}

/* ---- Bodies ----------------------------------------------------------- */

size_t body_find(const struct body *body, const char *name, size_t size)
{
    size_t at = 0;

    while (at < body->count &&
           (strncmp(body->fields[at].name, name, size) != 0 ||
            body->fields[at].name[size] != '\0')) {
        at++;
    }
    return at;
}

int body_read_slowly(const struct body *body,
                     const char *data,
                     size_t size,
                     void *out,
                     uint32_t *given,
                     struct api_error *error)
{
    struct value values[BODY_FIELDS_MAX] = {0};
    json_t *root;
    int rc;

    rc = json_object_read(data, size, &root, error);
    if (rc == E_INVALID) {
        size_t at = body_find(body, error->field, strlen(error->field));

        if (at < body->count && body->fields[at].type == FIELD_NUMBER) {
            return body_refuse_value(error, &body->fields[at], NULL);
        }
    }
    if (rc != E_OK) {
        return rc;
    }
    json_values(body, root, values);
    rc = store_values(body, values, out, given, error);
    json_decref(root);
    return rc;
}

int body_read(const struct body *body,
              const char *data,
              size_t size,
              void *out,
              uint32_t *given,
              struct api_error *error)
{
    struct value values[BODY_FIELDS_MAX] = {0};

    assert(body->count <= BODY_FIELDS_MAX);
    if (scan_values(body, data, size, values)) {
        return store_values(body, values, out, given, error);
    }
    return body_read_slowly(body, data, size, out, given, error);
}
