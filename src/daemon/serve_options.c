#include "daemon/serve_options.h"

#include "base/log.h"
#include "base/paths.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(void)
{
    (void)printf(
        "usage: gpucoord serve [OPTION...]\n"
        "Be the coordinator, in the foreground.\n\n"
        "  --config FILE         read this configuration\n"
        "  --listen ADDRESS      serve HTTP there, 127.0.0.1:4780; 'none' = "
        "nowhere\n"
        "  --socket PATH         serve HTTP on this Unix socket\n"
        "  --store FILE          keep the queue in this file, or in the "
        "database\n"
        "                        of a postgresql: URL\n"
        "  --gpus simulated[:MIB,...]\n"
        "                        coordinate simulated cards of this size\n"
        "  --move-aside-store    rename a store that cannot be used, and "
        "start anew\n"
        "  --help                print this\n\n"
        "TERM hands over: holders and waiting jobs stay in the store.  HUP "
        "reads the\nconfiguration again.\n");
}

/* Take "HOST:PORT" apart, or "none".
 *
 * Errors (said to the user):
 *   E_INVALID  it is something else, or beyond loopback.
 */
static int parse_listen(struct serve_options *options)
{
    const char *text = options->listen;
    struct buf why;
    int rc;

    buf_init(&why, 0);
    rc = config_parse_listen(strcmp(text, "none") == 0 ? "null" : text,
                             options->host, &options->port, &why);
    if (rc != E_OK) {
        log_error("--listen: %s", buf_string(&why));
    }
    buf_release(&why);
    return rc;
}

/* Read "simulated" or "simulated:24576,8192".
 *
 * Errors:
 *   E_INVALID  it is something else.
 */
static int parse_gpus(struct serve_options *options)
{
    static const char word[] = "simulated";
    struct config_gpus *gpus = &options->simulated;
    const char *at = options->gpus + strlen(word);

    if (strncmp(options->gpus, word, strlen(word)) != 0) {
        return E_INVALID;
    }
    gpus->kind = CONFIG_GPUS_SIMULATED;
    if (*at == '\0') {
        gpus->capacity_mib[0] = 24576;
        gpus->count = 1;
        return E_OK;
    }
    while (*at == ':' || *at == ',') {
        char *end;
        unsigned long mib = strtoul(at + 1, &end, 10);

        if (end == at + 1 || mib == 0 || mib > UINT32_MAX ||
            gpus->count == CORE_DEVICES_MAX) {
            return E_INVALID;
        }
        gpus->capacity_mib[gpus->count] = (uint32_t)mib;
        gpus->count++;
        at = end;
    }
    return *at == '\0' ? E_OK : E_INVALID;
}

/* Find the directory of simulated cards that only the command line asks for.
 *
 * Errors (said to the user):
 *   E_NOT_FOUND  a user without a home.
 *   E_TOO_BIG    the path is longer than a path can be.
 *   E_NOMEM      no memory.
 */
static int find_dir(struct serve_options *options)
{
    struct buf path;
    int rc;

    buf_init(&path, sizeof(options->dir) - 1);
    rc = paths_runtime(&path);
    buf_text(&path, "/simulated");
    rc = rc != E_OK ? rc : buf_error(&path);
    if (rc == E_OK) {
        memcpy(options->dir, buf_string(&path), path.size + 1);
    } else {
        log_error("--gpus: no directory for simulated cards: %s; name "
                  "'gpus.dir' in a configuration",
                  err_text(rc));
    }
    buf_release(&path);
    return rc;
}

static int options_check(struct serve_options *options)
{
    if (options->listen != NULL && parse_listen(options) != E_OK) {
        return E_INVALID;
    }
    if (options->gpus != NULL && parse_gpus(options) != E_OK) {
        log_error("--gpus: '%s' is not simulated or simulated:MIB,MIB",
                  options->gpus);
        return E_INVALID;
    }
    return options->gpus == NULL ? E_OK : find_dir(options);
}

int serve_options_read(int argc,
                       char **argv,
                       struct serve_options *out,
                       bool *done)
{
    static const struct option table[] = {
        {"config", required_argument, NULL, 'c'},
        {"listen", required_argument, NULL, 'l'},
        {"socket", required_argument, NULL, 's'},
        {"store", required_argument, NULL, 'd'},
        {"gpus", required_argument, NULL, 'g'},
        {"move-aside-store", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *done = false;
    optind = 1;
    while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
        switch (option) {
        case 'c':
            out->config = optarg;
            break;
        case 'l':
            out->listen = optarg;
            break;
        case 's':
            out->socket = optarg;
            break;
        case 'd':
            out->store = optarg;
            break;
        case 'g':
            out->gpus = optarg;
            break;
        case 'm':
            out->moves_aside = true;
            break;
        case 'h':
            print_help();
            *done = true;
            return E_OK;
        default:
            return E_INVALID; /* getopt_long() has said why. */
        }
    }
    if (optind < argc) {
        log_error("serve takes no operand: '%s'", argv[optind]);
        return E_INVALID;
    }
    return options_check(out);
}

void serve_options_override(void *arg, struct config *config)
{
    const struct serve_options *options = arg;
    const char *dir = config->gpus.dir;

    if (options->listen != NULL) {
        config->listen_host = options->host[0] == '\0' ? NULL : options->host;
        config->listen_port = options->port;
    }
    if (options->socket != NULL) {
        config->socket = options->socket;
    }
    if (options->store != NULL) {
        config->store = options->store;
    }
    if (options->gpus != NULL) {
        config->gpus = options->simulated;
        config->gpus.dir = dir != NULL ? dir : options->dir;
    }
}
