#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* As <syslog.h> numbers them. */
static const char journal_prefix[][4] = {"<3>", "<4>", "<6>"};
static const char *const word[] = {"error: ", "warning: ", ""};

void log_line(enum log_level level, const char *format, ...)
{
    char line[1024];
    va_list args;
    int size;
    int i;

    size = snprintf(line, sizeof line, "%s",
                    getenv("JOURNAL_STREAM") != NULL ? journal_prefix[level]
                                                     : word[level]);
    va_start(args, format);
    size +=
        vsnprintf(line + size, sizeof line - (size_t)size - 1, format, args);
    va_end(args);
    if (size > (int)sizeof line - 2) {
        size = (int)sizeof line - 2;
    }
    for (i = 0; i < size; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    line[size] = '\n';
    /* One write a line, so that threads and processes do not mix theirs. */
    if (write(STDERR_FILENO, line, (size_t)size + 1) < 0) {
        return; /* Nobody is left to tell. */
    }
}
