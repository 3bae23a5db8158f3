#include "cli/say.h"

#include <stdarg.h>
#include <stdio.h>

void say(const char *format, ...)
{
    char line[2048];
    va_list args;
    char *c;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (c = line; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    (void)fprintf(stderr, "gpucoord: %s\n", line);
}
