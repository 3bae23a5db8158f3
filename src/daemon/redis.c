#include "base/log.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/loop.h"
#include "daemon/members.h"
#include "daemon/metrics.h"
#include "daemon/redis_parts.h"

#include <stdlib.h>

/* ---- The connections ---------------------------------------------------- */

static void on_commands_up(void *arg)
{
    (void)arg;
}

static void on_commands_down(void *arg)
{
    (void)arg;
}

static const struct redis_link_hooks commands_hooks = {on_commands_up,
                                                       on_commands_down, NULL};

static void on_listener_up(void *arg)
{
    (void)arg;
}

static void on_listener_down(void *arg)
{
    (void)arg;
}

static const struct redis_link_hooks listener_hooks = {on_listener_up,
                                                       on_listener_down, NULL};

/* ---- Life --------------------------------------------------------------- */

int redis_open(struct daemon *daemon)
{
    const struct config_redis *config = &daemon->config->redis;
    struct event_base *base = loop_base(daemon->loop);
    struct redis *redis;
    int rc;

    if (config->url == NULL) {
        return E_OK;
    }
    redis = calloc(1, sizeof(*redis));
    if (redis == NULL) {
        return E_NOMEM;
    }
    daemon->redis = redis;
    redis->daemon = daemon;
    redis->place = (struct redis_place){.host = config->host,
                                        .path = config->path,
                                        .user = config->user,
                                        .password_file = config->password_file,
                                        .port = (uint16_t)config->port};
    rc = redis_link_open(base, &redis->place, &commands_hooks, redis,
                         &redis->commands);
    rc = rc != E_OK ? rc
                    : redis_link_open(base, &redis->place, &listener_hooks,
                                      redis, &redis->listener);
    if (rc == E_UNSUPPORTED) {
        log_error("'redis' is configured, but this program was built without "
                  "it");
    }
    return rc;
}

void redis_close(struct daemon *daemon)
{
    struct redis *redis = daemon->redis;

    if (redis == NULL) {
        return;
    }
    redis_link_close(redis->commands);
    redis_link_close(redis->listener);
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
}
