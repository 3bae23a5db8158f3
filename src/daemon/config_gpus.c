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
        config->gpus.kind = CONFIG_GPUS_AMDGPU;
    } else {
        buf_printf(why,
                   "'%s' is not auto, nvml, amdgpu, {simulated: [24576]} or "
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

/* Read the path @name to @place. */
static void read_path(struct config_loader *loader,
                      const yaml_node_t *node,
                      const char *name,
                      const char **place)
{
    const char *text = config_scalar(node);

    if (text == NULL || text[0] != '/') {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus': '%s' is an absolute path", name);
        return;
    }
    config_text_set(loader, place, text, strlen(text));
}

/* Read where /sys and /proc are, of {amdgpu: {sysfs: PATH, proc: PATH}} or
 * {nvml: {proc: PATH}}. */
static void read_places(struct config_loader *loader, const yaml_node_t *node)
{
    struct config_gpus *gpus = &loader->config->gpus;
    bool is_amdgpu = gpus->kind == CONFIG_GPUS_AMDGPU;
    const yaml_node_pair_t *pair;

    if (node->type != YAML_MAPPING_NODE) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus' is a word as amdgpu, or {amdgpu: {sysfs: PATH, "
                       "proc: PATH}}");
        return;
    }
    for (pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key =
            yaml_document_get_node(loader->document, pair->key);
        const yaml_node_t *value =
            yaml_document_get_node(loader->document, pair->value);
        const char *name = config_scalar(key);

        if (name != NULL && strcmp(name, "proc") == 0) {
            read_path(loader, value, name, &gpus->proc);
        } else if (name != NULL && strcmp(name, "sysfs") == 0 && is_amdgpu) {
            read_path(loader, value, name, &gpus->sysfs);
        } else {
            config_mistake(loader->report, &key->start_mark,
                           is_amdgpu ? "'gpus.amdgpu' has sysfs and proc"
                                     : "'gpus.nvml' has proc");
        }
    }
}

/* Return the kind that @name is a key of; AUTO where it is none. */
static enum config_gpus_kind kind_named(const char *name)
{
    static const struct {
        const char *name;
        enum config_gpus_kind kind;
    } kinds[] = {
        {"simulated", CONFIG_GPUS_SIMULATED},
        {"declared", CONFIG_GPUS_DECLARED},
        {"nvml", CONFIG_GPUS_NVML},
        {"amdgpu", CONFIG_GPUS_AMDGPU},
    };
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (name != NULL && strcmp(name, kinds[i].name) == 0) {
            return kinds[i].kind;
        }
    }
    return CONFIG_GPUS_AUTO;
}

/* Read one pair of the mapping. */
static void read_gpus_pair(struct config_loader *loader,
                           const yaml_node_t *key,
                           const yaml_node_t *value)
{
    struct config_gpus *gpus = &loader->config->gpus;
    const char *name = config_scalar(key);
    enum config_gpus_kind kind = kind_named(name);

    if (name != NULL && strcmp(name, "dir") == 0) {
        read_path(loader, value, name, &gpus->dir);
        return;
    }
    if (kind == CONFIG_GPUS_AUTO) {
        config_mistake(loader->report, &key->start_mark,
                       "'gpus' has one of simulated, declared, nvml and "
                       "amdgpu, and dir");
        return;
    }
    if (gpus->kind != CONFIG_GPUS_AUTO) {
        config_mistake(loader->report, &key->start_mark,
                       "'gpus' has one of simulated, declared, nvml and "
                       "amdgpu, once");
        return;
    }
    gpus->kind = kind;
    if (kind == CONFIG_GPUS_SIMULATED || kind == CONFIG_GPUS_DECLARED) {
        read_capacities(loader, value);
    } else {
        read_places(loader, value);
    }
}

void config_read_gpus_node(struct config_loader *loader,
                           const yaml_node_t *node)
{
    struct config_gpus *gpus = &loader->config->gpus;
    const yaml_node_pair_t *pair;

    if (node->type != YAML_MAPPING_NODE) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus' is auto, nvml, amdgpu, {simulated: [24576]} or "
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
                       "'gpus' has one of simulated, declared, nvml and "
                       "amdgpu");
    } else if (gpus->kind != CONFIG_GPUS_SIMULATED && gpus->dir != NULL) {
        config_mistake(loader->report, &node->start_mark,
                       "'gpus': only simulated GPUs have a 'dir'");
    }
}
