/* check.c - `gpucoord check`: what this machine has, and what works here.
 *
 * Works without a coordinator, and beside one; it changes nothing.
 */
#include "cli/check.h"

#include "base/buf.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/say.h"
#include "daemon/config.h"

#include <stdio.h>
#include <string.h>

enum {
    EXIT_FINE = 0,
    EXIT_PROBLEMS = 1,
    EXIT_WRONG = 2
};

struct values {
    const char *config;
    bool json;
};

static const struct args_option options[] = {
    {"config", ARGS_TEXT, offsetof(struct values, config), "FILE",
     "the configuration, if not the one that 'serve' would read", 0},
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL, "print it as JSON",
     0},
};

static const struct args_spec spec = {
    .usage = "check",
    .about = "Show what this machine has, and what of the configuration works "
             "here: gpus, the\nprocesses on them and whose they are, rungs, "
             "paths. Needs no coordinator.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

json_t *check_string(const char *text)
{
    json_t *string;

    if (text == NULL || text[0] == '\0') {
        return json_null();
    }
    string = json_string(text);
    return string == NULL ? json_string("?") : string;
}

/* Read the file @path, "" = none; the mistakes are said. */
static int read_config(const char *path, struct config *out)
{
    struct config_report report;
    struct buf text;
    int rc = config_load(path[0] == '\0' ? NULL : path, out, &report);

    buf_init(&text, 0);
    config_report_print(&report, path, &text);
    (void)fputs(buf_string(&text), stderr);
    buf_release(&text);
    config_report_release(&report);
    if (rc == E_NOMEM) {
        say("cannot read '%s': %s", path, err_text(rc));
    }
    return rc;
}

static int print_json(const json_t *report)
{
    if (json_dumpf(report, stdout, JSON_INDENT(2)) != 0) {
        say("cannot print: no memory, or nobody reads");
        return EXIT_PROBLEMS;
    }
    (void)printf("\n");
    return EXIT_FINE;
}

static int check_all(const struct config *config, const char *path, bool json)
{
    struct check check = {.config = config, .report = json_object()};
    int status = EXIT_FINE;
    struct buf text;

    (void)json_object_set_new(check.report, "config", check_string(path));
    check_gpus(&check);
    check_rungs(&check);
    check_paths(&check);
    (void)json_object_set_new(check.report, "problems",
                              json_integer(check.problems));
    if (json) {
        status = print_json(check.report);
    } else {
        buf_init(&text, 0);
        check_text(check.report, &text);
        (void)printf("%s", buf_string(&text));
        buf_release(&text);
    }
    json_decref(check.report);
    return check.problems > 0 ? EXIT_PROBLEMS : status;
}

int check_main(int argc, char **argv)
{
    struct values values = {.json = false};
    int first = args_read(&spec, &values, argc, argv);
    struct config config;
    struct buf path;
    int status = EXIT_WRONG;
    int rc = E_OK;

    if (first < 0) {
        return EXIT_WRONG;
    }
    if (first == 0) {
        return EXIT_FINE;
    }
    buf_init(&path, 0);
    if (values.config != NULL) {
        buf_text(&path, values.config);
    } else {
        rc = config_find_path(&path);
        rc = rc == E_NOT_FOUND ? E_OK : rc;
    }
    if (rc == E_OK && read_config(buf_string(&path), &config) == E_OK) {
        status = check_all(&config, buf_string(&path), values.json);
        config_release(&config);
    }
    buf_release(&path);
    return status;
}
