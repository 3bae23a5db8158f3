#include "control/owner.h"
#include "daemon/config_load.h"

#include <string.h>

/* Add one pattern of the service @service. */
static void add_pattern(struct config_loader *loader,
                        const char *service,
                        enum owner_kind kind,
                        const yaml_node_t *node)
{
    struct config *config = loader->config;
    const char *text = config_scalar(node);
    void *items = config->processes;
    struct config_process *made;

    if (text == NULL || *text == '\0' ||
        (kind == OWNER_CGROUP && *text != '/')) {
        config_mistake(loader->report, &node->start_mark,
                       kind == OWNER_CGROUP
                           ? "'%s' is the path of a cgroup, as /gpu.slice"
                           : "'%s' is a name, or a list of names",
                       owner_kind_name(kind));
        return;
    }
    made = config_grow(&items, &config->process_count, sizeof *made);
    if (made == NULL) {
        loader->error = E_NOMEM;
        return;
    }
    config->processes = items;
    made->service = service;
    made->kind = kind;
    config_text_set(loader, &made->pattern, text, strlen(text));
}

/* Read a pattern, or a list of them. */
static void read_patterns(struct config_loader *loader,
                          const char *service,
                          enum owner_kind kind,
                          const yaml_node_t *node)
{
    const yaml_node_item_t *item;

    if (node->type != YAML_SEQUENCE_NODE) {
        add_pattern(loader, service, kind, node);
        return;
    }
    for (item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        add_pattern(loader, service, kind,
                    yaml_document_get_node(loader->document, *item));
    }
}

/* Find the word of a kind; OWNER_KINDS where it is none. */
static enum owner_kind find_kind(const char *name)
{
    unsigned kind = 0;

    while (kind < OWNER_KINDS &&
           (name == NULL ||
            strcmp(name, owner_kind_name((enum owner_kind)kind)) != 0)) {
        kind++;
    }
    return (enum owner_kind)kind;
}

void config_read_processes(struct config_loader *loader,
                           const char *path,
                           const yaml_node_t *node,
                           const struct config_service *service)
{
    const yaml_node_pair_t *pair;

    if (config_is_null(node)) {
        return;
    }
    if (node->type != YAML_MAPPING_NODE) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a map as {unit: ollama} or {exe: [a, b]}",
                       path);
        return;
    }
    for (pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key =
            yaml_document_get_node(loader->document, pair->key);
        enum owner_kind kind = find_kind(config_scalar(key));

        if (kind == OWNER_KINDS) {
            config_mistake(loader->report, &key->start_mark,
                           "'%s': a process is named by unit, container, "
                           "cgroup or exe",
                           path);
            continue;
        }
        read_patterns(loader, service->name, kind,
                      yaml_document_get_node(loader->document, pair->value));
    }
}
