/* Ladders, commands and signals of a service. */
#include "daemon/config_load.h"

#include "base/units.h"

#include <signal.h>
#include <string.h>

enum {
    RUNG_MS_MAX = 600000
};

static const char rung_words[] =
    "ask, unload, freeze, checkpoint, term, kill or restart";

/* ---- Ladders ------------------------------------------------------------ */

/* Read the deadline @node of @rung; 0 where it is none, which is reported. */
static uint32_t read_grace(struct config_loader *loader,
                           const char *path,
                           enum rung rung,
                           const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    uint64_t grace_ms = 0;

    if (rung == RUNG_ASK) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s': the deadline of 'ask' is 'pause_grace'", path);
        return 0;
    }
    if (text == NULL || units_parse_time(text, &grace_ms) != E_OK ||
        grace_ms == 0 || grace_ms > RUNG_MS_MAX) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s': the deadline of '%s' is a time from 1ms to 10m",
                       path, rung_name(rung));
        return 0;
    }
    return (uint32_t)grace_ms;
}

/* Split one step, a word or {word: deadline}; NULL where it is neither, which
 * is reported. */
static const yaml_node_t *split_step(struct config_loader *loader,
                                     const char *path,
                                     const yaml_node_t *node,
                                     const yaml_node_t **grace)
{
    const yaml_node_pair_t *pair;

    *grace = NULL;
    if (node->type == YAML_MAPPING_NODE) {
        pair = node->data.mapping.pairs.start;
        if (node->data.mapping.pairs.top - pair == 1) {
            *grace = yaml_document_get_node(loader->document, pair->value);
            node = yaml_document_get_node(loader->document, pair->key);
        }
    }
    if (config_scalar(node) == NULL) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a list of rungs as [ask, {term: 10s}, kill]",
                       path);
        return NULL;
    }
    return node;
}

static void add_step(struct config_loader *loader,
                     const char *path,
                     const yaml_node_t *node,
                     struct core_ladder *out)
{
    const yaml_node_t *grace;
    const yaml_node_t *word = split_step(loader, path, node, &grace);
    enum rung rung;

    if (word == NULL) {
        return;
    }
    rung = rung_find(config_scalar(word));
    if (rung == RUNG_NONE) {
        config_mistake(loader->report, &word->start_mark,
                       "'%s': '%s' is not %s", path, config_scalar(word),
                       rung_words);
        return;
    }
    if (out->count != 0 && out->steps[out->count - 1].rung >= rung) {
        config_mistake(loader->report, &word->start_mark,
                       "'%s': '%s' comes after '%s': each at most once, in "
                       "the order %s",
                       path, rung_name(rung),
                       rung_name(out->steps[out->count - 1].rung), rung_words);
        return;
    }
    out->steps[out->count].rung = rung;
    out->steps[out->count].grace_ms =
        grace != NULL ? read_grace(loader, path, rung, grace) : 0;
    out->count++;
}

void config_read_ladder(struct config_loader *loader,
                        const char *path,
                        const yaml_node_t *node,
                        void *place)
{
    struct core_ladder ladder = {.count = 0};
    const yaml_node_item_t *item;

    if (node->type != YAML_SEQUENCE_NODE) {
        add_step(loader, path, node, &ladder);
    } else {
        for (item = node->data.sequence.items.start;
             item < node->data.sequence.items.top; item++) {
            add_step(loader, path,
                     yaml_document_get_node(loader->document, *item), &ladder);
        }
        if (node->data.sequence.items.start == node->data.sequence.items.top) {
            config_mistake(loader->report, &node->start_mark,
                           "'%s' has at least one rung: to be left alone, a "
                           "request says \"preemptible\": false",
                           path);
        }
    }
    memcpy(place, &ladder, sizeof ladder);
}

static bool ladder_is_same(const struct core_ladder *a,
                           const struct core_ladder *b)
{
    uint32_t i;

    for (i = 0; i < a->count && a->count == b->count; i++) {
        if (a->steps[i].rung != b->steps[i].rung ||
            a->steps[i].grace_ms != b->steps[i].grace_ms) {
            return false;
        }
    }
    return a->count == b->count;
}

/* Find @ladder among those of @config, or add it; 0 where there is no room. */
static uint8_t intern(struct config *config, const struct core_ladder *ladder)
{
    uint32_t i;

    for (i = 0; i < config->ladder_count; i++) {
        if (ladder_is_same(&config->ladders[i], ladder)) {
            return (uint8_t)CORE_LADDER(i);
        }
    }
    if (config->ladder_count == CORE_LADDERS_MAX) {
        return 0;
    }
    config->ladders[config->ladder_count++] = *ladder;
    return (uint8_t)CORE_LADDER(config->ladder_count - 1);
}

void config_check_ladders(struct config_loader *loader)
{
    struct config *config = loader->config;
    size_t i;
    uint32_t j;

    for (i = 0; i < config->service_count; i++) {
        struct config_service *service = &config->services[i];
        struct core_ladder *ladder = &service->ladder;
        const yaml_mark_t *mark =
            config_where(loader, "services", service->name, "ladder");

        for (j = 0; j < ladder->count; j++) {
            if (ladder->steps[j].grace_ms == 0) {
                ladder->steps[j].grace_ms = config->rung_grace_ms;
            }
            if (ladder->steps[j].rung == RUNG_RESTART &&
                service->restart[0] == NULL) {
                config_mistake(loader->report, mark,
                               "'services.%s.ladder' has 'restart', but "
                               "'services.%s.restart' names no command",
                               service->name, service->name);
            }
        }
        if (ladder->count == 0) {
            continue;
        }
        service->ladder_id = intern(config, ladder);
        if (service->ladder_id == 0) {
            config_mistake(loader->report, mark, "more than %d ladders differ",
                           CORE_LADDERS_MAX);
        }
    }
}

/* ---- Commands ----------------------------------------------------------- */

void config_read_argv(struct config_loader *loader,
                      const char *path,
                      const yaml_node_t *node,
                      void *place)
{
    const char **argv = place;
    const yaml_node_item_t *item;
    size_t count = 0;

    argv[0] = NULL;
    if (config_is_null(node)) {
        return;
    }
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a list of a program and its arguments, as "
                       "[systemctl, restart, whisper]: no shell reads it",
                       path);
        return;
    }
    for (item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *word =
            yaml_document_get_node(loader->document, *item);
        const char *text = config_scalar(word);

        if (text == NULL || (count == 0 && *text == '\0') ||
            count == CONFIG_ARGV_MAX) {
            config_mistake(loader->report, &word->start_mark,
                           "'%s' is a list of at most %d texts", path,
                           CONFIG_ARGV_MAX);
            argv[0] = NULL;
            return;
        }
        argv[count + 1] = NULL;
        config_text_set(loader, &argv[count], text, strlen(text));
        count++;
    }
}

/* ---- Signals ------------------------------------------------------------ */

static const struct {
    const char *name;
    int number;
} signals[] = {
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2},   {"HUP", SIGHUP},
    {"INT", SIGINT},   {"WINCH", SIGWINCH},
};

/* Return the number of the signal @text; 0 where it is none of ours. */
static int find_signal(const char *text)
{
    size_t i;

    if (text != NULL && strncmp(text, "SIG", 3) == 0) {
        text += 3;
    }
    for (i = 0; text != NULL && i < sizeof signals / sizeof signals[0]; i++) {
        if (strcmp(text, signals[i].name) == 0) {
            return signals[i].number;
        }
    }
    return 0;
}

void config_read_signals(struct config_loader *loader,
                         const char *path,
                         const yaml_node_t *node,
                         void *place)
{
    struct config_signals *out = place;
    const yaml_node_pair_t *pair;

    *out = (struct config_signals){0};
    if (config_is_null(node)) {
        return;
    }
    if (node->type == YAML_MAPPING_NODE) {
        for (pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top; pair++) {
            const yaml_node_t *key =
                yaml_document_get_node(loader->document, pair->key);
            const yaml_node_t *value =
                yaml_document_get_node(loader->document, pair->value);
            const char *word = config_scalar(key);
            int number = find_signal(config_scalar(value));

            if (number == 0) {
                config_mistake(loader->report, &value->start_mark,
                               "'%s': a signal is USR1, USR2, HUP, INT or "
                               "WINCH",
                               path);
                out->pause = SIGUSR1; /* One mistake, said once. */
            } else if (word != NULL && strcmp(word, "pause") == 0) {
                out->pause = number;
            } else if (word != NULL && strcmp(word, "resume") == 0) {
                out->resume = number;
            } else {
                config_mistake(loader->report, &key->start_mark,
                               "'%s' has the keys pause and resume", path);
            }
        }
    }
    if (out->pause == 0) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a map as {pause: USR1, resume: USR2}", path);
    }
}
