/* A simulated card is a directory.  Each file in it that is named after a
 * living process holds the VRAM that process "uses", in MiB:
 *
 *   DIR/<pid>          of GPU 0
 *   DIR/<index>/<pid>  of any GPU
 *
 * Other names are passed over, so that a writer can write beside and rename.
 */
#include "device/probe.h"

#include "base/paths.h"
#include "base/smallfile.h"
#include "base/units.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct simulated {
    struct probe probe;
    char *dir;
    uint32_t capacity_mib[DEVICES_MAX];
    uint32_t capacity_count;
};

enum {
    LINE_SIZE = 512 /* Of a file's number, and of /proc/<pid>/stat. */
};

static struct simulated *simulated_of(struct probe *probe)
{
    return (struct simulated *)(void *)probe;
}

/* Say whether the process lives; a zombie has given its memory back. */
static bool is_alive(const char *pid)
{
    char path[64];
    char text[LINE_SIZE];
    const char *state;

    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    if (smallfile_read(AT_FDCWD, path, text, sizeof text) < 0) {
        return false;
    }
    state = strrchr(text, ')'); /* The name before it may hold anything. */
    return state != NULL && state[1] == ' ' && state[2] != 'Z' &&
           state[2] != 'X';
}

static bool is_pid(const char *name)
{
    return name[0] >= '1' && name[0] <= '9' &&
           name[strspn(name, "0123456789")] == '\0' && strlen(name) <= 10;
}

/* Add what the file @name says to @out, and to @used_mib. */
static int add_file(int dirfd,
                    const char *name,
                    struct device_sample *out,
                    uint64_t *used_mib)
{
    char text[LINE_SIZE];
    uint64_t size_mib;
    size_t size;

    if (!is_pid(name) || !is_alive(name) ||
        smallfile_read(dirfd, name, text, sizeof text) < 0) {
        return E_OK; /* A file that went between two calls was removed. */
    }
    size = strlen(text);
    while (size > 0 && isspace((unsigned char)text[size - 1])) {
        text[--size] = '\0';
    }
    /* An empty file is one that is being written: not 0, but not known. */
    if (units_parse_size(text, &size_mib) != E_OK) {
        return E_IO;
    }
    *used_mib += size_mib;
    probe_add(out, (uint32_t)strtoul(name, NULL, 10),
              size_mib < DEVICE_UNKNOWN ? (uint32_t)size_mib
                                        : DEVICE_UNKNOWN - 1,
              DEVICE_COMPUTE);
    return E_OK;
}

/* Add what the files of the directory @path say. */
static int add_dir(const char *path,
                   bool is_needed,
                   struct device_sample *out,
                   uint64_t *used_mib)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int rc = E_OK;

    if (dir == NULL) {
        return !is_needed && errno == ENOENT ? E_OK : E_IO;
    }
    while (rc == E_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_type != DT_DIR) {
            rc = add_file(dirfd(dir), entry->d_name, out, used_mib);
        }
    }
    (void)closedir(dir);
    return rc;
}

static int
simulated_sample(struct probe *probe, uint32_t index, struct device_sample *out)
{
    struct simulated *cards = simulated_of(probe);
    uint32_t total_mib = probe->infos[index].total_mib;
    uint64_t sum = 0;
    char *path;
    int rc;

    if (asprintf(&path, "%s/%u", cards->dir, index) < 0) {
        return E_IO;
    }
    rc = add_dir(path, false, out, &sum);
    if (rc == E_OK && index == 0) {
        rc = add_dir(cards->dir, true, out, &sum);
    }
    free(path);
    out->used_mib = sum < total_mib ? (uint32_t)sum : total_mib;
    out->processes_known = true;
    return rc;
}

/* FNV-1a: cards of another directory are other cards, and must not have the
 * same UUID; those of the same one keep theirs. */
static uint32_t hash_text(const char *text)
{
    uint32_t hash = 2166136261u;

    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    }
    return hash;
}

static int simulated_open(struct probe *probe, struct buf *why)
{
    struct simulated *cards = simulated_of(probe);
    char *path = NULL;
    uint32_t i;
    int rc = paths_make(cards->dir);

    if (rc == E_OK) {
        path = realpath(cards->dir, NULL);
    }
    if (path == NULL) {
        buf_printf(why, "cannot make the directory '%s': %s", cards->dir,
                   strerror(errno));
        return rc == E_OK ? E_IO : rc;
    }
    for (i = 0; i < cards->capacity_count; i++) {
        struct device_info *info = &probe->infos[i];

        info->index = i;
        info->total_mib = cards->capacity_mib[i];
        (void)snprintf(info->uuid, sizeof info->uuid, "GPU-sim-%08x-%u",
                       hash_text(path), i);
        (void)snprintf(info->name, sizeof info->name, "simulated GPU");
    }
    probe->count = cards->capacity_count;
    free(path);
    return E_OK;
}

static void simulated_close(struct probe *probe)
{
    free(simulated_of(probe)->dir);
    free(probe);
}

static const struct probe_ops simulated_ops = {
    .open = simulated_open,
    .sample = simulated_sample,
    .close = simulated_close,
};

struct probe *probe_simulated(const struct device_config *config)
{
    struct simulated *cards = calloc(1, sizeof *cards);

    if (cards == NULL) {
        return NULL;
    }
    cards->probe.ops = &simulated_ops;
    cards->dir = strdup(config->dir);
    if (cards->dir == NULL) {
        free(cards);
        return NULL;
    }
    cards->capacity_count = config->count;
    memcpy(cards->capacity_mib, config->capacity_mib,
           config->count * sizeof config->capacity_mib[0]);
    return &cards->probe;
}
