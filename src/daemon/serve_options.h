/* serve_options.h - the command line of `gpucoord serve`. */
#ifndef GPUCOORD_DAEMON_SERVE_OPTIONS_H
#define GPUCOORD_DAEMON_SERVE_OPTIONS_H

#include "base/err.h"
#include "daemon/config.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* What the command line says; NULL = nothing.  The texts are argv's. */
struct serve_options {
    const char *config;
    const char *listen;
    const char *socket;
    const char *store;
    const char *gpus;
    bool moves_aside;
    /* Taken apart from the above: */
    char host[CONFIG_HOST_SIZE];
    uint32_t port;
    struct config_gpus simulated;
    char dir[PATH_MAX]; /* Of simulated cards, where no file names one. */
};

/* Read the options to @out, which is zeroed; *@done becomes true where that was
 * all.
 *
 * Errors (said to the user):
 *   E_INVALID    an unknown option or a wrong value.
 *   E_NOT_FOUND  a user without a home has no place for simulated cards.
 *   E_TOO_BIG    that place has too long a path.
 *   E_NOMEM      no memory.
 */
MUST_USE int serve_options_read(int argc,
                                char **argv,
                                struct serve_options *out,
                                bool *done);

/* Put the options @arg, borrowed for as long as @config lives, over what the
 * file says. */
void serve_options_override(void *arg, struct config *config);

#endif
