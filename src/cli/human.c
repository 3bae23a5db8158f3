#include "cli/human.h"

#include <inttypes.h>
#include <stdio.h>

const char *human_time(uint64_t ms, char text[HUMAN_SIZE])
{
    uint64_t s = ms / 1000;

    if (ms < 1000) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " ms", ms);
    } else if (s < 10) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 ".%" PRIu64 " s", s,
                       ms % 1000 / 100);
    } else if (s < 60) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " s", s);
    } else if (s < 3600) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " min %" PRIu64 " s",
                       s / 60, s % 60);
    } else if (s < 86400) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " h %" PRIu64 " min",
                       s / 3600, s % 3600 / 60);
    } else {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " d %" PRIu64 " h",
                       s / 86400, s % 86400 / 3600);
    }
    return text;
}

const char *human_vram(uint64_t mib, char text[HUMAN_SIZE])
{
    if (mib < 1024) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " MiB", mib);
    } else {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 ".%" PRIu64 " GiB",
                       mib / 1024, mib % 1024 * 10 / 1024);
    }
    return text;
}
