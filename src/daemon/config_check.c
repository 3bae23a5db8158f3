#include "daemon/config_load.h"

#include <stdlib.h>
#include <string.h>

/* ---- services and classes ---------------------------------------------- */

/* Every class that a service names is there. */
static void check_services(struct config_loader *loader)
{
    const struct config *config = loader->config;
    size_t i;
    size_t j;

    for (i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        const char *name = service->class_name;
        const yaml_mark_t *mark =
            config_where(loader, "services", service->name, "class");
        const char *nearest = NULL;

        if (name == NULL || config_class_find(config, name) >= 0) {
            continue;
        }
        for (j = 0; j < config->class_count; j++) {
            if (config_distance(name, config->classes[j].name) <
                strlen(name) / 3 + 2) {
                nearest = config->classes[j].name;
            }
        }
        if (nearest != NULL) {
            config_mistake(loader->report, mark,
                           "unknown class '%s': did you mean '%s'?", name,
                           nearest);
        } else {
            config_mistake(loader->report, mark, "unknown class '%s'", name);
        }
    }
}

/* Where a class's share is to be changed, or else the class; NULL where the
 * file says nothing of it. */
static const yaml_mark_t *where_share(const struct config_loader *loader,
                                      const char *name)
{
    const yaml_mark_t *mark = config_where(loader, "classes", name, "weight");

    return mark != NULL ? mark : config_where(loader, "classes", name, NULL);
}

/* Warn of a share that the limit of consecutive grants does not allow (A5,
 * A6): with a limit of n at least every (n + 1)th grant is another's.  Who
 * leaves a class as it is was not the one to choose its numbers. */
static void check_share(struct config_loader *loader,
                        const struct config_class *class)
{
    const struct config *config = loader->config;
    const yaml_mark_t *where = where_share(loader, class->name);
    uint64_t limit = class->core.max_consecutive;
    uint64_t weight = class->core.weight;
    uint64_t sum = 0;
    size_t rivals = 0;
    size_t i;

    for (i = 0; i < config->class_count; i++) {
        if (config->classes[i].core.priority == class->core.priority) {
            sum += config->classes[i].core.weight;
            rivals++;
        }
    }
    if (where == NULL || limit == 0 || rivals < 2 ||
        weight * (limit + 1) <= limit * sum) {
        return;
    }
    config_warning(loader->report, where,
                   "class '%s' has a share of %.1f %% among priority %u, but "
                   "with at most %u in a row it reaches %.1f %%",
                   class->name, 100.0 * (double)weight / (double)sum,
                   class->core.priority, class->core.max_consecutive,
                   100.0 * (double)limit / (double)(limit + 1));
}

static void check_classes(struct config_loader *loader)
{
    struct config *config = loader->config;
    size_t i;

    if (config->class_count > CORE_CLASSES_MAX) {
        config_mistake(loader->report,
                       config_where(loader, "classes", NULL, NULL),
                       "%zu classes, with those that are always there, are "
                       "more than %d",
                       config->class_count, CORE_CLASSES_MAX);
    }
    for (i = 0; i < config->class_count; i++) {
        struct config_class *class = &config->classes[i];

        if (class->preemptible == CONFIG_UNSET) {
            class->preemptible = class->core.priority > 0 ? 1 : 0;
        }
    }
}

/* Advice on shares is for a file that is right. */
static void check_shares(struct config_loader *loader)
{
    size_t i;

    if (loader->report->error_count != 0) {
        return;
    }
    for (i = 0; i < loader->config->class_count; i++) {
        check_share(loader, &loader->config->classes[i]);
    }
}

/* ---- devices ------------------------------------------------------------ */

static bool is_index(const char *name)
{
    return strspn(name, "0123456789") == strlen(name);
}

/* What `devices:` names is there, as far as the file says what is there. */
static void check_device_names(struct config_loader *loader)
{
    const struct config *config = loader->config;
    size_t i;

    for (i = 0; i < config->device_count; i++) {
        const char *name = config->devices[i].name;
        const yaml_mark_t *mark = config_where(loader, "devices", name, NULL);

        if (!is_index(name) && strncmp(name, "GPU-", 4) != 0) {
            config_mistake(loader->report, mark,
                           "'%s' is neither the index nor the UUID of a GPU",
                           name);
        } else if (is_index(name) && config->gpus.count != 0 &&
                   strtoul(name, NULL, 10) >= config->gpus.count) {
            config_mistake(loader->report, mark,
                           "there is no GPU %s: the last is %u", name,
                           config->gpus.count - 1);
        }
    }
}

/* The largest request that any of the GPUs named in the file could grant. */
static uint32_t check_capacities(struct config_loader *loader)
{
    const struct config *config = loader->config;
    struct core_device_config device;
    uint32_t most = 0;
    uint32_t i;

    for (i = 0; i < config->gpus.count; i++) {
        uint32_t capacity = config->gpus.capacity_mib[i];

        if (config_device_get(config, i, "", capacity, true, &device) != E_OK) {
            config_mistake(loader->report,
                           config_where(loader, "gpus", NULL, NULL),
                           "the reserve of %u MiB leaves nothing of GPU %u, "
                           "which has %u MiB",
                           device.reserve_mib, i, capacity);
        } else if (capacity - device.reserve_mib > most) {
            most = capacity - device.reserve_mib;
        }
    }
    return most;
}

/* No class and no service asks by itself for more than any GPU has. */
static void check_vram(struct config_loader *loader, uint32_t most)
{
    const struct config *config = loader->config;
    size_t i;

    for (i = 0; i < config->class_count; i++) {
        const struct config_class *class = &config->classes[i];

        if (class->vram_mib != CONFIG_UNSET && class->vram_mib > most) {
            config_mistake(
                loader->report,
                config_where(loader, "classes", class->name, "vram_mib"),
                "%u MiB are more than any GPU can grant: %u MiB",
                class->vram_mib, most);
        }
    }
    for (i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];

        if (service->vram_mib != CONFIG_UNSET && service->vram_mib > most) {
            config_mistake(
                loader->report,
                config_where(loader, "services", service->name, "vram_mib"),
                "%u MiB are more than any GPU can grant: %u MiB",
                service->vram_mib, most);
        }
    }
}

/* Nobody can measure a card that is only declared. */
static void check_verify(struct config_loader *loader)
{
    const struct config *config = loader->config;
    size_t i;

    if (config->gpus.kind != CONFIG_GPUS_DECLARED) {
        return;
    }
    if (config->vram.is_measured == 1 &&
        config_where(loader, "verify", NULL, NULL) != NULL) {
        config_mistake(loader->report,
                       config_where(loader, "verify", NULL, NULL),
                       "declared GPUs cannot be measured: verify is off");
    }
    for (i = 0; i < config->device_count; i++) {
        if (config->devices[i].vram.is_measured == 1) {
            config_mistake(loader->report,
                           config_where(loader, "devices",
                                        config->devices[i].name, "verify"),
                           "declared GPUs cannot be measured: verify is off");
        }
    }
}

void config_check(struct config_loader *loader)
{
    config_check_cluster(loader);
    const struct config *config = loader->config;
    uint32_t most;

    check_services(loader);
    config_check_ladders(loader);
    check_classes(loader);
    check_device_names(loader);
    check_verify(loader);
    most = check_capacities(loader);
    if (most != 0) {
        check_vram(loader, most);
    }
    check_shares(loader);
    if (config->service_waiters_max > config->waiters_max) {
        config_warning(loader->report,
                       config_where(loader, "limits", "per_service", NULL),
                       "'limits.per_service' is above 'limits.waiters', which "
                       "is reached first");
    }
}
