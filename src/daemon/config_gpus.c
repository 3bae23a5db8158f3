#include "daemon/config_load.h"

#include "base/units.h"

#include <string.h>

bool config_read_gpus(struct config_loader *loader,
                      const char *text,
                      struct config *config,
                      struct buf *why)
{
    (void)loader;
    if (strcmp(text, "auto") == 0) {
        config->gpus.kind = CONFIG_GPUS_AUTO;
    } else if (strcmp(text, "nvml") == 0) {
        config->gpus.kind = CONFIG_GPUS_NVML;
    } else if (strcmp(text, "amdgpu") == 0) {
        buf_text(why, "amdgpu is not supported by this version; declare the "
                      "cards, as {declared: [24576]}");
        return false;
    } else {
        buf_printf(why,
                   "'%s' is not auto, nvml, {simulated: [24576]} or "
                   "{declared: [24576]}",
                   text);
        return false;
    }
    return true;
}

/* Read the capacities of a simulated or declared machine. */
static void read_capacities(struct config_loader *loader,
                            const yaml_node_t *node)
{
    struct config_gpus *gpus = &loader->config->gpus;
    const yaml_node_item_t *item;
    uint64_t size_mib;

    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus' needs a list of sizes in MiB as [24576, 8192]");
        return;
    }
    for (item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *size =
            yaml_document_get_node(loader->document, *item);
        const char *text = config_scalar(size);

        if (gpus->count == CORE_DEVICES_MAX) {
            config_mistake(loader->report, &size->start_mark,
                           "'gpus': at most %d GPUs", CORE_DEVICES_MAX);
            return;
        }
        if (text == NULL || units_parse_size(text, &size_mib) != E_OK ||
            size_mib == 0 || size_mib > 1 << 24) {
            config_mistake(loader->report, &size->start_mark,
                           "'gpus': a size is 1 MiB to 16 TiB, as 24576 or "
                           "24GiB");
            continue;
        }
        gpus->capacity_mib[gpus->count++] = (uint32_t)size_mib;
    }
}

static void read_dir(struct config_loader *loader, const yaml_node_t *node)
{
    const char *text = config_scalar(node);

    if (text == NULL || text[0] != '/') {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus': 'dir' is an absolute path");
        return;
    }
    config_text_set(loader, &loader->config->gpus.dir, text, strlen(text));
}

/* Read one pair of {simulated: [...], dir: PATH} or {declared: [...]}. */
static void read_gpus_pair(struct config_loader *loader,
                           const yaml_node_t *key,
                           const yaml_node_t *value)
{
    struct config_gpus *gpus = &loader->config->gpus;
    const char *name = config_scalar(key);
    enum config_gpus_kind kind = CONFIG_GPUS_DECLARED;

    if (name != NULL && strcmp(name, "dir") == 0) {
        read_dir(loader, value);
        return;
    }
    if (name != NULL && strcmp(name, "simulated") == 0) {
        kind = CONFIG_GPUS_SIMULATED;
    } else if (name == NULL || strcmp(name, "declared") != 0) {
        config_mistake(loader->report, &key->start_mark,
                       "'gpus' has one of simulated and declared, and dir");
        return;
    }
    if (gpus->kind != CONFIG_GPUS_AUTO) {
        config_mistake(loader->report, &key->start_mark,
                       "'gpus' has one of simulated and declared, once");
        return;
    }
    gpus->kind = kind;
    read_capacities(loader, value);
}

void config_read_gpus_node(struct config_loader *loader,
                           const yaml_node_t *node)
{
    struct config_gpus *gpus = &loader->config->gpus;
    const yaml_node_pair_t *pair;

    if (node->type != YAML_MAPPING_NODE) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus' is auto, nvml, {simulated: [24576]} or "
                       "{declared: [24576]}");
        return;
    }
    for (pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        read_gpus_pair(loader,
                       yaml_document_get_node(loader->document, pair->key),
                       yaml_document_get_node(loader->document, pair->value));
    }
    if (gpus->kind == CONFIG_GPUS_AUTO) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus' has one of simulated and declared");
    } else if (gpus->kind == CONFIG_GPUS_DECLARED && gpus->dir != NULL) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus': only simulated GPUs have a 'dir'");
    }
}
