#include "daemon/config_load.h"

#include "base/units.h"

#include <assert.h>
#include <string.h>

bool config_is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    const char *text = config_scalar(node);
    size_t i;

    if (text == NULL || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return false;
    }
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

const char *config_scalar(const yaml_node_t *node)
{
    const char *text;

    if (node->type != YAML_SCALAR_NODE) {
        return NULL;
    }
    text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

/* Append "off or measured". */
static void print_words(const char *words, struct buf *out)
{
    const char *bar = strchr(words, '|');

    for (; bar != NULL; words = bar + 1, bar = strchr(words, '|')) {
        buf_add(out, words, (size_t)(bar - words));
        buf_text(out, " or ");
    }
    buf_text(out, words);
}

/* Find @text among @words ("off|measured") and give its index. */
static bool find_word(const char *words, const char *text, uint32_t *out)
{
    uint32_t index = 0;
    size_t size = strlen(text);

    for (;;) {
        size_t word = strcspn(words, "|");

        if (word == size && strncmp(words, text, size) == 0) {
            *out = index;
            return true;
        }
        if (words[word] == '\0') {
            return false;
        }
        words += word + 1;
        index++;
    }
}

static void
print_number(const struct config_key *key, uint32_t number, struct buf *out)
{
    if (key->type == CONFIG_TIME) {
        units_print_time(out, number);
    } else if (key->type == CONFIG_SIZE) {
        units_print_size(out, number);
    } else {
        buf_u64(out, number);
    }
}

void config_print_range(const struct config_key *key, struct buf *out)
{
    switch (key->type) {
    case CONFIG_NUMBER:
    case CONFIG_TIME:
    case CONFIG_SIZE:
        print_number(key, key->min, out);
        buf_text(out, " to ");
        print_number(key, key->max, out);
        break;
    case CONFIG_WORD:
    case CONFIG_FLAG:
        print_words(key->words, out);
        break;
    case CONFIG_NAME:
        buf_text(out, "a class");
        break;
    case CONFIG_GROUP:
    case CONFIG_MAP:
    case CONFIG_SHAPE:
    case CONFIG_PROCESSES:
    case CONFIG_NODE:
    case CONFIG_LATER:
        break;
    }
}

/* Append what a value of @key looks like. */
static void print_kind(const struct config_key *key, struct buf *out)
{
    switch (key->type) {
    case CONFIG_NUMBER:
        buf_text(out, "a whole number");
        break;
    case CONFIG_TIME:
        buf_text(out, "a time as 500ms, 30s, 5m or 1h");
        break;
    case CONFIG_SIZE:
        buf_text(out, "a size as 600, 512MiB or 4GiB");
        break;
    case CONFIG_WORD:
    case CONFIG_FLAG:
        print_words(key->words, out);
        break;
    case CONFIG_NAME:
        buf_text(out, "the name of a class");
        break;
    case CONFIG_GROUP:
    case CONFIG_MAP:
        buf_text(out, "a map of keys");
        break;
    case CONFIG_SHAPE:
    case CONFIG_PROCESSES:
    case CONFIG_NODE:
    case CONFIG_LATER:
        break;
    }
}

static int parse(const struct config_key *key, const char *text, uint64_t *out)
{
    switch (key->type) {
    case CONFIG_TIME:
        return units_parse_time(text, out);
    case CONFIG_SIZE:
        return units_parse_size(text, out);
    case CONFIG_NUMBER:
        return units_parse_count(text, out);
    case CONFIG_GROUP:
    case CONFIG_MAP:
    case CONFIG_WORD:
    case CONFIG_FLAG:
    case CONFIG_NAME:
    case CONFIG_SHAPE:
    case CONFIG_PROCESSES:
    case CONFIG_NODE:
    case CONFIG_LATER:
        break;
    }
    return E_INVALID;
}

bool config_number(const struct config_key *key,
                   const char *text,
                   uint32_t *out,
                   struct buf *why)
{
    uint64_t number;

    if (key->words != NULL) {
        if (find_word(key->words, text, out)) {
            return true;
        }
    } else if (parse(key, text, &number) == E_OK) {
        if (number >= key->min && number <= key->max) {
            *out = (uint32_t)number;
            return true;
        }
        buf_printf(why, "'%s' is out of range: ", text);
        config_print_range(key, why);
        return false;
    }
    buf_printf(why, "'%s' is not ", text);
    print_kind(key, why);
    return false;
}

/* Say whether @node is the default, alone or in a list. */
static bool is_standard(struct config_loader *loader,
                        const struct config_key *key,
                        const yaml_node_t *node)
{
    const yaml_node_item_t *items;
    const char *text;

    if (config_is_null(node)) {
        return true;
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        items = node->data.sequence.items.start;
        if (node->data.sequence.items.top == items) {
            return true;
        }
        if (node->data.sequence.items.top - items != 1) {
            return false;
        }
        node = yaml_document_get_node(loader->document, *items);
    }
    text = config_scalar(node);
    return text != NULL && strcmp(text, key->standard) == 0;
}

/* What only a later version can do is refused: nobody is to believe that it
 * is done. */
static void refuse_later(struct config_loader *loader,
                         const struct config_key *key,
                         const char *path,
                         const yaml_node_t *node)
{
    if (is_standard(loader, key, node)) {
        return;
    }
    if (strcmp(key->standard, "null") == 0) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is not supported by this version", path);
    } else {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' other than '%s' is not supported by this version",
                       path, key->standard);
    }
}

static void read_shape(struct config_loader *loader,
                       const struct config_key *key,
                       const char *path,
                       const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    struct buf why;

    if (text == NULL && key->node != NULL) {
        key->node(loader, node);
        return;
    }
    if (config_is_null(node)) {
        text = "null";
    }
    buf_init(&why, 0);
    if (text == NULL) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a text as %s", path, key->standard);
    } else if (!key->text(loader, text, loader->config, &why)) {
        config_mistake(loader->report, &node->start_mark, "'%s': %s", path,
                       buf_string(&why));
    }
    buf_release(&why);
}

/* A number without a unit is milliseconds; in a key whose name does not say
 * so that is a trap. */
static void warn_of_bare_time(struct config_loader *loader,
                              const struct config_key *key,
                              const char *path,
                              const yaml_node_t *node)
{
    const char *text = config_scalar(node);
    const char *unit = strrchr(path, '_');

    if (key->type == CONFIG_TIME && strspn(text, "0") != strlen(text) &&
        strspn(text, "0123456789") == strlen(text) &&
        (unit == NULL || strcmp(unit, "_ms") != 0)) {
        config_warning(loader->report, &node->start_mark,
                       "'%s' is %s milliseconds: write %sms or %ss", path, text,
                       text, text);
    }
}

static void store(struct config_loader *loader,
                  const struct config_key *key,
                  const char *text,
                  uint32_t number,
                  void *target)
{
    char *place = (char *)target + key->offset;

    if (key->type == CONFIG_FLAG) {
        *(bool *)(void *)place = number == 1;
    } else if (key->type == CONFIG_NAME) {
        *(const char **)(void *)place = NULL;
        if (text != NULL) {
            config_text_set(loader, (const char **)(void *)place, text,
                            strlen(text));
        }
    } else {
        *(uint32_t *)(void *)place = number;
    }
}

void config_value(struct config_loader *loader,
                  const struct config_key *key,
                  const char *path,
                  const yaml_node_t *node,
                  void *target)
{
    const char *text = config_scalar(node);
    uint32_t number = key->absent;
    struct buf why;

    if (key->type == CONFIG_SHAPE) {
        read_shape(loader, key, path, node);
        return;
    }
    if (key->type == CONFIG_PROCESSES) {
        config_read_processes(loader, path, node, target);
        return;
    }
    if (key->type == CONFIG_NODE) {
        key->read(loader, path, node, (char *)target + key->offset);
        return;
    }
    if (key->type == CONFIG_LATER) {
        refuse_later(loader, key, path, node);
        return;
    }
    buf_init(&why, 0);
    if (config_is_null(node) && strcmp(key->standard, "null") == 0) {
        store(loader, key, NULL, number, target);
    } else if (text == NULL || config_is_null(node)) {
        print_kind(key, &why);
        config_mistake(loader->report, &node->start_mark, "'%s' is %s", path,
                       buf_string(&why));
    } else if (key->type != CONFIG_NAME &&
               !config_number(key, text, &number, &why)) {
        config_mistake(loader->report, &node->start_mark, "'%s': %s", path,
                       buf_string(&why));
    } else {
        warn_of_bare_time(loader, key, path, node);
        store(loader, key, text, number, target);
    }
    buf_release(&why);
}
