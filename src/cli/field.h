/* field.h - members of a JSON object that may be absent or null. */
#ifndef GPUCOORD_CLI_FIELD_H
#define GPUCOORD_CLI_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Return the text @key of @object, borrowed from it; "" where there is none. */
const char *field_text(const json_t *object, const char *key);

/* Return the number @key of @object, which is not negative; 0 where there is
 * none. */
uint64_t field_number(const json_t *object, const char *key);

/* Say whether @object has a number @key. */
bool field_has_number(const json_t *object, const char *key);

/* Say whether @key of @object is true. */
bool field_flag(const json_t *object, const char *key);

#endif
