#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "daemon/members.h"
#include "daemon/metrics.h"
#include "daemon/redis_parts.h"

#include <event2/event.h>
#include <stdlib.h>

uint64_t redis_now_ms(void)
{
    return clock_mono_ms();
}

void redis_complain(struct redis *redis,
                    enum redis_need need,
                    const struct redis_value *value)
{
    static const struct {
        enum redis_need need;
        const char *text;
    } complaints[] = {
        {REDIS_NEED_KEYS, "the keys of the gpus cannot be set"},
        {REDIS_NEED_PUBLISH, "commands cannot be published"},
        {REDIS_NEED_CHANNELS, "it cannot be seen who listens"},
    };
    size_t i;

    for (i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++) {
        if (complaints[i].need != need) {
            continue;
        }
        if (value->kind == REDIS_ERROR && (redis->refused & need) == 0) {
            log_warn("redis: %s: %s", complaints[i].text, value->text);
            redis->refused |= need;
        } else if (value->kind != REDIS_ERROR && value->kind != REDIS_LOST) {
            redis->refused &= ~(uint32_t)need;
        }
    }
}

/* ---- The connections ---------------------------------------------------- */

static void on_commands_up(void *arg)
{
    struct redis *redis = arg;

    redis->watch_at_ms = 0;
    redis->keep_at_ms = 0;
    redis->is_slow = false;
    redis_attend_look(redis);
    redis_keys_tick(redis);
}

static void on_commands_down(void *arg)
{
    redis_attend_lost(arg);
    redis_keys_lost(arg);
}

static const struct redis_link_hooks commands_hooks = {on_commands_up,
                                                       on_commands_down, NULL};

static void on_listener_up(void *arg)
{
    redis_ack_listen(arg);
}

static void on_listener_down(void *arg)
{
    (void)arg; /* Who is not heard says it again. */
}

static void
on_message(void *arg, const char *channel, const struct redis_value *data)
{
    redis_take(arg, channel, data);
}

static const struct redis_link_hooks listener_hooks = {
    on_listener_up, on_listener_down, on_message};

/* ---- Time --------------------------------------------------------------- */

static void arm(struct redis *redis)
{
    struct timeval delay = {.tv_usec = redis_keys_hurry_ms(redis) * 1000L};

    if (event_add(redis->timer, &delay) != 0) {
        log_error("no memory for a timer: nothing is said again in redis");
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct redis *redis = arg;

    (void)fd;
    (void)what;
    arm(redis);
    if (redis_link_is_up(redis->commands)) {
        redis_attend_tick(redis);
        redis_tell_tick(redis);
        redis_keys_tick(redis);
    }
}

/* ---- Life --------------------------------------------------------------- */

void redis_configure(struct daemon *daemon)
{
    const struct config_redis *config = &daemon->config->redis;
    struct redis *redis = daemon->redis;

    if (redis == NULL) {
        return;
    }
    redis->place = (struct redis_place){.host = config->host,
                                        .path = config->path,
                                        .user = config->user,
                                        .password_file = config->password_file,
                                        .port = (uint16_t)config->port};
    redis_channel_init(&redis->control, config->control_channel != NULL
                                            ? config->control_channel
                                            : CONFIG_CONTROL_CHANNEL);
    redis_channel_init(&redis->ack, config->ack_channel != NULL
                                        ? config->ack_channel
                                        : CONFIG_ACK_CHANNEL);
    if (redis->listener != NULL && redis_link_is_up(redis->listener)) {
        redis_ack_listen(redis); /* Services may have got new ones. */
    }
}

static int open_links(struct redis *redis, struct event_base *base)
{
    int rc = redis_link_open(base, &redis->place, &commands_hooks, redis,
                             &redis->commands);

    if (rc == E_OK) {
        rc = redis_link_open(base, &redis->place, &listener_hooks, redis,
                             &redis->listener);
    }
    if (rc == E_UNSUPPORTED) {
        log_error("'redis' is configured, but this program was built without "
                  "it");
    }
    return rc;
}

int redis_open(struct daemon *daemon)
{
    struct event_base *base = loop_base(daemon->loop);
    struct redis *redis;

    if (daemon->config->redis.url == NULL) {
        return E_OK;
    }
    redis = calloc(1, sizeof(*redis));
    if (redis == NULL) {
        return E_NOMEM;
    }
    daemon->redis = redis;
    redis->daemon = daemon;
    list_init(&redis->sayings);
    list_init(&redis->attended);
    list_init(&redis->takes);
    list_init(&redis->keys);
    idmap_init(&redis->by_lease, &alloc_libc);
    idmap_init(&redis->by_what, &alloc_libc);
    idmap_init(&redis->by_service, &alloc_libc);
    idmap_init(&redis->calls, &alloc_libc);
    buf_init(&redis->text, 0);
    redis_configure(daemon);
    redis_keys_init(redis);
    redis->timer = evtimer_new(base, on_tick, redis);
    if (redis->timer == NULL) {
        return E_NOMEM;
    }
    arm(redis);
    return open_links(redis, base);
}

void redis_close(struct daemon *daemon)
{
    struct redis *redis = daemon->redis;

    if (redis == NULL) {
        return;
    }
    redis->is_closing = true;
    redis_link_close(redis->commands);
    redis_link_close(redis->listener);
    redis_keys_release(redis);
    redis_tell_release(redis);
    redis_attend_release(redis);
    redis_take_release(redis);
    if (redis->timer != NULL) {
        event_free(redis->timer);
    }
    buf_release(&redis->text);
    daemon->redis = NULL;
    free(redis);
}

/* ---- What people see ---------------------------------------------------- */

/* Return the link that is not up; NULL where both are. */
static const struct redis_link *missing(const struct redis *redis)
{
    if (!redis_link_is_up(redis->commands)) {
        return redis->commands;
    }
    return redis_link_is_up(redis->listener) ? NULL : redis->listener;
}

void redis_write_status(const struct daemon *daemon, struct buf *out)
{
    const struct redis *redis = daemon->redis;
    const struct redis_link *link;

    member_name(out, "redis");
    if (redis == NULL) {
        buf_text(out, "null");
        return;
    }
    link = missing(redis);
    buf_text(out, "{\"state\":");
    buf_json(out, link == NULL ? "up" : "away");
    member_text(out, "url", daemon->config->redis.url);
    member_text(out, "why", link == NULL ? NULL : redis_link_why(link));
    buf_byte(out, '}');
}

void redis_write_metrics(const struct daemon *daemon, struct buf *out)
{
    const struct redis *redis = daemon->redis;

    if (redis == NULL) {
        return;
    }
    metric_plain(out, "gpucoord_redis_up", "gauge",
                 "Whether both connections to Redis are up.",
                 missing(redis) == NULL);
    metric_plain(out, "gpucoord_redis_connects_total", "counter",
                 "Times the connection for commands came up.",
                 redis_link_count(redis->commands));
    metric_plain(out, "gpucoord_redis_commands_total", "counter",
                 "Commands to services published.", redis->stats.published);
    metric_plain(out, "gpucoord_redis_repeats_total", "counter",
                 "Of these, those that were not answered before.",
                 redis->stats.repeated);
    metric_plain(out, "gpucoord_redis_answers_total", "counter",
                 "Answers of services.", redis->stats.answers);
    metric_plain(out, "gpucoord_redis_refused_total", "counter",
                 "Of these, those that were refused.", redis->stats.refused);
    metric_plain(out, "gpucoord_redis_keys_taken_total", "counter",
                 "Grants that went back because another program had the key.",
                 redis->stats.taken);
    metric_plain(out, "gpucoord_redis_dropped_total", "counter",
                 "Messages that nobody could read.", redis->stats.dropped);
}
