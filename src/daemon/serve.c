#include "daemon/serve.h"

#include "base/log.h"
#include "cluster/leader.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/follow.h"
#include "daemon/gpus.h"
#include "daemon/gpus_lock.h"
#include "daemon/loop.h"
#include "daemon/member.h"
#include "daemon/redis.h"
#include "daemon/screen.h"
#include "daemon/serve_listen.h"
#include "daemon/serve_order.h"
#include "daemon/watching.h"
#include "device/device.h"
#include "device/gpulock.h"
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
    FAILED_PAUSE_MS = 5000 /* Before one that could not lead tries again. */
};

/* What a coordinator has taken, apart from its daemon. */
struct places {
    uint16_t port; /* 0 = TCP is not served. */
    struct gpulock *lock;
};

/* ---- Starting ----------------------------------------------------------- */

static int open_devices(struct daemon *daemon, struct gpulock **lock)
{
    struct buf why;
    int rc;

    buf_init(&why, 0);
    rc = gpus_open(daemon, &why);
    /* A member of a cluster has locked them already. */
    if (rc == E_OK && daemon->leader == NULL) {
        rc = gpus_lock(daemon->config, daemon->devices, lock, &why);
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

/* See that the leadership is still ours after what took its time. */
static int renew(const struct daemon *daemon)
{
    int rc = daemon->leader == NULL ? E_OK : leader_renew_now(daemon->leader);

    return rc == E_STORE ? E_OK : rc; /* The fence has the last word. */
}

static int open_store(struct daemon *daemon, bool moves_aside)
{
    struct store_options options = {.loop = loop_base(daemon->loop),
                                    .moves_aside = moves_aside};
    struct store_fence fence;
    char message[STORE_MESSAGE_SIZE];
    struct buf url;
    int rc;

    if (daemon->leader != NULL) {
        const struct leader_view *view = leader_look(daemon->leader);

        fence = (struct store_fence){view->timeline, view->epoch};
        options.fence = &fence;
    }
    buf_init(&url, 0);
    buf_text(&url, config_is_database(daemon->config->store) ? "" : "sqlite:");
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

static int
open_all(struct daemon *daemon, bool moves_aside, struct places *places)
{
    int rc = open_devices(daemon, &places->lock);

    rc = rc != E_OK ? rc : renew(daemon);
    rc = rc != E_OK ? rc : open_store(daemon, moves_aside);
    rc = rc != E_OK ? rc : daemon_open_driver(daemon);
    rc = rc != E_OK ? rc : renew(daemon);
    if (rc == E_OK) {
        watching_restore(daemon);
    }
    rc = rc != E_OK ? rc : redis_open(daemon);
    rc = rc != E_OK ? rc : daemon_open_server(daemon);
    return rc != E_OK
               ? rc
               : serve_listen(daemon->config, daemon->http, &places->port);
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

/* Serve with @daemon, taken, until it is told to end, or fails. */
static int serve(struct daemon *daemon, const struct serve_options *options)
{
    struct places places = {0};
    int rc = open_all(daemon, options->moves_aside, &places);

    rc = rc != E_OK ? rc : daemon_watch_leader(daemon);
    if (rc == E_OK) {
        screen_print(daemon, places.port);
        notify_ready();
        loop_run(daemon->loop);
        rc = daemon->has_failed ? E_STORE : E_OK;
    }
    daemon_destroy(daemon);
    gpulock_release(places.lock);
    return rc;
}

/* Make a daemon of @config, taken, and serve; @leader = NULL outside a
 * cluster. */
static int serve_config(struct serve_order *order,
                        struct config *config,
                        struct leader *leader)
{
    struct daemon *daemon;
    int rc = daemon_create(config, &daemon);

    if (rc != E_OK) {
        return rc;
    }
    daemon->config_path =
        order->path.size == 0 ? NULL : buf_string(&order->path);
    daemon->override = serve_options_override;
    daemon->override_arg = &order->options;
    daemon->leader = leader;
    return serve(daemon, &order->options);
}

/* ---- In a cluster ------------------------------------------------------- */

/* Lead, and say in @goes_on whether to follow from then on: after another was
 * elected, and where the queue could not be opened, which another may be able
 * to do. */
static void lead(struct serve_order *order,
                 const struct config *first,
                 struct leader *leader,
                 bool *goes_on)
{
    struct config *config;
    int rc = serve_order_again(order, first, &config);
    bool is_lost;

    rc = rc != E_OK ? rc : serve_config(order, config, leader);
    leader_detach(leader);
    is_lost = leader_look(leader)->role == LEADER_LOST;
    *goes_on = rc != E_OK || is_lost;
    if (!*goes_on) {
        return; /* It was told to end. */
    }
    if (!is_lost) {
        log_error("cannot lead: %s; another may try", err_text(rc));
        leader_resign(leader);
    }
    leader_follow(leader, is_lost ? 0 : FAILED_PAUSE_MS);
}

/* Follow and lead by turns, as @config says; it stays the caller's. */
static int serve_cluster(struct serve_order *order, const struct config *config)
{
    enum follow_end end = FOLLOW_LEAVES;
    struct member *member = NULL;
    bool goes_on = true;
    int rc = member_open(config, &member);

    if (rc == E_OK) {
        notify_ready();
    }
    while (rc == E_OK && goes_on) {
        rc = follow_run(config, member_leader(member), &end);
        goes_on = rc == E_OK && end == FOLLOW_LEADS;
        if (goes_on) {
            lead(order, config, member_leader(member), &goes_on);
        }
    }
    member_close(member);
    return rc;
}

/* ---- The command -------------------------------------------------------- */

static int serve_as_ordered(struct serve_order *order)
{
    struct config *config;
    int rc = serve_order_read(order, &config);

    if (rc == E_NOMEM) {
        return fail_without_memory();
    }
    if (rc != E_OK) {
        return EXIT_USAGE;
    }
    if (config->cluster_name == NULL) {
        rc = serve_config(order, config, NULL);
    } else {
        rc = serve_cluster(order, config);
        config_release(config);
        free(config);
    }
    if (rc == E_NOMEM) {
        return fail_without_memory();
    }
    return rc == E_OK ? 0 : EXIT_FAILED;
}

int serve_main(int argc, char **argv)
{
    struct serve_order order = {0};
    bool is_done;
    int status = 0;

    if (serve_options_read(argc, argv, &order.options, &is_done) != E_OK) {
        return EXIT_USAGE;
    }
    if (!is_done) {
        buf_init(&order.path, 0);
        buf_init(&order.good, 0);
        status = serve_as_ordered(&order);
        serve_order_release(&order);
    }
    return status;
}
