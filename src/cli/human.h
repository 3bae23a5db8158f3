/* human.h - times and sizes as a person likes to read them. */
#ifndef GPUCOORD_CLI_HUMAN_H
#define GPUCOORD_CLI_HUMAN_H

#include <stdint.h>

enum {
    HUMAN_SIZE = 32 /* Holds what the functions below write. */
};

/* Write @ms with its one or two most telling units to @text: "850 ms",
 * "4.2 s", "12 s", "2 min 5 s", "3 d 4 h".  Returns @text. */
const char *human_time(uint64_t ms, char text[HUMAN_SIZE]);

/* Write @mib to @text: "600 MiB", "23.8 GiB".  Returns @text. */
const char *human_vram(uint64_t mib, char text[HUMAN_SIZE]);

#endif
