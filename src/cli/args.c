#include "cli/args.h"

#include "base/units.h"
#include "cli/say.h"

#include <assert.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

static void print_help(const struct args_spec *spec)
{
    char left[64];
    size_t i;

    (void)printf("usage: gpucoord %s\n\n%s", spec->usage, spec->about);
    (void)printf("\noptions:\n");
    for (i = 0; i < spec->option_count; i++) {
        const struct args_option *option = &spec->options[i];

        (void)snprintf(left, sizeof left, "--%s%s%s", option->name,
                       option->value != NULL ? " " : "",
                       option->value != NULL ? option->value : "");
        (void)printf("  %-24s %s\n", left, option->help);
    }
    (void)printf("  %-24s %s\n", "--help", "print this");
}

/* Tell what a value of @type looks like. */
static const char *example(enum args_type type)
{
    switch (type) {
    case ARGS_TIME:
        return "a time as 500ms, 30s, 5min or 1h";
    case ARGS_SIZE:
        return "a size as 512MiB or 4GiB";
    case ARGS_COUNT:
        return "a whole number";
    case ARGS_FLAG:
    case ARGS_TEXT:
        break;
    }
    return "a text";
}

static int
store(const struct args_option *option, void *values, const char *text)
{
    void *place = (char *)values + option->offset;
    uint64_t number;
    int rc = E_OK;

    switch (option->type) {
    case ARGS_FLAG:
        *(bool *)place = true;
        return E_OK;
    case ARGS_TEXT:
        *(const char **)place = text;
        return E_OK;
    case ARGS_COUNT:
        rc = units_parse_count(text, &number);
        break;
    case ARGS_TIME:
        rc = units_parse_time(text, &number);
        break;
    case ARGS_SIZE:
        rc = units_parse_size(text, &number);
        break;
    }
    if (rc != E_OK) {
        say("--%s: '%s' is not %s", option->name, text, example(option->type));
        return rc;
    }
    if (option->max != 0 && number > option->max) {
        say("--%s: '%s' is above the highest value, %" PRIu64 "%s",
            option->name, text, option->max,
            option->type == ARGS_TIME   ? " ms"
            : option->type == ARGS_SIZE ? " MiB"
                                        : "");
        return E_INVALID;
    }
    *(uint64_t *)place = number;
    return E_OK;
}

/* Describe the options to getopt_long(), `--help` last. */
static void fill(const struct args_spec *spec, struct option *out)
{
    size_t i;

    assert(spec->option_count <= ARGS_OPTIONS_MAX);
    for (i = 0; i < spec->option_count; i++) {
        out[i] = (struct option){
            .name = spec->options[i].name,
            .has_arg = spec->options[i].type == ARGS_FLAG ? no_argument
                                                          : required_argument,
        };
    }
    out[i] = (struct option){.name = "help", .has_arg = no_argument};
    out[i + 1] = (struct option){.name = NULL};
}

static int check_operands(const struct args_spec *spec, int argc, char **argv)
{
    int operands = argc - optind;

    if (operands < spec->operands_min) {
        say("something is missing: gpucoord %s", spec->usage);
        return E_INVALID;
    }
    if (spec->operands_max >= 0 && operands > spec->operands_max) {
        say("'%s' is one too many: gpucoord %s",
            argv[optind + spec->operands_max], spec->usage);
        return E_INVALID;
    }
    return optind;
}

int args_read(const struct args_spec *spec, void *values, int argc, char **argv)
{
    struct option table[ARGS_OPTIONS_MAX + 2];
    int index = 0;
    int rc;

    fill(spec, table);
    optind = 0; /* Start anew: a test reads more than once. */
    opterr = 0;
    for (;;) {
        int c = getopt_long(argc, argv, spec->keeps_rest ? "+:" : ":", table,
                            &index);

        if (c == -1) {
            return check_operands(spec, argc, argv);
        }
        if (c == ':' || c == '?') {
            say("%s '%s'; see 'gpucoord %s --help'",
                c == ':' ? "a value is missing after" : "unknown option",
                argv[optind - 1], argv[0]);
            return E_INVALID;
        }
        if ((size_t)index == spec->option_count) {
            print_help(spec);
            return 0;
        }
        rc = store(&spec->options[index], values, optarg);
        if (rc != E_OK) {
            return rc;
        }
    }
}
