#include "control/journal.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/smallfile.h"
#include "control/journal_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "frozen.journal"
#define NEW_NAME  "frozen.journal.new"
#define LOCK_NAME "frozen.lock"

enum {
    PATH_SIZE = JOURNAL_DIR_SIZE + 32,
    JOURNAL_SIZE_MAX = 32 << 20, /* Bytes; some 20,000 processes. */
    LOCK_RETRY_MS = 5
};

static void path_of(const struct journal *journal, const char *name, char *out)
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", journal->dir, name);
}

/* Log what failed, with errno. */
static int fail(const char *what, const char *path)
{
    int saved = errno;

    log_error("cannot %s '%s': %s", what, path, strerror(saved));
    return saved == ENOMEM || saved == EMFILE || saved == ENFILE ? E_NOMEM
                                                                 : E_IO;
}

int journal_init(struct journal *journal, const char *dir)
{
    if (strlen(dir) >= sizeof journal->dir) {
        return E_TOO_BIG;
    }
    (void)snprintf(journal->dir, sizeof journal->dir, "%s", dir);
    smallfile_line(AT_FDCWD, "/proc/sys/kernel/random/boot_id", journal->boot,
                   sizeof journal->boot);
    return E_OK;
}

void journal_list_release(struct journal_list *list)
{
    free(list->entries);
    *list = (struct journal_list){.entries = NULL};
}

/* ---- Read ---------------------------------------------------------------- */

/* Append the whole file to @out; no file is nothing. */
static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = 1;

    if (fd < 0) {
        return errno == ENOENT ? E_OK : fail("open", path);
    }
    while (got > 0) {
        char *room = buf_room(out, BUFSIZ);

        if (room == NULL) {
            (void)close(fd);
            return E_NOMEM;
        }
        got = read(fd, room, BUFSIZ);
        buf_grown(out, got > 0 ? (size_t)got : 0);
    }
    if (got < 0) {
        int rc = fail("read", path);

        (void)close(fd);
        return rc;
    }
    (void)close(fd);
    return E_OK;
}

/* Make room for @more entries. */
static int list_reserve(struct journal_list *list, size_t more)
{
    struct journal_entry *entries =
        realloc(list->entries, (list->count + more) * sizeof *entries);

    if (entries == NULL) {
        return E_NOMEM;
    }
    list->entries = entries;
    return E_OK;
}

/* Take one line; the header says whether those that follow mean anything. */
static int take_line(const struct journal *journal,
                     char *line,
                     bool *is_of_other_boot,
                     struct journal_list *list)
{
    struct journal_entry entry;

    switch (journal_take(line, journal->boot, &entry)) {
    case JOURNAL_DAMAGED:
        list->damaged++;
        return E_OK;
    case JOURNAL_THIS_BOOT:
        *is_of_other_boot = false;
        return E_OK;
    case JOURNAL_OTHER_BOOT:
        *is_of_other_boot = true;
        return E_OK;
    case JOURNAL_ENTRY:
        break;
    }
    if (*is_of_other_boot) {
        return E_OK;
    }
    if (list_reserve(list, 1) != E_OK) {
        return E_NOMEM;
    }
    list->entries[list->count++] = entry;
    return E_OK;
}

int journal_read(const struct journal *journal, struct journal_list *out)
{
    char path[PATH_SIZE];
    bool is_of_other_boot = false;
    struct buf text;
    char *rest;
    int rc;

    *out = (struct journal_list){.entries = NULL};
    path_of(journal, FILE_NAME, path);
    buf_init(&text, JOURNAL_SIZE_MAX);
    rc = read_file(path, &text);
    rest = text.size > 0 ? text.data : NULL;
    while (rc == E_OK && rest != NULL && *rest != '\0') {
        char *line = strsep(&rest, "\n");

        rc = take_line(journal, line, &is_of_other_boot, out);
    }
    if (out->damaged > 0) {
        log_warn("'%s' has %zu damaged lines, which are left out", path,
                 out->damaged);
    }
    buf_release(&text);
    if (rc != E_OK) {
        journal_list_release(out);
    }
    return rc;
}

/* ---- Write --------------------------------------------------------------- */

/* What root makes belongs to whom the directory belongs to: after `gpucoord
 * thaw` by root the coordinator, another user, still reads and writes it. */
static void give(const struct journal *journal, int fd)
{
    struct stat dir;

    if (geteuid() == 0 && stat(journal->dir, &dir) == 0 &&
        fchown(fd, dir.st_uid, dir.st_gid) != 0) {
        log_warn("cannot give a file in '%s' to its owner: %s", journal->dir,
                 strerror(errno));
    }
}

/* Lock the journal and return the descriptor that holds the lock. */
static int
lock(const struct journal *journal, const struct patience *patience, int *out)
{
    char path[PATH_SIZE];
    int rc = E_BUSY;

    path_of(journal, LOCK_NAME, path);
    *out = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*out < 0) {
        return fail("open", path);
    }
    give(journal, *out);
    while (rc == E_BUSY) {
        if (flock(*out, LOCK_EX | LOCK_NB) == 0) {
            return E_OK;
        }
        rc = errno == EWOULDBLOCK || errno == EINTR
                 ? patience_wait(patience, NULL, 0, LOCK_RETRY_MS)
                 : fail("lock", path);
    }
    (void)close(*out);
    return rc;
}

static int write_whole(int fd, const struct buf *text)
{
    size_t done = 0;

    while (done < text->size) {
        ssize_t more = write(fd, text->data + done, text->size - done);

        if (more < 0 && errno != EINTR) {
            return E_IO;
        }
        done += more > 0 ? (size_t)more : 0;
    }
    return fsync(fd) == 0 ? E_OK : E_IO;
}

/* Have the name of the new file on the disk, too. */
static int sync_dir(const struct journal *journal)
{
    int fd = open(journal->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 && fsync(fd) == 0 ? E_OK : fail("sync", journal->dir);

    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* Put a new file with @text in the place of the old one. */
static int replace(const struct journal *journal, const struct buf *text)
{
    char path[PATH_SIZE];
    char fresh[PATH_SIZE];
    int rc = E_OK;
    int fd;

    path_of(journal, FILE_NAME, path);
    path_of(journal, NEW_NAME, fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
              0600);
    if (fd < 0) {
        return fail("open", fresh);
    }
    give(journal, fd);
    if (write_whole(fd, text) != E_OK) {
        rc = fail("write", fresh);
    }
    (void)close(fd);
    if (rc == E_OK && rename(fresh, path) != 0) {
        rc = fail("rename", fresh);
    }
    if (rc != E_OK) {
        (void)unlink(fresh);
        return rc;
    }
    return sync_dir(journal);
}

static int write_list(const struct journal *journal,
                      const struct journal_list *list)
{
    char path[PATH_SIZE];
    struct buf text;
    size_t i;
    int rc;

    if (list->count == 0) {
        path_of(journal, FILE_NAME, path);
        return unlink(path) == 0 || errno == ENOENT ? E_OK
                                                    : fail("remove", path);
    }
    buf_init(&text, JOURNAL_SIZE_MAX);
    journal_put_header(&text, journal->boot);
    for (i = 0; i < list->count; i++) {
        journal_put_entry(&text, &list->entries[i]);
    }
    rc = buf_error(&text) == E_OK ? replace(journal, &text) : E_NOMEM;
    buf_release(&text);
    return rc;
}

/* ---- Change -------------------------------------------------------------- */

static bool is_same(const struct journal_entry *a,
                    const struct journal_entry *b)
{
    return a->kind == b->kind && proc_is_same(&a->id, &b->id);
}

/* Drop from @list what is in @entries. */
static void
drop(struct journal_list *list, const struct journal_entry *entries, size_t n)
{
    size_t kept = 0;
    size_t i;
    size_t j;

    for (i = 0; i < list->count; i++) {
        for (j = 0; j < n && !is_same(&list->entries[i], &entries[j]); j++) {
        }
        if (j == n) {
            list->entries[kept++] = list->entries[i];
        }
    }
    list->count = kept;
}

/* Put @entries in the place of those that are the same, or at the end. */
static int
put(struct journal_list *list, const struct journal_entry *entries, size_t n)
{
    if (n == 0) {
        return E_OK;
    }
    drop(list, entries, n);
    if (list_reserve(list, n) != E_OK) {
        return E_NOMEM;
    }
    memcpy(&list->entries[list->count], entries, n * sizeof *entries);
    list->count += n;
    return E_OK;
}

static int change(const struct journal *journal,
                  const struct journal_entry *entries,
                  size_t count,
                  bool adds,
                  const struct patience *patience)
{
    struct journal_list list = {.entries = NULL};
    int lock_fd;
    int rc = lock(journal, patience, &lock_fd);

    if (rc != E_OK) {
        return rc;
    }
    rc = journal_read(journal, &list);
    if (rc == E_OK) {
        if (adds) {
            rc = put(&list, entries, count);
        } else {
            drop(&list, entries, count);
        }
    }
    if (rc == E_OK) {
        rc = write_list(journal, &list);
    }
    journal_list_release(&list);
    (void)close(lock_fd);
    return rc;
}

int journal_add(const struct journal *journal,
                const struct journal_entry *entries,
                size_t count,
                const struct patience *patience)
{
    return change(journal, entries, count, true, patience);
}

int journal_remove(const struct journal *journal,
                   const struct journal_entry *entries,
                   size_t count,
                   const struct patience *patience)
{
    return change(journal, entries, count, false, patience);
}
