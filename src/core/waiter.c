/* waiter.c - requests: how they come, wait, are left alone and end ungranted.
 */
#include "core/parts.h"

/* ---- Deadlines and refusals ------------------------------------------- */

static uint64_t after_ms(const struct core *core, uint64_t ms)
{
    return ms >= CORE_FOREVER - core->now_ms ? CORE_FOREVER : core->now_ms + ms;
}

static bool is_durable(const struct lease *lease)
{
    return (lease->row.flags & CORE_ROW_DURABLE) != 0;
}

void waiter_deadline(struct core *core, struct lease *lease)
{
    if (lease->row.state == LEASE_AWAY && !is_durable(lease)) {
        lease_deadline(core, lease, after_ms(core, core->config.away_ms));
    } else {
        lease_deadline(core, lease, lease->expires_at_ms);
    }
}

static void go_away(struct core *core, struct lease *lease)
{
    if (lease->row.state != LEASE_AWAY) {
        lease_move(core, lease, LEASE_AWAY);
        core->needs_pass = true;
    }
    waiter_deadline(core, lease);
}

void waiter_refuse(struct core *core,
                   struct lease *lease,
                   int error,
                   enum core_reason reason,
                   bool keeps_place)
{
    bool stays = keeps_place && lease->row.job != 0;

    if (lease->ref != 0) {
        struct core_message *message = core_say(core, CORE_MSG_REFUSE, lease);

        message->ref = lease->ref;
        message->error = error;
        message->reason = reason;
        message->retry_after_ms =
            stays && !is_durable(lease) ? core->config.away_ms : 0;
        lease->ref = 0;
    }
    core->stats.timeouts += reason == CORE_REASON_TIMEOUT;
    if (stays) {
        go_away(core, lease);
    } else {
        lease_end(core, lease, reason);
    }
}

void waiter_due(struct core *core, struct lease *lease)
{
    if (lease->row.state == LEASE_AWAY && !is_durable(lease)) {
        lease_end(core, lease, CORE_REASON_AWAY);
    } else {
        waiter_refuse(core, lease, E_TIMEOUT, CORE_REASON_TIMEOUT,
                      !is_durable(lease));
    }
}

/* ---- Submit ----------------------------------------------------------- */

static struct class *find_class(struct core *core, uint32_t id)
{
    return id < CORE_PRIORITIES + core->config.class_count ? &core->classes[id]
                                                           : NULL;
}

/* Say whether enough devices could ever hold the request. */
static bool is_possible(const struct core *core,
                        const struct core_request *request)
{
    uint32_t count = 0;
    uint32_t i;

    for (i = 0; i < core->config.device_count; i++) {
        bool allowed =
            request->devices == 0 || (request->devices & (1ull << i)) != 0;

        count +=
            allowed && request->vram_mib <= device_size_mib(&core->devices[i]);
    }
    return request->gpus >= 1 && request->gpus <= count;
}

static int check(struct core *core, const struct core_request *request)
{
    if (request->service == 0 || find_class(core, request->class_id) == NULL ||
        (request->devices & ~core_all_devices(core)) != 0 ||
        !is_possible(core, request) ||
        request->ladder > core->config.ladder_count ||
        (request->rungs != 0 && !ladder_is_packed(request->rungs)) ||
        (request->is_durable && request->job == 0) ||
        (!request->is_durable && request->ref == 0) || request->ttl_ms == 0) {
        return E_INVALID;
    }
    return E_OK;
}

/* The request of a live job is sent again. */
static int reattach(struct core *core,
                    struct lease *lease,
                    const struct core_request *request)
{
    if (lease->row.class_id != request->class_id ||
        lease->row.vram_mib != request->vram_mib ||
        lease->row.gpus != request->gpus ||
        lease->row.devices != request->devices) {
        return E_JOB_CONFLICT;
    }
    if (lease->ref != 0 && lease->ref != request->ref) {
        core_say(core, CORE_MSG_SUPERSEDED, lease)->ref = lease->ref;
    }
    lease->ref = request->ref;
    core->about = lease->row.id;
    core->is_repeat = true;
    core->needs_pass = true;
    if (lease_is_waiter(lease)) {
        if (lease->row.timeout_ms != request->timeout_ms) {
            lease->row.timeout_ms = request->timeout_ms;
            lease_touch(core, lease);
        }
        lease->expires_at_ms = after_ms(core, request->timeout_ms);
        if (lease->row.state == LEASE_AWAY && lease_is_attended(lease)) {
            lease_move(core, lease, LEASE_QUEUED);
        }
        waiter_deadline(core, lease);
        return E_OK;
    }
    if (request->ref != 0) {
        core_say(core, CORE_MSG_GRANT, lease)->ref = request->ref;
        lease->heard_at_ms = core->now_ms;
        lease->expires_at_ms = core->now_ms + lease->row.ttl_ms;
        holder_extend(core, lease);
        if ((lease->row.flags & CORE_ROW_BY_CONNECTION) == 0) {
            lease->ref = 0;
        }
    }
    return E_OK;
}

static int admit(const struct core *core, const struct core_request *request)
{
    const struct service *service = core_service_find(core, request->service);

    if (core->is_draining || core->is_stopping) {
        return E_DRAINING;
    }
    if (core->waiter_count >= core->config.waiters_max ||
        (service != NULL &&
         service->waiters >= core->config.service_waiters_max) ||
        core->next_number >= core->id_end) {
        return E_LIMIT;
    }
    return E_OK;
}

static uint32_t flags_of(const struct core_request *request)
{
    uint32_t flags = 0;

    flags |= request->is_preemptible ? CORE_ROW_PREEMPTIBLE : 0;
    flags |= request->is_durable ? CORE_ROW_DURABLE : 0;
    flags |= request->holds_by_connection ? CORE_ROW_BY_CONNECTION : 0;
    flags |= request->is_reachable ? CORE_ROW_REACHABLE : 0;
    flags |= request->is_watched ? CORE_ROW_WATCHED : 0;
    return flags;
}

static void
fill(struct core *core, struct lease *lease, const struct core_request *request)
{
    lease->row.id = core->next_number++;
    lease->row.seq = core->next_seq++;
    lease->row.job = request->job;
    lease->row.devices = request->devices;
    lease->row.submitted_at_ms = core->now_ms;
    lease->row.timeout_ms = request->timeout_ms;
    lease->row.service = request->service;
    lease->row.class_id = request->class_id;
    lease->row.vram_mib = request->vram_mib;
    lease->row.ttl_ms = request->ttl_ms;
    lease->row.pause_grace_ms = request->pause_grace_ms;
    lease->row.max_hold_ms = request->max_hold_ms;
    lease->row.flags = flags_of(request);
    lease->row.ladder = request->rungs != 0 ? 0 : request->ladder;
    lease->row.rungs =
        request->rungs != 0 ? request->rungs : walk_pack(core, request->ladder);
    lease->ref = request->ref;
    lease->expires_at_ms = after_ms(core, request->timeout_ms);
    lease->row.state = lease_is_attended(lease) ? LEASE_QUEUED : LEASE_AWAY;
}

int waiter_submit(struct core *core, const struct core_event *event)
{
    const struct core_request *request = &event->submit;
    struct lease *lease;
    int rc = check(core, request);

    if (rc != E_OK) {
        return rc;
    }
    if (request->job != 0) {
        lease = idmap_find(&core->jobs, request->service, request->job);
        if (lease != NULL) {
            return reattach(core, lease, request);
        }
    }
    rc = admit(core, request);
    if (rc != E_OK) {
        return rc;
    }
    lease = lease_prepare(core, request, &rc);
    if (lease == NULL) {
        return rc;
    }
    fill(core, lease, request);
    idmap_put(&core->leases, 0, lease->row.id, lease);
    if (lease->row.job != 0) {
        idmap_put(&core->jobs, request->service, request->job, lease);
    }
    lease_enter(core, lease);
    lease_touch(core, lease);
    waiter_deadline(core, lease);
    /* The number after the next: a grant may take the next as its token. */
    idmap_prefetch(&core->leases, 0, core->next_number);
    idmap_prefetch(&core->leases, 0, core->next_number + 1);
    core->about = lease->row.id;
    core->needs_pass = true;
    return E_OK;
}

/* ---- Connections and streams ------------------------------------------ */

static uint32_t lease_count(const struct service *service)
{
    const struct list *at;
    uint32_t count = 0;

    LIST_EACH (at, &service->leases) {
        count++;
    }
    return count;
}

/* Bring the leases of @service into line with its streams. */
static void restream(struct core *core, struct service *service)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &service->leases) {
        struct lease *lease = CONTAINER_OF(at, struct lease, service_link);

        if (lease->row.state == LEASE_AWAY && lease_is_attended(lease)) {
            lease_move(core, lease, LEASE_QUEUED);
            waiter_deadline(core, lease);
        } else if (lease_is_waiter(lease) && !lease_is_attended(lease)) {
            go_away(core, lease);
        } else if (!lease_is_waiter(lease) &&
                   lease->row.state != LEASE_RECLAIMING) {
            holder_extend(core, lease);
        }
    }
    core->needs_pass = true;
}

size_t core_messages_max(const struct core *core,
                         const struct core_event *event)
{
    const struct service *service = NULL;

    if (event->type == CORE_ATTACH ||
        (event->type == CORE_DETACH && event->detach.lease == 0)) {
        service = core_service_find(core, event->attach.service);
    }
    return core->config.effects_max +
           (service == NULL ? 0 : 2 * (size_t)lease_count(service));
}

int waiter_attach(struct core *core, const struct core_event *event)
{
    struct service *service = core_service(core, event->attach.service);

    if (service == NULL ||
        core_reserve_effects(core, lease_count(service)) != E_OK) {
        return E_NOMEM;
    }
    service->streams++;
    service->lost_at_ms = 0;
    if (service->streams == 1) {
        restream(core, service);
    }
    return E_OK;
}

static int detach_stream(struct core *core, uint32_t id, bool is_lenient)
{
    struct service *service = core_service_find(core, id);

    if (service == NULL || service->streams == 0) {
        return E_NOT_FOUND;
    }
    if (core_reserve_effects(core, lease_count(service)) != E_OK) {
        return E_NOMEM;
    }
    service->streams--;
    if (service->streams == 0) {
        service->lost_at_ms = is_lenient ? 0 : core->now_ms;
        restream(core, service);
    }
    return E_OK;
}

int waiter_detach(struct core *core, const struct core_event *event)
{
    struct lease *lease;

    if (event->detach.lease == 0) {
        return detach_stream(core, event->detach.service,
                             event->detach.is_lenient);
    }
    lease = lease_find(core, event->detach.lease);
    if (lease == NULL || lease->ref == 0 || lease->ref != event->detach.ref) {
        return E_NOT_FOUND; /* Somebody else speaks for it by now. */
    }
    lease->ref = 0;
    core->about = lease->row.id;
    if (!lease_is_waiter(lease)) {
        if ((lease->row.flags & CORE_ROW_BY_CONNECTION) != 0) {
            holder_leave(core, lease);
        }
    } else if (lease->row.job == 0) {
        lease_end(core, lease, CORE_REASON_GONE);
    } else if (!lease_is_attended(lease)) {
        go_away(core, lease);
    }
    return E_OK;
}

/* The lease @id has ended, or never was. */
static int cancel_again(struct core *core, uint64_t id)
{
    const struct ended *ended = core_ended(core, id);

    if (ended == NULL) {
        return E_NOT_FOUND;
    }
    if (ended->reason != CORE_REASON_CANCELLED) {
        return E_ENDED;
    }
    core->is_repeat = true;
    return E_OK;
}

int waiter_cancel(struct core *core, const struct core_event *event)
{
    struct lease *lease = lease_find(core, event->cancel.lease);

    core->about = event->cancel.lease;
    if (lease == NULL) {
        return cancel_again(core, event->cancel.lease);
    }
    if (lease_is_waiter(lease)) {
        waiter_refuse(core, lease, E_ENDED, CORE_REASON_CANCELLED, false);
        return E_OK;
    }
    if (lease_is_sleeper(lease)) {
        holder_cancel(core, lease);
        return E_OK;
    }
    return E_STATE;
}
