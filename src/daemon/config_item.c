#include "daemon/config_load.h"

#include "proto/api.h"

#include <string.h>

/* Append a named structure, @name its first member, with its defaults to an
 * array; NULL without memory. */
static void *named_add(struct config_loader *loader,
                       const char *name,
                       void **items,
                       size_t *count,
                       size_t size)
{
    const char *copy = config_text_add(loader->config, name, strlen(name));
    void *made = copy == NULL ? NULL : config_grow(items, count, size);

    if (made == NULL) {
        loader->error = E_NOMEM;
        return NULL;
    }
    *(const char **)made = copy;
    return made;
}

struct config_class *config_class_make(struct config_loader *loader,
                                       const char *name)
{
    struct config *config = loader->config;
    int index = config_class_find(config, name);
    void *items = config->classes;
    struct config_class *made;

    if (index >= 0) {
        return &config->classes[index];
    }
    made = named_add(loader, name, &items, &config->class_count, sizeof *made);
    config->classes = items;
    if (made != NULL) {
        config_standards("classes.*", made);
    }
    return made;
}

static void *service_make(struct config_loader *loader, const char *name)
{
    struct config *config = loader->config;
    void *items = config->services;
    struct config_service *made =
        named_add(loader, name, &items, &config->service_count, sizeof *made);

    config->services = items;
    if (made != NULL) {
        config_standards("services.*", made);
    }
    return made;
}

static void *device_make(struct config_loader *loader, const char *name)
{
    struct config *config = loader->config;
    void *items = config->devices;
    struct config_device *made =
        named_add(loader, name, &items, &config->device_count, sizeof *made);

    config->devices = items;
    if (made != NULL) {
        config_standards("devices.*", made);
    }
    return made;
}

void *config_item_make(struct config_loader *loader,
                       const char *map,
                       const char *name,
                       const yaml_mark_t *mark)
{
    size_t size = strlen(name);

    if (strcmp(map, "devices") == 0) {
        if (size > 0 && size <= API_UUID_MAX) {
            return device_make(loader, name);
        }
    } else if (api_is_name(name, size)) {
        return strcmp(map, "classes") == 0 ? config_class_make(loader, name)
                                           : service_make(loader, name);
    }
    config_mistake(loader->report, mark,
                   "'%s' is no name: 1 to 64 of A-Z a-z 0-9 . _ -", name);
    return NULL;
}
