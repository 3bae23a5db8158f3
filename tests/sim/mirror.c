#include "sim/mirror.h"

#include <assert.h>
#include <string.h>

static const struct core_class_config implicit_class = {
    .weight = CORE_WEIGHT_IMPLICIT};

/* What of @config a reload can change. */
static void settings_of(const struct core_config *config,
                        struct ref_settings *out)
{
    uint32_t i;

    *out = (struct ref_settings){
        .class_count = CORE_PRIORITIES + config->class_count,
        .waiters_max = config->waiters_max,
        .service_waiters_max = config->service_waiters_max,
        .stream_grace = config->stream_grace_ms,
        .away = config->away_ms,
        .margin = config->resume_margin_percent,
    };
    assert(out->class_count <= REF_CLASSES);
    for (i = 0; i < config->device_count; i++) {
        out->reserve[i] = config->devices[i].reserve_mib;
        out->residue[i] = config->devices[i].residue_mib;
        out->settle[i] = config->devices[i].settle_ms;
    }
    for (i = 0; i < out->class_count; i++) {
        const struct core_class_config *class =
            i < CORE_PRIORITIES ? &implicit_class
                                : &config->classes[i - CORE_PRIORITIES];

        out->classes[i] = (struct ref_class){
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

void mirror_init(struct mirror *mirror, const struct rig *rig)
{
    const struct core_config *config = &rig->config;
    struct ref *ref = &mirror->ref;
    struct ref_settings settings;
    uint32_t i;

    memset(mirror, 0, sizeof *mirror);
    ref->device_count = config->device_count;
    assert(ref->device_count <= REF_DEVICES);
    ref->now = rig->now_ms;
    ref->hold_until = rig->now_ms + config->startup_hold_ms;
    for (i = 0; i < config->device_count; i++) {
        ref->devices[i] = (struct ref_device){
            .capacity = config->devices[i].capacity_mib,
            .measured = config->devices[i].is_measured,
            .ok = true,
        };
    }
    settings_of(config, &settings);
    ref_configure(ref, &settings);
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

static const char *const deed_names[] = {
    [REF_GRANT] = "grant",  [REF_RESUME] = "resume", [REF_PAUSE] = "pause",
    [REF_OFFER] = "offer",  [REF_UNLOAD] = "unload", [REF_FINISH] = "last word",
    [REF_STOPPED] = "stop",
};

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
    struct ref_settings settings;

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
    case CORE_BYPASS:
        ref_bypass(ref, event->admin.until_ms);
        break;
    case CORE_SHUTDOWN:
        ref_shutdown(ref, event->admin.until_ms);
        break;
    case CORE_CONFIGURE:
        settings_of(event->admin.config, &settings);
        ref_configure(ref, &settings);
        break;
    case CORE_THAW: /* The reference has no ladder. */
    case CORE_NUMBERS:
    case CORE_HOLD: /* A store's that is away; the reference has none. */
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
    case CORE_FOREIGN: /* Of a Redis, which the simulator has not. */
    case CORE_RESTORE:
    case CORE_EVENTS:
        break;
    }
}

/* ---- Comparing -------------------------------------------------------- */

enum {
    /* In their order, each kind among its own. */
    GRANTS = (1 << REF_GRANT) | (1 << REF_RESUME),
    OFFERS = (1 << REF_OFFER),
    UNLOADS = (1 << REF_UNLOAD),
    STOPS = (1 << REF_STOPPED),
    /* Told all at once, so without an order. */
    PAUSES = (1 << REF_PAUSE),
    FINISHES = (1 << REF_FINISH),
    /* All that a step can tell, and more. */
    HEARD_MAX = 4096
};

/* The deeds of the core in a step. */
struct heard {
    struct ref_deed deeds[HEARD_MAX];
    size_t count;
};

/* Say whether @message is a deed, and which; a grant is none where it is only
 * said again. */
static bool find_deed(const struct rig *rig,
                      const struct core_message *message,
                      uint64_t token_before,
                      struct ref_deed *deed)
{
    const struct core_lease_row *row = rig_row(rig, message->lease);

    *deed = (struct ref_deed){.lease = message->lease};
    switch (message->type) {
    case CORE_MSG_GRANT:
    case CORE_MSG_RESUME:
        deed->kind = message->type == CORE_MSG_GRANT ? REF_GRANT : REF_RESUME;
        deed->devices = row == NULL ? 0 : row->granted;
        return message->token > token_before;
    case CORE_MSG_PAUSE:
        deed->kind = REF_PAUSE;
        return true;
    case CORE_MSG_OFFER:
        deed->kind = REF_OFFER;
        return true;
    case CORE_MSG_UNLOAD:
        deed->kind = REF_UNLOAD;
        deed->lease = message->requester;
        deed->service = message->service;
        deed->amount = message->release_mib;
        deed->until = message->deadline_at_ms;
        return true;
    case CORE_MSG_SHUTDOWN:
        deed->kind = REF_FINISH;
        deed->until = message->deadline_at_ms;
        return true;
    case CORE_MSG_STOPPED:
        deed->kind = REF_STOPPED;
        return true;
    case CORE_MSG_REFUSE:
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_REVOKE:
    case CORE_MSG_RUNG:
    case CORE_MSG_STATE:
    case CORE_MESSAGES:
        break;
    }
    return false;
}

static void hear(struct heard *heard,
                 const struct rig *rig,
                 const struct core_effects *effects,
                 uint64_t token_before)
{
    size_t i;

    heard->count = 0;
    for (i = 0; i < effects->message_count; i++) {
        assert(heard->count < HEARD_MAX);
        heard->count += find_deed(rig, &effects->messages[i], token_before,
                                  &heard->deeds[heard->count]);
    }
}

static bool is_same(const struct ref_deed *a, const struct ref_deed *b)
{
    return a->kind == b->kind && a->lease == b->lease &&
           a->devices == b->devices && a->until == b->until &&
           a->service == b->service && a->amount == b->amount;
}

static void describe(struct buf *out, const struct ref_deed *deed)
{
    if (deed == NULL) {
        buf_text(out, "nothing");
        return;
    }
    buf_printf(out, "%s of lease %llu", deed_names[deed->kind],
               (unsigned long long)deed->lease);
    if (deed->kind == REF_GRANT || deed->kind == REF_RESUME) {
        buf_printf(out, " on devices %llx", (unsigned long long)deed->devices);
    } else if (deed->kind == REF_UNLOAD) {
        buf_printf(out, ": service %u, %u MiB by %llu", deed->service,
                   deed->amount, (unsigned long long)deed->until);
    }
}

_Noreturn static void differ(const struct rig *rig,
                             const struct ref_deed *core,
                             const struct ref_deed *reference)
{
    struct buf a;
    struct buf b;

    buf_init(&a, 0);
    buf_init(&b, 0);
    describe(&a, core);
    describe(&b, reference);
    rig_fail(rig, "core: %s; reference: %s", buf_string(&a), buf_string(&b));
}

/* The next of @deeds of the kinds in the set @kinds, from @at on; NULL. */
static const struct ref_deed *next_deed(const struct ref_deed *deeds,
                                        size_t count,
                                        unsigned kinds,
                                        size_t *at)
{
    while (*at < count) {
        const struct ref_deed *deed = &deeds[(*at)++];

        if ((kinds >> deed->kind & 1) != 0) {
            return deed;
        }
    }
    return NULL;
}

static void compare_ordered(const struct ref *ref,
                            const struct heard *heard,
                            const struct rig *rig,
                            unsigned kinds)
{
    const struct ref_deed *core;
    const struct ref_deed *reference;
    size_t core_at = 0;
    size_t reference_at = 0;

    do {
        core = next_deed(heard->deeds, heard->count, kinds, &core_at);
        reference =
            next_deed(ref->deeds, ref->deed_count, kinds, &reference_at);
        if ((core == NULL) != (reference == NULL) ||
            (core != NULL && !is_same(core, reference))) {
            differ(rig, core, reference);
        }
    } while (core != NULL);
}

static bool has_deed(const struct ref_deed *deeds,
                     size_t count,
                     const struct ref_deed *deed)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (is_same(&deeds[i], deed)) {
            return true;
        }
    }
    return false;
}

/* Nobody is told twice in a step, so two sets of equal size that lie in each
 * other are the same. */
static void compare_unordered(const struct ref *ref,
                              const struct heard *heard,
                              const struct rig *rig,
                              unsigned kinds)
{
    const struct ref_deed *deed;
    size_t at = 0;

    while ((deed = next_deed(heard->deeds, heard->count, kinds, &at)) != NULL) {
        if (!has_deed(ref->deeds, ref->deed_count, deed)) {
            differ(rig, deed, NULL);
        }
    }
    at = 0;
    while ((deed = next_deed(ref->deeds, ref->deed_count, kinds, &at)) !=
           NULL) {
        if (!has_deed(heard->deeds, heard->count, deed)) {
            differ(rig, NULL, deed);
        }
    }
}

static void compare_deeds(struct mirror *mirror,
                          const struct rig *rig,
                          const struct core_effects *effects,
                          uint64_t token_before)
{
    static struct heard heard;
    static const unsigned ordered[] = {GRANTS, OFFERS, UNLOADS, STOPS};
    size_t i;

    hear(&heard, rig, effects, token_before);
    for (i = 0; i < sizeof ordered / sizeof ordered[0]; i++) {
        compare_ordered(&mirror->ref, &heard, rig, ordered[i]);
    }
    compare_unordered(&mirror->ref, &heard, rig, PAUSES);
    compare_unordered(&mirror->ref, &heard, rig, FINISHES);
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
    ref_stop(&mirror->ref);
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
