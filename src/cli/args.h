/* args.h - the options of a command as a table.
 *
 * A command describes its options once; reading them, refusing wrong ones and
 * `--help` follow from the table, and so do the tests that hold the man page
 * and the completion against it.
 */
#ifndef GPUCOORD_CLI_ARGS_H
#define GPUCOORD_CLI_ARGS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGS_UNSET UINT64_MAX /* A number that was not given. */

enum args_type {
    ARGS_FLAG,  /* bool */
    ARGS_TEXT,  /* const char *, borrowed from argv; NULL = not given */
    ARGS_COUNT, /* uint64_t */
    ARGS_TIME,  /* uint64_t, ms */
    ARGS_SIZE   /* uint64_t, MiB */
};

struct args_option {
    const char *name; /* Without its dashes. */
    enum args_type type;
    size_t offset;     /* Of its place in the command's values. */
    const char *value; /* Name of its value in the help; NULL for a flag. */
    const char *help;  /* Lower case, without a full stop. */
    uint64_t max;      /* Highest number; 0 = no limit. */
};

struct args_spec {
    const char *usage; /* What follows "gpucoord ". */
    const char *about; /* One or more lines, each with its newline. */
    const struct args_option *options;
    size_t option_count; /* At most ARGS_OPTIONS_MAX. */
    int operands_min;
    int operands_max; /* -1 = any number. */
    bool keeps_rest;  /* Options end at the first operand. */
};

enum {
    ARGS_OPTIONS_MAX = 32
};

/* Read the options of @argv (argv[0] is the command's name) into @values,
 * whose numbers the caller has set to their defaults or ARGS_UNSET.
 *
 * Returns the index of the first operand, above 0; or 0 where `--help` was
 * asked for and has been printed, and the command is done.
 *
 * Errors (said to the user):
 *   E_INVALID  an unknown option, a wrong value, too few or many operands.
 */
MUST_USE int
args_read(const struct args_spec *spec, void *values, int argc, char **argv);

#endif
