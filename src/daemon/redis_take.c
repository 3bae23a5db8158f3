/* redis_take.c - answers in: each becomes the HTTP call that does the same. */
#include "base/clock.h"
#include "base/log.h"
#include "core/lease.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/names.h"
#include "daemon/redis_parts.h"
#include "daemon/routes.h"
#include "http/http.h"
#include "http/problem.h"
#include "proto/pubsub.h"

#include <stdio.h>
#include <stdlib.h>

/* A call that is not answered yet. */
struct take {
    struct list link;
    uint64_t conn;
    enum pubsub_type type;
    uint32_t service;
    uint64_t lease; /* 0 = none yet. */
    uint64_t token; /* As given; 0 = none. */
    char job_id[API_JOB_MAX + 1];
};

/* ---- Answers of ours ----------------------------------------------------- */

/* Publish that what @take wanted is refused with @problem. */
static void refuse(struct redis *redis,
                   const struct take *take,
                   const struct http_problem *problem)
{
    struct pubsub_command command = {
        .name = "refuse",
        .token = take->token,
        .lease = take->lease,
        .wall_ms = clock_wall_ms(),
        .job_id = take->job_id[0] == '\0' ? NULL : take->job_id,
        .error = err_type(problem->code),
        .detail = problem->detail,
        .field = problem->field};

    redis->stats.refused++;
    redis_publish(redis, take->service, &command);
}

static void refuse_with(struct redis *redis, const struct take *take, int code)
{
    struct http_problem problem = {.code = code, .detail = err_text(code)};

    refuse(redis, take, &problem);
}

/* Forget the call @conn and return it, the caller's to free; NULL where Redis
 * was closed meanwhile. */
static struct take *finish(const struct daemon *daemon, uint64_t conn)
{
    struct take *take = daemon->redis == NULL
                            ? NULL
                            : idmap_remove(&daemon->redis->calls, 0, conn);

    if (take != NULL) {
        list_remove(&take->link);
    }
    return take;
}

/* Say whether @lease is to be resumed or paused, which its holder may not have
 * heard. */
static bool has_command(const struct redis *redis, const struct take *take)
{
    struct core_lease_view view;

    return core_lease_view(driver_core(redis->daemon->driver), take->lease,
                           &view) == E_OK &&
           (view.row.token != take->token || view.row.state == LEASE_PAUSING);
}

void redis_answered(struct daemon *daemon, uint64_t conn)
{
    struct take *take = finish(daemon, conn);

    if (take == NULL) {
        return;
    }
    if (take->type == PUBSUB_REQUEST) {
        take->lease = core_job_lease(
            driver_core(daemon->driver), take->service,
            names_job_find(daemon->names, take->service, take->job_id));
        redis_say_present(daemon->redis, take->lease);
    } else if (take->type == PUBSUB_RENEW && has_command(daemon->redis, take)) {
        redis_say_present(daemon->redis, take->lease);
    }
    free(take);
}

void redis_refused(struct daemon *daemon,
                   uint64_t conn,
                   const struct http_problem *problem)
{
    struct take *take = finish(daemon, conn);

    if (take != NULL) {
        refuse(daemon->redis, take, problem);
        free(take);
    }
}

/* ---- Whose token it is ----------------------------------------------------
 */

struct search {
    const struct core *core;
    uint64_t token;
    uint32_t service;
    uint64_t lease; /* 0 = not found yet. */
};

static bool is_it(void *arg, uint64_t id)
{
    struct search *search = arg;
    struct core_lease_view view;

    if (core_lease_view(search->core, id, &view) == E_OK &&
        view.row.service == search->service &&
        (view.row.token == search->token ||
         view.row.token_before == search->token)) {
        search->lease = id;
    }
    return search->lease == 0;
}

/* Return the lease that @token is of, also one that has just ended; 0. */
static uint64_t
lease_of(const struct redis *redis, uint32_t service, uint64_t token)
{
    struct search search = {driver_core(redis->daemon->driver), token, service,
                            0};
    uint32_t i;

    core_each_lease(search.core,
                    1u << LEASE_CLEARING | 1u << LEASE_HELD |
                        1u << LEASE_PAUSING | 1u << LEASE_PAUSED |
                        1u << LEASE_RECLAIMING,
                    is_it, &search);
    for (i = 0; i < REDIS_ENDED && search.lease == 0; i++) {
        if (redis->ended[i].token == token) {
            search.lease = redis->ended[i].lease;
        }
    }
    return search.lease;
}

void redis_take_ended(struct redis *redis, uint64_t token, uint64_t lease)
{
    if (token != 0) {
        redis->ended[redis->ended_next] = (struct redis_ended){token, lease};
        redis->ended_next = (redis->ended_next + 1) % REDIS_ENDED;
    }
}

/* ---- Calls ----------------------------------------------------------------
 */

/* Return the handler of the HTTP call that @type stands for; NULL: none. */
static void (*handler_of(enum pubsub_type type))(struct daemon *daemon,
                                                 const struct http_request *,
                                                 const char *last)
{
    switch (type) {
    case PUBSUB_PAUSED:
    case PUBSUB_RESUMED:
    case PUBSUB_ERROR:
        return ack_handle;
    case PUBSUB_RENEW:
        return renew_handle;
    case PUBSUB_RELEASE:
        return release_handle;
    case PUBSUB_REQUEST:
        return request_handle;
    case PUBSUB_CLAIM:
    case PUBSUB_TYPES:
        break;
    }
    return NULL;
}

/* Make the call of @answer, as @take, which is copied. */
static void call(struct redis *redis,
                 const struct pubsub_answer *answer,
                 const struct take *take)
{
    struct http_request request = {.method = "POST", .path = "/", .query = ""};
    struct take *kept;
    struct buf body;

    if (idmap_count(&redis->calls) >= REDIS_CALLS_MAX ||
        idmap_reserve(&redis->calls) != E_OK) {
        refuse_with(redis, take, E_NOMEM);
        return;
    }
    kept = malloc(sizeof(*kept));
    if (kept == NULL) {
        refuse_with(redis, take, E_NOMEM);
        return;
    }
    *kept = *take;
    list_append(&redis->takes, &kept->link);
    kept->conn = REDIS_CALL | redis->call_next++;
    idmap_put(&redis->calls, 0, kept->conn, kept);
    buf_init(&body, 0);
    pubsub_write_body(&body, answer, take->lease, take->token);
    request.conn = kept->conn;
    request.body = buf_string(&body);
    request.body_size = body.size;
    if (buf_error(&body) == E_OK) {
        handler_of(answer->type)(redis->daemon, &request, "");
    } else {
        free(finish(redis->daemon, request.conn));
        refuse_with(redis, take, E_NOMEM);
    }
    buf_release(&body);
}

/* "I attend the lease that you offered": for a while, then it is away again. */
static void claim(struct redis *redis, const struct take *take)
{
    struct core_lease_view view;

    if (core_lease_view(driver_core(redis->daemon->driver), take->lease,
                        &view) != E_OK ||
        view.row.service != take->service || view.row.state == LEASE_ENDED) {
        refuse_with(redis, take, E_NOT_FOUND);
        return;
    }
    redis_attend_claim(redis, take->service);
}

/* Do what @answer of @service says. */
static void
act(struct redis *redis, const struct pubsub_answer *answer, uint32_t service)
{
    struct take take = {.type = answer->type,
                        .service = service,
                        .lease = answer->lease,
                        .token = answer->token};

    (void)snprintf(take.job_id, sizeof(take.job_id), "%s", answer->job_id);
    if (answer->type == PUBSUB_CLAIM) {
        claim(redis, &take);
        return;
    }
    if (answer->type == PUBSUB_REQUEST) {
        /* Who asks will listen: it need not wait for the next look. */
        redis_attend_look(redis);
    } else {
        take.lease = lease_of(redis, service, answer->token);
        if (take.lease == 0) {
            refuse_with(redis, &take, E_NOT_FOUND);
            return;
        }
        redis_heard(redis->daemon, take.lease);
    }
    call(redis, answer, &take);
}

void redis_take(struct redis *redis,
                const char *channel,
                const struct redis_value *data)
{
    char name[API_NAME_MAX + 1];
    struct pubsub_answer answer;
    struct api_error error = {0};
    struct take take = {.type = PUBSUB_TYPES};
    struct http_problem problem = {0};

    if (data->kind != REDIS_TEXT || !redis_ack_service(redis, channel, name) ||
        names_service(redis->daemon->names, name, &take.service) != E_OK) {
        redis->stats.dropped++;
        return;
    }
    redis->stats.answers++;
    if (pubsub_parse(data->text, data->size, name, &answer, &error) == E_OK) {
        act(redis, &answer, take.service);
    } else {
        take.token = answer.token;
        (void)snprintf(take.job_id, sizeof(take.job_id), "%s", answer.job_id);
        problem.code = error.code;
        problem.detail = error.detail;
        problem.field = error.field[0] == '\0' ? NULL : error.field;
        redis->stats.dropped++;
        refuse(redis, &take, &problem);
    }
    pubsub_release(&answer);
}

void redis_take_release(struct redis *redis)
{
    while (!list_is_empty(&redis->takes)) {
        struct take *take = CONTAINER_OF(redis->takes.next, struct take, link);

        list_remove(&take->link);
        free(take);
    }
    idmap_release(&redis->calls);
}
