#include "base/paths.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The value of an absolute path in the environment; NULL where there is none.
 * The XDG specification says that a relative one is to be ignored. */
static const char *env_path(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] == '/' ? value : NULL;
}

/* Append the value of @variable, or of HOME and @below. */
static int add_home(struct buf *out, const char *variable, const char *below)
{
    const char *path = env_path(variable);

    if (path != NULL) {
        buf_text(out, path);
        return buf_error(out);
    }
    path = env_path("HOME");
    if (path == NULL) {
        return E_NOT_FOUND;
    }
    buf_text(out, path);
    buf_text(out, below);
    return buf_error(out);
}

/* Append the directory that systemd gave in @variable, the first of a list. */
static bool add_given(struct buf *out, const char *variable)
{
    const char *path = env_path(variable);

    if (path == NULL) {
        return false;
    }
    buf_add(out, path, strcspn(path, ":"));
    return true;
}

int paths_state(struct buf *out)
{
    int rc;

    if (add_given(out, "STATE_DIRECTORY")) {
        return buf_error(out);
    }
    if (geteuid() == 0) {
        buf_text(out, PATHS_SYSTEM_STATE);
        return buf_error(out);
    }
    rc = add_home(out, "XDG_STATE_HOME", "/.local/state");
    if (rc != E_OK) {
        return rc;
    }
    buf_text(out, "/gpucoord");
    return buf_error(out);
}

int paths_runtime(struct buf *out)
{
    const char *path;

    if (add_given(out, "RUNTIME_DIRECTORY")) {
        return buf_error(out);
    }
    if (geteuid() == 0) {
        buf_text(out, "/run/gpucoord");
        return buf_error(out);
    }
    path = env_path("XDG_RUNTIME_DIR");
    if (path == NULL) {
        return paths_state(out);
    }
    buf_text(out, path);
    buf_text(out, "/gpucoord");
    return buf_error(out);
}

int paths_user_config(struct buf *out)
{
    int rc = add_home(out, "XDG_CONFIG_HOME", "/.config");

    if (rc != E_OK) {
        return rc;
    }
    buf_text(out, "/gpucoord/gpucoord.yaml");
    return buf_error(out);
}

int paths_socket(struct buf *out)
{
    int rc = paths_runtime(out);

    if (rc != E_OK) {
        return rc;
    }
    buf_text(out, "/gpucoord.sock");
    return buf_error(out);
}

void paths_parent(const char *path, struct buf *out)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        buf_byte(out, '.');
    } else {
        buf_add(out, path, slash == path ? 1 : (size_t)(slash - path));
    }
}

int paths_make(const char *path)
{
    char *copy = strdup(path);
    char *at = copy;
    int rc = E_OK;

    if (copy == NULL) {
        return E_NOMEM;
    }
    while (rc == E_OK && at != NULL) {
        at = strchr(at + 1, '/');
        if (at != NULL) {
            *at = '\0';
        }
        if (mkdir(copy, 0755) != 0 && errno != EEXIST) {
            rc = E_IO;
        }
        if (at != NULL) {
            *at = '/';
        }
    }
    free(copy);
    if (rc == E_OK && access(path, F_OK | X_OK) != 0) {
        rc = E_IO;
    }
    return rc;
}
