/* json.h - jansson, held to what a body may be.
 *
 * No doubled keys, no deep nesting, no NUL in a string; and a refusal says
 * where and why in our own words, so that nothing of the input is echoed.
 */
#ifndef GPUCOORD_PROTO_JSON_H
#define GPUCOORD_PROTO_JSON_H

#include "proto/body.h"

/* Parse @data and return a new reference to its object in @root, for the
 * caller to release with json_decref().
 *
 * Errors, with what is wrong in @error:
 *   E_SYNTAX   not a JSON object.
 *   E_INVALID  a number too large for JSON libraries; the field is named.
 *   E_NOMEM    no memory.
 */
MUST_USE int json_object_read(const char *data,
                              size_t size,
                              struct json_t **root,
                              struct api_error *error);

/* Fill @values, one for each field of @body and all VALUE_NONE, from @root;
 * they are borrowed from it. */
void json_values(const struct body *body,
                 const struct json_t *root,
                 struct value *values);

/* Say what @json is. */
struct value json_value(const struct json_t *json);

#endif
