/* cgroup_create.c - a cgroup for the child of `run`. */
#include "control/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MADE_PREFIX "gpucoord-run-"

enum {
    NAME_SIZE = 64
};

/* ---- Names --------------------------------------------------------------- */

/* Read the name of a cgroup of ours: who made it. */
static bool parse_name(const char *name, struct proc_id *maker)
{
    static const char prefix[] = MADE_PREFIX;
    const char *start;
    const char *pid;
    char *end;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    pid = name + sizeof prefix - 1;
    maker->pid = (pid_t)strtol(pid, &end, 10);
    if (end == pid || *end != '-') {
        return false;
    }
    start = end + 1;
    maker->start_ticks = strtoull(start, &end, 10);
    return end != start && *end == '\0';
}

bool cgroup_is_made_by(const char *path, pid_t maker)
{
    const char *name = strrchr(path, '/');
    struct proc_id made_by;

    return name != NULL && parse_name(name + 1, &made_by) &&
           made_by.pid == maker;
}

/* ---- A new one ----------------------------------------------------------- */

/* Say whether the process is certainly not there any more. */
static bool has_gone(const struct proc_id *id)
{
    struct proc_stat found;
    int rc = proc_read_stat(PROC_ROOT, id->pid, &found);

    return rc == E_NOT_FOUND || (rc == E_OK && !proc_is_same(&found.id, id));
}

/* Remove what earlier makers have left in @top; those in use stay. */
static void sweep(const struct cgroup *top)
{
    const struct dirent *entry;
    DIR *dir = opendir(top->dir);
    struct proc_id maker;
    struct cgroup left;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (parse_name(entry->d_name, &maker) && has_gone(&maker) &&
            cgroup_below(top, entry->d_name, &left) == E_OK) {
            (void)!cgroup_remove(&left); /* What it started may live on. */
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* Find the cgroup of this process, which must be this user's. */
static int
find_own(const struct proc_facts *self, struct cgroup *out, struct buf *why)
{
    struct cgroup procs; /* A file, but a name like any other. */

    if (self->cgroup[0] == '\0' ||
        cgroup_find(PROC_ROOT, self->cgroup, out) != E_OK) {
        buf_text(why, "there are no cgroups of version 2 here");
        return E_UNSUPPORTED;
    }
    if (cgroup_below(out, "cgroup.procs", &procs) != E_OK ||
        access(procs.dir, W_OK) != 0) {
        buf_printf(why, "the cgroup '%s' is not delegated to this user",
                   self->cgroup);
        return E_UNSUPPORTED;
    }
    return E_OK;
}

int cgroup_create(struct cgroup *out, struct buf *why)
{
    struct proc_facts self;
    struct cgroup own;
    char name[NAME_SIZE];
    int rc;

    out->dir[0] = '\0';
    if (proc_read(PROC_ROOT, getpid(), &self) != E_OK) {
        buf_text(why, "/proc cannot be read");
        return E_UNSUPPORTED;
    }
    rc = find_own(&self, &own, why);
    if (rc != E_OK) {
        return rc;
    }
    sweep(&own);
    (void)snprintf(name, sizeof name, MADE_PREFIX "%d-%" PRIu64,
                   (int)self.stat.id.pid, self.stat.id.start_ticks);
    if (cgroup_below(&own, name, out) != E_OK ||
        (mkdir(out->dir, 0755) != 0 && errno != EEXIST)) {
        buf_printf(why, "no cgroup can be made in '%s': %s", self.cgroup,
                   strerror(errno));
        out->dir[0] = '\0';
        return E_UNSUPPORTED;
    }
    return E_OK;
}
