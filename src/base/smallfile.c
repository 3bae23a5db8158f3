#include "base/smallfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int smallfile_read(int dirfd, const char *name, char *out, size_t size)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    size_t total = 0;
    ssize_t part = 1;
    int saved;

    if (fd < 0) {
        return -1;
    }
    while (part > 0 && total < size - 1) {
        part = read(fd, out + total, size - 1 - total);
        total += part > 0 ? (size_t)part : 0;
    }
    saved = errno;
    (void)close(fd);
    errno = saved;
    out[total] = '\0';
    return part < 0 ? -1 : (int)total;
}

void smallfile_line(int dirfd, const char *name, char *out, size_t size)
{
    if (smallfile_read(dirfd, name, out, size) < 0) {
        out[0] = '\0';
    }
    out[strcspn(out, "\n")] = '\0';
}

bool smallfile_number(int dirfd, const char *name, uint64_t *out)
{
    char text[64];
    char *end;

    if (smallfile_read(dirfd, name, text, sizeof text) <= 0 || text[0] < '0' ||
        text[0] > '9') {
        return false;
    }
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && (*end == '\n' || *end == '\0');
}
