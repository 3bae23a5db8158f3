#include "daemon/config_load.h"

#include <stdlib.h>
#include <string.h>

struct config_text {
    struct config_text *next;
    char bytes[];
};

const char *
config_text_add(struct config *config, const char *text, size_t size)
{
    struct config_text *item = malloc(sizeof *item + size + 1);

    if (item == NULL) {
        return NULL;
    }
    memcpy(item->bytes, text, size);
    item->bytes[size] = '\0';
    item->next = config->texts;
    config->texts = item;
    return item->bytes;
}

void config_text_set(struct config_loader *loader,
                     const char **place,
                     const char *text,
                     size_t size)
{
    const char *copy = config_text_add(loader->config, text, size);

    if (copy == NULL) {
        loader->error = E_NOMEM;
        return;
    }
    *place = copy;
}

void *config_grow(void **items, size_t *count, size_t size)
{
    char *grown = reallocarray(*items, *count + 1, size);

    if (grown == NULL) {
        return NULL;
    }
    *items = grown;
    grown += *count * size;
    memset(grown, 0, size);
    *count += 1;
    return grown;
}

void config_release(struct config *config)
{
    struct config_text *text = config->texts;

    while (text != NULL) {
        struct config_text *next = text->next;

        free(text);
        text = next;
    }
    free(config->hosts);
    free(config->devices);
    free(config->classes);
    free(config->services);
    free(config->processes);
    *config = (struct config){0};
}
