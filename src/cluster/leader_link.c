#include "cluster/leader_link.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/leader.h"
#include "store/pg_place.h"
#include "store/pg_schema.h"
#include "store/store.h"

#include <event2/event.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    BACKOFF_MS = 100,
    BACKOFF_MS_MAX = 1000,
    CONNECT_MS = 2000
};

enum link_state {
    LINK_DOWN,       /* Waits before the next attempt. */
    LINK_CONNECTING, /* PQconnectPoll() has the say. */
    LINK_SETTING,    /* The session is being set up. */
    LINK_UP,         /* Nothing was asked. */
    LINK_ASKED       /* An answer is under way. */
};

struct link {
    struct pg_place place;
    PGconn *conn;            /* NULL while DOWN. */
    PGresult *answer;        /* The newest; NULL = none. */
    struct event_base *base; /* NULL while detached. */
    struct event *watch;     /* On the connection's socket, which changes. */
    struct event *timer;     /* Of the back-off, the connect, the question. */
    const struct link_handler *handler;
    void *arg;
    enum link_state state;
    bool makes_schema;
    uint32_t backoff_ms;
    char trouble[LEADER_TEXT_SIZE];
};

/* ---- The socket --------------------------------------------------------- */

static void on_watch(evutil_socket_t fd, short what, void *arg);

static void arm(struct link *link, uint32_t wait_ms)
{
    struct timeval wait = {.tv_sec = wait_ms / 1000,
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    if (link->timer != NULL) {
        (void)evtimer_add(link->timer, &wait);
    }
}

static void unwatch(struct link *link)
{
    if (link->watch != NULL) {
        event_free(link->watch);
        link->watch = NULL;
    }
}

/* Watch the connection's socket for @events; libpq may have another by now. */
static void watch(struct link *link, short events)
{
    unwatch(link);
    if (link->base == NULL) {
        return;
    }
    link->watch = event_new(link->base, PQsocket(link->conn),
                            (short)(events | EV_PERSIST), on_watch, link);
    if (link->watch != NULL) {
        (void)event_add(link->watch, NULL);
    }
}

/* ---- Going down, coming up ---------------------------------------------- */

/* Keep the first line of @text. */
static void set_trouble(struct link *link, const char *text)
{
    (void)snprintf(link->trouble, sizeof link->trouble, "%s", text);
    link->trouble[strcspn(link->trouble, "\n")] = '\0';
}

static void go_down(struct link *link, const char *why)
{
    uint32_t chance = 0;
    bool was_up = link->state == LINK_UP || link->state == LINK_ASKED;

    set_trouble(link, why != NULL ? why : PQerrorMessage(link->conn));
    unwatch(link);
    PQfinish(link->conn);
    link->conn = NULL;
    link->state = LINK_DOWN;
    (void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK);
    arm(link, link->backoff_ms / 2 + chance % (link->backoff_ms / 2 + 1));
    link->backoff_ms = link->backoff_ms * 2 < BACKOFF_MS_MAX
                           ? link->backoff_ms * 2
                           : BACKOFF_MS_MAX;
    if (link->handler != NULL && (was_up || link->answer == NULL)) {
        link->handler->on_link(link->arg);
    }
}

static void come_up(struct link *link)
{
    link->state = LINK_UP;
    link->backoff_ms = BACKOFF_MS;
    link->trouble[0] = '\0';
    if (link->timer != NULL) {
        (void)evtimer_del(link->timer);
    }
    link->handler->on_link(link->arg);
}

/* Check the server, and make the schema where there is none: a question or
 * two that are waited for, asked by followers only. */
static bool prepare(struct link *link)
{
    char text[STORE_MESSAGE_SIZE] = "";
    struct store_message msg = {text, sizeof text};
    int rc = pg_place_check(link->conn, &msg);

    if (rc == E_OK && link->makes_schema) {
        rc = pg_schema_apply(link->conn, &msg);
    }
    if (rc != E_OK) {
        go_down(link, text);
    }
    return rc == E_OK;
}

/* The connection is made: set the session up. */
static void set_up(struct link *link)
{
    if (!prepare(link)) {
        return;
    }
    (void)PQsetnonblocking(link->conn, 1);
    link->state = LINK_SETTING;
    if (PQsendQuery(link->conn, pg_place_session) == 0 ||
        PQflush(link->conn) < 0) {
        go_down(link, NULL);
        return;
    }
    watch(link, EV_READ);
}

static void go_on_connecting(struct link *link)
{
    switch (PQconnectPoll(link->conn)) {
    case PGRES_POLLING_READING:
        watch(link, EV_READ);
        return;
    case PGRES_POLLING_WRITING:
        watch(link, EV_WRITE);
        return;
    case PGRES_POLLING_OK:
        set_up(link);
        return;
    case PGRES_POLLING_FAILED:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    go_down(link, NULL);
}

static void connect_now(struct link *link)
{
    link->conn = pg_place_start(&link->place);
    if (link->conn == NULL || PQstatus(link->conn) == CONNECTION_BAD) {
        go_down(link, link->conn == NULL ? err_text(E_NOMEM) : NULL);
        return;
    }
    link->state = LINK_CONNECTING;
    arm(link, CONNECT_MS);
    watch(link, EV_WRITE);
}

/* ---- Questions ---------------------------------------------------------- */

/* Take what has come of the answer; true once it is whole. */
static bool take_answer(struct link *link)
{
    PGresult *part;

    while (PQisBusy(link->conn) == 0) {
        part = PQgetResult(link->conn);
        if (part == NULL) {
            link->state = LINK_UP;
            return true;
        }
        PQclear(link->answer);
        link->answer = part;
    }
    return false;
}

/* Send and receive as far as it goes without waiting; false where the
 * connection is lost. */
static bool exchange(struct link *link)
{
    int left = PQflush(link->conn);

    if (left < 0 || PQconsumeInput(link->conn) == 0) {
        return false;
    }
    watch(link, left > 0 ? EV_READ | EV_WRITE : EV_READ);
    return true;
}

static void go_on_asking(struct link *link)
{
    bool is_setting = link->state == LINK_SETTING;

    if (!exchange(link)) {
        go_down(link, NULL);
        return;
    }
    if (link->state == LINK_UP || !take_answer(link)) {
        return;
    }
    if (link->timer != NULL) {
        (void)evtimer_del(link->timer);
    }
    if (!is_setting) {
        link->handler->on_answer(link->arg);
    } else if (link_has_failed(link)) {
        go_down(link, NULL);
    } else {
        come_up(link);
    }
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    if (link->state == LINK_CONNECTING) {
        go_on_connecting(link);
    } else {
        go_on_asking(link);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct link *link = arg;

    (void)fd;
    (void)what;
    switch (link->state) {
    case LINK_DOWN:
        connect_now(link);
        return;
    case LINK_CONNECTING:
    case LINK_SETTING:
        go_down(link, "PostgreSQL takes no connection");
        return;
    case LINK_ASKED:
        go_down(link, "PostgreSQL does not answer");
        return;
    case LINK_UP:
        return;
    }
}

void link_ask(struct link *link,
              const char *sql,
              int count,
              const char *const *values)
{
    if (link->state != LINK_UP) {
        return;
    }
    PQclear(link->answer);
    link->answer = NULL;
    if (PQsendQueryParams(link->conn, sql, count, NULL, values, NULL, NULL,
                          0) == 0) {
        arm(link, 0); /* From the loop: the caller is not to be called. */
        link->state = LINK_ASKED;
        return;
    }
    link->state = LINK_ASKED;
    arm(link, LEADER_QUERY_MS);
    /* Nothing is read here: what has come would be in libpq's buffer, and the
     * socket silent.  A failure shows when it is read from. */
    watch(link, PQflush(link->conn) > 0 ? EV_READ | EV_WRITE : EV_READ);
}

bool link_rest(struct link *link, uint64_t limit_ms)
{
    uint64_t until_ms = clock_mono_ms() + limit_ms;

    while (link->state == LINK_ASKED) {
        struct pollfd wait = {.fd = PQsocket(link->conn), .events = POLLIN};
        uint64_t now_ms = clock_mono_ms();
        int left = PQflush(link->conn);

        if (left < 0 || now_ms >= until_ms || PQconsumeInput(link->conn) == 0) {
            return false;
        }
        if (take_answer(link)) {
            return true;
        }
        wait.events = left > 0 ? POLLIN | POLLOUT : POLLIN;
        (void)poll(&wait, 1, (int)(until_ms - now_ms));
    }
    return link->state == LINK_UP;
}

bool link_is_up(const struct link *link)
{
    return link->state == LINK_UP || link->state == LINK_ASKED;
}

bool link_has_failed(const struct link *link)
{
    ExecStatusType status = PQresultStatus(link->answer);

    return status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
}

bool link_has_state(const struct link *link, const char *state)
{
    const char *given = PQresultErrorField(link->answer, PG_DIAG_SQLSTATE);

    return given != NULL && strcmp(given, state) == 0;
}

int link_rows(const struct link *link)
{
    return PQntuples(link->answer);
}

const char *link_value(const struct link *link, int row, int column)
{
    return row < PQntuples(link->answer) && column < PQnfields(link->answer)
               ? PQgetvalue(link->answer, row, column)
               : "";
}

const char *link_trouble(const struct link *link)
{
    const char *text =
        PQresultErrorField(link->answer, PG_DIAG_MESSAGE_PRIMARY);

    return !link_is_up(link) || text == NULL ? link->trouble : text;
}

/* ---- Life --------------------------------------------------------------- */

int link_open(const char *url, struct link **out)
{
    struct link *link = calloc(1, sizeof *link);
    struct store_message msg;
    int rc;

    if (link == NULL) {
        return E_NOMEM;
    }
    msg = (struct store_message){link->trouble, sizeof link->trouble};
    rc = pg_place_init(&link->place, url, &msg);
    if (rc != E_OK) {
        log_error("%s", link->trouble);
        link_close(link);
        return rc;
    }
    link->backoff_ms = BACKOFF_MS;
    *out = link;
    return E_OK;
}

void link_make_schema(struct link *link, bool makes_schema)
{
    link->makes_schema = makes_schema;
}

void link_close(struct link *link)
{
    if (link == NULL) {
        return;
    }
    link_detach(link);
    PQclear(link->answer);
    PQfinish(link->conn);
    pg_place_release(&link->place);
    free(link);
}

int link_attach(struct link *link,
                struct event_base *base,
                const struct link_handler *handler,
                void *arg)
{
    link->timer = evtimer_new(base, on_timer, link);
    if (link->timer == NULL) {
        return E_NOMEM;
    }
    link->base = base;
    link->handler = handler;
    link->arg = arg;
    switch (link->state) {
    case LINK_DOWN:
        arm(link, 0);
        break;
    case LINK_CONNECTING:
    case LINK_SETTING:
        arm(link, CONNECT_MS);
        watch(link, EV_READ | EV_WRITE);
        break;
    case LINK_ASKED:
        arm(link, LEADER_QUERY_MS);
        watch(link, EV_READ);
        break;
    case LINK_UP:
        watch(link, EV_READ);
        break;
    }
    return E_OK;
}

void link_detach(struct link *link)
{
    if (link == NULL) {
        return;
    }
    unwatch(link);
    if (link->timer != NULL) {
        event_free(link->timer);
        link->timer = NULL;
    }
    link->base = NULL;
    link->handler = NULL;
}
