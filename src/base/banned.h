/* banned.h - functions nobody calls here, because each has a better sibling.
 *
 * Forced into every translation unit by the build.  A poisoned name is a
 * compile error that names it.
 */
#ifndef GPUCOORD_BASE_BANNED_H
#define GPUCOORD_BASE_BANNED_H

/* The headers that declare them come first: poison hits declarations too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok
#pragma GCC poison gmtime localtime ctime asctime atoi atol atof rand srand

#endif
