/* A job belongs to the loop and to its thread: whoever lets go of it last frees
 * it.  The jobs and threads of one rungs share a hub, which outlives both. */
#include "control/rung.h"

#include "base/list.h"
#include "control/checkpoint.h"
#include "control/freeze.h"
#include "control/hostram.h"
#include "control/journal.h"
#include "control/patience.h"
#include "control/terminate.h"
#include "control/thaw.h"

#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    CLOSE_WAIT_MS = 500 /* For threads that have been cancelled. */
};

/* What threads need, and whom they tell. */
struct hub {
    pthread_mutex_t mutex; /* Guards all below, and .is_done of the jobs. */
    pthread_cond_t idle;
    unsigned int users; /* Threads, and the loop. */
    int news_fd;        /* Eventfd; -1 once the loop has gone. */
    struct cuda_config cuda;
    struct journal journal;
    struct hostram ram;
    struct checkpoint_context context; /* Of the three above. */
};

struct job {
    struct list all; /* Of the loop. */
    struct rungs *rungs;
    struct hub *hub;
    struct event *late;
    uint64_t id;
    unsigned int users; /* Under the hub's mutex: loop and thread. */
    bool is_done;       /* Likewise. */
    int cancel_fd;
    struct patience patience;
    struct rung_order order; /* Its strings are those below. */
    char service[JOURNAL_SERVICE_SIZE];
    char gpus[JOURNAL_GPUS_SIZE];
    struct outcome outcome;
    rung_done done;
    void *arg;
};

struct rungs {
    struct event_base *base;
    struct event *news;
    struct hub *hub;
    struct list jobs;
    uint64_t last_id;
};

static const char *const act_names[] = {
    [RUNG_DO_FREEZE] = "freeze", [RUNG_DO_CHECKPOINT] = "checkpoint",
    [RUNG_DO_TERM] = "term",     [RUNG_DO_KILL] = "kill",
    [RUNG_DO_THAW] = "thaw",     [RUNG_DO_RESTORE] = "restore",
};

/* ---- Who owns what ------------------------------------------------------- */

static void hub_leave(struct hub *hub)
{
    bool is_last;

    (void)pthread_mutex_lock(&hub->mutex);
    is_last = --hub->users == 0;
    (void)pthread_cond_signal(&hub->idle);
    (void)pthread_mutex_unlock(&hub->mutex);
    if (is_last) {
        hostram_release(&hub->ram);
        (void)pthread_cond_destroy(&hub->idle);
        (void)pthread_mutex_destroy(&hub->mutex);
        free(hub);
    }
}

static int hub_create(const struct rung_config *config, struct hub **out)
{
    struct hub *hub = calloc(1, sizeof *hub);
    pthread_condattr_t attributes;
    int rc;

    if (hub == NULL) {
        return E_NOMEM;
    }
    rc = journal_init(&hub->journal, config->state_dir);
    if (rc != E_OK) {
        free(hub);
        return rc;
    }
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&hub->idle, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&hub->mutex, NULL);
    hub->users = 1;
    hub->news_fd = -1;
    hub->cuda = config->cuda;
    hostram_init(&hub->ram, config->meminfo, config->host_ram_reserve_mib);
    hub->context = (struct checkpoint_context){
        .cuda = &hub->cuda, .journal = &hub->journal, .ram = &hub->ram};
    *out = hub;
    return E_OK;
}

static void job_leave(struct job *job)
{
    bool is_last;

    (void)pthread_mutex_lock(&job->hub->mutex);
    is_last = --job->users == 0;
    (void)pthread_mutex_unlock(&job->hub->mutex);
    if (is_last) {
        if (job->cancel_fd >= 0) {
            (void)close(job->cancel_fd);
        }
        free(job);
    }
}

/* The loop lets go of @job. */
static void job_forget(struct job *job)
{
    list_remove(&job->all);
    if (job->late != NULL) {
        event_free(job->late);
        job->late = NULL;
    }
    job_leave(job);
}

static void job_cancel(const struct job *job)
{
    uint64_t one = 1;

    (void)!write(job->cancel_fd, &one, sizeof one);
}

/* ---- The thread ---------------------------------------------------------- */

/* Undo what the journal has of the lease. */
static void undo(struct job *job, bool is_checkpointed)
{
    struct journal_list list;
    size_t count;
    int rc = journal_read(&job->hub->journal, &list);

    if (rc != E_OK) {
        outcome_set(&job->outcome, OUTCOME_FAILED,
                    "the journal cannot be read: %s", err_text(rc));
        return;
    }
    count = thaw_select(&list, job->order.lease, is_checkpointed);
    if (count == 0) {
        outcome_set(&job->outcome, OUTCOME_SKIPPED, "nothing of it is %s",
                    is_checkpointed ? "checkpointed" : "frozen");
    } else if (is_checkpointed) {
        checkpoint_undo(
            &job->hub->context,
            &(struct checkpoint_moved){.entries = list.entries,
                                       .count = count,
                                       .need_mib = job->order.vram_mib,
                                       .free_mib = job->order.free_mib,
                                       .may_restore = job->order.may_restore},
            &job->patience, &job->outcome);
    } else {
        thaw_stopped(&job->hub->journal, list.entries, count, &job->patience,
                     &job->outcome);
    }
    journal_list_release(&list);
}

static void checkpoint(struct job *job)
{
    struct journal_entry entry = {.lease = job->order.lease,
                                  .vram_mib = job->order.vram_mib};

    (void)snprintf(entry.service, sizeof entry.service, "%s", job->service);
    (void)snprintf(entry.gpus, sizeof entry.gpus, "%s", job->gpus);
    checkpoint_tree(&job->hub->context, &job->order.target, &entry,
                    &job->patience, &job->outcome);
}

static void act(struct job *job)
{
    const struct tree_target *target = &job->order.target;

    switch (job->order.act) {
    case RUNG_DO_FREEZE:
        freeze_tree(target, &job->hub->journal, job->order.lease, job->service,
                    &job->patience, &job->outcome);
        break;
    case RUNG_DO_CHECKPOINT:
        checkpoint(job);
        break;
    case RUNG_DO_TERM:
        terminate_tree(target, &job->patience, &job->outcome);
        break;
    case RUNG_DO_KILL:
        terminate_kill(target, &job->patience, &job->outcome);
        break;
    case RUNG_DO_THAW:
        undo(job, false);
        break;
    case RUNG_DO_RESTORE:
        undo(job, true);
        break;
    }
}

static void *thread_main(void *arg)
{
    struct job *job = arg;
    struct hub *hub = job->hub;
    uint64_t one = 1;

    act(job);
    (void)pthread_mutex_lock(&hub->mutex);
    job->is_done = true;
    if (hub->news_fd >= 0) {
        (void)!write(hub->news_fd, &one, sizeof one);
    }
    (void)pthread_mutex_unlock(&hub->mutex);
    job_leave(job);
    hub_leave(hub);
    return NULL;
}

static int start_thread(struct job *job)
{
    struct hub *hub = job->hub;
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    int error;

    if (pthread_attr_init(&attributes) != 0) {
        return E_NOMEM;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_mutex_lock(&job->hub->mutex);
    job->hub->users++;
    job->users++;
    (void)pthread_mutex_unlock(&job->hub->mutex);
    (void)sigfillset(&all); /* Signals are the loop's. */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, thread_main, job);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (error != 0) {
        (void)pthread_mutex_lock(&hub->mutex); /* The loop holds both. */
        job->users--;
        hub->users--;
        (void)pthread_mutex_unlock(&hub->mutex);
        return E_NOMEM;
    }
    return E_OK;
}

/* ---- The loop ------------------------------------------------------------ */

/* The job is over for the loop: tell, once. */
static void finish(struct job *job, const struct outcome *outcome)
{
    struct outcome copy = *outcome;
    rung_done done = job->done;
    void *arg = job->arg;

    job_forget(job);
    done(arg, &copy);
}

/* Find a job whose thread has ended. */
static struct job *find_done(const struct rungs *rungs)
{
    struct job *found = NULL;
    struct list *at;

    (void)pthread_mutex_lock(&rungs->hub->mutex);
    for (at = rungs->jobs.next; at != &rungs->jobs && found == NULL;
         at = at->next) {
        struct job *job = CONTAINER_OF(at, struct job, all);

        found = job->is_done ? job : NULL;
    }
    (void)pthread_mutex_unlock(&rungs->hub->mutex);
    return found;
}

/* One callback a turn: it may close everything. */
static void on_news(evutil_socket_t fd, short what, void *arg)
{
    struct rungs *rungs = arg;
    struct job *job = find_done(rungs);
    uint64_t count;

    (void)what;
    if (job == NULL) {
        (void)!read((int)fd, &count, sizeof count);
        /* One that ended before the read has written before it. */
        job = find_done(rungs);
    }
    if (job != NULL) {
        finish(job, &job->outcome);
    }
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    struct job *job = arg;
    struct outcome outcome;

    (void)fd;
    (void)what;
    job_cancel(job);
    outcome_set(&outcome, OUTCOME_FAILED, "%s hangs; it is left alone",
                act_names[job->order.act]);
    finish(job, &outcome);
}

int rungs_open(struct event_base *base,
               const struct rung_config *config,
               struct rungs **out)
{
    struct rungs *rungs = calloc(1, sizeof *rungs);
    int rc;

    if (rungs == NULL) {
        return E_NOMEM;
    }
    rungs->base = base;
    list_init(&rungs->jobs);
    rc = hub_create(config, &rungs->hub);
    if (rc != E_OK) {
        free(rungs);
        return rc;
    }
    rungs->hub->news_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rungs->news = event_new(base, rungs->hub->news_fd, EV_READ | EV_PERSIST,
                            on_news, rungs);
    if (rungs->hub->news_fd < 0 || rungs->news == NULL ||
        event_add(rungs->news, NULL) != 0) {
        rungs_close(rungs);
        return E_NOMEM;
    }
    *out = rungs;
    return E_OK;
}

/* Wait a moment for threads, which see that they are cancelled. */
static void wait_for_threads(struct hub *hub)
{
    struct timespec until;
    int error = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += CLOSE_WAIT_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    (void)pthread_mutex_lock(&hub->mutex);
    while (hub->users > 1 && error == 0) {
        error = pthread_cond_timedwait(&hub->idle, &hub->mutex, &until);
    }
    (void)pthread_mutex_unlock(&hub->mutex);
}

void rungs_close(struct rungs *rungs)
{
    int news_fd;

    if (rungs == NULL) {
        return;
    }
    while (!list_is_empty(&rungs->jobs)) {
        struct job *job = CONTAINER_OF(rungs->jobs.next, struct job, all);

        job_cancel(job);
        job_forget(job);
    }
    if (rungs->news != NULL) {
        event_free(rungs->news);
    }
    wait_for_threads(rungs->hub);
    (void)pthread_mutex_lock(&rungs->hub->mutex);
    news_fd = rungs->hub->news_fd;
    rungs->hub->news_fd = -1;
    (void)pthread_mutex_unlock(&rungs->hub->mutex);
    if (news_fd >= 0) {
        (void)close(news_fd);
    }
    hub_leave(rungs->hub);
    free(rungs);
}

/* Make a job of @order that the loop holds; NULL without memory. */
static struct job *job_create(struct rungs *rungs,
                              const struct rung_order *order)
{
    struct job *job = calloc(1, sizeof *job);

    if (job == NULL) {
        return NULL;
    }
    *job = (struct job){.rungs = rungs,
                        .hub = rungs->hub,
                        .users = 1,
                        .order = *order,
                        .patience = patience_for(order->deadline_ms)};
    (void)snprintf(job->service, sizeof job->service, "%s",
                   order->service != NULL ? order->service : "");
    (void)snprintf(job->gpus, sizeof job->gpus, "%s",
                   order->gpus != NULL ? order->gpus : "");
    job->order.service = job->service;
    job->order.gpus = job->gpus;
    job->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    job->patience.cancel_fd = job->cancel_fd;
    list_append(&rungs->jobs, &job->all);
    return job;
}

/* Have the callback made in any case. */
static int arm_late(struct job *job)
{
    uint64_t late_ms = (uint64_t)job->order.deadline_ms + RUNG_LATE_MS;
    struct timeval late = {.tv_sec = (time_t)(late_ms / 1000),
                           .tv_usec = (suseconds_t)(late_ms % 1000 * 1000)};

    job->late = evtimer_new(job->rungs->base, on_late, job);
    return job->late != NULL && evtimer_add(job->late, &late) == 0 ? E_OK
                                                                   : E_NOMEM;
}

/* Say whether there are no more threads to be had.  Those that hang count for
 * as long as they do. */
static bool is_full(struct hub *hub)
{
    unsigned int users;

    (void)pthread_mutex_lock(&hub->mutex);
    users = hub->users;
    (void)pthread_mutex_unlock(&hub->mutex);
    return users > RUNG_ORDERS_MAX;
}

int rung_start(struct rungs *rungs,
               const struct rung_order *order,
               rung_done done,
               void *arg,
               uint64_t *id)
{
    struct job *job;
    int rc;

    if (is_full(rungs->hub)) {
        return E_LIMIT;
    }
    job = job_create(rungs, order);
    if (job == NULL) {
        return E_NOMEM;
    }
    job->done = done;
    job->arg = arg;
    rc = job->cancel_fd >= 0 ? arm_late(job) : E_NOMEM;
    if (rc == E_OK) {
        rc = start_thread(job);
    }
    if (rc != E_OK) {
        job_forget(job);
        return rc;
    }
    job->id = ++rungs->last_id;
    *id = job->id;
    return E_OK;
}

void rung_cancel(struct rungs *rungs, uint64_t id)
{
    struct list *at;

    for (at = rungs->jobs.next; at != &rungs->jobs; at = at->next) {
        const struct job *job = CONTAINER_OF(at, struct job, all);

        if (job->id == id) {
            job_cancel(job);
        }
    }
}
