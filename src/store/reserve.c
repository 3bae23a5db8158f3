#include "store/reserve.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int reserve_init(struct reserve *reserve, const char *path, size_t size_bytes)
{
    reserve->path = strdup(path);
    reserve->size_bytes = size_bytes;
    reserve->is_held = false;
    return reserve->path == NULL ? E_NOMEM : E_OK;
}

void reserve_release(struct reserve *reserve)
{
    free(reserve->path);
    reserve->path = NULL;
}

/* Take up @size bytes and @spare more, then give the spare ones back. */
static int take_up(int fd, size_t size, size_t spare)
{
    int error = posix_fallocate(fd, 0, (off_t)(size + spare));

    if (error == 0 && spare > 0 && ftruncate(fd, (off_t)size) != 0) {
        error = errno;
    }
    return error;
}

int reserve_hold(struct reserve *reserve, size_t spare_bytes)
{
    int fd = open(reserve->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int error = fd < 0 ? errno : 0;

    assert(!reserve->is_held);
    if (fd >= 0) {
        error = take_up(fd, reserve->size_bytes, spare_bytes);
        (void)close(fd);
    }
    if (error == 0) {
        reserve->is_held = true;
        return E_OK;
    }
    (void)unlink(reserve->path);
    if (error == ENOSPC || error == EDQUOT) {
        return E_STORE_FULL;
    }
    log_warn("cannot make the reserve '%s': %s", reserve->path,
             strerror(error));
    return E_STORE;
}

void reserve_give(struct reserve *reserve)
{
    assert(reserve->is_held);
    (void)unlink(reserve->path);
    reserve->is_held = false;
}
