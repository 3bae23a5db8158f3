/* redis_tell.c - commands out.  Pub/Sub forgets: what was not answered is said
 * again each second, as things stand then. */
#include "base/clock.h"
#include "core/lease.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/grants.h"
#include "daemon/names.h"
#include "daemon/redis_parts.h"
#include "proto/pubsub.h"

#include <stdlib.h>

enum {
    OFFER_MS = 5000, /* The core offers again by itself. */
    REVOKE_MS = 5000,
    FRESH_MS = 500 /* Nothing is said twice at once. */
};

/* A command that is not answered yet. */
struct saying {
    struct list link;
    struct core_message message;
    uint64_t until_ms; /* Of core time. */
    uint64_t said_at_ms;
};

/* A service is told one thing about each lease, and one about itself. */
static struct saying *find(const struct redis *redis,
                           const struct core_message *message)
{
    return message->lease != 0
               ? idmap_find(&redis->by_what, 0, message->lease)
               : idmap_find(&redis->by_what, 1, message->service);
}

static void forget(struct redis *redis, struct saying *saying)
{
    const struct core_message *message = &saying->message;

    (void)idmap_remove(&redis->by_what, message->lease == 0,
                       message->lease != 0 ? message->lease : message->service);
    list_remove(&saying->link);
    free(saying);
}

/* ---- Publishing --------------------------------------------------------- */

static void on_published(void *arg, const struct redis_value *value)
{
    struct redis *redis = arg;

    if (!redis->is_closing) {
        redis_complain(redis, REDIS_NEED_PUBLISH, value);
    }
}

void redis_publish(struct redis *redis,
                   uint32_t service,
                   const struct pubsub_command *command)
{
    const char *name = names_service_name(redis->daemon->names, service);
    struct redis_command publish;
    struct buf channel;

    buf_init(&channel, 0);
    redis_control_name(redis, name, &channel);
    buf_clear(&redis->text);
    pubsub_write(&redis->text, command);
    if (buf_error(&channel) == E_OK && buf_error(&redis->text) == E_OK) {
        redis_command_init(&publish, "PUBLISH");
        redis_command_add(&publish, buf_string(&channel));
        redis_command_add(&publish, buf_string(&redis->text));
        if (redis_link_send(redis->commands, &publish, on_published, redis) ==
            E_OK) {
            redis->stats.published++;
        }
    }
    buf_release(&channel);
}

/* Say until when the command of @message counts. */
static uint64_t until(const struct redis *redis,
                      const struct core_message *message)
{
    uint64_t now_ms = driver_now_ms(redis->daemon->driver);
    struct core_lease_view view;

    switch (message->type) {
    case CORE_MSG_GRANT:
    case CORE_MSG_RESUME:
        if (core_lease_view(driver_core(redis->daemon->driver), message->lease,
                            &view) == E_OK) {
            return now_ms + view.row.ttl_ms;
        }
        return now_ms;
    case CORE_MSG_OFFER:
        return now_ms + OFFER_MS;
    case CORE_MSG_REVOKE:
        return now_ms + REVOKE_MS;
    case CORE_MSG_PAUSE:
    case CORE_MSG_UNLOAD:
    case CORE_MSG_SHUTDOWN:
    case CORE_MSG_RUNG:
        return message->deadline_at_ms;
    case CORE_MSG_REFUSE:
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_STOPPED:
    case CORE_MSG_STATE:
    case CORE_MESSAGES:
        break;
    }
    return now_ms;
}

/* Publish the command of @message, which counts until @until_ms.  False: it is
 * past. */
static bool publish(struct redis *redis,
                    const struct core_message *message,
                    uint64_t until_ms)
{
    uint64_t now_ms = driver_now_ms(redis->daemon->driver);
    struct api_control control;
    struct pubsub_command command;
    struct grant grant;

    if (!control_fill(redis->daemon, message, &grant, &control)) {
        return false;
    }
    command = (struct pubsub_command){
        .name = api_control_name(control.type),
        .token = control.token,
        .lease = control.lease,
        .requester = control.requester,
        .wall_ms = clock_wall_ms(),
        .timeout_ms = until_ms > now_ms ? until_ms - now_ms : 0,
        .release_mib = control.release_mib,
        .job_id = control.job_id,
        .reason = control.type == API_CONTROL_REVOKE ? control.reason : NULL,
        .grant = control.grant};
    redis_publish(redis, message->service, &command);
    return true;
}

/* ---- Saying it again ---------------------------------------------------- */

/* Say whether somebody may be expected to answer @message. */
static bool is_answered(const struct core_message *message)
{
    return message->type != CORE_MSG_OFFER;
}

/* Keep @message to be said again; without memory it was said once. */
static void
keep(struct redis *redis, const struct core_message *message, uint64_t until_ms)
{
    struct saying *saying = find(redis, message);

    if (saying == NULL) {
        if (idmap_count(&redis->by_what) >= REDIS_SAYINGS_MAX ||
            idmap_reserve(&redis->by_what) != E_OK) {
            return;
        }
        saying = calloc(1, sizeof(*saying));
        if (saying == NULL) {
            return;
        }
        idmap_put(&redis->by_what, message->lease == 0,
                  message->lease != 0 ? message->lease : message->service,
                  saying);
        list_append(&redis->sayings, &saying->link);
    }
    saying->message = *message;
    saying->until_ms = until_ms;
    saying->said_at_ms = redis_now_ms();
}

static void say(struct redis *redis, const struct core_message *message)
{
    const struct saying *before = find(redis, message);
    uint64_t until_ms = until(redis, message);

    if (before != NULL && before->message.type == message->type &&
        before->message.token == message->token &&
        redis_now_ms() - before->said_at_ms < FRESH_MS) {
        return;
    }
    if (publish(redis, message, until_ms) && is_answered(message) &&
        redis_hears(redis->daemon, message->service)) {
        keep(redis, message, until_ms);
    }
}

/* Say whether @saying is no longer so. */
static bool is_past(const struct redis *redis, const struct saying *saying)
{
    const struct core_message *message = &saying->message;
    struct core_lease_view view;

    if (saying->until_ms <= driver_now_ms(redis->daemon->driver) ||
        !redis_hears(redis->daemon, message->service)) {
        return true;
    }
    if (message->lease == 0 || message->type == CORE_MSG_REVOKE) {
        return false;
    }
    if (core_lease_view(driver_core(redis->daemon->driver), message->lease,
                        &view) != E_OK ||
        view.row.token != message->token) {
        return true;
    }
    if (message->type == CORE_MSG_PAUSE) {
        return view.row.state != LEASE_PAUSING || view.acked_at_ms != 0;
    }
    return !lease_state_holds((enum lease_state)view.row.state);
}

void redis_tell_tick(struct redis *redis)
{
    uint64_t now_ms = redis_now_ms();
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &redis->sayings) {
        struct saying *saying = CONTAINER_OF(at, struct saying, link);

        if (is_past(redis, saying)) {
            forget(redis, saying);
        } else if (now_ms - saying->said_at_ms >= REDIS_AGAIN_MS) {
            saying->said_at_ms = now_ms;
            redis->stats.repeated++;
            if (!publish(redis, &saying->message, saying->until_ms)) {
                forget(redis, saying);
            }
        }
    }
}

void redis_heard(struct daemon *daemon, uint64_t lease)
{
    struct redis *redis = daemon->redis;
    struct saying *saying =
        redis == NULL ? NULL : idmap_find(&redis->by_what, 0, lease);

    if (saying != NULL) {
        forget(redis, saying);
    }
}

void redis_tell_release(struct redis *redis)
{
    while (!list_is_empty(&redis->sayings)) {
        forget(redis, CONTAINER_OF(redis->sayings.next, struct saying, link));
    }
    idmap_release(&redis->by_what);
}

/* ---- What the core says ------------------------------------------------- */

/* The wait of a task ended ungranted: no connection is told. */
static void say_refusal(struct redis *redis, const struct core_message *message)
{
    const struct names_lease *sent =
        names_lease_find(redis->daemon->names, message->lease);
    struct pubsub_command command = {
        .name = "refuse",
        .lease = message->lease,
        .wall_ms = clock_wall_ms(),
        .reason = core_reason_name(message->reason),
        .error = err_type(
            message->reason == CORE_REASON_CANCELLED ? E_ENDED : E_TIMEOUT)};

    if (sent != NULL && sent->job != 0) {
        command.job_id = sent->job_id;
        redis_publish(redis, message->service, &command);
    }
}

static void tell_ended(struct redis *redis, const struct core_message *message)
{
    struct core_lease_view view;

    if (core_lease_view(driver_core(redis->daemon->driver), message->lease,
                        &view) != E_OK) {
        return;
    }
    redis_take_ended(redis, view.row.token, message->lease);
    if (view.row.token == 0 && (message->reason == CORE_REASON_TIMEOUT ||
                                message->reason == CORE_REASON_AWAY ||
                                message->reason == CORE_REASON_CANCELLED)) {
        say_refusal(redis, message);
    }
}

void redis_tell(struct daemon *daemon, const struct core_message *message)
{
    struct redis *redis = daemon->redis;

    if (redis == NULL) {
        return;
    }
    redis_keys_tell(redis, message);
    if (message->type != CORE_MSG_STATE) {
        say(redis, message);
    } else if (message->state == LEASE_ENDED) {
        tell_ended(redis, message);
    }
}

/* ---- What is so now ------------------------------------------------------ */

/* Fill @out with the command that @view is under.  False: it is under none. */
static bool present(const struct core_lease_view *view,
                    struct core_message *out)
{
    *out = (struct core_message){.lease = view->row.id,
                                 .token = view->row.token,
                                 .service = view->row.service,
                                 .requester = view->requester,
                                 .release_mib = view->release_mib,
                                 .deadline_at_ms = view->deadline_at_ms,
                                 .reason = view->reason};
    switch ((enum lease_state)view->row.state) {
    case LEASE_HELD:
        out->type =
            view->row.token_before == 0 ? CORE_MSG_GRANT : CORE_MSG_RESUME;
        return true;
    case LEASE_PAUSING:
        out->type = CORE_MSG_PAUSE;
        return view->acked_at_ms == 0;
    case LEASE_RECLAIMING:
        out->type = CORE_MSG_REVOKE;
        return true;
    case LEASE_AWAY:
    case LEASE_QUEUED:
    case LEASE_CLEARING:
    case LEASE_PAUSED:
    case LEASE_ENDED:
    case LEASE_STATES:
        break;
    }
    return false;
}

void redis_say_present(struct redis *redis, uint64_t lease)
{
    struct core_lease_view view;
    struct core_message message;

    if (!redis_is_asking(redis->daemon, lease) &&
        core_lease_view(driver_core(redis->daemon->driver), lease, &view) ==
            E_OK &&
        present(&view, &message)) {
        say(redis, &message);
    }
}

struct greeting {
    struct redis *redis;
    uint32_t service;
};

static bool greet(void *arg, uint64_t id)
{
    const struct greeting *greeting = arg;
    struct core_lease_view view;

    if (core_lease_view(driver_core(greeting->redis->daemon->driver), id,
                        &view) == E_OK &&
        view.row.service == greeting->service) {
        redis_say_present(greeting->redis, id);
    }
    return true;
}

void redis_say_all(struct redis *redis, uint32_t service)
{
    struct greeting greeting = {redis, service};

    core_each_lease(driver_core(redis->daemon->driver),
                    1u << LEASE_HELD | 1u << LEASE_PAUSING |
                        1u << LEASE_RECLAIMING,
                    greet, &greeting);
}
