#include "store/files.h"

#include "base/clock.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void store_message_set(struct store_message *msg, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(msg->text, msg->size, format, args);
    va_end(args);
}

char *files_join(const char *path, const char *suffix)
{
    char *joined;

    return asprintf(&joined, "%s%s", path, suffix) < 0 ? NULL : joined;
}

/* Return the directory of @path, allocated; NULL without memory. */
static char *directory_of(const char *path)
{
    char *copy = strdup(path);
    char *directory = copy == NULL ? NULL : strdup(dirname(copy));

    free(copy);
    return directory;
}

/* Make @directory and what is missing above it. */
static int make_directories(char *directory)
{
    char *slash = directory;

    while ((slash = strchr(slash + 1, '/')) != NULL) {
        *slash = '\0';
        if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
            return errno;
        }
        *slash = '/';
    }
    return mkdir(directory, 0700) == 0 || errno == EEXIST ? 0 : errno;
}

int files_make_directory(const char *path, struct store_message *msg)
{
    char *directory = directory_of(path);
    int error;

    if (directory == NULL) {
        return E_NOMEM;
    }
    error = make_directories(directory);
    if (error != 0) {
        store_message_set(msg, "cannot make the directory '%s': %s", directory,
                          strerror(error));
    }
    free(directory);
    return error == 0 ? E_OK : E_STORE;
}

/* Say in @msg who holds the lock @fd. */
static void name_holder(int fd, struct store_message *msg)
{
    char pid[16] = "";
    ssize_t size = pread(fd, pid, sizeof pid - 1, 0);

    pid[size > 0 ? strcspn(pid, "\n") : 0] = '\0';
    store_message_set(msg,
                      "another coordinator, process %s, has it open; each "
                      "needs a store of its own",
                      pid[0] == '\0' ? "unknown" : pid);
}

/* Write our process id for the one who comes later; only a help to people, so
 * a full disk does not stop the start. */
static void write_pid(int fd)
{
    char pid[16];
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)size, 0) != size) {
        log_warn("cannot write the process id beside the store: %s",
                 strerror(errno));
    }
}

int files_lock(const char *path, struct store_message *msg, int *fd)
{
    char *name = files_join(path, "-lock");
    int rc = E_STORE;

    if (name == NULL) {
        return E_NOMEM;
    }
    *fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        store_message_set(msg, "cannot open '%s': %s", name, strerror(errno));
    } else if (flock(*fd, LOCK_EX | LOCK_NB) == 0) {
        write_pid(*fd);
        rc = E_OK;
    } else if (errno == EWOULDBLOCK) {
        name_holder(*fd, msg);
        rc = E_BUSY;
    } else {
        store_message_set(msg, "cannot lock '%s': %s", name, strerror(errno));
    }
    if (rc != E_OK && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    free(name);
    return rc;
}

int files_make_private(const char *path, struct store_message *msg)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0) {
        (void)close(fd);
        return E_OK;
    }
    if (errno == EEXIST) {
        return E_OK;
    }
    store_message_set(msg, "cannot create '%s': %s", path, strerror(errno));
    return errno == ENOSPC || errno == EDQUOT ? E_STORE_FULL : E_STORE;
}

/* Rename @path plus @suffix to @aside plus @suffix, if it is there. */
static int move_one(const char *path,
                    const char *aside,
                    const char *suffix,
                    struct store_message *msg)
{
    char *from = files_join(path, suffix);
    char *to = files_join(aside, suffix);
    int rc = E_OK;

    if (from == NULL || to == NULL) {
        rc = E_NOMEM;
    } else if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
        log_warn("moved '%s' aside to '%s'", from, to);
    } else if (errno != ENOENT) {
        store_message_set(msg, "cannot move '%s' aside to '%s': %s", from, to,
                          strerror(errno));
        rc = E_STORE;
    }
    free(from);
    free(to);
    return rc;
}

int files_move_aside(const char *path, struct store_message *msg)
{
    /* The log keeps the database's new name before its suffix, so that SQLite
     * still finds it.  The database goes last: until it has gone, a start
     * without the option finds it damaged or newer as before. */
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
    char suffix[sizeof ".aside-" + CLOCK_TEXT_SIZE] = ".aside-";
    char *aside;
    size_t i;
    int rc = E_OK;

    clock_text(clock_wall_ms(), suffix + strlen(suffix));
    aside = files_join(path, suffix);
    if (aside == NULL) {
        return E_NOMEM;
    }
    for (i = 0; rc == E_OK && i < sizeof suffixes / sizeof suffixes[0]; i++) {
        rc = move_one(path, aside, suffixes[i], msg);
    }
    free(aside);
    return rc;
}

/* Say in @out whether @directory has a file whose name begins with @start. */
static int has_name_with(const char *directory,
                         const char *start,
                         struct store_message *msg,
                         bool *out)
{
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    if (dir == NULL) {
        store_message_set(msg, "cannot read the directory '%s': %s", directory,
                          strerror(errno));
        return errno == ENOMEM ? E_NOMEM : E_STORE;
    }
    *out = false;
    while (!*out && (entry = readdir(dir)) != NULL) {
        *out = strncmp(entry->d_name, start, strlen(start)) == 0;
    }
    (void)closedir(dir);
    return E_OK;
}

int files_were_moved_aside(const char *path,
                           struct store_message *msg,
                           bool *out)
{
    char *directory = directory_of(path);
    char *start = files_join(path, ".aside-");
    int rc = E_NOMEM;

    if (directory != NULL && start != NULL) {
        rc = has_name_with(directory, basename(start), msg, out);
    }
    free(directory);
    free(start);
    return rc;
}

int files_sync_directory(const char *path, struct store_message *msg)
{
    char *directory = directory_of(path);
    int rc = E_OK;
    int fd;

    if (directory == NULL) {
        return E_NOMEM;
    }
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        store_message_set(msg, "cannot sync the directory '%s': %s", directory,
                          strerror(errno));
        rc = E_STORE;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    free(directory);
    return rc;
}
