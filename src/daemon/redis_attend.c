/* redis_attend.c - which services listen.
 *
 * Redis is asked each second which control channels have a subscriber: a
 * subscription counts as an open control stream.  One that goes says nothing
 * about its service, since Redis may have gone as well: its leases keep their
 * time, as those of who never had a stream.
 */
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/names.h"
#include "daemon/redis_parts.h"
#include "proto/api.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOK_MS = 1000,
    CLAIM_MS = 30000
};

/* A service that listens, or did. */
struct attended {
    struct list link;
    uint32_t service;
    uint64_t claim_until_ms; /* 0 = nothing is claimed. */
    bool is_subscribed;
    bool is_seen;     /* In the answer that is being read. */
    bool is_own;      /* Its own channel was, in the answer before. */
    bool is_attached; /* The core knows. */
};

static struct attended *find(const struct redis *redis, uint32_t service)
{
    return idmap_find(&redis->by_service, 0, service);
}

/* Return the entry of @service, made where there is none; NULL without
 * memory. */
static struct attended *get(struct redis *redis, uint32_t service)
{
    struct attended *attended = find(redis, service);

    if (attended != NULL || idmap_reserve(&redis->by_service) != E_OK) {
        return attended;
    }
    attended = calloc(1, sizeof(*attended));
    if (attended != NULL) {
        attended->service = service;
        list_append(&redis->attended, &attended->link);
        idmap_put(&redis->by_service, 0, service, attended);
    }
    return attended;
}

static void put(struct redis *redis, struct attended *attended)
{
    (void)idmap_remove(&redis->by_service, 0, attended->service);
    list_remove(&attended->link);
    free(attended);
}

/* ---- Telling the core ---------------------------------------------------- */

/* It is stored that the service is attended: say what its leases are under. */
static void on_attached(void *arg, const struct driver_reply *reply)
{
    struct daemon *daemon = arg;

    if (daemon->redis != NULL && reply->rc == E_OK) {
        redis_say_all(daemon->redis, (uint32_t)reply->conn);
    }
}

/* Bring the core into line with @attended; what fails now comes again with the
 * next look. */
static void settle(struct redis *redis, struct attended *attended)
{
    bool is_wanted = attended->is_subscribed || attended->claim_until_ms != 0;
    struct core_event event = {.type = CORE_ATTACH,
                               .attach = {.service = attended->service}};
    struct driver_reply reply = {
        .send = on_attached, .arg = redis->daemon, .conn = attended->service};

    if (is_wanted == attended->is_attached) {
        return;
    }
    if (is_wanted) {
        attended->is_attached =
            driver_feed(redis->daemon->driver, &event, &reply) == E_OK;
        return;
    }
    event.type = CORE_DETACH;
    event.detach.is_lenient = true;
    attended->is_attached =
        driver_feed(redis->daemon->driver, &event, NULL) == E_NOMEM;
}

static void settle_all(struct redis *redis)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &redis->attended) {
        struct attended *attended = CONTAINER_OF(at, struct attended, link);

        settle(redis, attended);
        if (!attended->is_attached && !attended->is_subscribed &&
            attended->claim_until_ms == 0) {
            put(redis, attended);
        }
    }
}

/* ---- Looking ------------------------------------------------------------- */

/* Note that @channel has a subscriber. */
static void note(struct redis *redis, const char *channel)
{
    char name[API_NAME_MAX + 1];
    struct attended *attended;
    uint32_t service;

    if (!redis_channel_service(&redis->control, channel, name) ||
        names_service(redis->daemon->names, name, &service) != E_OK) {
        return;
    }
    attended = get(redis, service);
    if (attended != NULL) {
        attended->is_seen = true;
    }
}

static void on_channels(void *arg, const struct redis_value *list)
{
    struct redis *redis = arg;
    struct redis_value item;
    struct list *at;
    size_t i;

    if (redis->is_closing) {
        return;
    }
    redis_complain(redis, REDIS_NEED_CHANNELS, list);
    if (list->kind != REDIS_LIST) {
        return;
    }
    LIST_EACH (at, &redis->attended) {
        CONTAINER_OF(at, struct attended, link)->is_seen = false;
    }
    for (i = 0; i < list->count; i++) {
        redis_value_at(list, i, &item);
        if (item.kind == REDIS_TEXT) {
            note(redis, item.text);
        }
    }
    LIST_EACH (at, &redis->attended) {
        struct attended *attended = CONTAINER_OF(at, struct attended, link);

        attended->is_subscribed = attended->is_seen || attended->is_own;
    }
    settle_all(redis);
}

/* Note that @channel, the own one of a service, has a subscriber. */
static void note_own(struct redis *redis, const char *channel)
{
    const struct config *config = redis->daemon->config;
    struct attended *attended;
    uint32_t service;
    size_t i;

    for (i = 0; i < config->service_count; i++) {
        const struct config_service *one = &config->services[i];

        if (one->channels.control != NULL &&
            strcmp(one->channels.control, channel) == 0 &&
            names_service(redis->daemon->names, one->name, &service) == E_OK) {
            attended = get(redis, service);
            if (attended != NULL) {
                attended->is_own = true;
            }
        }
    }
}

/* A channel, its subscribers, the next channel ... */
static void on_counts(void *arg, const struct redis_value *list)
{
    struct redis *redis = arg;
    struct redis_value channel;
    struct redis_value subscribers;
    struct list *at;
    size_t i;

    if (redis->is_closing) {
        return;
    }
    LIST_EACH (at, &redis->attended) {
        CONTAINER_OF(at, struct attended, link)->is_own = false;
    }
    for (i = 0; list->kind == REDIS_LIST && i + 1 < list->count; i += 2) {
        redis_value_at(list, i, &channel);
        redis_value_at(list, i + 1, &subscribers);
        if (channel.kind == REDIS_TEXT && subscribers.number > 0) {
            note_own(redis, channel.text);
        }
    }
}

/* Ask for the subscribers of channels that one service alone has.  It is
 * answered before what is asked next. */
static void look_at_own(struct redis *redis)
{
    const struct config *config = redis->daemon->config;
    struct redis_command command;
    size_t i;

    redis_command_init(&command, "PUBSUB");
    redis_command_add(&command, "NUMSUB");
    for (i = 0; i < config->service_count; i++) {
        if (config->services[i].channels.control != NULL &&
            command.count < REDIS_WORDS_MAX) {
            redis_command_add(&command, config->services[i].channels.control);
        }
    }
    if (command.count > 2) {
        (void)!redis_link_send(redis->commands, &command, on_counts, redis);
    }
}

void redis_attend_look(struct redis *redis)
{
    struct redis_command command;
    struct buf pattern;

    redis->look_at_ms = redis_now_ms() + LOOK_MS;
    look_at_own(redis);
    buf_init(&pattern, 0);
    redis_channel_pattern(&redis->control, &pattern);
    if (buf_error(&pattern) == E_OK) {
        redis_command_init(&command, "PUBSUB");
        redis_command_add(&command, "CHANNELS");
        redis_command_add(&command, buf_string(&pattern));
        (void)!redis_link_send(redis->commands, &command, on_channels, redis);
    }
    buf_release(&pattern);
}

void redis_attend_lost(struct redis *redis)
{
    struct list *at;

    LIST_EACH (at, &redis->attended) {
        struct attended *attended = CONTAINER_OF(at, struct attended, link);

        attended->is_subscribed = false;
        attended->is_own = false;
        attended->claim_until_ms = 0;
    }
    settle_all(redis);
}

void redis_attend_claim(struct redis *redis, uint32_t service)
{
    struct attended *attended = get(redis, service);

    if (attended != NULL) {
        attended->claim_until_ms = redis_now_ms() + CLAIM_MS;
        settle(redis, attended);
    }
}

void redis_attend_tick(struct redis *redis)
{
    uint64_t now_ms = redis_now_ms();
    struct list *at;

    LIST_EACH (at, &redis->attended) {
        struct attended *attended = CONTAINER_OF(at, struct attended, link);

        if (attended->claim_until_ms <= now_ms) {
            attended->claim_until_ms = 0;
        }
    }
    settle_all(redis);
    if (now_ms >= redis->look_at_ms) {
        redis_attend_look(redis);
    }
}

bool redis_hears(const struct daemon *daemon, uint32_t service)
{
    const struct attended *attended =
        daemon->redis == NULL ? NULL : find(daemon->redis, service);

    return attended != NULL && attended->is_attached;
}

void redis_rebuilt(struct daemon *daemon)
{
    struct list *at;

    if (daemon->redis == NULL) {
        return;
    }
    LIST_EACH (at, &daemon->redis->attended) {
        CONTAINER_OF(at, struct attended, link)->is_attached = false;
    }
    settle_all(daemon->redis);
    redis_keys_restore(daemon->redis);
}

void redis_attend_release(struct redis *redis)
{
    while (!list_is_empty(&redis->attended)) {
        put(redis, CONTAINER_OF(redis->attended.next, struct attended, link));
    }
    idmap_release(&redis->by_service);
}
