/* pg_link.c - the connection: made, lost, made again; and what is sent over it.
 * Nothing here waits but pg_link_drain(). */
#include "base/clock.h"
#include "base/log.h"
#include "store/pg_schema.h"
#include "store/pg_store.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACK_OFF_MS_MIN = 100,
    BACK_OFF_MS_MAX = 5000,
    SILENT_MS = 5000 /* A commit that takes longer is told of. */
};

static void arm(struct pg_store *store);

/* ---- Entries ---------------------------------------------------------- */

struct pg_entry *pg_link_entry(struct pg_store *store)
{
    struct pg_entry *entry;

    if (!list_is_empty(&store->spare)) {
        entry = pg_entry_of(store->spare.next);
        list_remove(&entry->link);
    } else {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL) {
            return NULL;
        }
        batch_init(&entry->batch);
    }
    entry->began_ms = clock_mono_ms();
    entry->is_sent = false;
    return entry;
}

void pg_link_finish(struct pg_store *store, struct pg_entry *entry, int rc)
{
    store_done done = entry->done;
    void *arg = entry->arg;

    list_remove(&entry->link);
    store->pending_count--;
    if (rc == E_OK && entry->work == PG_WORK_BATCH) {
        store->committed = entry->number;
    }
    if (rc == E_OK && entry->work == PG_WORK_NUMBERS &&
        store->numbers < entry->number) {
        store->numbers = entry->number;
    }
    if (entry->work == PG_WORK_NUMBERS) {
        store->asked = store->numbers;
    }
    batch_clear(&entry->batch);
    entry->link = (struct list){NULL, NULL};
    list_append(&store->spare, &entry->link);
    if (done != NULL) {
        done(arg, rc);
    }
}

void pg_link_finish_idle(struct pg_store *store)
{
    while (!list_is_empty(&store->pending) &&
           pg_entry_of(store->pending.next)->work == PG_WORK_NOTHING) {
        pg_link_finish(store, pg_entry_of(store->pending.next), E_OK);
    }
}

static void finish_all(struct pg_store *store, int rc)
{
    while (!list_is_empty(&store->pending)) {
        pg_link_finish(store, pg_entry_of(store->pending.next), rc);
    }
}

/* ---- Losing it -------------------------------------------------------- */

/* The socket is about to be closed, or may be by libpq. */
static void forget_socket(struct pg_store *store)
{
    if (store->io_what != 0) {
        (void)event_del(&store->io);
        store->io_what = 0;
    }
}

static void disconnect(struct pg_store *store)
{
    struct list *at;

    forget_socket(store);
    PQfinish(store->conn);
    store->conn = NULL;
    store->syncs = 0;
    LIST_EACH (at, &store->pending) {
        pg_entry_of(at)->is_sent = false;
    }
}

void pg_link_tell_state(struct pg_store *store)
{
    bool answers = store->phase == PG_READY && !pg_link_is_silent(store);

    if (answers != store->was_answering) {
        store->was_answering = answers;
        if (store->base.changed != NULL) {
            store->base.changed(store->base.changed_arg);
        }
    }
}

void pg_link_lose(struct pg_store *store, const char *why)
{
    uint64_t half_ms;

    if (store->phase == PG_READY) {
        log_warn("the store is away, nothing new is granted until it is back: "
                 "%.*s",
                 (int)strcspn(why, "\n"), why);
        store->back_off_ms = BACK_OFF_MS_MIN;
    } else if (store->back_off_ms < BACK_OFF_MS_MAX / 2) {
        store->back_off_ms *= 2;
    } else {
        store->back_off_ms = BACK_OFF_MS_MAX;
    }
    (void)snprintf(store->why, sizeof store->why, "%.*s",
                   (int)strcspn(why, "\n"), why);
    disconnect(store);
    store->phase = PG_WAITING;
    half_ms = store->back_off_ms / 2;
    store->due_ms = clock_mono_ms() + half_ms + clock_mono_ns() % (half_ms + 1);
    pg_link_tell_state(store);
}

void pg_link_lose_it(struct pg_store *store)
{
    char why[sizeof store->why];
    struct store_message msg = {why, sizeof why};

    pg_place_error(store->conn, &msg);
    pg_link_lose(store, why);
}

/* Another coordinator has the store: @why is the server's word for it. */
static void depose(struct pg_store *store, const char *why)
{
    log_error("the store belongs to another coordinator now: %s", why);
    (void)snprintf(store->why, sizeof store->why, "%s", why);
    disconnect(store);
    store->phase = PG_DEPOSED;
    pg_link_tell_state(store);
    finish_all(store, E_NO_LEADER);
}

void pg_link_abandon(struct pg_store *store)
{
    if (store->phase != PG_DEPOSED) {
        depose(store, "its time to lead is over");
    }
}

void pg_link_fail(struct pg_store *store, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *why = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (why == NULL) {
        why = PQresultErrorMessage(result);
    }
    if (state != NULL && strcmp(state, PG_STATE_FENCED) == 0) {
        depose(store, why);
    } else {
        pg_link_lose(store, why);
    }
}

/* ---- Sending ---------------------------------------------------------- */

/* Write down the statement of @entry.
 *
 * Errors:
 *   E_NOMEM  no memory. */
static int encode(struct pg_store *store, const struct pg_entry *entry)
{
    pg_params_begin(&store->params, &store->fence);
    pg_params_add_number(&store->params, entry->number);
    if (entry->work == PG_WORK_BATCH) {
        pg_params_add_batch(&store->params, &entry->batch, &store->types);
    }
    return pg_params_end(&store->params);
}

void pg_link_send_all(struct pg_store *store)
{
    const struct pg_params *params = &store->params;
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &store->pending) {
        struct pg_entry *entry = pg_entry_of(at);

        if (entry->is_sent || entry->work == PG_WORK_NOTHING) {
            continue;
        }
        if (encode(store, entry) != E_OK) {
            pg_link_lose(store, err_text(E_NOMEM));
            return;
        }
        if (PQsendQueryPrepared(store->conn,
                                entry->work == PG_WORK_BATCH ? "gpu_commit"
                                                             : "gpu_reserve",
                                params->count, params->values, params->lengths,
                                params->formats, 0) == 0 ||
            PQpipelineSync(store->conn) == 0) {
            pg_link_lose_it(store);
            return;
        }
        entry->is_sent = true;
        store->syncs++;
    }
}

/* ---- Going on --------------------------------------------------------- */

static void connect_more(struct pg_store *store)
{
    forget_socket(store); /* libpq may take another with the same number. */
    store->polling = PQconnectPoll(store->conn);
    if (store->polling == PGRES_POLLING_OK) {
        pg_answer_set_up(store);
    } else if (store->polling == PGRES_POLLING_FAILED) {
        pg_link_lose_it(store);
    }
}

static void begin_connecting(struct pg_store *store)
{
    store->conn = pg_place_start(&store->place);
    if (store->conn == NULL) {
        pg_link_lose(store, err_text(E_NOMEM));
    } else if (PQstatus(store->conn) == CONNECTION_BAD) {
        pg_link_lose_it(store);
    } else {
        store->phase = PG_CONNECTING;
        store->polling = PGRES_POLLING_WRITING;
        store->due_ms = clock_mono_ms() + PG_CONNECT_MS;
    }
}

/* The socket can be read or written. */
static void on_socket(struct pg_store *store)
{
    if (store->phase == PG_CONNECTING) {
        connect_more(store);
    } else if (store->conn != NULL) {
        if (PQconsumeInput(store->conn) == 0) {
            pg_answer_read(store); /* What came before the end counts. */
            if (store->conn != NULL) {
                pg_link_lose_it(store);
            }
            return;
        }
        pg_answer_read(store);
        if (store->conn != NULL && PQstatus(store->conn) == CONNECTION_BAD) {
            pg_link_lose_it(store);
        }
        pg_link_tell_state(store);
    }
}

/* The time at .due_ms has come, or that of a commit that takes long. */
static void on_due(struct pg_store *store)
{
    uint64_t now_ms = clock_mono_ms();

    switch (store->phase) {
    case PG_WAITING:
        if (now_ms >= store->due_ms) {
            begin_connecting(store);
        }
        break;
    case PG_CONNECTING:
    case PG_SETTING_UP:
        if (now_ms >= store->due_ms) {
            pg_link_lose(store, "the server did not answer in 10 s");
        }
        break;
    case PG_READY:
        pg_link_tell_state(store);
        break;
    case PG_DEPOSED:
        break;
    }
}

/* Return what of the socket is awaited: EV_READ, EV_WRITE, both or 0. */
static short wanted(struct pg_store *store)
{
    if (store->conn == NULL) {
        return 0;
    }
    if (store->phase == PG_CONNECTING) {
        return store->polling == PGRES_POLLING_READING ? EV_READ : EV_WRITE;
    }
    return PQflush(store->conn) == 1 ? (short)(EV_READ | EV_WRITE) : EV_READ;
}

/* Return when on_due() has something to do; UINT64_MAX for never. */
static uint64_t due_at_ms(const struct pg_store *store)
{
    switch (store->phase) {
    case PG_WAITING:
    case PG_CONNECTING:
    case PG_SETTING_UP:
        return store->due_ms;
    case PG_READY:
        return list_is_empty(&store->pending) || pg_link_is_silent(store)
                   ? UINT64_MAX
                   : pg_entry_of(store->pending.next)->began_ms + SILENT_MS;
    case PG_DEPOSED:
        break;
    }
    return UINT64_MAX;
}

bool pg_link_is_silent(const struct pg_store *store)
{
    return !list_is_empty(&store->pending) &&
           clock_mono_ms() - pg_entry_of(store->pending.next)->began_ms >=
               SILENT_MS;
}

/* ---- The loop's ------------------------------------------------------- */

static void on_io(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    on_socket(arg);
    arm(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    on_due(arg);
    arm(arg);
}

static void arm_timer(struct pg_store *store)
{
    uint64_t now_ms = clock_mono_ms();
    uint64_t at_ms = due_at_ms(store);
    uint64_t left_ms = at_ms > now_ms ? at_ms - now_ms : 0;
    struct timeval delay = {.tv_sec = (time_t)(left_ms / 1000),
                            .tv_usec = (suseconds_t)(left_ms % 1000 * 1000)};

    if (at_ms == UINT64_MAX) {
        return; /* One that fires for nothing is cheaper than moving it. */
    }
    if (evtimer_pending(&store->timer, NULL) == 0 || store->phase != PG_READY) {
        (void)event_add(&store->timer, &delay);
    }
}

/* Have the loop call for what is awaited now. */
static void arm(struct pg_store *store)
{
    short what = wanted(store);

    if (what != store->io_what ||
        (what != 0 && PQsocket(store->conn) != store->io_fd)) {
        forget_socket(store);
        if (what != 0) {
            store->io_fd = PQsocket(store->conn);
            (void)event_assign(&store->io, store->loop, store->io_fd,
                               (short)(what | EV_PERSIST), on_io, store);
            if (event_add(&store->io, NULL) == 0) {
                store->io_what = what;
            }
        }
    }
    arm_timer(store);
}

void pg_link_begin(struct pg_store *store)
{
    (void)evtimer_assign(&store->timer, store->loop, on_timer, store);
    store->phase = PG_READY;
    store->was_answering = true;
    arm(store);
}

void pg_link_add(struct pg_store *store, struct pg_entry *entry)
{
    entry->link = (struct list){NULL, NULL};
    list_append(&store->pending, &entry->link);
    store->pending_count++;
    if (store->phase == PG_DEPOSED) {
        finish_all(store, E_NO_LEADER);
        return;
    }
    pg_link_finish_idle(store);
    if (store->phase == PG_READY) {
        pg_link_send_all(store);
    }
    arm(store);
}

/* Wait for the socket or the time, once, at most until @until_ms. */
static void wait_once(struct pg_store *store, uint64_t until_ms)
{
    short what = wanted(store);
    uint64_t now_ms = clock_mono_ms();
    uint64_t at_ms = due_at_ms(store) < until_ms ? due_at_ms(store) : until_ms;
    struct pollfd fd = {
        .fd = store->conn == NULL ? -1 : PQsocket(store->conn),
        .events = (short)(((what & EV_READ) != 0 ? POLLIN : 0) |
                          ((what & EV_WRITE) != 0 ? POLLOUT : 0)),
    };

    if (poll(&fd, 1, at_ms > now_ms ? (int)(at_ms - now_ms) : 0) > 0) {
        on_socket(store);
    } else {
        on_due(store);
    }
}

void pg_link_drain(struct pg_store *store, uint64_t wait_ms)
{
    uint64_t until_ms = clock_mono_ms() + wait_ms;

    while (!list_is_empty(&store->pending) && store->phase != PG_DEPOSED &&
           clock_mono_ms() < until_ms) {
        wait_once(store, until_ms);
    }
    arm(store);
}

void pg_link_forget(struct pg_store *store, const void *arg)
{
    struct list *at;

    LIST_EACH (at, &store->pending) {
        if (pg_entry_of(at)->arg == arg) {
            pg_entry_of(at)->done = NULL;
        }
    }
}

void pg_link_end(struct pg_store *store, int rc)
{
    disconnect(store);
    store->phase = PG_DEPOSED;
    finish_all(store, rc);
    if (event_initialized(&store->timer)) {
        (void)event_del(&store->timer);
    }
    while (!list_is_empty(&store->spare)) {
        struct pg_entry *entry = pg_entry_of(store->spare.next);

        list_remove(&entry->link);
        batch_release(&entry->batch);
        free(entry);
    }
}
