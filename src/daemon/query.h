/* query.h - numbers in paths and queries. */
#ifndef GPUCOORD_DAEMON_QUERY_H
#define GPUCOORD_DAEMON_QUERY_H

#include <stdbool.h>
#include <stdint.h>

/* Read @text, digits alone, as a number of at most @max. */
bool query_number(const char *text, uint64_t max, uint64_t *out);

/* Read the parameter @name of @query, "a=1&b=2"; one that is not there leaves
 * @out as it is.  Returns false where its value is no number up to @max. */
bool query_find_number(const char *query,
                       const char *name,
                       uint64_t max,
                       uint64_t *out);

#endif
