#include "sim/mirror.h"

#include <assert.h>
#include <string.h>

static const struct core_class_config implicit_class = {
    .weight = CORE_WEIGHT_IMPLICIT};

void mirror_init(struct mirror *mirror, const struct rig *rig)
{
    const struct core_config *config = &rig->config;
    struct ref *ref = &mirror->ref;
    uint32_t i;

    memset(mirror, 0, sizeof *mirror);
    ref->device_count = config->device_count;
    ref->class_count = CORE_PRIORITIES + config->class_count;
    assert(ref->device_count <= REF_DEVICES);
    assert(ref->class_count <= REF_CLASSES);
    ref->waiters_max = config->waiters_max;
    ref->service_waiters_max = config->service_waiters_max;
    ref->stream_grace = config->stream_grace_ms;
    ref->away = config->away_ms;
    ref->margin = config->resume_margin_percent;
    ref->now = rig->now_ms;
    ref->hold_until = rig->now_ms + config->startup_hold_ms;
    for (i = 0; i < config->device_count; i++) {
        const struct core_device_config *device = &config->devices[i];

        ref->devices[i] = (struct ref_device){
            .capacity = device->capacity_mib,
            .reserve = device->reserve_mib,
            .residue = device->residue_mib,
            .settle = device->settle_ms,
            .measured = device->is_measured,
            .ok = true,
        };
    }
    for (i = 0; i < ref->class_count; i++) {
        const struct core_class_config *class =
            i < CORE_PRIORITIES ? &implicit_class
                                : &config->classes[i - CORE_PRIORITIES];

        ref->classes[i] = (struct ref_class){
            .priority = i < CORE_PRIORITIES ? i : class->priority,
            .weight = class->weight,
            .limit = class->max_consecutive,
            .waits_alone = class->waits_when_alone,
            .linger = class->linger_ms,
            .min_run = class->min_run_ms,
            .max_wait = class->max_wait_ms,
        };
    }
}

static enum ref_state translate(uint32_t state)
{
    switch ((enum lease_state)state) {
    case LEASE_AWAY:
        return REF_AWAY;
    case LEASE_QUEUED:
        return REF_QUEUED;
    case LEASE_CLEARING:
        return REF_CLEARING;
    case LEASE_HELD:
        return REF_HELD;
    case LEASE_PAUSING:
        return REF_PAUSING;
    case LEASE_PAUSED:
        return REF_PAUSED;
    case LEASE_RECLAIMING:
        return REF_RECLAIMING;
    case LEASE_ENDED:
    case LEASE_STATES:
        break;
    }
    return REF_ENDED;
}

static const char *const state_names[] = {
    "away",    "queued", "clearing",   "held",
    "pausing", "paused", "reclaiming", "ended",
};

static const char *const deed_names[] = {"grant", "resume", "pause"};

/* ---- Feeding ---------------------------------------------------------- */

static void feed_submit(struct mirror *mirror,
                        const struct rig *rig,
                        const struct core_request *request,
                        int rc,
                        uint64_t lease)
{
    const struct ref_request copy = {
        .connection = request->ref,
        .job = request->job,
        .set = request->devices,
        .timeout = request->timeout_ms,
        .service = request->service,
        .class_id = request->class_id,
        .need = request->vram_mib,
        .count = request->gpus,
        .ttl = request->ttl_ms,
        .grace = request->pause_grace_ms,
        .max_hold = request->max_hold_ms,
        .preemptible = request->is_preemptible,
        .durable = request->is_durable,
        .by_connection = request->holds_by_connection,
    };
    bool accepts = ref_submit(&mirror->ref, &copy, lease);

    if (accepts != (rc == E_OK)) {
        rig_fail(rig, "the reference %s a request, the core says: %s",
                 accepts ? "accepts" : "refuses", err_text(rc));
    }
}

static void feed_admin(struct ref *ref, const struct core_event *event)
{
    switch (event->admin.action) {
    case CORE_DRAIN:
    case CORE_UNDRAIN:
        ref_drain(ref, event->admin.devices, event->admin.action == CORE_DRAIN);
        break;
    case CORE_REVOKE:
        ref_revoke(ref, event->admin.lease);
        break;
    case CORE_PAUSE:
        ref_pause(ref, event->admin.lease);
        break;
    case CORE_RESUME:
        ref_resume(ref, event->admin.lease);
        break;
    case CORE_THAW:
    case CORE_BYPASS:
    case CORE_SHUTDOWN:
    case CORE_CONFIGURE:
    case CORE_NUMBERS:
        break;
    }
}

static void feed_ack(struct ref *ref, const struct core_event *event)
{
    static const enum ref_ack actions[] = {
        [CORE_ACK_PAUSED] = REF_ACK_PAUSED,
        [CORE_ACK_RESUMED] = REF_ACK_RESUMED,
        [CORE_ACK_ERROR] = REF_ACK_ERROR,
    };

    ref_ack(ref, event->ack.lease, actions[event->ack.action],
            event->ack.vram_mib);
}

static void feed_report(struct ref *ref, const struct core_event *event)
{
    struct ref_sample sample = {
        .device = event->report.device,
        .ok = event->report.state == CORE_DEVICE_OK,
        .names = event->report.is_attributed,
        .begun_at = event->report.begun_at_ms,
        .used = event->report.used_mib,
        .count = event->report.usage_count,
    };
    uint32_t i;

    for (i = 0; i < event->report.usage_count; i++) {
        const struct core_usage *usage = &event->report.usages[i];

        sample.uses[i] =
            (struct ref_use){usage->lease, usage->service, usage->used_mib};
    }
    ref_report(ref, &sample);
}

/* The core took the event: so does the reference. */
static void
feed(struct ref *ref, const struct core_event *event, bool is_repeat)
{
    switch (event->type) {
    case CORE_ATTACH:
        ref_stream(ref, event->attach.service, true);
        break;
    case CORE_DETACH:
        if (event->detach.lease == 0) {
            ref_stream(ref, event->detach.service, false);
        } else {
            ref_detach(ref, event->detach.lease, event->detach.ref);
        }
        break;
    case CORE_RELEASE:
        ref_release(ref, event->release.lease);
        break;
    case CORE_RENEW:
        if (!is_repeat) {
            ref_renew(ref, event->renew.lease, event->renew.ttl_ms);
        }
        break;
    case CORE_ACK:
        feed_ack(ref, event);
        break;
    case CORE_CANCEL:
        ref_cancel(ref, event->cancel.lease);
        break;
    case CORE_TICK:
        ref_tick(ref);
        break;
    case CORE_DEVICE_REPORT:
        feed_report(ref, event);
        break;
    case CORE_PROCESS_GONE:
        ref_gone(ref, event->process_gone.lease);
        break;
    case CORE_ADMIN:
        feed_admin(ref, event);
        break;
    case CORE_SUBMIT:
    case CORE_WATCH:
    case CORE_RUNG:
    case CORE_RESTORE:
    case CORE_EVENTS:
        break;
    }
}

/* ---- Comparing -------------------------------------------------------- */

static bool find_deed(const struct mirror *mirror,
                      const struct core_message *message,
                      uint64_t token_before,
                      enum ref_deed_kind *kind)
{
    size_t i;

    switch (message->type) {
    case CORE_MSG_GRANT:
        *kind = REF_GRANT;
        return message->token > token_before;
    case CORE_MSG_RESUME:
        *kind = REF_RESUME;
        return message->token > token_before;
    case CORE_MSG_PAUSE:
        *kind = REF_PAUSE;
        /* Not one that is said again to a stream that came back. */
        for (i = 0; i < REF_LEASES; i++) {
            if (mirror->before.leases[i].id == message->lease &&
                mirror->before.leases[i].state == REF_PAUSING &&
                message->token <= token_before) {
                return false;
            }
        }
        return true;
    case CORE_MSG_REFUSE:
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_OFFER:
    case CORE_MSG_UNLOAD:
    case CORE_MSG_REVOKE:
    case CORE_MSG_SHUTDOWN:
    case CORE_MSG_STOPPED:
    case CORE_MSG_RUNG:
    case CORE_MSG_STATE:
    case CORE_MESSAGES:
        break;
    }
    return false;
}

/* The next grant or resume of the reference, from @done on. */
static const struct ref_deed *next_grant(const struct ref *ref, size_t *done)
{
    while (*done < ref->deed_count) {
        const struct ref_deed *deed = &ref->deeds[(*done)++];

        if (deed->kind != REF_PAUSE) {
            return deed;
        }
    }
    return NULL;
}

static bool asks(const struct ref *ref, uint64_t lease)
{
    size_t i;

    for (i = 0; i < ref->deed_count; i++) {
        if (ref->deeds[i].kind == REF_PAUSE && ref->deeds[i].lease == lease) {
            return true;
        }
    }
    return false;
}

static void compare_grant(const struct rig *rig,
                          const struct core_message *message,
                          enum ref_deed_kind kind,
                          const struct ref_deed *deed)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);

    if (deed == NULL) {
        rig_fail(rig, "core: %s of lease %llu; reference: nothing",
                 deed_names[kind], (unsigned long long)message->lease);
    }
    if (deed->kind != kind || deed->lease != message->lease) {
        rig_fail(rig, "core: %s of lease %llu; reference: %s of %llu",
                 deed_names[kind], (unsigned long long)message->lease,
                 deed_names[deed->kind], (unsigned long long)deed->lease);
    }
    if (row != NULL && deed->devices != row->granted) {
        rig_fail(rig, "lease %llu: core: devices %llx; reference: %llx",
                 (unsigned long long)message->lease,
                 (unsigned long long)row->granted,
                 (unsigned long long)deed->devices);
    }
}

/* Grants and resumes in their order; pauses, which happen all at once,
 * without one. */
static void compare_deeds(const struct mirror *mirror,
                          const struct rig *rig,
                          const struct core_effects *effects,
                          uint64_t token_before)
{
    const struct ref *ref = &mirror->ref;
    const struct ref_deed *left;
    size_t done = 0;
    size_t pauses = 0;
    size_t i;

    for (i = 0; i < effects->message_count; i++) {
        const struct core_message *message = &effects->messages[i];
        enum ref_deed_kind kind;

        if (!find_deed(mirror, message, token_before, &kind)) {
            continue;
        }
        if (kind != REF_PAUSE) {
            compare_grant(rig, message, kind, next_grant(ref, &done));
        } else if (!asks(ref, message->lease)) {
            rig_fail(rig, "core: asks lease %llu to pause; reference: does not",
                     (unsigned long long)message->lease);
        }
        pauses += kind == REF_PAUSE;
    }
    left = next_grant(ref, &done);
    if (left != NULL) {
        rig_fail(rig, "core: nothing; reference: %s of lease %llu",
                 deed_names[left->kind], (unsigned long long)left->lease);
    }
    for (i = 0; i < ref->deed_count; i++) {
        if (ref->deeds[i].kind == REF_PAUSE && pauses-- == 0) {
            rig_fail(rig, "the reference asks others too, like lease %llu",
                     (unsigned long long)ref->deeds[i].lease);
        }
    }
}

/* Both views of the devices, for the reader of a difference. */
static void trace_devices(const struct mirror *mirror, const struct rig *rig)
{
    uint32_t i;
    uint32_t j;

    if (rig->trace == NULL) {
        return;
    }
    for (i = 0; i < mirror->ref.device_count; i++) {
        const struct ref_device *device = &mirror->ref.devices[i];
        struct core_device_view view;
        uint32_t warm = 0;

        for (j = 0; j < REF_SERVICES; j++) {
            warm += device->resident[j];
        }
        core_device_view(rig->core, i, &view);
        buf_printf(rig->trace,
                   "device %u: used %u, core: charged %u warm %u unleased %u "
                   "free %u sampled %llu; reference: warm %u unleased %u "
                   "sampled %llu changed %llu\n",
                   i, view.used_mib, view.charged_mib, view.resident_mib,
                   view.unleased_mib, view.free_mib,
                   (unsigned long long)view.sampled_at_ms, warm,
                   device->unleased, (unsigned long long)device->sampled_at,
                   (unsigned long long)device->changed_at);
    }
}

static void compare_states(const struct mirror *mirror, const struct rig *rig)
{
    struct core_stats stats;
    uint64_t live = 0;
    uint64_t mine = 0;
    size_t i;

    for (i = 0; i < REF_LEASES; i++) {
        const struct ref_lease *lease = &mirror->ref.leases[i];
        struct core_lease_view view;
        enum ref_state state = REF_ENDED;

        if (lease->id == 0) {
            continue;
        }
        mine++;
        if (core_lease_view(rig->core, lease->id, &view) == E_OK) {
            state = translate(view.row.state);
        }
        if (state != lease->state) {
            rig_fail(rig, "lease %llu: core: %s; reference: %s",
                     (unsigned long long)lease->id, state_names[state],
                     state_names[lease->state]);
        }
    }
    core_stats(rig->core, &stats);
    for (i = 0; i < LEASE_ENDED; i++) {
        live += stats.leases[i];
    }
    if (live != mine) {
        rig_fail(rig, "core: %llu live leases; reference: %llu",
                 (unsigned long long)live, (unsigned long long)mine);
    }
}

static void compare_classes(const struct mirror *mirror, const struct rig *rig)
{
    uint32_t i;

    for (i = 0; i < mirror->ref.class_count; i++) {
        struct core_class_view view;

        core_class_view(rig->core, i, &view);
        if (view.consecutive != mirror->ref.classes[i].consecutive) {
            rig_fail(rig, "class %u: core: %u in a row; reference: %u", i,
                     view.consecutive, mirror->ref.classes[i].consecutive);
        }
    }
}

void mirror_step(struct mirror *mirror,
                 const struct rig *rig,
                 const struct core_event *event,
                 int rc,
                 const struct core_effects *effects,
                 uint64_t token_before)
{
    mirror->before = mirror->ref;
    ref_begin(&mirror->ref, event->at_ms);
    if (event->type == CORE_SUBMIT) {
        feed_submit(mirror, rig, &event->submit, rc,
                    rc == E_OK ? effects->lease : 0);
    }
    if (rc != E_OK) {
        return;
    }
    feed(&mirror->ref, event, effects->is_repeat);
    ref_pass(&mirror->ref);
    if (event->type == CORE_SUBMIT) {
        ref_refuse(&mirror->ref, effects->lease, effects->is_repeat);
    }
    trace_devices(mirror, rig);
    compare_deeds(mirror, rig, effects, token_before);
    compare_states(mirror, rig);
    compare_classes(mirror, rig);
}

void mirror_restart(struct mirror *mirror, const struct rig *rig)
{
    ref_begin(&mirror->ref, rig->now_ms);
    ref_restart(&mirror->ref, rig->config.startup_hold_ms);
    compare_states(mirror, rig);
}
