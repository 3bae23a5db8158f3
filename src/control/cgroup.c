#include "control/cgroup.h"

#include "base/smallfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_SIZE = 4096,
    DEPTH_MAX = 32 /* Below a cgroup; deeper ones are not walked. */
};

/* ---- Where version 2 is mounted ------------------------------------------ */

static bool is_octal(char digit)
{
    return digit >= '0' && digit <= '7';
}

/* Undo the \040 of the kernel's tables, in place. */
static void unescape(char *text)
{
    char *to = text;

    while (*text != '\0') {
        if (text[0] == '\\' && is_octal(text[1]) && is_octal(text[2]) &&
            is_octal(text[3])) {
            *to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 +
                           (text[3] - '0'));
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

/* Take a line of mountinfo: "ID PARENT DEVICE ROOT POINT … - TYPE …".  Returns
 * the path below the mount where @path is under it, else NULL. */
static const char *
below_mount(char *line, const char *path, char point[PROC_PATH_SIZE])
{
    char root[PROC_PATH_SIZE];
    const char *type = strstr(line, " - ");
    size_t size;

    if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0 ||
        sscanf(line, "%*d %*d %*s %511s %511s", root, point) != 2) {
        return NULL;
    }
    unescape(root);
    unescape(point);
    size = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, size) != 0 ||
        (path[size] != '/' && path[size] != '\0')) {
        return NULL;
    }
    return path + size;
}

static int join(struct cgroup *out, const char *point, const char *below)
{
    int size;

    if (strcmp(below, "/") == 0) {
        below = ""; /* The root itself. */
    }
    size = snprintf(out->dir, sizeof out->dir, "%s%s", point, below);
    return size < 0 || (size_t)size >= sizeof out->dir ? E_TOO_BIG : E_OK;
}

int cgroup_find(const char *root, const char *path, struct cgroup *out)
{
    char name[PROC_PATH_SIZE];
    char line[LINE_SIZE];
    char point[PROC_PATH_SIZE];
    const char *below = NULL;
    FILE *file;

    out->dir[0] = '\0';
    (void)snprintf(name, sizeof name, "%s/self/mountinfo", root);
    file = fopen(name, "re");
    if (file == NULL || path[0] != '/') {
        if (file != NULL) {
            (void)fclose(file);
        }
        return E_UNSUPPORTED;
    }
    while (below == NULL && fgets(line, sizeof line, file) != NULL) {
        below = below_mount(line, path, point);
    }
    (void)fclose(file);
    return below == NULL ? E_UNSUPPORTED : join(out, point, below);
}

int cgroup_below(const struct cgroup *top, const char *name, struct cgroup *out)
{
    int size = snprintf(out->dir, sizeof out->dir, "%s/%s", top->dir, name);

    return size < 0 || (size_t)size >= sizeof out->dir ? E_TOO_BIG : E_OK;
}

/* ---- Files --------------------------------------------------------------- */

/* Translate errno. */
static int cause(int absent)
{
    switch (errno) {
    case ENOENT:
        return absent;
    case ENODEV: /* Removed since it was opened. */
        return E_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return E_FORBIDDEN;
    case EBUSY:
        return E_BUSY;
    default:
        return E_IO;
    }
}

static void file_path(const struct cgroup *cgroup,
                      const char *name,
                      char out[CGROUP_FILE_SIZE])
{
    (void)snprintf(out, CGROUP_FILE_SIZE, "%s/%s", cgroup->dir, name);
}

/* Write @digit to a file. */
static int write_file(const struct cgroup *cgroup, const char *name, char digit)
{
    char path[CGROUP_FILE_SIZE];
    ssize_t done;
    int rc;
    int fd;

    file_path(cgroup, name, path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return cause(E_NOT_FOUND);
    }
    done = write(fd, &digit, 1);
    rc = done == 1 ? E_OK : cause(E_NOT_FOUND);
    (void)close(fd);
    return rc;
}

/* Read a number that stands behind @key in cgroup.events. */
static int read_event(const struct cgroup *cgroup, const char *key, bool *out)
{
    char path[CGROUP_FILE_SIZE];
    char text[256];
    const char *found;

    file_path(cgroup, "cgroup.events", path);
    if (smallfile_read(AT_FDCWD, path, text, sizeof text) < 0) {
        return cause(E_NOT_FOUND);
    }
    found = strstr(text, key);
    if (found == NULL) {
        return E_IO;
    }
    *out = strncmp(found + strlen(key), " 1", 2) == 0;
    return E_OK;
}

int cgroup_is_populated(const struct cgroup *cgroup, bool *out)
{
    return read_event(cgroup, "populated", out);
}

int cgroup_is_frozen(const struct cgroup *cgroup, bool *out)
{
    return read_event(cgroup, "frozen", out);
}

void cgroup_events_path(const struct cgroup *cgroup, char out[CGROUP_FILE_SIZE])
{
    file_path(cgroup, "cgroup.events", out);
}

int cgroup_enter(const struct cgroup *cgroup)
{
    return write_file(cgroup, "cgroup.procs", '0') == E_OK ? E_OK : E_IO;
}

/* Write to a file that only newer kernels have. */
static int
write_newer(const struct cgroup *cgroup, const char *name, char digit)
{
    int rc = write_file(cgroup, name, digit);

    if (rc == E_NOT_FOUND && access(cgroup->dir, F_OK) == 0) {
        return E_UNSUPPORTED;
    }
    return rc == E_BUSY ? E_IO : rc;
}

int cgroup_kill(const struct cgroup *cgroup)
{
    return write_newer(cgroup, "cgroup.kill", '1');
}

int cgroup_freeze(const struct cgroup *cgroup, bool is_frozen)
{
    return write_newer(cgroup, "cgroup.freeze", is_frozen ? '1' : '0');
}

/* ---- Trees --------------------------------------------------------------- */

/* What is done to a cgroup after those below it; false ends the walk. */
typedef bool (*visitor)(void *arg, const struct cgroup *cgroup);

/* Visit @top after all that lies below it. */
static bool
walk(const struct cgroup *top, unsigned depth, visitor visit, void *arg)
{
    const struct dirent *entry;
    struct cgroup below;
    bool goes_on = true;
    DIR *dir = depth < DEPTH_MAX ? opendir(top->dir) : NULL;

    while (dir != NULL && goes_on && (entry = readdir(dir)) != NULL) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
            cgroup_below(top, entry->d_name, &below) == E_OK) {
            goes_on = walk(&below, depth + 1, visit, arg);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return goes_on && visit(arg, top);
}

struct members {
    cgroup_seen seen;
    void *arg;
};

static bool visit_members(void *arg, const struct cgroup *cgroup)
{
    const struct members *members = arg;
    char path[CGROUP_FILE_SIZE];
    char line[32];
    bool goes_on = true;
    FILE *file;

    file_path(cgroup, "cgroup.procs", path);
    file = fopen(path, "re");
    while (file != NULL && goes_on && fgets(line, sizeof line, file) != NULL) {
        pid_t pid = (pid_t)strtol(line, NULL, 10);

        /* 0 is a process outside this pid namespace. */
        goes_on = pid == 0 || members->seen(members->arg, pid);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return goes_on;
}

int cgroup_each(const struct cgroup *cgroup, cgroup_seen seen, void *arg)
{
    struct members members = {seen, arg};
    bool is_populated;
    int rc = cgroup_is_populated(cgroup, &is_populated);

    if (rc == E_OK && is_populated) {
        (void)walk(cgroup, 0, visit_members, &members);
    }
    return rc;
}

static bool visit_remove(void *arg, const struct cgroup *cgroup)
{
    int *rc = arg;

    if (rmdir(cgroup->dir) != 0) {
        *rc = cause(E_OK);
    }
    return *rc == E_OK;
}

int cgroup_remove(const struct cgroup *cgroup)
{
    int rc = E_OK;

    (void)walk(cgroup, 0, visit_remove, &rc);
    return rc;
}
