#include "daemon/watching.h"

#include "base/buf.h"
#include "base/log.h"
#include "control/guarantee.h"
#include "control/watch.h"
#include "core/lease.h"
#include "daemon/census.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/loop.h"
#include "daemon/names.h"
#include "http/http.h"
#include "proto/api.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Opening and losing ----------------------------------------------- */

/* Watch the process @pid that started at @started for @lease as well. */
static int
join(struct daemon *daemon, uint64_t lease, pid_t pid, uint64_t started)
{
    struct watched *watched = NULL;
    int rc = watch_open(daemon->watch, pid, 0, &watched);

    if (rc == E_OK && watch_set(watched)->id.start_ticks != started) {
        watch_drop(watched); /* Its number is another's by now. */
        rc = E_NOT_FOUND;
    }
    if (rc == E_OK) {
        watch_join(daemon->watch, watched, lease);
    }
    return rc;
}

/* Who is taken back by force, and whose child has left it, is not gone as long
 * as that one is on a GPU: it is what the next rung is for. */
static bool follow(struct daemon *daemon, uint64_t lease)
{
    struct proc_id left[WATCH_JOINED_MAX];
    struct core_lease_view view;
    bool any_lives = false;
    size_t count = 0;
    size_t i;

    if (core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK &&
        view.row.state == LEASE_RECLAIMING) {
        count = census_of_lease(daemon->census, lease, left, WATCH_JOINED_MAX);
    }
    for (i = 0; i < count; i++) {
        struct proc_stat stat;

        if (proc_read_stat(PROC_ROOT, left[i].pid, &stat) != E_OK ||
            proc_has_died(&stat)) {
            continue; /* Its parent has not looked yet. */
        }
        any_lives |=
            join(daemon, lease, left[i].pid, left[i].start_ticks) == E_OK;
    }
    return any_lives;
}

/* All processes of @lease that were watched have died. */
static void on_gone(void *arg, uint64_t lease)
{
    struct daemon *daemon = arg;
    struct driver_owed *owed;

    if (follow(daemon, lease)) {
        return;
    }
    owed = calloc(1, sizeof *owed);
    if (owed == NULL) {
        log_error("out of memory: lease %" PRIu64 " has lost its holder, and "
                  "lasts until its TTL",
                  lease);
        return;
    }
    owed->event =
        (struct core_event){.type = CORE_PROCESS_GONE, .process_gone = {lease}};
    driver_owe(daemon->driver, owed);
}

int watching_create(struct daemon *daemon)
{
    return watch_create(loop_base(daemon->loop), PROC_ROOT, on_gone, daemon,
                        &daemon->watch);
}

int watching_open(struct daemon *daemon,
                  const struct http_request *request,
                  uint32_t pid,
                  struct watched **out,
                  struct api_error *error)
{
    int rc = E_FORBIDDEN;

    if (request->is_unix) {
        rc = watch_open(daemon->watch, pid == 0 ? request->pid : (pid_t)pid,
                        request->uid, out);
    }
    if (rc == E_OK || rc == E_NOMEM) {
        return rc;
    }
    error->code = E_INVALID;
    (void)snprintf(error->field, sizeof(error->field), "watch_pid");
    (void)snprintf(error->detail, sizeof(error->detail),
                   "not a process of yours, asked for over the Unix socket");
    return E_INVALID;
}

/* ---- For a lease ------------------------------------------------------ */

struct others {
    struct buf text;
    struct proc_id id;
    uint64_t lease;
};

static void add_other(void *arg, uint64_t lease, const struct proc_set *set)
{
    struct others *others = arg;

    if (lease == others->lease && !proc_is_same(&set->id, &others->id)) {
        buf_printf(&others->text, "%s%d/%" PRIu64,
                   others->text.size == 0 ? "" : ",", (int)set->id.pid,
                   set->id.start_ticks);
    }
}

/* Have it stored which processes are watched for @lease, @id the newest. */
static void remember(struct daemon *daemon,
                     const struct proc_id *id,
                     uint64_t lease,
                     uint32_t service)
{
    struct core_event event = {.type = CORE_WATCH,
                               .watch = {.lease = lease, .is_watched = true}};
    struct others others = {.id = *id, .lease = lease};
    int rc;

    buf_init(&others.text, NAMES_WATCHES_SIZE);
    watch_each(daemon->watch, add_other, &others);
    rc = buf_error(&others.text);
    if (rc == E_OK) {
        rc = names_watch(daemon->names, lease, service, (uint32_t)id->pid,
                         id->start_ticks, buf_string(&others.text));
    }
    buf_release(&others.text);
    rc = rc != E_OK ? rc : driver_feed(daemon->driver, &event, NULL);
    if (rc != E_OK && rc != E_NOT_FOUND) {
        log_warn("lease %" PRIu64 ": process %d is watched, but not over a "
                 "restart: %s",
                 lease, (int)id->pid, err_text(rc));
    }
}

void watching_begin(struct daemon *daemon,
                    struct watched *watched,
                    uint64_t lease,
                    uint32_t service)
{
    const struct names_lease *sent = names_lease_find(daemon->names, lease);
    struct proc_id id = watch_set(watched)->id;
    bool is_known = sent != NULL && sent->watch_pid == (uint32_t)id.pid &&
                    sent->watch_started == id.start_ticks;

    watch_lease(daemon->watch, watched, lease);
    if (!is_known) { /* It asked before, from another process. */
        remember(daemon, &id, lease, service);
    }
}

void watching_join(struct daemon *daemon,
                   struct watched *watched,
                   uint64_t lease)
{
    struct proc_id id = watch_set(watched)->id;
    struct core_lease_view view;

    watch_join(daemon->watch, watched, lease);
    if (core_lease_view(driver_core(daemon->driver), lease, &view) == E_OK) {
        remember(daemon, &id, lease, view.row.service);
    }
}

/* ---- After a restart -------------------------------------------------- */

struct survey {
    const struct core *core;
    uint64_t *leases; /* NULL = count only. */
    size_t count;
};

static bool survey_lease(void *arg, uint64_t id)
{
    struct survey *survey = arg;
    struct core_lease_view view;

    if (core_lease_view(survey->core, id, &view) == E_OK &&
        (view.row.flags & CORE_ROW_WATCHED) != 0) {
        if (survey->leases != NULL) {
            survey->leases[survey->count] = id;
        }
        survey->count++;
    }
    return true;
}

/* Nothing of the lease can be watched here. */
static void unwatch(struct daemon *daemon, uint64_t lease, int why)
{
    struct core_event event = {.type = CORE_WATCH, .watch = {.lease = lease}};
    int rc = driver_feed(daemon->driver, &event, NULL);

    log_warn("lease %" PRIu64 ": its process cannot be watched again: %s",
             lease, err_text(rc == E_OK ? why : rc));
}

/* Read one process, "812/4711", at *@text and move behind it and its comma;
 * false where there is none. */
static bool read_watched(const char **text, pid_t *pid, uint64_t *started)
{
    char *end = NULL;
    long number = strtol(*text, &end, 10);

    if (end == *text || *end != '/' || number <= 0 || number > INT32_MAX) {
        return false;
    }
    *text = end + 1;
    *started = strtoull(*text, &end, 10);
    if (end == *text) {
        return false;
    }
    *pid = (pid_t)number;
    *text = *end == ',' ? end + 1 : end;
    return true;
}

/* Watch what @sent names, oldest first.  E_OK if any of it lives, E_NOT_FOUND
 * if all has gone. */
static int join_all(struct daemon *daemon, const struct names_lease *sent)
{
    const char *text = sent->watches;
    uint64_t started = 0;
    int best = E_NOT_FOUND;
    pid_t pid = 0;
    int rc;

    while (read_watched(&text, &pid, &started)) {
        rc = join(daemon, sent->lease, pid, started);
        best = rc == E_OK || best == E_NOT_FOUND ? rc : best;
    }
    rc = join(daemon, sent->lease, (pid_t)sent->watch_pid, sent->watch_started);
    return rc == E_OK || best == E_NOT_FOUND ? rc : best;
}

static void watch_again(struct daemon *daemon, uint64_t lease)
{
    const struct names_lease *sent = names_lease_find(daemon->names, lease);
    int rc;

    if (sent == NULL || sent->watch_pid == 0) {
        unwatch(daemon, lease, E_NOT_FOUND);
        return;
    }
    watch_forget(daemon->watch, lease);
    rc = join_all(daemon, sent);
    if (rc == E_NOT_FOUND) {
        log_info("lease %" PRIu64 ": its process %" PRIu32
                 " died while no coordinator ran",
                 lease, sent->watch_pid);
        on_gone(daemon, lease);
    } else if (rc != E_OK) {
        unwatch(daemon, lease, rc);
    }
}

void watching_restore(struct daemon *daemon)
{
    const uint32_t states = (1u << LEASE_ENDED) - 1;
    struct survey survey = {.core = driver_core(daemon->driver)};
    size_t i;

    core_each_lease(survey.core, states, survey_lease, &survey);
    if (survey.count == 0) {
        return;
    }
    survey.leases = calloc(survey.count, sizeof *survey.leases);
    if (survey.leases == NULL) {
        log_warn("out of memory: no holder is watched until it asks again");
        return;
    }
    survey.count = 0;
    core_each_lease(survey.core, states, survey_lease, &survey);
    for (i = 0; i < survey.count; i++) {
        watch_again(daemon, survey.leases[i]);
    }
    free(survey.leases);
}

/* ---- The promise ------------------------------------------------------ */

static enum guarantee_watch watch_of(const struct proc_set *set)
{
    if (set == NULL) {
        return GUARANTEE_UNWATCHED;
    }
    if (set->cgroup[0] != '\0') {
        return GUARANTEE_CGROUP;
    }
    return set->pgid != 0 ? GUARANTEE_GROUP : GUARANTEE_PROCESS;
}

/* Return what is measured of the devices of @row. */
static enum guarantee_measure measure_of(const struct daemon *daemon,
                                         const struct core_lease_row *row)
{
    enum guarantee_measure least = GUARANTEE_PER_PROCESS;
    uint32_t i;

    for (i = 0; i < daemon->core_config.device_count; i++) {
        struct core_device_view view;

        if ((row->granted >> i & 1) == 0) {
            continue;
        }
        core_device_view(driver_core(daemon->driver), i, &view);
        if (!view.is_measured || view.state != CORE_DEVICE_OK) {
            return GUARANTEE_UNMEASURED;
        }
        if (!view.is_attributed) {
            least = GUARANTEE_WHOLE;
        }
    }
    return least;
}

enum core_guarantee watching_guarantee(const struct daemon *daemon,
                                       const struct core_lease_view *view)
{
    enum core_guarantee known =
        guarantee_of(watch_of(watch_find(daemon->watch, view->row.id)),
                     measure_of(daemon, &view->row));

    /* The core knows how the lease was granted. */
    return known < view->guarantee ? known : view->guarantee;
}
