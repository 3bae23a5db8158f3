/* smallfile.h - the one-line files of /proc and /sys. */
#ifndef GPUCOORD_BASE_SMALLFILE_H
#define GPUCOORD_BASE_SMALLFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read what fits of the file @name, relative to the directory @dirfd, and end
 * it with a NUL.  Return its size; -1 where it cannot be read, errno says why.
 */
int smallfile_read(int dirfd, const char *name, char *out, size_t size);

/* Read the first line, without its end; "" where it cannot be read. */
void smallfile_line(int dirfd, const char *name, char *out, size_t size);

/* Read a decimal number from the file @name in the directory @dirfd; say
 * whether there was one. */
bool smallfile_number(int dirfd, const char *name, uint64_t *out);

#endif
