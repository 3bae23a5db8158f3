/* journal.h - what is frozen or checkpointed, in a file that outlives us.
 *
 * An entry is on the disk before the process is touched, and goes when the
 * process runs again or has gone: whoever finds a file can undo all of it.
 * The file is the truth: each call locks it, reads it, and puts a new one in
 * its place, so the coordinator and `gpucoord thaw` may work at the same time.
 * An entry of another boot, or whose process has gone, means nothing any more.
 */
#ifndef GPUCOORD_CONTROL_JOURNAL_H
#define GPUCOORD_CONTROL_JOURNAL_H

#include "base/err.h"
#include "control/cgroup.h"
#include "control/patience.h"
#include "control/proc.h"

#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_SERVICE_SIZE = 65,
    JOURNAL_GPUS_SIZE = 512,
    JOURNAL_BOOT_SIZE = 40,
    JOURNAL_DIR_SIZE = 3072
};

enum journal_kind {
    JOURNAL_STOPPED,   /* By SIGSTOP. */
    JOURNAL_CGROUP,    /* By cgroup.freeze; .id is the process asked for. */
    JOURNAL_CHECKPOINT /* Its VRAM is, or was about to be, in host RAM. */
};

struct journal_entry {
    enum journal_kind kind;
    struct proc_id id;
    uint64_t lease;    /* 0 = none. */
    uint32_t vram_mib; /* CHECKPOINT: what the whole lease needs per device. */
    char service[JOURNAL_SERVICE_SIZE];
    char gpus[JOURNAL_GPUS_SIZE]; /* CHECKPOINT: UUIDs with commas. */
    struct cgroup cgroup;         /* CGROUP. */
};

struct journal {
    char dir[JOURNAL_DIR_SIZE];
    char boot[JOURNAL_BOOT_SIZE]; /* Of the machine as it runs now. */
};

struct journal_list {
    struct journal_entry *entries;
    size_t count;
    size_t damaged; /* Lines that could not be read, and were left out. */
};

/* Use the journal in the directory @dir, which is copied.  Nothing is made.
 *
 * Errors:
 *   E_TOO_BIG  the name is too long.
 */
MUST_USE int journal_init(struct journal *journal, const char *dir);

/* Read all entries of this boot; no file is no entry.  The list is returned to
 * the caller, who gives it to journal_list_release().
 *
 * Errors:
 *   E_IO       the file cannot be read, the cause is logged.
 *   E_NOMEM    no memory.
 */
MUST_USE int journal_read(const struct journal *journal,
                          struct journal_list *out);

/* Free what the list owns; it may be empty. */
void journal_list_release(struct journal_list *list);

/* Have @entries, borrowed, on the disk.  One that is there already, by kind and
 * process, is replaced.  On an error the file is as before.
 *
 * Errors:
 *   E_IO       the disk failed, the cause is logged.
 *   E_TIMEOUT  somebody else has the journal; the patience ended.
 *   E_ENDED    cancelled.
 *   E_NOMEM    no memory.
 */
MUST_USE int journal_add(const struct journal *journal,
                         const struct journal_entry *entries,
                         size_t count,
                         const struct patience *patience);

/* Drop the entries that are of the kind and process of @entries, borrowed, and
 * all of another boot.
 *
 * Errors: as journal_add().
 */
MUST_USE int journal_remove(const struct journal *journal,
                            const struct journal_entry *entries,
                            size_t count,
                            const struct patience *patience);

#endif
