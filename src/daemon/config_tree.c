#include "daemon/config_load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATH_SIZE = 256 /* "services.", 95 bytes of a name, and a key. */
};

/* A mapping on the way down. */
struct level {
    const char *name; /* In the table: "classes.*". */
    const char *path; /* As the user sees it: "classes.chatbot". */
    void *target;     /* The structure its keys are stored in. */
    const yaml_node_t *node;
};

static const yaml_node_t *node_get(const struct config_loader *loader, int id)
{
    const yaml_node_t *node = yaml_document_get_node(loader->document, id);

    assert(node != NULL);
    return node;
}

void config_standards(const char *level, void *target)
{
    struct buf why;
    size_t i;

    buf_init(&why, 0);
    for (i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char *place = (char *)target + key->offset;
        uint32_t number = key->absent;

        if (config_key_name(key, level) == NULL || key->standard == NULL ||
            key->type == CONFIG_LATER || key->type == CONFIG_SHAPE ||
            key->type == CONFIG_PROCESSES || key->type == CONFIG_NAME ||
            key->type == CONFIG_NODE) {
            continue;
        }
        if (strcmp(key->standard, "null") != 0) {
            bool is_value = config_number(key, key->standard, &number, &why);

            assert(is_value);
        }
        if (key->type == CONFIG_FLAG) {
            *(bool *)(void *)place = number == 1;
        } else {
            *(uint32_t *)(void *)place = number;
        }
    }
    buf_release(&why);
}

static void remember(struct config_loader *loader,
                     const char *path,
                     const yaml_node_t *node)
{
    void *items = loader->seen;
    struct config_seen *seen =
        config_grow(&items, &loader->seen_count, sizeof *seen);

    if (seen == NULL) {
        loader->error = E_NOMEM;
        return;
    }
    loader->seen = items;
    seen->mark = node->start_mark;
    seen->path = config_text_add(loader->config, path, strlen(path));
    if (seen->path == NULL) {
        loader->error = E_NOMEM;
        loader->seen_count--;
    }
}

const yaml_mark_t *config_where(const struct config_loader *loader,
                                const char *key,
                                const char *name,
                                const char *below)
{
    char path[PATH_SIZE];
    size_t i;

    (void)snprintf(path, sizeof path, "%s%s%s%s%s", key,
                   name != NULL ? "." : "", name != NULL ? name : "",
                   below != NULL ? "." : "", below != NULL ? below : "");
    for (i = 0; i < loader->seen_count; i++) {
        if (strcmp(loader->seen[i].path, path) == 0) {
            return &loader->seen[i].mark;
        }
    }
    return NULL;
}

/* Report a key that the table does not have, with the nearest that it has;
 * else with the place where a key of that name belongs. */
static void report_unknown(struct config_loader *loader,
                           const struct level *level,
                           const char *name,
                           const yaml_node_t *node)
{
    const char *nearest = NULL;
    const char *elsewhere = NULL;
    size_t best = strlen(name) / 3 + 2;
    size_t i;

    for (i = 0; i < config_key_count; i++) {
        const char *own = config_key_name(&config_keys[i], level->name);
        const char *dot = strrchr(config_keys[i].path, '.');
        size_t distance;

        if (own == NULL) {
            if (dot != NULL && strcmp(dot + 1, name) == 0) {
                elsewhere = config_keys[i].path;
            }
            continue;
        }
        distance = config_distance(name, own);
        if (distance < best) {
            best = distance;
            nearest = own;
        }
    }
    if (nearest == NULL && elsewhere == NULL) {
        config_mistake(loader->report, &node->start_mark,
                       "unknown key '%s'%s%s", name,
                       *level->path == '\0' ? "" : " in ", level->path);
        return;
    }
    config_mistake(loader->report, &node->start_mark,
                   "unknown key '%s'%s%s: did you mean '%s'?", name,
                   *level->path == '\0' ? "" : " in ", level->path,
                   nearest != NULL ? nearest : elsewhere);
}

/* Report a key that was there before among its siblings; the tree keeps
 * both. */
static bool is_doubled(struct config_loader *loader,
                       const struct level *level,
                       const yaml_node_pair_t *pair,
                       const char *name)
{
    const yaml_node_pair_t *before = level->node->data.mapping.pairs.start;

    for (; before < pair; before++) {
        const yaml_node_t *key = node_get(loader, before->key);
        const char *other = config_scalar(key);

        if (other != NULL && strcmp(other, name) == 0) {
            config_mistake(loader->report,
                           &node_get(loader, pair->key)->start_mark,
                           "'%s' is set twice, first in line %zu", name,
                           key->start_mark.line + 1);
            return true;
        }
    }
    return false;
}

/* Say whether @node is a mapping; null counts as an empty one. */
static bool has_keys(struct config_loader *loader,
                     const char *path,
                     const yaml_node_t *node)
{
    if (node->type == YAML_MAPPING_NODE) {
        return true;
    }
    if (!config_is_null(node)) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a map of keys, as {key: value}", path);
    }
    return false;
}

/* The name of a pair's key, unless it is doubled or no name at all. */
static const char *pair_name(struct config_loader *loader,
                             const struct level *level,
                             const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = node_get(loader, pair->key);
    const char *name = config_scalar(key);

    if (name == NULL) {
        config_mistake(loader->report, &key->start_mark,
                       "a key is a plain text");
        return NULL;
    }
    return is_doubled(loader, level, pair, name) ? NULL : name;
}

/* Write the path of @name below @path. */
static void join(char out[PATH_SIZE], const char *path, const char *name)
{
    int size = snprintf(out, PATH_SIZE, "%s%s%s", path,
                        *path == '\0' ? "" : ".", name);

    /* Names are bounded by config_item_make(), keys by the table. */
    assert(size > 0 && size < PATH_SIZE);
}

/* Say whether the walk goes on: nobody reads more mistakes than that.  A file
 * that has warnings only is in force, and so is read to its end. */
static bool goes_on(const struct config_loader *loader)
{
    const struct config_report *report = loader->report;

    return loader->error == E_OK &&
           !(report->is_cut && report->error_count != 0);
}

static void walk_keys(struct config_loader *loader, const struct level *level);

/* Walk a map whose keys are the user's names. */
static void walk_map(struct config_loader *loader, const struct level *map)
{
    const yaml_node_pair_t *pair = map->node->data.mapping.pairs.start;

    for (; pair < map->node->data.mapping.pairs.top && goes_on(loader);
         pair++) {
        const yaml_node_t *node = node_get(loader, pair->value);
        const char *name = pair_name(loader, map, pair);
        char table_name[PATH_SIZE];
        char path[PATH_SIZE];
        struct level item = {.name = table_name, .path = path, .node = node};

        if (name == NULL) {
            continue;
        }
        item.target = config_item_make(
            loader, map->name, name, &node_get(loader, pair->key)->start_mark);
        if (item.target == NULL) {
            continue;
        }
        join(table_name, map->name, "*");
        join(path, map->path, name);
        remember(loader, path, node_get(loader, pair->key));
        if (has_keys(loader, path, node)) {
            walk_keys(loader, &item);
        }
    }
}

/* Read the value of a key of @level that the table has. */
static void walk_value(struct config_loader *loader,
                       const struct level *level,
                       const struct config_key *key,
                       const char *path,
                       const yaml_node_t *node)
{
    struct level below = {
        .name = key->path, .path = path, .target = level->target, .node = node};

    if (key->type != CONFIG_GROUP && key->type != CONFIG_MAP) {
        config_value(loader, key, path, node, level->target);
    } else if (!has_keys(loader, path, node)) {
        return;
    } else if (key->type == CONFIG_MAP) {
        walk_map(loader, &below);
    } else {
        walk_keys(loader, &below);
    }
}

/* Walk a mapping whose keys are in the table. */
static void walk_keys(struct config_loader *loader, const struct level *level)
{
    const yaml_node_pair_t *pair = level->node->data.mapping.pairs.start;

    for (; pair < level->node->data.mapping.pairs.top && goes_on(loader);
         pair++) {
        const char *name = pair_name(loader, level, pair);
        const struct config_key *key;
        char path[PATH_SIZE];

        if (name == NULL) {
            continue;
        }
        key = config_key_find(level->name, name);
        if (key == NULL) {
            report_unknown(loader, level, name, node_get(loader, pair->key));
            continue;
        }
        join(path, level->path, name);
        remember(loader, path, node_get(loader, pair->value));
        walk_value(loader, level, key, path, node_get(loader, pair->value));
    }
}

void config_walk(struct config_loader *loader, const yaml_node_t *root)
{
    struct level level = {
        .name = "", .path = "", .target = loader->config, .node = root};

    if (root->type == YAML_MAPPING_NODE) {
        walk_keys(loader, &level);
    } else if (!config_is_null(root)) {
        config_mistake(loader->report, &root->start_mark,
                       "the file is a map of keys, as key: value");
    }
}
