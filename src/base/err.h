/* err.h - error codes: 0 or one of the negative numbers of err.def.
 *
 * Every function that can fail returns one of them; none uses errno across a
 * module border.  The same list gives the HTTP status and the exit status.
 */
#ifndef GPUCOORD_BASE_ERR_H
#define GPUCOORD_BASE_ERR_H

enum {
    E_OK = 0,
#define X(name, value, http, cli, type, text) E_##name = (value),
#include "base/err.def"
#undef X
};

/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))

/* Return the title of @code, a sentence part without full stop; static. */
const char *err_text(int code);

/* Return the last part of the problem type of @code, as "stale-token". */
const char *err_type(int code);

/* Return the HTTP status of @code; 200 for E_OK, 500 for an unknown one. */
int err_http(int code);

/* Return the exit status of @code; 0 for E_OK, 1 for an unknown one. */
int err_exit(int code);

/* Find the code whose type is @type; 0 where there is none. */
int err_find(const char *type);

#endif
