/* problem.h - errors as RFC 9457 problem documents. */
#ifndef GPUCOORD_HTTP_PROBLEM_H
#define GPUCOORD_HTTP_PROBLEM_H

#include <stdint.h>

struct buf;

#define HTTP_PROBLEM_TYPE "application/problem+json"

struct http_problem {
    int code;                /* E_*: gives type, title and status. */
    const char *detail;      /* What happened here; NULL = as the title. */
    const char *field;       /* The field at fault; NULL = none. */
    uint64_t retry_after_ms; /* When to try again; 0 = not said. */
    const char *allow;       /* Header of a 405: "GET, HEAD"; NULL = none. */
};

/* Append @problem, borrowed for the call, as a JSON object to @out.  Its texts
 * are UTF-8. */
void http_problem_write(const struct http_problem *problem, struct buf *out);

#endif
