#include "daemon/serve.h"

#include "base/log.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/gpus.h"
#include "daemon/loop.h"
#include "daemon/port_owner.h"
#include "daemon/redis.h"
#include "daemon/screen.h"
#include "daemon/serve_options.h"
#include "daemon/watching.h"
#include "device/device.h"
#include "device/gpulock.h"
#include "http/http.h"
#include "store/store.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

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

/* What a coordinator has taken, apart from its daemon. */
struct places {
    uint16_t port; /* 0 = TCP is not served. */
    struct gpulock *lock;
};

/* ---- Starting ----------------------------------------------------------- */

/* Write the path of the file that is meant to @path, "" where there is none.
 * One that there was no memory to name must not count as none. */
static int find_path(const char *named, struct buf *path)
{
    int rc = E_OK;

    if (named == NULL) {
        rc = config_find_path(path);
    } else {
        buf_text(path, named);
    }
    if (rc == E_NOT_FOUND) {
        buf_clear(path);
        rc = E_OK;
    }
    return rc == E_OK ? buf_error(path) : rc;
}

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
    rc = find_path(named, path);
    if (rc != E_OK) {
        free(config);
        return rc;
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
    if (!config_is_database(daemon->config->store)) {
        buf_text(&url, "sqlite:");
    }
    buf_text(&url, daemon->config->store);
    rc = buf_error(&url);
    if (rc == E_OK) {
        rc = store_open(buf_string(&url), &options, &daemon->store, message,
                        sizeof(message));
        if (rc != E_OK) {
            log_error("%s", message);
        }
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
open_all(struct daemon *daemon, bool moves_aside, struct places *places)
{
    int rc = open_devices(daemon, &places->lock);

    rc = rc != E_OK ? rc : open_store(daemon, moves_aside);
    rc = rc != E_OK ? rc : daemon_open_driver(daemon);
    if (rc == E_OK) {
        watching_restore(daemon);
    }
    rc = rc != E_OK ? rc : redis_open(daemon);
    rc = rc != E_OK ? rc : daemon_open_server(daemon);
    rc = rc != E_OK ? rc
                    : http_listen_unix(daemon->http, daemon->config->socket,
                                       SOCKET_MODE);
    if (rc == E_OK) {
        listen_tcp(daemon, &places->port);
    }
    return rc;
}

static void notify_ready(void)
{
#ifdef HAVE_SYSTEMD
    (void)sd_notify(0, "READY=1");
#endif
}

/* ---- Serving ------------------------------------------------------------ */

static int fail_without_memory(void)
{
    log_error("cannot start: %s", err_text(E_NOMEM));
    return EXIT_FAILED;
}

static int serve(struct daemon *daemon, const struct serve_options *options)
{
    struct places places = {0};
    int rc = open_all(daemon, options->moves_aside, &places);
    int status = rc == E_NOMEM ? fail_without_memory() : EXIT_FAILED;

    if (rc == E_OK) {
        screen_print(daemon, places.port);
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
    int rc;

    if (serve_options_read(argc, argv, &options, &is_done) != E_OK) {
        return EXIT_USAGE;
    }
    if (is_done) {
        return 0;
    }
    buf_init(&path, 0);
    rc = config_read(options.config, &path, &config);
    if (rc == E_OK) {
        serve_options_override(&options, config);
        rc = daemon_create(config, &daemon);
        if (rc == E_OK) {
            daemon->config_path = path.size == 0 ? NULL : buf_string(&path);
            daemon->override = serve_options_override;
            daemon->override_arg = &options;
            status = serve(daemon, &options);
        }
    }
    if (rc == E_NOMEM) {
        status = fail_without_memory();
    }
    buf_release(&path);
    return status;
}
