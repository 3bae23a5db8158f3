#include "http/problem.h"

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>

void http_problem_write(const struct http_problem *problem, struct buf *out)
{
    buf_printf(out, "{\"type\":\"/%s\",\"title\":\"%s\",\"status\":%d",
               err_type(problem->code), err_text(problem->code),
               err_http(problem->code));
    buf_text(out, ",\"detail\":");
    buf_json(out, problem->detail != NULL ? problem->detail
                                          : err_text(problem->code));
    if (problem->field != NULL) {
        buf_text(out, ",\"field\":");
        buf_json(out, problem->field);
    }
    if (problem->retry_after_ms != 0) {
        buf_text(out, ",\"retry_after_ms\":");
        buf_u64(out, problem->retry_after_ms);
    }
    buf_byte(out, '}');
}
