#include "daemon/config_load.h"

#include "base/paths.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_SIZE_MAX = 256 * 1024
};

/* The classes that are always there; a file may change them. */
static const struct {
    const char *name;
    uint32_t priority;
    uint32_t weight;
    uint32_t max_consecutive;
} standard_classes[] = {
    {"chatbot", 0, 50, 0},
    {"voice", 1, 50, 0},
    {"transcription", 2, 70, 2},
    {"summarization", 2, 30, 1},
};

/* Fill in what holds without a file. */
static void fill_standards(struct config_loader *loader)
{
    static const char *const levels[] = {"", "defaults", "limits"};
    bool is_read;
    size_t i;

    for (i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        config_standards(levels[i], loader->config);
    }
    for (i = 0; i < sizeof standard_classes / sizeof standard_classes[0]; i++) {
        struct config_class *made =
            config_class_make(loader, standard_classes[i].name);

        if (made == NULL) {
            return;
        }
        made->core.priority = standard_classes[i].priority;
        made->core.weight = standard_classes[i].weight;
        made->core.max_consecutive = standard_classes[i].max_consecutive;
    }
    is_read = config_read_listen(
        loader, config_key_find("", "listen")->standard, loader->config, NULL);
    assert(is_read);
}

/* Report what libyaml could not read. */
static void report_syntax(struct config_loader *loader,
                          const yaml_parser_t *parser)
{
    const yaml_mark_t *mark = &parser->problem_mark;
    const char *problem = parser->problem;

    /* Some places in libyaml that find no memory do not say so, but whatever
     * else is wrong has a text. */
    if (parser->error == YAML_MEMORY_ERROR || problem == NULL) {
        loader->error = E_NOMEM;
    } else if (parser->error == YAML_READER_ERROR) {
        config_mistake(loader->report, NULL, "byte %zu: %s",
                       parser->problem_offset, problem);
    } else if (parser->context != NULL) {
        config_mistake(loader->report, mark, "%s %s in line %zu", problem,
                       parser->context, parser->context_mark.line + 1);
    } else {
        config_mistake(loader->report, mark, "%s", problem);
    }
}

/* A file has one document. */
static void refuse_second(struct config_loader *loader, yaml_parser_t *parser)
{
    yaml_document_t second;
    const yaml_node_t *root;

    if (!yaml_parser_load(parser, &second)) {
        report_syntax(loader, parser);
        return;
    }
    root = yaml_document_get_root_node(&second);
    if (root != NULL) {
        config_mistake(loader->report, &root->start_mark,
                       "a second document in the same file");
    }
    yaml_document_delete(&second);
}

static void
read_text(struct config_loader *loader, const char *text, size_t size)
{
    yaml_document_t document;
    yaml_parser_t parser;
    const yaml_node_t *root;

    if (!yaml_parser_initialize(&parser)) {
        loader->error = E_NOMEM;
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
    if (!yaml_parser_load(&parser, &document)) {
        report_syntax(loader, &parser);
        yaml_parser_delete(&parser);
        return;
    }
    loader->document = &document;
    root = yaml_document_get_root_node(&document);
    if (root != NULL) {
        config_walk(loader, root);
        refuse_second(loader, &parser);
    }
    loader->document = NULL;
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
}

/* Take the result, or clean up after mistakes. */
static int finish(struct config_loader *loader)
{
    int rc = loader->error;

    config_report_sort(loader->report);
    free(loader->seen);
    if (rc == E_OK && loader->report->error_count != 0) {
        rc = E_INVALID;
    }
    if (rc != E_OK) {
        config_release(loader->config);
    }
    return rc;
}

int config_load_text(const char *text,
                     size_t size,
                     struct config *out,
                     struct config_report *report)
{
    struct config_loader loader = {.config = out, .report = report};

    config_report_init(report);
    *out = (struct config){0};
    fill_standards(&loader);
    if (loader.error == E_OK) {
        read_text(&loader, text, size);
    }
    if (loader.error == E_OK) {
        config_places(&loader);
        config_check(&loader);
    }
    return finish(&loader);
}

/* Append the contents of the file @path to @out, or say why not. */
static int
read_file(const char *path, struct buf *out, struct config_report *report)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;

    while (got > 0) {
        char *room = buf_room(out, 4096);

        if (room == NULL) {
            break;
        }
        got = read(fd, room, 4096);
        if (got > 0) {
            buf_grown(out, (size_t)got);
        }
    }
    if (got < 0) {
        config_mistake(report, NULL, "cannot read '%s': %s", path,
                       strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (buf_error(out) == E_TOO_BIG) {
        config_mistake(report, NULL, "larger than %d KiB",
                       FILE_SIZE_MAX / 1024);
        return E_INVALID;
    }
    return got < 0 ? E_IO : buf_error(out);
}

int config_load(const char *path,
                struct config *out,
                struct config_report *report)
{
    struct buf text;
    int rc;

    if (path == NULL) {
        return config_load_text("", 0, out, report);
    }
    config_report_init(report);
    *out = (struct config){0};
    buf_init(&text, FILE_SIZE_MAX);
    rc = read_file(path, &text, report);
    if (rc == E_OK) {
        rc = config_load_text(buf_string(&text), text.size, out, report);
    }
    buf_release(&text);
    return rc;
}

int config_find_path(struct buf *out)
{
    int rc = paths_user_config(out);

    if (rc == E_OK && access(out->data, F_OK) == 0) {
        return E_OK;
    }
    buf_clear(out);
    if (rc == E_NOMEM) {
        return rc;
    }
    if (access(PATHS_SYSTEM_CONFIG, F_OK) != 0) {
        return E_NOT_FOUND;
    }
    buf_text(out, PATHS_SYSTEM_CONFIG);
    return buf_error(out);
}
