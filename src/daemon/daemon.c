#include "daemon/daemon.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "cluster/leader.h"
#include "control/watch.h"
#include "daemon/acting.h"
#include "daemon/answer.h"
#include "daemon/census.h"
#include "daemon/config.h"
#include "daemon/control.h"
#include "daemon/driver.h"
#include "daemon/events.h"
#include "daemon/gpus.h"
#include "daemon/look.h"
#include "daemon/loop.h"
#include "daemon/names.h"
#include "daemon/observed.h"
#include "daemon/parked.h"
#include "daemon/redis.h"
#include "daemon/routes.h"
#include "daemon/tell.h"
#include "daemon/waiters.h"
#include "daemon/watching.h"
#include "device/device.h"
#include "http/http.h"
#include "proto/api.h"
#include "store/store.h"

#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    STARTUP_HOLD_MS = 1000, /* Waiters and streams come back meanwhile. */
    EFFECTS_MAX = 256,
    RETRY_AFTER_MS = 1000,
    LEAVE_MS = 900 /* A hand-over takes less than a second. */
};

uint64_t daemon_wall_ms(const struct daemon *daemon, uint64_t at_ms)
{
    return clock_wall_ms() - (driver_now_ms(daemon->driver) - at_ms);
}

/* ---- The loop's --------------------------------------------------------- */

static void on_turn_end(void *arg)
{
    struct daemon *daemon = arg;

    driver_end_turn(daemon->driver);
    gpus_want(daemon);
}

static void on_deadline(void *arg)
{
    struct daemon *daemon = arg;

    driver_tick(daemon->driver);
}

static void on_signal(void *arg, int number)
{
    struct daemon *daemon = arg;

    if (number == SIGHUP) {
        daemon_reload(daemon);
    } else {
        log_info("leaving: holders and waiting jobs stay in the store");
        daemon_leave(daemon);
    }
}

static const struct loop_handler loop_handler = {on_turn_end, on_deadline,
                                                 on_signal};

/* ---- The driver's ------------------------------------------------------- */

static void on_message(void *arg, const struct core_message *message)
{
    tell_message(arg, message);
}

static void on_deliver(void *arg, bool is_over)
{
    struct daemon *daemon = arg;

    if (is_over) {
        http_uncork(daemon->http);
    } else {
        http_cork(daemon->http);
    }
}

static void on_rebuilt(void *arg)
{
    struct daemon *daemon = arg;

    control_attach_all(daemon);
    redis_rebuilt(daemon);
    waiters_submit_all(daemon);
}

static void on_failure(void *arg)
{
    struct daemon *daemon = arg;

    if (daemon->leader != NULL && store_state(daemon->store) == E_NO_LEADER) {
        leader_doubt(daemon->leader);
    }
    daemon->has_failed = true;
    loop_stop(daemon->loop);
}

static const struct driver_hooks driver_hooks = {on_message, on_deliver,
                                                 on_rebuilt, on_failure};

/* ---- The server's ------------------------------------------------------- */

/* Say whether @path is about this coordinator, whoever leads. */
static bool is_about_self(const char *path)
{
    return strcmp(path, "/healthz") == 0 || strcmp(path, "/metrics") == 0 ||
           strcmp(path, "/gpu/cluster") == 0;
}

/* One that has been stopped for a while may be asked before it has seen what
 * time it is: another may lead, and have granted what is still held here. */
static void on_request(void *arg, const struct http_request *request)
{
    struct daemon *daemon = arg;

    if (daemon->leader != NULL && !leader_is_valid(daemon->leader) &&
        !is_about_self(request->path)) {
        answer_later(daemon, request->conn, E_NO_LEADER,
                     "this coordinator does not lead any more", RETRY_AFTER_MS);
        return;
    }
    routes_dispatch(daemon, request);
}

static void on_close(void *arg, uint64_t conn)
{
    parked_closed(arg, conn);
}

static void on_reply_lost(void *arg, uint64_t conn, uint64_t tag)
{
    (void)conn;
    if (tag != 0) {
        waiters_reply_lost(arg, tag);
    }
}

static void on_drained(void *arg)
{
    struct daemon *daemon = arg;

    loop_stop(daemon->loop);
}

static const struct http_handler http_handler = {on_request, on_close,
                                                 on_reply_lost, on_drained};

static void config_destroy(struct config *config)
{
    config_release(config);
    free(config);
}

/* ---- Life --------------------------------------------------------------- */

int daemon_create(struct config *config, struct daemon **out)
{
    struct daemon *daemon = calloc(1, sizeof(*daemon));
    struct census_rules rules;
    int rc;

    if (daemon == NULL) {
        config_destroy(config);
        return E_NOMEM;
    }
    daemon->config = config;
    daemon->started_mono_ms = clock_mono_ms();
    idmap_init(&daemon->parked, &alloc_libc);
    idmap_init(&daemon->holders, &alloc_libc);
    idmap_init(&daemon->services, &alloc_libc);
    idmap_init(&daemon->looks, &alloc_libc);
    list_init(&daemon->waiters);
    list_init(&daemon->listeners);
    list_init(&daemon->readers);
    list_init(&daemon->looking);
    buf_init(&daemon->text, 0);
    rc = loop_create(&loop_handler, daemon, &daemon->loop);
    rc = rc != E_OK ? rc : names_create(&daemon->names);
    rc = rc != E_OK ? rc : events_create(clock_wall_ms(), &daemon->events);
    rc = rc != E_OK ? rc : observed_create(&daemon->observed);
    rc = rc != E_OK ? rc : watching_create(daemon);
    rc = rc != E_OK ? rc : census_create(&daemon->census);
    rc = rc != E_OK ? rc : census_rules_init(&rules, config, daemon->names);
    if (rc != E_OK) {
        daemon_destroy(daemon);
        return rc;
    }
    census_configure(daemon->census, &rules);
    *out = daemon;
    return E_OK;
}

/* Answer and end all that wait on a connection. */
static void end_parked(struct daemon *daemon)
{
    bool is_deposed =
        daemon->leader != NULL && !leader_is_valid(daemon->leader);

    waiters_refuse_all(daemon, is_deposed ? E_NO_LEADER : E_RESTARTING);
    control_close_all(daemon);
    events_close_all(daemon);
    look_end_all(daemon);
}

void daemon_destroy(struct daemon *daemon)
{
    if (daemon == NULL) {
        return;
    }
    end_parked(daemon); /* Nobody is left but after a failure. */
    if (daemon->leader != NULL) {
        leader_detach(daemon->leader);
    }
    /* The last commits still call the driver, and it the server. */
    if (daemon->driver != NULL) {
        driver_finish(daemon->driver);
    }
    store_close(daemon->store);
    driver_close(daemon->driver);
    redis_close(daemon);
    acting_close(daemon->acting);
    http_server_destroy(daemon->http);
    device_set_close(daemon->devices);
    watch_destroy(daemon->watch);
    census_destroy(daemon->census);
    observed_destroy(daemon->observed);
    events_destroy(daemon->events);
    names_destroy(daemon->names);
    if (daemon->leave_timer != NULL) {
        event_free(daemon->leave_timer);
    }
    loop_destroy(daemon->loop);
    idmap_release(&daemon->parked);
    idmap_release(&daemon->holders);
    idmap_release(&daemon->services);
    idmap_release(&daemon->looks);
    buf_release(&daemon->text);
    config_destroy(daemon->config);
    free(daemon);
}

int daemon_open_driver(struct daemon *daemon)
{
    struct driver_options options = {.loop = daemon->loop,
                                     .store = daemon->store,
                                     .names = daemon->names,
                                     .core = &daemon->core_config,
                                     .config = daemon->config,
                                     .hooks = &driver_hooks,
                                     .arg = daemon,
                                     .ttl_ms_max = API_TTL_MS_MAX};
    int rc;

    config_core_get(daemon->config, &daemon->core_config);
    daemon->core_config.startup_hold_ms = STARTUP_HOLD_MS;
    daemon->core_config.effects_max = EFFECTS_MAX;
    rc = driver_open(&options, &daemon->driver);
    return rc == E_OK ? acting_open(daemon, &daemon->acting) : rc;
}

int daemon_open_server(struct daemon *daemon)
{
    struct http_config config = {.hosts =
                                     (const char *const *)daemon->config->hosts,
                                 .host_count = daemon->config->host_count,
                                 .handler = &http_handler,
                                 .arg = daemon,
                                 .believes_relays = daemon->leader != NULL};

    return http_server_create(loop_base(daemon->loop), &config, &daemon->http);
}

/* ---- Leaving ------------------------------------------------------------ */

static void on_leave_late(evutil_socket_t fd, short what, void *arg)
{
    struct daemon *daemon = arg;

    (void)fd;
    (void)what;
    loop_stop(daemon->loop);
}

void daemon_leave(struct daemon *daemon)
{
    struct timeval delay = {.tv_usec = LEAVE_MS * 1000L};

    if (daemon->phase != DAEMON_SERVING) {
        return;
    }
    daemon->phase = DAEMON_LEAVING;
    daemon->leave_timer =
        evtimer_new(loop_base(daemon->loop), on_leave_late, daemon);
    if (daemon->leave_timer == NULL ||
        event_add(daemon->leave_timer, &delay) != 0) {
        loop_stop(daemon->loop);
    }
    end_parked(daemon);
    http_drain(daemon->http);
}

/* ---- Leading ------------------------------------------------------------ */

static void on_leader_change(void *arg)
{
    struct daemon *daemon = arg;

    if (leader_look(daemon->leader)->role == LEADER_LOST) {
        daemon_leave(daemon);
        /* Who waits for a commit is told, and the loop left. */
        store_abandon(daemon->store);
    }
}

static const struct leader_handler leader_handler = {on_leader_change};

int daemon_watch_leader(struct daemon *daemon)
{
    return daemon->leader == NULL
               ? E_OK
               : leader_attach(daemon->leader, loop_base(daemon->loop),
                               &leader_handler, daemon);
}

/* ---- Reading the configuration again ------------------------------------ */

static void log_report(const struct config_report *report, const char *path)
{
    struct buf text;
    char *line;
    char *rest;

    buf_init(&text, 0);
    config_report_print(report, path, &text);
    rest = text.data;
    while (rest != NULL && *rest != '\0') {
        line = strsep(&rest, "\n");
        log_warn("%s", line);
    }
    buf_release(&text);
}

/* Keep what the devices were opened with, and say so where the file changed
 * it. */
static void keep_verify(struct daemon *daemon, const struct core_config *before)
{
    uint32_t i;

    for (i = 0; i < before->device_count; i++) {
        bool is_measured = before->devices[i].is_measured;

        if (daemon->core_config.devices[i].is_measured != is_measured) {
            log_warn("'verify' of gpu %" PRIu32
                     " changes at the next start: it stays %s",
                     i, is_measured ? "measured" : "off");
            daemon->core_config.devices[i].is_measured = is_measured;
        }
    }
}

/* Put @next in force; on an error the old configuration still is. */
static int adopt(struct daemon *daemon, struct config *next)
{
    struct core_config core_before = daemon->core_config;
    struct config *config_before = daemon->config;
    struct census_rules rules;
    int rc = census_rules_init(&rules, next, daemon->names);

    if (rc != E_OK) {
        return rc;
    }
    daemon->config = next;
    config_core_get(next, &daemon->core_config);
    rc = gpus_configure(daemon);
    if (rc == E_OK) {
        keep_verify(daemon, &core_before);
        rc = driver_configure(daemon->driver, next, &daemon->core_config);
    }
    if (rc != E_OK) {
        daemon->config = config_before;
        daemon->core_config = core_before;
        census_rules_release(&rules);
        return rc;
    }
    census_configure(daemon->census, &rules);
    redis_configure(daemon);
    http_server_set_hosts(daemon->http, (const char *const *)next->hosts,
                          next->host_count);
    return E_OK;
}

void daemon_reload(struct daemon *daemon)
{
    struct config *before = daemon->config;
    struct config *next;
    struct config_report report;
    int rc;

    if (daemon->config_path == NULL) {
        log_warn("no configuration was read: nothing to read again");
        return;
    }
    next = calloc(1, sizeof(*next));
    if (next == NULL) {
        log_error("the configuration stays as it was: %s", err_text(E_NOMEM));
        return;
    }
    rc = config_load(daemon->config_path, next, &report);
    if (rc == E_OK) {
        daemon->override(daemon->override_arg, next);
        rc = config_follow(next, before, &report);
        rc = rc != E_OK ? rc : adopt(daemon, next);
        if (rc != E_OK) {
            config_release(next);
        }
    }
    log_report(&report, daemon->config_path);
    config_report_release(&report);
    if (rc == E_OK) {
        log_info("configuration read again");
        config_destroy(before);
    } else {
        log_error("the configuration stays as it was: %s", err_text(rc));
        free(next);
    }
}
