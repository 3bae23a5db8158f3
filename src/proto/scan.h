/* scan.h - a scanner for the plain bodies that nearly every call has.
 *
 * It knows an object of known fields, each at most once, whose values are
 * plain strings (printable ASCII without escapes), whole numbers, true, false
 * or null, and says "unusual" to everything else, right or wrong; jansson then
 * decides.  What it does take, jansson takes with the same values.
 */
#ifndef GPUCOORD_PROTO_SCAN_H
#define GPUCOORD_PROTO_SCAN_H

#include "proto/body.h"

/* Fill @values, one for each field of @body and all VALUE_NONE, with what
 * @data holds; texts are borrowed from @data.  Returns false where the body
 * is unusual; @values are then undefined. */
bool scan_values(const struct body *body,
                 const char *data,
                 size_t size,
                 struct value *values);

#endif
