/* Listening on a Unix socket.
 *
 * The socket is made under a name of its own and renamed once it listens and
 * has its mode: who finds it at its path can connect, from the first moment,
 * and a socket left there by a process that died is replaced without a gap.
 */
#include "http/server.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Write the address of @path to @out; false where it is too long. */
static bool set_path(struct sockaddr_un *out, const char *path)
{
    size_t size = strlen(path);

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (size >= sizeof out->sun_path) {
        return false;
    }
    memcpy(out->sun_path, path, size + 1);
    return true;
}

static int new_socket(int flags)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

/* Create the directory @path lies in, where it is missing. */
static int make_directory(const struct sockaddr_un *path)
{
    struct sockaddr_un directory = *path;
    char *slash = strrchr(directory.sun_path, '/');

    if (slash == NULL || slash == directory.sun_path) {
        return E_OK;
    }
    *slash = '\0';
    if (mkdir(directory.sun_path, 0755) != 0 && errno != EEXIST) {
        log_error("cannot create the directory '%s': %s", directory.sun_path,
                  strerror(errno));
        return E_IO;
    }
    return E_OK;
}

/* Make sure that nobody serves @path. */
static int check_free(const struct sockaddr_un *path)
{
    struct stat status;
    struct ucred peer = {.pid = 0};
    socklen_t size = sizeof peer;
    int rc = E_OK;
    int fd;

    if (lstat(path->sun_path, &status) != 0) {
        return E_OK; /* What else is wrong with it, rename() will say. */
    }
    if (!S_ISSOCK(status.st_mode)) {
        log_error("cannot listen on '%s': it is not a socket", path->sun_path);
        return E_INVALID;
    }
    fd = new_socket(SOCK_NONBLOCK);
    if (fd < 0) {
        log_error("cannot create a socket: %s", strerror(errno));
        return E_IO;
    }
    if (connect(fd, (const struct sockaddr *)path, sizeof *path) == 0 ||
        errno == EAGAIN) {
        (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
        log_error("cannot listen on '%s': process %d does already",
                  path->sun_path, (int)peer.pid);
        rc = E_BUSY;
    }
    (void)close(fd);
    return rc;
}

/* Have @fd listen at @path with @mode, under the name @draft until then. */
static int publish(int fd,
                   const struct sockaddr_un *draft,
                   const struct sockaddr_un *path,
                   mode_t mode)
{
    (void)unlink(draft->sun_path);
    if (bind(fd, (const struct sockaddr *)draft, sizeof *draft) != 0) {
        return -1;
    }
    if (chmod(draft->sun_path, mode) != 0 || listen(fd, SOMAXCONN) != 0 ||
        rename(draft->sun_path, path->sun_path) != 0) {
        int error = errno;

        (void)unlink(draft->sun_path);
        errno = error;
        return -1;
    }
    return 0;
}

int http_listen_unix(struct http_server *server, const char *path, mode_t mode)
{
    struct sockaddr_un where;
    struct sockaddr_un draft;
    char name[sizeof where.sun_path + 16];
    int fd;
    int rc;

    (void)snprintf(name, sizeof name, "%s.%d", path, (int)getpid());
    if (!set_path(&where, path) || !set_path(&draft, name)) {
        log_error("cannot listen on '%s': the path is too long", path);
        return E_INVALID;
    }
    rc = make_directory(&where);
    if (rc == E_OK) {
        rc = check_free(&where);
    }
    if (rc != E_OK) {
        return rc;
    }
    fd = new_socket(SOCK_NONBLOCK);
    if (fd < 0 || publish(fd, &draft, &where, mode) != 0) {
        log_error("cannot listen on '%s': %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return E_IO;
    }
    return listener_add(server, fd, path);
}
