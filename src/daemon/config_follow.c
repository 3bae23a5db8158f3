#include "daemon/config_load.h"

#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Keep @now's value of a text, and say so where the file changed it. */
static void keep_text(struct config_loader *loader,
                      const char **next,
                      const char *now,
                      const char *key)
{
    if (same_text(*next, now)) {
        return;
    }
    config_warning(loader->report, NULL,
                   "'%s' changes at the next start: it stays '%s'", key,
                   now != NULL ? now : "null");
    *next = NULL;
    if (now != NULL) {
        *next = config_text_add(loader->config, now, strlen(now));
        loader->error = *next == NULL ? E_NOMEM : loader->error;
    }
}

/* The connection and what stands in Redis by its names outlive a reload. */
static void keep_redis(struct config_loader *loader, const struct config *now)
{
    struct config_redis *redis = &loader->config->redis;
    const struct config_redis *old = &now->redis;

    keep_text(loader, &redis->url, old->url, "redis");
    keep_text(loader, &redis->host, old->host, "redis' host");
    keep_text(loader, &redis->path, old->path, "redis' path");
    keep_text(loader, &redis->user, old->user, "redis.user");
    keep_text(loader, &redis->password_file, old->password_file,
              "redis.password_file");
    keep_text(loader, &redis->control_channel, old->control_channel,
              "redis.control_channel");
    keep_text(loader, &redis->ack_channel, old->ack_channel,
              "redis.ack_channel");
    redis->port = old->port;
}

static void keep_gpus(struct config_loader *loader, const struct config *now)
{
    struct config_gpus *gpus = &loader->config->gpus;
    size_t size = now->gpus.count * sizeof gpus->capacity_mib[0];

    keep_text(loader, &gpus->dir, now->gpus.dir, "gpus.dir");
    keep_text(loader, &gpus->sysfs, now->gpus.sysfs, "gpus.amdgpu.sysfs");
    keep_text(loader, &gpus->proc, now->gpus.proc, "gpus' proc");
    if (gpus->kind == now->gpus.kind && gpus->count == now->gpus.count &&
        memcmp(gpus->capacity_mib, now->gpus.capacity_mib, size) == 0) {
        return;
    }
    config_warning(loader->report, NULL,
                   "'gpus' changes at the next start: it stays as it is");
    gpus->kind = now->gpus.kind;
    gpus->count = now->gpus.count;
    memcpy(gpus->capacity_mib, now->gpus.capacity_mib, size);
}

/* Put the class that @now has at @index there, found in @next or copied. */
static void
keep_class(struct config_loader *loader, const struct config *now, size_t index)
{
    struct config *next = loader->config;
    const struct config_class *old = &now->classes[index];
    struct config_class *found;
    struct config_class swap;

    if (config_class_find(next, old->name) < 0) {
        found = config_class_make(loader, old->name);
        if (found == NULL) {
            return;
        }
        swap = *old;
        swap.name = found->name;
        *found = swap;
        config_warning(loader->report, NULL,
                       "class '%s' goes at the next start: it stays as it is",
                       old->name);
    }
    found = &next->classes[config_class_find(next, old->name)];
    swap = *found;
    *found = next->classes[index];
    next->classes[index] = swap;
}

int config_follow(struct config *next,
                  const struct config *now,
                  struct config_report *report)
{
    struct config_loader loader = {.config = next, .report = report};
    size_t i;

    keep_text(&loader, &next->listen_host, now->listen_host, "listen");
    if (next->listen_port != now->listen_port) {
        config_warning(report, NULL,
                       "the port of 'listen' changes at the next start: it "
                       "stays %u",
                       now->listen_port);
        next->listen_port = now->listen_port;
    }
    keep_text(&loader, &next->socket, now->socket, "socket");
    keep_text(&loader, &next->store, now->store, "store");
    keep_redis(&loader, now);
    keep_text(&loader, &next->cluster_name, now->cluster_name, "cluster.name");
    keep_text(&loader, &next->cluster_advertise, now->cluster_advertise,
              "cluster.advertise");
    keep_gpus(&loader, now);
    if (next->host_ram_reserve_mib != now->host_ram_reserve_mib) {
        config_warning(report, NULL,
                       "'host_ram_reserve' changes at the next start: it stays "
                       "%u MiB",
                       now->host_ram_reserve_mib);
        next->host_ram_reserve_mib = now->host_ram_reserve_mib;
    }
    for (i = 0; i < now->class_count && loader.error == E_OK; i++) {
        keep_class(&loader, now, i);
    }
    if (loader.error == E_OK && next->class_count > CORE_CLASSES_MAX) {
        config_mistake(report, NULL,
                       "%zu classes, with those in force, are more than %d",
                       next->class_count, CORE_CLASSES_MAX);
        return E_INVALID;
    }
    return loader.error;
}
