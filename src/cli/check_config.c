#include "cli/check_config.h"

#include "cli/args.h"
#include "cli/say.h"
#include "daemon/config.h"

#include <stddef.h>
#include <stdio.h>

enum {
    EXIT_RIGHT = 0,
    EXIT_WRONG = 2
};

struct values {
    bool docs;
    bool man;
};

static const struct args_option options[] = {
    {"docs", ARGS_FLAG, offsetof(struct values, docs), NULL,
     "print all keys, as docs/config.md", 0},
    {"man", ARGS_FLAG, offsetof(struct values, man), NULL,
     "print the source of gpucoord.yaml(5)", 0},
};

static const struct args_spec spec = {
    .usage = "check-config [FILE]",
    .about = "Name every mistake in a configuration file with its line and "
             "column; without FILE\nin the one that 'serve' would read.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 1,
};

/* Print what @print_docs appends. */
static int print(void (*print_docs)(struct buf *out))
{
    struct buf text;
    int status;

    buf_init(&text, 0);
    print_docs(&text);
    (void)fputs(buf_string(&text), stdout);
    status = buf_error(&text) == E_OK ? EXIT_RIGHT : EXIT_WRONG;
    buf_release(&text);
    return status;
}

static int check(const char *path)
{
    struct config config;
    struct config_report report;
    struct buf text;
    int rc = config_load(path, &config, &report);

    buf_init(&text, 0);
    config_report_print(&report, path, &text);
    (void)fputs(buf_string(&text), stderr);
    if (rc == E_OK) {
        (void)printf("%s: no mistakes\n", path);
        config_release(&config);
    } else if (rc == E_NOMEM) {
        say("cannot check '%s': %s", path, err_text(rc));
    }
    buf_release(&text);
    config_report_release(&report);
    return rc == E_OK ? EXIT_RIGHT : EXIT_WRONG;
}

/* Check the file that `serve` would read. */
static int check_standard(void)
{
    struct buf path;
    int status;

    buf_init(&path, 0);
    if (config_find_path(&path) == E_OK) {
        status = check(buf_string(&path));
    } else {
        (void)printf("there is no configuration file: all defaults hold\n");
        status = EXIT_RIGHT;
    }
    buf_release(&path);
    return status;
}

int check_config_main(int argc, char **argv)
{
    struct values values = {false, false};
    int first = args_read(&spec, &values, argc, argv);

    if (first < 0) {
        return EXIT_WRONG;
    }
    if (first == 0) {
        return EXIT_RIGHT;
    }
    if (values.docs || values.man) {
        return print(values.docs ? config_print_docs : config_print_man);
    }
    return first < argc ? check(argv[first]) : check_standard();
}
