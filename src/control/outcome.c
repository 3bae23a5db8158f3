#include "control/outcome.h"

#include <stdarg.h>
#include <stdio.h>

void outcome_set(struct outcome *out,
                 enum outcome_kind kind,
                 const char *format,
                 ...)
{
    va_list args;

    out->kind = kind;
    out->is_lost = false;
    va_start(args, format);
    (void)vsnprintf(out->reason, sizeof out->reason, format, args);
    va_end(args);
}
