#include "control/proc.h"

#include "base/smallfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    TEXT_SIZE = 4096 /* Of stat, status and cgroup. */
};

bool proc_is_same(const struct proc_id *a, const struct proc_id *b)
{
    return a->pid != 0 && a->pid == b->pid && a->start_ticks == b->start_ticks;
}

bool proc_has_died(const struct proc_stat *stat)
{
    return stat->state == 'Z' || stat->state == 'X' || stat->state == 'x';
}

/* ---- Files --------------------------------------------------------------- */

/* Translate errno; a process that ends while it is read is ESRCH. */
static int cause(void)
{
    switch (errno) {
    case ENOENT:
    case ESRCH:
    case ENOTDIR:
        return E_NOT_FOUND;
    case EACCES:
    case EPERM:
        return E_FORBIDDEN;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return E_NOMEM;
    default:
        return E_IO;
    }
}

/* Open the directory of @pid. */
static int open_process(const char *root, pid_t pid, int *out)
{
    char path[PROC_PATH_SIZE];
    int rc;

    (void)snprintf(path, sizeof path, "%s/%d", root, (int)pid);
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out >= 0) {
        return E_OK;
    }
    rc = cause();
    if (rc == E_NOT_FOUND && strcmp(root, PROC_ROOT) == 0 && pid > 0 &&
        (kill(pid, 0) == 0 || errno == EPERM)) {
        return E_FORBIDDEN; /* hidepid=2: as if it were not there. */
    }
    return rc;
}

/* Read the file @name of a process, cut to @size less the NUL. */
static int read_file(int dir, const char *name, char *text, size_t size)
{
    return smallfile_read(dir, name, text, size) < 0 ? cause() : E_OK;
}

/* ---- One process --------------------------------------------------------- */

/* Take what follows the name, which may have blanks and brackets itself. */
static int parse_stat(const char *text, struct proc_stat *out)
{
    enum {
        FIRST = 4, /* Fields count from 1; 3 is the state, a letter. */
        PARENT = 4,
        PGID = 5,
        SID = 6,
        START = 22
    };
    const char *rest = strrchr(text, ')');
    long long fields[START + 1];
    char *end;
    int i;

    if (rest == NULL || strlen(rest) < 3) {
        return E_CORRUPT;
    }
    out->state = rest[2];
    rest += 3;
    for (i = FIRST; i <= START; i++, rest = end) {
        fields[i] = strtoll(rest, &end, 10);
        if (end == rest) {
            return E_CORRUPT;
        }
    }
    out->parent = (pid_t)fields[PARENT];
    out->pgid = (pid_t)fields[PGID];
    out->sid = (pid_t)fields[SID];
    out->id.start_ticks = (uint64_t)fields[START];
    return E_OK;
}

static int read_stat_at(int dir, pid_t pid, struct proc_stat *out)
{
    char text[TEXT_SIZE];
    int rc = read_file(dir, "stat", text, sizeof text);

    *out = (struct proc_stat){.id = {.pid = pid}};
    return rc == E_OK ? parse_stat(text, out) : rc;
}

int proc_read_stat(const char *root, pid_t pid, struct proc_stat *out)
{
    int dir;
    int rc = open_process(root, pid, &dir);

    if (rc == E_OK) {
        rc = read_stat_at(dir, pid, out);
        (void)close(dir);
    }
    return rc;
}

static int read_uid(int dir, uid_t *out)
{
    static const char key[] = "\nUid:";
    char text[TEXT_SIZE];
    const char *number;
    char *end;
    int rc = read_file(dir, "status", text, sizeof text);

    if (rc != E_OK) {
        return rc;
    }
    number = strstr(text, key);
    if (number == NULL) {
        return E_CORRUPT;
    }
    number += sizeof key - 1;
    *out = (uid_t)strtoul(number, &end, 10); /* The real one is the first. */
    return end == number ? E_CORRUPT : E_OK;
}

/* Copy the path @path, which ends at @end, where it fits. */
static void copy_path(const char *path, const char *end, char *out)
{
    size_t size = (size_t)(end - path);

    if (size < PROC_PATH_SIZE) {
        memcpy(out, path, size);
        out[size] = '\0';
    }
}

/* Append a path of version 1 and its line feed, where they fit. */
static void
add_path(const char *path, const char *end, char out[PROC_CGROUPS_SIZE])
{
    size_t used = strlen(out);
    size_t size = (size_t)(end - path);

    if (used + size + 2 <= PROC_CGROUPS_SIZE) {
        memcpy(out + used, path, size);
        memcpy(out + used + size, "\n", 2);
    }
}

/* Take one line "ID:CONTROLLERS:PATH"; version 2 has the ID 0 and no
 * controllers.  A path outside this cgroup namespace begins with "/..". */
static void
take_cgroup(const char *line, const char *end, struct proc_facts *to)
{
    static const char version_2[] = "0::";
    const char *path = memchr(line, ':', (size_t)(end - line));

    if (path != NULL) {
        path = memchr(path + 1, ':', (size_t)(end - path) - 1);
    }
    if (path == NULL || strncmp(path, ":/..", 4) == 0) {
        return;
    }
    if (strncmp(line, version_2, sizeof version_2 - 1) == 0) {
        copy_path(path + 1, end, to->cgroup);
    } else {
        add_path(path + 1, end, to->cgroups);
    }
}

static void read_cgroups(int dir, struct proc_facts *out)
{
    char text[TEXT_SIZE];
    const char *line = text;
    const char *end;

    if (read_file(dir, "cgroup", text, sizeof text) != E_OK) {
        return;
    }
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        take_cgroup(line, end, out);
    }
}

static void read_exe(int dir, char out[PROC_PATH_SIZE])
{
    static const char gone[] = " (deleted)";
    ssize_t got = readlinkat(dir, "exe", out, PROC_PATH_SIZE - 1);
    size_t size = got > 0 ? (size_t)got : 0;

    out[size] = '\0';
    if (size >= sizeof gone &&
        strcmp(out + size - (sizeof gone - 1), gone) == 0) {
        out[size - (sizeof gone - 1)] = '\0'; /* Upgraded while it runs. */
    }
}

int proc_read(const char *root, pid_t pid, struct proc_facts *out)
{
    int dir;
    int rc = open_process(root, pid, &dir);

    *out = (struct proc_facts){.uid = (uid_t)-1};
    if (rc != E_OK) {
        return rc;
    }
    rc = read_stat_at(dir, pid, &out->stat);
    if (rc == E_OK) {
        rc = read_uid(dir, &out->uid);
    }
    if (rc == E_OK) {
        read_cgroups(dir, out);
        read_exe(dir, out->exe);
        smallfile_line(dir, "comm", out->name, sizeof out->name);
    }
    (void)close(dir);
    return rc;
}

uint64_t proc_age_ms(const struct proc_id *id)
{
    uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
    struct timespec now = {0};
    uint64_t now_ms;
    uint64_t start_ms = id->start_ticks * 1000 / hz;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return now_ms > start_ms ? now_ms - start_ms : 0;
}

/* ---- Many ---------------------------------------------------------------- */

size_t
proc_ancestors(const char *root, pid_t pid, struct proc_id *out, size_t max)
{
    struct proc_stat child;
    struct proc_stat parent;
    size_t count = 0;

    if (proc_read_stat(root, pid, &child) != E_OK) {
        return 0;
    }
    while (count < max && child.parent > 0 &&
           proc_read_stat(root, child.parent, &parent) == E_OK &&
           parent.id.start_ticks <= child.id.start_ticks) {
        out[count++] = parent.id;
        child = parent;
    }
    return count;
}

int proc_each(const char *root, proc_seen seen, void *arg)
{
    DIR *dir = opendir(root);
    const struct dirent *entry;
    struct proc_stat stat;
    bool goes_on = true;
    int rc = E_OK;

    if (dir == NULL) {
        return cause();
    }
    while (goes_on && (entry = readdir(dir)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (*end != '\0' || pid <= 0) {
            continue;
        }
        rc = proc_read_stat(root, (pid_t)pid, &stat);
        if (rc == E_OK) {
            goes_on = seen(arg, &stat);
        }
        /* Who vanishes meanwhile, or is hidden, is not seen; but without
         * descriptors nobody would be, and all would seem to have gone. */
        goes_on = goes_on && rc != E_NOMEM;
    }
    (void)closedir(dir);
    return rc == E_NOMEM ? E_NOMEM : E_OK;
}
