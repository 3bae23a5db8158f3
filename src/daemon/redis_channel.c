/* redis_channel.c - the names of channels, and whose they are. */
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/redis_parts.h"
#include "proto/api.h"

#include <stdio.h>
#include <string.h>

/* ---- As all services have them ------------------------------------------ */

void redis_channel_init(struct redis_channel *channel, const char *name)
{
    const char *mark = strstr(name, CONFIG_SERVICE_MARK);

    channel->before = name;
    channel->before_size = (size_t)(mark - name);
    channel->behind = mark + strlen(CONFIG_SERVICE_MARK);
}

void redis_channel_name(const struct redis_channel *channel,
                        const char *service,
                        struct buf *out)
{
    buf_add(out, channel->before, channel->before_size);
    buf_text(out, service);
    buf_text(out, channel->behind);
}

/* Append @size bytes of @text so that they match themselves alone. */
static void put_literal(const char *text, size_t size, struct buf *out)
{
    size_t i;

    for (i = 0; i < size; i++) {
        if (strchr("*?[]\\^-", text[i]) != NULL) {
            buf_byte(out, '\\');
        }
        buf_byte(out, text[i]);
    }
}

void redis_channel_literal(const char *text, struct buf *out)
{
    put_literal(text, strlen(text), out);
}

void redis_channel_pattern(const struct redis_channel *channel, struct buf *out)
{
    put_literal(channel->before, channel->before_size, out);
    buf_byte(out, '*');
    put_literal(channel->behind, strlen(channel->behind), out);
}

bool redis_channel_service(const struct redis_channel *channel,
                           const char *name,
                           char *out)
{
    size_t size = strlen(name);
    size_t behind_size = strlen(channel->behind);
    const char *service = name + channel->before_size;

    if (size <= channel->before_size + behind_size ||
        memcmp(name, channel->before, channel->before_size) != 0 ||
        strcmp(name + size - behind_size, channel->behind) != 0) {
        return false;
    }
    size -= channel->before_size + behind_size;
    if (!api_is_name(service, size)) {
        return false;
    }
    memcpy(out, service, size);
    out[size] = '\0';
    return true;
}

/* ---- Of one service ----------------------------------------------------- */

void redis_control_name(const struct redis *redis,
                        const char *name,
                        struct buf *out)
{
    const struct config_service *service =
        config_service_find(redis->daemon->config, name);

    if (service != NULL && service->channels.control != NULL) {
        buf_text(out, service->channels.control);
    } else {
        redis_channel_name(&redis->control, name, out);
    }
}

bool redis_ack_service(const struct redis *redis,
                       const char *channel,
                       char *out)
{
    const struct config *config = redis->daemon->config;
    size_t i;

    for (i = 0; i < config->service_count; i++) {
        const char *own = config->services[i].channels.ack;

        if (own != NULL && strcmp(own, channel) == 0) {
            (void)snprintf(out, API_NAME_MAX + 1, "%s",
                           config->services[i].name);
            return true;
        }
    }
    return redis_channel_service(&redis->ack, channel, out);
}

static void listen_to(struct redis *redis, struct buf *pattern)
{
    if (buf_error(pattern) == E_OK) {
        (void)!redis_link_listen(redis->listener, buf_string(pattern));
    }
    buf_clear(pattern);
}

void redis_ack_listen(struct redis *redis)
{
    const struct config *config = redis->daemon->config;
    char name[API_NAME_MAX + 1];
    struct buf pattern;
    size_t i;

    buf_init(&pattern, 0);
    redis_channel_pattern(&redis->ack, &pattern);
    listen_to(redis, &pattern);
    for (i = 0; i < config->service_count; i++) {
        const char *own = config->services[i].channels.ack;

        /* What two patterns match comes twice. */
        if (own != NULL && !redis_channel_service(&redis->ack, own, name)) {
            redis_channel_literal(own, &pattern);
            listen_to(redis, &pattern);
        }
    }
    buf_release(&pattern);
}
