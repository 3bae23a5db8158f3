/* The jobs' side of `gpucoord replay`: their calls and what comes back. */
#include "base/clock.h"
#include "cli/replay.h"
#include "cli/say.h"

enum call {
    CALL_REQUEST,
    CALL_RELEASE,
    CALL_ACK,
    CALL_RENEW,
    CALLS
};

uint64_t replay_now_ms(const struct replay *replay)
{
    return (clock_mono_ns() - replay->start_ns) * replay->speed / 1000000;
}

/* ---- Calls ------------------------------------------------------------ */

static int
post(struct replay *replay, enum call call, uint32_t job, struct buf *body)
{
    static const char *const paths[CALLS] = {
        [CALL_REQUEST] = "/gpu/request",
        [CALL_RELEASE] = "/gpu/release",
        [CALL_ACK] = "/gpu/ack",
        [CALL_RENEW] = "/gpu/renew",
    };
    int rc = buf_error(body);

    if (rc == E_OK) {
        rc = crowd_post(replay->crowd, paths[call], buf_string(body),
                        (uint64_t)job * CALLS + call);
    }
    buf_release(body);
    return rc;
}

static int submit(void *arg, uint32_t job)
{
    struct replay *replay = arg;
    const struct workload_job *machine = &replay->work.jobs[job];
    static struct api_request request;
    struct buf body;

    request.fields =
        API_HAS_CLASS | API_HAS_TIMEOUT | API_HAS_TTL | API_HAS_VRAM;
    if (!replay->work.options.is_preemptible) {
        request.fields |= API_HAS_PREEMPTIBLE;
        request.is_preemptible = false;
    }
    request.timeout_ms = API_TIMEOUT_MS_MAX;
    request.ttl_ms = REPLAY_TTL_MS;
    request.vram_mib = machine->vram_mib;
    (void)snprintf(request.service_id, sizeof request.service_id, "%s",
                   replay->work.services[machine->service]);
    (void)snprintf(request.class_name, sizeof request.class_name, "%s",
                   replay->work.classes[machine->class_index].name);
    buf_init(&body, 0);
    api_write_request(&body, &request);
    return post(replay, CALL_REQUEST, job, &body);
}

static int post_lease(struct replay *replay, enum call call, uint32_t job)
{
    const struct replay_lease *lease = &replay->leases[job];
    struct buf body;

    buf_init(&body, 0);
    api_write_lease(&body, lease->lease, lease->token);
    return post(replay, call, job, &body);
}

int replay_release(struct replay *replay, uint32_t job)
{
    return post_lease(replay, CALL_RELEASE, job);
}

static int release(void *arg, uint32_t job)
{
    return replay_release(arg, job);
}

static int renew(void *arg, uint32_t job)
{
    return post_lease(arg, CALL_RENEW, job);
}

static int paused(void *arg, uint32_t job)
{
    struct replay *replay = arg;
    struct api_ack ack = {
        .lease = replay->leases[job].lease,
        .token = replay->leases[job].token,
        .action = CORE_ACK_PAUSED,
    };
    struct buf body;

    buf_init(&body, 0);
    api_write_ack(&body, &ack);
    return post(replay, CALL_ACK, job, &body);
}

/* ---- Answers and events ----------------------------------------------- */

static void forget(struct replay *replay, struct replay_lease *lease)
{
    if (lease->lease != 0) {
        (void)idmap_remove(&replay->by_lease, 0, lease->lease);
        lease->lease = 0;
    }
}

/* The first failure is told; more of them are counted. */
static void lose(struct replay *replay,
                 uint32_t job,
                 unsigned status,
                 const struct api_answer *answer)
{
    const struct workload_job *machine = &replay->work.jobs[job];

    if (!replay->has_complained) {
        replay->has_complained = true;
        say("a job of %s was refused (status %u): %s",
            replay->work.services[machine->service], status,
            answer->detail[0] != '\0' ? answer->detail : answer->title);
    }
    forget(replay, &replay->leases[job]);
    workload_lost(&replay->work, job, replay_now_ms(replay));
}

static bool was_paused_early(const struct replay *replay, uint64_t lease)
{
    size_t kept = replay->early_count < REPLAY_EARLY_MAX ? replay->early_count
                                                         : REPLAY_EARLY_MAX;

    for (size_t i = 0; i < kept; i++) {
        if (replay->early[i] == lease) {
            return true;
        }
    }
    return false;
}

static int
take_grant(struct replay *replay, uint32_t job, const struct api_answer *answer)
{
    struct replay_lease *lease = &replay->leases[job];
    int rc;

    if (lease->lease == 0) {
        rc = idmap_reserve(&replay->by_lease);
        if (rc != E_OK) {
            return rc;
        }
        lease->lease = answer->lease;
        idmap_put(&replay->by_lease, 0, lease->lease, lease);
    }
    lease->token = answer->token;
    rc = workload_granted(
        &replay->work, job,
        answer->devices.count == 0 ? 0 : answer->devices.items[0].index,
        replay_now_ms(replay));
    if (rc == E_OK && was_paused_early(replay, lease->lease)) {
        workload_pause(&replay->work, job);
    }
    return rc;
}

static int take_answer(void *arg,
                       uint64_t tag,
                       unsigned status,
                       const struct api_answer *answer)
{
    struct replay *replay = arg;
    uint32_t job = (uint32_t)(tag / CALLS);
    enum call call = (enum call)(tag % CALLS);
    enum workload_state state = replay->work.jobs[job].state;

    switch (call) {
    case CALL_REQUEST:
        if (status != 200) {
            lose(replay, job, status, answer);
            return E_OK;
        }
        return take_grant(replay, job, answer);
    case CALL_RELEASE:
        if (state == WORKLOAD_RELEASING && status == 200) {
            forget(replay, &replay->leases[job]);
            workload_released(&replay->work, job, replay_now_ms(replay));
        } else if (state == WORKLOAD_RELEASING) {
            lose(replay, job, status, answer);
        }
        return E_OK;
    case CALL_ACK:
        if (state == WORKLOAD_PAUSED && status != 200) {
            lose(replay, job, status, answer);
        }
        return E_OK;
    case CALL_RENEW: /* A lease that has ended is told by its stream. */
    case CALLS:
        break;
    }
    return E_OK;
}

static int
take_event(void *arg, const char *name, const struct api_answer *data)
{
    struct replay *replay = arg;
    struct replay_lease *lease = idmap_find(&replay->by_lease, 0, data->lease);
    bool is_pause = strcmp(name, api_control_name(API_CONTROL_PAUSE)) == 0;

    if (lease == NULL) {
        if (is_pause) {
            replay->early[replay->early_count++ % REPLAY_EARLY_MAX] =
                data->lease;
        }
        return E_OK;
    }
    if (is_pause) {
        workload_pause(&replay->work, lease->job);
    } else if (strcmp(name, api_control_name(API_CONTROL_RESUME)) == 0 &&
               replay->work.jobs[lease->job].state == WORKLOAD_PAUSED) {
        return take_grant(replay, lease->job, data);
    } else if (strcmp(name, api_control_name(API_CONTROL_REVOKE)) == 0) {
        lose(replay, lease->job, 0, data);
    }
    return E_OK;
}

struct workload_calls replay_calls(struct replay *replay)
{
    return (struct workload_calls){submit, release, paused, renew, replay};
}

struct crowd_handler replay_handler(struct replay *replay)
{
    return (struct crowd_handler){take_answer, take_event, replay};
}
