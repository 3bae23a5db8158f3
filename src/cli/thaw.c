/* thaw.c - `gpucoord thaw`: let go on whatever is frozen or checkpointed.
 *
 * Works on the journals in the coordinators' state directories (thaw_dirs.h),
 * whether or not a coordinator runs; one that does finds the processes running.
 * VRAM is measured here, since nobody else may be there to be asked.
 */
#include "control/thaw.h"

#include "base/units.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/say.h"
#include "cli/thaw_dirs.h"
#include "device/device.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    MEASURE_MS = 5000,
    EXIT_USAGE = 2
};

struct values {
    const char *dir;
    uint64_t free_mib;
    uint64_t time_ms;
};

static const struct args_option options[] = {
    {"dir", ARGS_TEXT, offsetof(struct values, dir), "DIR",
     "the coordinator's state directory, if not one of the usual", 0},
    {"free", ARGS_SIZE, offsetof(struct values, free_mib), "SIZE",
     "vram that is free for sure, where it cannot be measured", UINT32_MAX},
    {"time", ARGS_TIME, offsetof(struct values, time_ms), "TIME",
     "give up a lease after this time (60s)", 3600000},
};

static const struct args_spec spec = {
    .usage = "thaw [LEASE]",
    .about = "Let go on the processes that a coordinator has frozen or "
             "checkpointed, all or\nthose of LEASE, with or without a "
             "coordinator.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 1,
};

/* ---- How much is free ---------------------------------------------------- */

struct measure {
    struct device_set *set;
    uint32_t free_mib[DEVICES_MAX];
    bool is_known[DEVICES_MAX];
};

static void on_sample(void *arg, const struct device_sample *sample)
{
    struct measure *measure = arg;
    const struct device_info *info;

    if (measure->set == NULL || sample->state != DEVICE_OK) {
        return;
    }
    info = device_info(measure->set, sample->device);
    measure->is_known[sample->device] = true;
    measure->free_mib[sample->device] = info->total_mib > sample->used_mib
                                            ? info->total_mib - sample->used_mib
                                            : 0;
}

/* Say whether device @uuid is one of @gpus; all are where @gpus is "". */
static bool is_among(const char *gpus, const char *uuid)
{
    const char *at = strstr(gpus, uuid);
    size_t size = strlen(uuid);

    return gpus[0] == '\0' || (at != NULL && (at == gpus || at[-1] == ',') &&
                               (at[size] == '\0' || at[size] == ','));
}

/* Return what is free on the fullest of @gpus; 0 where one is not measured. */
static uint64_t least_free(const struct measure *measure, const char *gpus)
{
    uint64_t least_mib = UINT64_MAX;
    uint32_t i;

    for (i = 0; i < device_count(measure->set); i++) {
        uint64_t free_mib =
            measure->is_known[i] ? measure->free_mib[i] : UINT64_C(0);

        if (is_among(gpus, device_info(measure->set, i)->uuid) &&
            free_mib < least_mib) {
            least_mib = free_mib;
        }
    }
    return least_mib == UINT64_MAX ? 0 : least_mib;
}

/* As thaw_room. */
static uint64_t room(void *arg, const char *gpus)
{
    const struct values *values = arg;
    struct measure measure = {.set = NULL};
    struct device_config config = {
        .kind = DEVICE_NVML, .on_sample = on_sample, .arg = &measure};
    struct event_base *base;
    uint64_t free_mib = 0;
    struct buf why;

    if (values->free_mib != ARGS_UNSET) {
        return values->free_mib;
    }
    buf_init(&why, 1000);
    base = event_base_new();
    if (base != NULL &&
        device_set_open(&config, base, &measure.set, &why) == E_OK) {
        device_measure(measure.set, base, MEASURE_MS);
        free_mib = least_free(&measure, gpus);
        device_set_close(measure.set);
    } else {
        say("cannot measure the free vram: %s; '--free SIZE' tells it",
            buf_string(&why));
    }
    if (base != NULL) {
        event_base_free(base);
    }
    buf_release(&why);
    return free_mib;
}

/* ---- Thaw ---------------------------------------------------------------- */

/* As thaw_done. */
static void report(void *arg,
                   const struct journal_entry *entry,
                   size_t processes,
                   const struct outcome *outcome)
{
    bool is_moved = entry->kind == JOURNAL_CHECKPOINT;

    (void)arg;
    if (outcome->kind == OUTCOME_OK) {
        (void)printf("lease %" PRIu64 " of %s: %zu %s %s\n", entry->lease,
                     entry->service, processes,
                     processes == 1 ? "process" : "processes",
                     is_moved ? "restored" : "thawed");
    } else {
        say("lease %" PRIu64 " of %s is not %s: %s", entry->lease,
            entry->service, is_moved ? "restored" : "thawed", outcome->reason);
    }
}

/* What came of all directories. */
struct total {
    size_t entries; /* And lines that nobody can read. */
    size_t failed;  /* Of leases, directories and lines. */
    size_t unread;  /* Directories. */
};

/* Undo all that the journal in @dir lists, or what it lists for @lease. */
static void thaw_dir(const char *dir,
                     struct values *values,
                     uint64_t lease,
                     struct total *total)
{
    static const struct cuda_config cuda = {.caller = NULL};
    struct journal journal;
    struct checkpoint_context context = {.cuda = &cuda, .journal = &journal};
    struct thaw thaw = {.context = &context,
                        .time_ms = (uint32_t)values->time_ms,
                        .room = room,
                        .done = report,
                        .arg = values};
    struct journal_list before = {.count = 0};
    size_t failed = 0;
    size_t damaged = 0;
    int rc = journal_init(&journal, dir);

    if (rc == E_OK) {
        rc = journal_read(&journal, &before);
    }
    if (rc == E_OK && before.count + before.damaged > 0) {
        total->entries += before.count + before.damaged;
        rc = thaw_run(&thaw, lease, &failed, &damaged);
    }
    journal_list_release(&before);
    if (rc != E_OK) {
        say("cannot read the journal in '%s': %s", dir, err_text(rc));
        total->failed++;
    }
    if (damaged > 0) {
        say("%zu lines of the journal in '%s' are damaged: look for stopped "
            "processes by 'ps'",
            damaged, dir);
    }
    total->failed += failed + damaged;
}

/* Look into the usual directories.  That of a coordinator of somebody else's is
 * not for everybody to read. */
static void thaw_all(struct values *values, uint64_t lease, struct total *total)
{
    struct thaw_dirs dirs;
    size_t i;

    thaw_dirs_find(&dirs);
    for (i = 0; i < dirs.count; i++) {
        if (access(dirs.list[i], R_OK | X_OK) == 0) {
            thaw_dir(dirs.list[i], values, lease, total);
        } else if (errno == EACCES) {
            say("what a coordinator has frozen that keeps its state in '%s' "
                "only its user and root can see",
                dirs.list[i]);
            total->unread++;
        }
    }
    thaw_dirs_release(&dirs);
}

int thaw_main(int argc, char **argv)
{
    struct values values = {.free_mib = ARGS_UNSET, .time_ms = 60000};
    int first = args_read(&spec, &values, argc, argv);
    struct total total = {.entries = 0};
    uint64_t lease = 0;

    if (first <= 0) {
        return err_exit(first);
    }
    if (first < argc &&
        (units_parse_count(argv[first], &lease) != E_OK || lease == 0)) {
        say("'%s' is not the number of a lease", argv[first]);
        return EXIT_USAGE;
    }
    if (values.dir != NULL) {
        thaw_dir(values.dir, &values, lease, &total);
    } else {
        thaw_all(&values, lease, &total);
    }
    if (total.entries + total.failed == 0) {
        (void)printf("nothing is frozen%s\n",
                     total.unread > 0 ? " that can be seen" : "");
    }
    return total.failed > 0 || (total.entries == 0 && total.unread > 0);
}
