#include "cluster/redis_link.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 5000,
    PATIENCE_MS = 2000, /* Without any answer: it hangs, or the net does. */
    LOOK_MS = 500,      /* How often that is looked at. */
    WHY_SIZE = 160,
    PASSWORD_SIZE = 512
};

enum state {
    STATE_WAITING, /* For the next attempt. */
    STATE_CONNECTING,
    STATE_UP
};

struct redis_link {
    struct event_base *base;
    const struct redis_place *place;
    const struct redis_link_hooks *hooks;
    void *arg;
    redisAsyncContext *context; /* NULL while WAITING. */
    struct event *timer;
    enum state state;
    uint32_t retry_ms;
    uint32_t flight;         /* Commands without an answer. */
    uint64_t progress_at_ms; /* The newest answer, or the first command. */
    uint64_t count;
    char why[WHY_SIZE];
    bool is_said;      /* The log knows that it is away. */
    bool is_listening; /* Since it came up: it takes no commands. */
};

/* A command that waits for its answer.  It outlives the link where that is
 * closed from inside an answer. */
struct pending {
    redis_answer answer;
    void *arg;
};

/* ---- Going down -------------------------------------------------------- */

static void arm(struct redis_link *link, uint32_t ms)
{
    struct timeval delay = {.tv_sec = (time_t)(ms / 1000),
                            .tv_usec = (suseconds_t)(ms % 1000) * 1000};

    if (event_add(link->timer, &delay) != 0) {
        log_error("no memory for a timer: redis stays away");
    }
}

/* Half of @ms, and up to another half by chance: coordinators that lost the
 * same Redis do not all come back in one moment. */
static uint32_t with_jitter(uint32_t ms)
{
    uint32_t half_ms = ms / 2;

    return half_ms + (uint32_t)(clock_mono_ns() / 1000 % (half_ms + 1));
}

/* The connection is no more: say so once, and try again later. */
static void go_down(struct redis_link *link, const char *why)
{
    bool was_up = link->state == STATE_UP;

    if (why != link->why) {
        (void)snprintf(link->why, sizeof(link->why), "%s", why);
    }
    if (!link->is_said) {
        log_warn("redis is away: %s", link->why);
        link->is_said = true;
    }
    link->context = NULL;
    link->state = STATE_WAITING;
    link->is_listening = false;
    link->flight = 0;
    arm(link, with_jitter(link->retry_ms));
    link->retry_ms =
        link->retry_ms * 2 > RETRY_MS_MAX ? RETRY_MS_MAX : link->retry_ms * 2;
    if (was_up) {
        link->hooks->on_down(link->arg);
    }
}

/* Give the connection up from our side. */
static void drop(struct redis_link *link, const char *why)
{
    redisAsyncContext *context = link->context;

    context->data = NULL; /* Its last calls are nobody's. */
    go_down(link, why);
    redisAsyncFree(context);
}

/* ---- Answers ----------------------------------------------------------- */

static void fill(const redisReply *reply, struct redis_value *out)
{
    *out = (struct redis_value){.kind = REDIS_LOST};
    if (reply == NULL) {
        return;
    }
    out->text = reply->str;
    out->size = reply->len;
    out->number = reply->integer;
    switch (reply->type) {
    case REDIS_REPLY_ERROR:
        out->kind = REDIS_ERROR;
        break;
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_STRING:
        out->kind = REDIS_TEXT;
        break;
    case REDIS_REPLY_INTEGER:
        out->kind = REDIS_NUMBER;
        break;
    case REDIS_REPLY_ARRAY:
        out->kind = REDIS_LIST;
        out->count = reply->elements;
        out->items = reply->element;
        break;
    default:
        out->kind = REDIS_NIL;
        break;
    }
}

void redis_value_at(const struct redis_value *list,
                    size_t index,
                    struct redis_value *out)
{
    redisReply *const *items = list->items;

    assert(list->kind == REDIS_LIST && index < list->count);
    fill(items[index], out);
}

static void on_answer(redisAsyncContext *context, void *reply, void *data)
{
    struct redis_link *link = context->data;
    struct pending pending = *(struct pending *)data;
    struct redis_value value;

    free(data);
    if (link != NULL && reply != NULL) {
        link->flight--;
        link->progress_at_ms = clock_mono_ms();
    }
    if (pending.answer != NULL) {
        fill(reply, &value);
        pending.answer(pending.arg, &value);
    }
}

/* ---- Coming up --------------------------------------------------------- */

static void on_greeted(redisAsyncContext *context, void *data, void *arg)
{
    struct redis_link *link = context->data;
    const redisReply *reply = data;

    (void)arg;
    if (link == NULL || reply == NULL || link->state == STATE_UP) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        drop(link, reply->str);
        return;
    }
    /* Others greet with "+OK" as well, and hiredis ends the program where a
     * server talks without being asked. */
    if (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "PONG") != 0) {
        drop(link, "what answers there is no redis");
        return;
    }
    link->state = STATE_UP;
    link->retry_ms = RETRY_MS_MIN;
    link->why[0] = '\0';
    link->count++;
    if (link->is_said || link->count == 1) {
        log_info("redis is there");
    }
    link->is_said = false;
    arm(link, LOOK_MS);
    link->hooks->on_up(link->arg);
}

static void on_let_in(redisAsyncContext *context, void *data, void *arg)
{
    struct redis_link *link = context->data;
    const redisReply *reply = data;

    (void)arg;
    if (link != NULL && reply != NULL && reply->type == REDIS_REPLY_ERROR) {
        drop(link, reply->str);
    }
}

/* Read the password, a line, to @out.  False: there is none; the link says
 * why. */
static bool read_password(struct redis_link *link, char out[PASSWORD_SIZE])
{
    FILE *file = fopen(link->place->password_file, "re");
    char *line = file == NULL ? NULL : fgets(out, PASSWORD_SIZE, file);

    if (file != NULL) {
        (void)fclose(file);
    }
    if (line == NULL) {
        (void)snprintf(link->why, sizeof(link->why),
                       "cannot read a password from '%s'",
                       link->place->password_file);
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

/* Say who we are.  False: that could not be said. */
static bool authenticate(struct redis_link *link)
{
    const struct redis_place *place = link->place;
    char password[PASSWORD_SIZE] = "";
    const char *words[] = {"AUTH", place->user, password};
    int rc;

    if (place->user == NULL && place->password_file == NULL) {
        return true;
    }
    if (place->password_file != NULL && !read_password(link, password)) {
        return false;
    }
    if (place->user == NULL) {
        words[1] = password;
    }
    rc = redisAsyncCommandArgv(link->context, on_let_in, NULL,
                               place->user == NULL ? 2 : 3, words, NULL);
    explicit_bzero(password, sizeof(password));
    return rc == REDIS_OK;
}

static void on_connected(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;

    if (link == NULL) {
        return;
    }
    if (status != REDIS_OK) {
        go_down(link, context->errstr == NULL || context->errstr[0] == '\0'
                          ? "cannot connect"
                          : context->errstr);
        return;
    }
    /* An answer to PING also says that it has read its data set. */
    if (!authenticate(link) || redisAsyncCommand(link->context, on_greeted,
                                                 NULL, "PING") != REDIS_OK) {
        drop(link, link->why[0] == '\0' ? "cannot speak to it" : link->why);
    }
}

static void on_disconnected(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->data;

    (void)status;
    if (link != NULL) {
        go_down(link, context->errstr == NULL || context->errstr[0] == '\0'
                          ? "the connection was closed"
                          : context->errstr);
    }
}

static void try_connect(struct redis_link *link)
{
    const struct redis_place *place = link->place;
    redisAsyncContext *context =
        place->host == NULL ? redisAsyncConnectUnix(place->path)
                            : redisAsyncConnect(place->host, place->port);

    if (context == NULL) {
        go_down(link, err_text(E_NOMEM));
        return;
    }
    link->context = context;
    context->data = link;
    if (context->err != 0) {
        drop(link, context->errstr);
        return;
    }
    link->state = STATE_CONNECTING;
    link->why[0] = '\0';
    if (redisLibeventAttach(context, link->base) != REDIS_OK ||
        redisAsyncSetConnectCallback(context, on_connected) != REDIS_OK ||
        redisAsyncSetDisconnectCallback(context, on_disconnected) != REDIS_OK) {
        drop(link, err_text(E_NOMEM));
        return;
    }
    if (place->host != NULL) {
        (void)redisEnableKeepAlive(&context->c);
    }
    arm(link, PATIENCE_MS);
}

/* Have something that it must answer, so that a hanging one is noticed. */
static void ping(struct redis_link *link)
{
    struct redis_command command;

    redis_command_init(&command, "PING");
    (void)!redis_link_send(link, &command, NULL, NULL);
}

static void look(struct redis_link *link)
{
    if (link->flight > 0 &&
        clock_mono_ms() - link->progress_at_ms > PATIENCE_MS) {
        drop(link, "it does not answer");
        return;
    }
    if (link->flight == 0 && !link->is_listening) {
        ping(link);
    }
    arm(link, LOOK_MS);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct redis_link *link = arg;

    (void)fd;
    (void)what;
    switch (link->state) {
    case STATE_WAITING:
        try_connect(link);
        break;
    case STATE_CONNECTING:
        drop(link, "it does not answer");
        break;
    case STATE_UP:
        look(link);
        break;
    }
}

/* ---- Life -------------------------------------------------------------- */

int redis_link_open(struct event_base *base,
                    const struct redis_place *place,
                    const struct redis_link_hooks *hooks,
                    void *arg,
                    struct redis_link **out)
{
    struct redis_link *link = calloc(1, sizeof(*link));

    if (link == NULL) {
        return E_NOMEM;
    }
    *link = (struct redis_link){.base = base,
                                .place = place,
                                .hooks = hooks,
                                .arg = arg,
                                .retry_ms = RETRY_MS_MIN};
    (void)snprintf(link->why, sizeof(link->why), "not connected yet");
    link->timer = evtimer_new(base, on_timer, link);
    if (link->timer == NULL) {
        free(link);
        return E_NOMEM;
    }
    arm(link, 0);
    *out = link;
    return E_OK;
}

void redis_link_close(struct redis_link *link)
{
    if (link == NULL) {
        return;
    }
    if (link->context != NULL) {
        link->context->data = NULL;
        redisAsyncFree(link->context);
    }
    event_free(link->timer);
    free(link);
}

bool redis_link_is_up(const struct redis_link *link)
{
    return link->state == STATE_UP;
}

const char *redis_link_why(const struct redis_link *link)
{
    return link->why;
}

uint64_t redis_link_count(const struct redis_link *link)
{
    return link->count;
}

/* ---- Commands ---------------------------------------------------------- */

void redis_command_init(struct redis_command *command, const char *name)
{
    command->count = 0;
    redis_command_add(command, name);
}

void redis_command_add(struct redis_command *command, const char *word)
{
    assert(command->count < REDIS_WORDS_MAX);
    command->words[command->count] = word;
    command->sizes[command->count] = strlen(word);
    command->count++;
}

int redis_link_send(struct redis_link *link,
                    const struct redis_command *command,
                    redis_answer answer,
                    void *arg)
{
    const char *words[REDIS_WORDS_MAX];
    struct pending *pending;

    if (link->state != STATE_UP || link->is_listening) {
        return E_UNREACHABLE;
    }
    if (link->flight >= REDIS_FLIGHT_MAX) {
        return E_LIMIT;
    }
    pending = malloc(sizeof(*pending));
    if (pending == NULL) {
        return E_NOMEM;
    }
    *pending = (struct pending){answer, arg};
    memcpy(words, command->words,
           (size_t)command->count * sizeof(command->words[0]));
    if (redisAsyncCommandArgv(link->context, on_answer, pending, command->count,
                              words, command->sizes) != REDIS_OK) {
        free(pending);
        return E_UNREACHABLE;
    }
    if (link->flight++ == 0) {
        link->progress_at_ms = clock_mono_ms();
    }
    return E_OK;
}

/* "pmessage", the pattern, the channel, the data; or that we listen. */
static void on_published(redisAsyncContext *context, void *data, void *arg)
{
    struct redis_link *link = context->data;
    const redisReply *reply = data;
    struct redis_value value;

    (void)arg;
    if (link == NULL || reply == NULL) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        drop(link, reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4 ||
        strcmp(reply->element[0]->str, "pmessage") != 0) {
        return;
    }
    fill(reply->element[3], &value);
    link->hooks->on_message(link->arg, reply->element[2]->str, &value);
}

int redis_link_listen(struct redis_link *link, const char *pattern)
{
    link->is_listening = link->state == STATE_UP;
    if (link->state != STATE_UP ||
        redisAsyncCommand(link->context, on_published, NULL, "PSUBSCRIBE %s",
                          pattern) != REDIS_OK) {
        return E_UNREACHABLE;
    }
    return E_OK;
}
