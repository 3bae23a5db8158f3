#include "store/syncer.h"

#include "base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A commit whose callback has not been called.  Its ticket is the number of
 * the fsync request that covers it. */
struct entry {
    uint64_t ticket;
    store_done done;
    void *arg;
};

struct syncer {
    int fd;
    int wake_fd; /* An eventfd: the thread has news for the loop. */
    struct event *woken;
    pthread_t thread;

    /* The loop's own: a ring of entries, the oldest at .first. */
    struct entry *ring;
    size_t first;
    size_t count;
    size_t capacity; /* 0 or a power of two. */

    /* Shared; under .lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* Any of these. */
    uint64_t wanted;        /* The newest ticket given out. */
    uint64_t synced;        /* Tickets up to this one are on the disk. */
    bool has_failed;        /* Those above will never be. */
    bool is_stopping;
};

/* Say whether there is nothing to sync; under the lock. */
static bool is_idle(const struct syncer *syncer)
{
    return syncer->has_failed || syncer->wanted == syncer->synced;
}

static void wake_loop(struct syncer *syncer)
{
    const uint64_t one = 1;

    /* An eventfd takes any number of wake-ups without blocking. */
    if (write(syncer->wake_fd, &one, sizeof one) != (ssize_t)sizeof one) {
        log_error("cannot wake the loop: %s", strerror(errno));
    }
}

static void *thread_main(void *arg)
{
    struct syncer *syncer = arg;

    pthread_mutex_lock(&syncer->lock);
    for (;;) {
        uint64_t ticket;
        int error;

        while (is_idle(syncer) && !syncer->is_stopping) {
            pthread_cond_wait(&syncer->changed, &syncer->lock);
        }
        if (is_idle(syncer)) {
            break;
        }
        ticket = syncer->wanted;
        pthread_mutex_unlock(&syncer->lock);
        error = fdatasync(syncer->fd) == 0 ? 0 : errno;
        pthread_mutex_lock(&syncer->lock);
        if (error == 0) {
            syncer->synced = ticket;
        } else {
            syncer->has_failed = true;
            log_error("fsync failed: %s; queued tasks are refused until the "
                      "coordinator is started again",
                      strerror(error));
        }
        pthread_cond_broadcast(&syncer->changed);
        wake_loop(syncer);
    }
    pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

enum {
    NOT_YET = 1 /* No result: the entry still waits for its fsync. */
};

/* Return the result of @entry, or NOT_YET. */
static int result_of(struct syncer *syncer, const struct entry *entry)
{
    int rc = NOT_YET;

    pthread_mutex_lock(&syncer->lock);
    if (entry->ticket <= syncer->synced) {
        rc = E_OK;
    } else if (syncer->has_failed) {
        rc = E_STORE;
    }
    pthread_mutex_unlock(&syncer->lock);
    return rc;
}

/* Call the entries whose time has come, oldest first. */
static void call_entries(struct syncer *syncer)
{
    while (syncer->count > 0) {
        struct entry entry = syncer->ring[syncer->first];
        int rc = result_of(syncer, &entry);

        if (rc == NOT_YET) {
            break;
        }
        syncer->first = (syncer->first + 1) & (syncer->capacity - 1);
        syncer->count--;
        entry.done(entry.arg, rc);
    }
}

static void on_woken(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;

    (void)what;
    /* Nothing to read only means that an earlier call has read it. */
    if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        log_error("cannot read the wake-up of the fsync thread: %s",
                  strerror(errno));
    }
    call_entries(arg);
}

/* Start the thread with all signals blocked: they are the loop's. */
static int start_thread(struct syncer *syncer)
{
    sigset_t all;
    sigset_t before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&syncer->thread, NULL, thread_main, syncer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        log_error("cannot start the fsync thread: %s", strerror(error));
        return E_STORE;
    }
    return E_OK;
}

int syncer_create(int fd, struct event_base *loop, struct syncer **out)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);
    int rc = E_STORE;

    if (syncer == NULL) {
        return E_NOMEM;
    }
    pthread_mutex_init(&syncer->lock, NULL);
    pthread_cond_init(&syncer->changed, NULL);
    syncer->fd = fd;
    syncer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (syncer->wake_fd < 0) {
        log_error("cannot make an eventfd: %s", strerror(errno));
        goto err_alloc;
    }
    syncer->woken = event_new(loop, syncer->wake_fd, EV_READ | EV_PERSIST,
                              on_woken, syncer);
    if (syncer->woken == NULL || event_add(syncer->woken, NULL) != 0) {
        rc = E_NOMEM;
        goto err_event;
    }
    rc = start_thread(syncer);
    if (rc != E_OK) {
        goto err_event;
    }
    *out = syncer;
    return E_OK;

err_event:
    if (syncer->woken != NULL) {
        event_free(syncer->woken);
    }
    (void)close(syncer->wake_fd);
err_alloc:
    pthread_cond_destroy(&syncer->changed);
    pthread_mutex_destroy(&syncer->lock);
    free(syncer);
    return rc;
}

/* Wait until the thread has nothing left to sync. */
static void wait_idle(struct syncer *syncer)
{
    pthread_mutex_lock(&syncer->lock);
    while (!is_idle(syncer)) {
        pthread_cond_wait(&syncer->changed, &syncer->lock);
    }
    pthread_mutex_unlock(&syncer->lock);
}

/* Wait until all entries are called, also those that callbacks add. */
static void drain(struct syncer *syncer)
{
    while (syncer->count > 0) {
        wait_idle(syncer);
        call_entries(syncer);
    }
}

void syncer_destroy(struct syncer *syncer)
{
    if (syncer == NULL) {
        return;
    }
    drain(syncer);
    pthread_mutex_lock(&syncer->lock);
    syncer->is_stopping = true;
    pthread_cond_broadcast(&syncer->changed);
    pthread_mutex_unlock(&syncer->lock);
    pthread_join(syncer->thread, NULL);

    event_free(syncer->woken);
    (void)close(syncer->wake_fd);
    pthread_cond_destroy(&syncer->changed);
    pthread_mutex_destroy(&syncer->lock);
    free(syncer->ring);
    free(syncer);
}

/* Make room for one more entry; false without memory. */
static bool make_room(struct syncer *syncer)
{
    size_t capacity = syncer->capacity == 0 ? 64 : syncer->capacity * 2;
    struct entry *ring;
    size_t i;

    if (syncer->count < syncer->capacity) {
        return true;
    }
    ring = calloc(capacity, sizeof *ring);
    if (ring == NULL) {
        return false;
    }
    for (i = 0; i < syncer->count; i++) {
        ring[i] = syncer->ring[(syncer->first + i) & (syncer->capacity - 1)];
    }
    free(syncer->ring);
    syncer->ring = ring;
    syncer->first = 0;
    syncer->capacity = capacity;
    return true;
}

/* Have everything written so far synced; return the ticket of it. */
static uint64_t want_sync(struct syncer *syncer)
{
    uint64_t ticket;
    bool has_failed;

    pthread_mutex_lock(&syncer->lock);
    ticket = ++syncer->wanted;
    pthread_cond_broadcast(&syncer->changed);
    has_failed = syncer->has_failed;
    pthread_mutex_unlock(&syncer->lock);
    if (has_failed) {
        wake_loop(syncer); /* The thread will have no more news. */
    }
    return ticket;
}

void syncer_add(struct syncer *syncer, store_done done, void *arg)
{
    struct entry entry = {
        .ticket = want_sync(syncer), .done = done, .arg = arg};

    if (!make_room(syncer)) {
        drain(syncer);
        wait_idle(syncer);
        done(arg, result_of(syncer, &entry));
        return;
    }
    syncer->ring[(syncer->first + syncer->count) & (syncer->capacity - 1)] =
        entry;
    syncer->count++;
}

size_t syncer_pending(const struct syncer *syncer)
{
    return syncer->count;
}

bool syncer_has_failed(struct syncer *syncer)
{
    bool has_failed;

    pthread_mutex_lock(&syncer->lock);
    has_failed = syncer->has_failed;
    pthread_mutex_unlock(&syncer->lock);
    return has_failed;
}
