#include "daemon/serve.h"

#include "base/log.h"
#include "base/paths.h"
#include "base/units.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"
#include "daemon/loop.h"
#include "daemon/port_owner.h"
#include "device/device.h"
#include "device/gpulock.h"
#include "http/http.h"
#include "store/store.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    SOCKET_MODE = 0660,
    ADDRESS_SIZE = 80
};

/* What the command line says; NULL = nothing. */
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

/* Where this coordinator is reached, for the screen. */
struct serve_places {
    uint16_t port; /* 0 = TCP is not served. */
    struct gpulock *lock;
};

/* ---- Options ------------------------------------------------------------ */

static void print_help(void)
{
    (void)printf(
        "usage: gpucoord serve [OPTION...]\n"
        "Be the coordinator, in the foreground.\n\n"
        "  --config FILE         read this configuration\n"
        "  --listen ADDRESS      serve HTTP there, 127.0.0.1:4780; 'none' = "
        "nowhere\n"
        "  --socket PATH         serve HTTP on this Unix socket\n"
        "  --store FILE          keep the queue in this file\n"
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

/* Read the options; *@done becomes true where that was all.
 *
 * Errors (said to the user):
 *   E_INVALID  an unknown option or a wrong value.
 */
static int
options_read(int argc, char **argv, struct serve_options *out, bool *done)
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

static void override_config(void *arg, struct config *config)
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

/* ---- Starting ----------------------------------------------------------- */

/* Read the configuration file that is meant; *@path becomes "" where there is
 * none. */
static int config_read(const char *named, struct buf *path, struct config **out)
{
    struct config_report report;
    struct config *config = calloc(1, sizeof(*config));
    struct buf text;
    int rc;

    if (config == NULL) {
        return E_NOMEM;
    }
    if (named != NULL) {
        buf_text(path, named);
    } else if (config_find_path(path) != E_OK) {
        buf_clear(path);
    }
    rc =
        config_load(path->size == 0 ? NULL : buf_string(path), config, &report);
    buf_init(&text, 0);
    config_report_print(&report, buf_string(path), &text);
    (void)fputs(buf_string(&text), stderr);
    buf_release(&text);
    config_report_release(&report);
    if (rc != E_OK) {
        free(config);
        return rc;
    }
    *out = config;
    return E_OK;
}

/* Return the directory of the locks that keep a second coordinator off the
 * GPUs: it must be the same for everybody on this machine. */
static const char *lock_dir(void)
{
    return access("/run/lock", W_OK) == 0 ? "/run/lock" : "/tmp";
}

/* Lock the GPUs.  Declared ones have no identity to lock. */
static int
lock_gpus(const struct daemon *daemon, struct gpulock **out, struct buf *why)
{
    const char *uuids[CORE_DEVICES_MAX];
    uint32_t count = device_count(daemon->devices);
    uint32_t i;

    if (device_kind(daemon->devices) == DEVICE_DECLARED) {
        return E_OK;
    }
    for (i = 0; i < count; i++) {
        uuids[i] = gpus_uuid(daemon, i);
    }
    return gpulock_take(lock_dir(), uuids, count, daemon->config->socket, out,
                        why);
}

static int open_devices(struct daemon *daemon, struct gpulock **lock)
{
    struct buf why;
    int rc;

    buf_init(&why, 0);
    rc = gpus_open(daemon, &why);
    if (rc == E_OK) {
        rc = lock_gpus(daemon, lock, &why);
    }
    if (rc != E_OK) {
        log_error("no gpu to coordinate: %s", buf_string(&why));
    }
    if (rc == E_NOT_FOUND) {
        log_error("to try it with a simulated card: gpucoord serve --gpus "
                  "simulated");
    }
    buf_release(&why);
    return rc;
}

static int open_store(struct daemon *daemon, bool moves_aside)
{
    struct store_options options = {.loop = loop_base(daemon->loop),
                                    .moves_aside = moves_aside};
    char message[STORE_MESSAGE_SIZE];
    struct buf url;
    int rc;

    buf_init(&url, 0);
    buf_text(&url, "sqlite:");
    buf_text(&url, daemon->config->store);
    rc = store_open(buf_string(&url), &options, &daemon->store, message,
                    sizeof(message));
    if (rc != E_OK) {
        log_error("%s", message);
    }
    buf_release(&url);
    return rc;
}

/* Listen on TCP where that is configured.  A taken port is said, with its
 * owner, and the Unix socket goes on serving. */
static void listen_tcp(struct daemon *daemon, uint16_t *port)
{
    const struct config *config = daemon->config;
    bool is_ipv6;
    char address[ADDRESS_SIZE + 10];
    int rc;

    *port = 0;
    if (config->listen_host == NULL) {
        return;
    }
    is_ipv6 = strchr(config->listen_host, ':') != NULL;
    (void)snprintf(address, sizeof(address), is_ipv6 ? "[%s]:%u" : "%s:%u",
                   config->listen_host, config->listen_port);
    rc = http_listen_tcp(daemon->http, address, port);
    if (rc == E_BUSY) {
        port_owner_log((uint16_t)config->listen_port);
    }
    if (rc != E_OK) {
        log_error("serving the Unix socket only");
    }
}

static int
open_all(struct daemon *daemon, bool moves_aside, struct serve_places *places)
{
    int rc = open_devices(daemon, &places->lock);

    rc = rc != E_OK ? rc : open_store(daemon, moves_aside);
    rc = rc != E_OK ? rc : daemon_open_driver(daemon);
    rc = rc != E_OK ? rc : daemon_open_server(daemon);
    rc = rc != E_OK ? rc
                    : http_listen_unix(daemon->http, daemon->config->socket,
                                       SOCKET_MODE);
    if (rc == E_OK) {
        listen_tcp(daemon, &places->port);
    }
    return rc;
}

/* ---- The screen --------------------------------------------------------- */

static void print_devices(const struct daemon *daemon)
{
    bool is_simulated = device_kind(daemon->devices) == DEVICE_SIMULATED;
    uint32_t i;

    for (i = 0; i < device_count(daemon->devices); i++) {
        const struct device_info *info = device_info(daemon->devices, i);

        (void)printf("  gpu %" PRIu32 "   %s, %" PRIu32 " MiB, %s\n", i,
                     info->name, info->total_mib, info->uuid);
    }
    if (is_simulated) {
        (void)printf("          SIMULATED: no real card is coordinated; VRAM "
                     "is what files in\n          %s say\n",
                     daemon->config->gpus.dir);
    }
}

/* Say in one screen what was found and what to try. */
static void print_screen(const struct daemon *daemon,
                         const struct serve_places *places)
{
    const struct config *config = daemon->config;
    struct core_stats stats;

    core_stats(driver_core(daemon->driver), &stats);
    (void)printf("gpucoord %s\n", GPUCOORD_VERSION);
    print_devices(daemon);
    (void)printf("  socket  %s\n", config->socket);
    if (places->port != 0) {
        (void)printf("  http    http://%s:%u\n", config->listen_host,
                     places->port);
    }
    (void)printf(
        "  store   %s: %" PRIu64 " held or paused, %" PRIu64 " waiting\n",
        config->store, stats.leases[3] + stats.leases[5], stats.leases[0]);
    (void)printf("  config  %s\n", daemon->config_path == NULL
                                       ? "none: everything is a default"
                                       : daemon->config_path);
    (void)printf("\ntry:  gpucoord status\n"
                 "      gpucoord run -- nvidia-smi\n"
                 "      curl --unix-socket %s http://gpu/gpu/request \\\n"
                 "          -d '{\"service_id\":\"me\",\"priority\":0,"
                 "\"timeout_ms\":5000}'\n",
                 config->socket);
    (void)fflush(stdout);
}

static void notify_ready(void)
{
#ifdef HAVE_SYSTEMD
    (void)sd_notify(0, "READY=1");
#endif
}

/* ---- Serving ------------------------------------------------------------ */

static int serve(struct daemon *daemon, const struct serve_options *options)
{
    struct serve_places places = {0};
    int rc = open_all(daemon, options->moves_aside, &places);
    int status = EXIT_FAILED;

    if (rc == E_OK) {
        print_screen(daemon, &places);
        notify_ready();
        loop_run(daemon->loop);
        status = daemon->has_failed ? EXIT_FAILED : 0;
    }
    daemon_destroy(daemon);
    gpulock_release(places.lock);
    return status;
}

int serve_main(int argc, char **argv)
{
    struct serve_options options = {0};
    struct config *config;
    struct daemon *daemon;
    struct buf path;
    bool is_done;
    int status = EXIT_USAGE;

    if (options_read(argc, argv, &options, &is_done) != E_OK) {
        return EXIT_USAGE;
    }
    if (is_done) {
        return 0;
    }
    buf_init(&path, 0);
    if (config_read(options.config, &path, &config) == E_OK) {
        override_config(&options, config);
        status = EXIT_FAILED;
        if (daemon_create(config, &daemon) == E_OK) {
            daemon->config_path = path.size == 0 ? NULL : buf_string(&path);
            daemon->override = override_config;
            daemon->override_arg = &options;
            status = serve(daemon, &options);
        }
    }
    buf_release(&path);
    return status;
}
