#include "sim/trace.h"

#include "core/lease.h"

static const char *const event_names[CORE_EVENTS] = {
    [CORE_SUBMIT] = "submit",   [CORE_ATTACH] = "attach",
    [CORE_DETACH] = "detach",   [CORE_RELEASE] = "release",
    [CORE_RENEW] = "renew",     [CORE_ACK] = "ack",
    [CORE_CANCEL] = "cancel",   [CORE_TICK] = "tick",
    [CORE_RESTORE] = "restore", [CORE_DEVICE_REPORT] = "report",
    [CORE_ADMIN] = "admin",     [CORE_PROCESS_GONE] = "process gone",
    [CORE_WATCH] = "watch",     [CORE_RUNG] = "rung",
    [CORE_FOREIGN] = "foreign",
};

static const char *const ack_names[] = {
    [CORE_ACK_PAUSED] = "paused",
    [CORE_ACK_RESUMED] = "resumed",
    [CORE_ACK_ERROR] = "error",
};

static const char *const admin_names[] = {
    [CORE_DRAIN] = "drain",       [CORE_UNDRAIN] = "undrain",
    [CORE_REVOKE] = "revoke",     [CORE_PAUSE] = "pause",
    [CORE_RESUME] = "resume",     [CORE_BYPASS] = "bypass",
    [CORE_SHUTDOWN] = "shutdown", [CORE_CONFIGURE] = "configure",
    [CORE_NUMBERS] = "numbers",   [CORE_THAW] = "thaw",
    [CORE_HOLD] = "hold",
};

static const char *const device_names[] = {
    [CORE_DEVICE_OK] = "ok",
    [CORE_DEVICE_STALE] = "stale",
    [CORE_DEVICE_GONE] = "gone",
};

/* Append " @name @value" where the value says something. */
static void number(struct buf *out, const char *name, uint64_t value)
{
    if (value == CORE_FOREVER) {
        buf_printf(out, " %s forever", name);
    } else if (value != 0) {
        buf_printf(out, " %s %llu", name, (unsigned long long)value);
    }
}

static void request(struct buf *out, const struct core_request *request)
{
    buf_printf(out, " service %u class %u", request->service,
               request->class_id);
    number(out, "vram", request->vram_mib);
    if (request->gpus != 1) {
        number(out, "gpus", request->gpus);
    }
    if (request->devices != 0) {
        buf_printf(out, " devices 0x%llx",
                   (unsigned long long)request->devices);
    }
    number(out, "job", request->job);
    number(out, "ref", request->ref);
    number(out, "timeout", request->timeout_ms);
    number(out, "ttl", request->ttl_ms);
    number(out, "grace", request->pause_grace_ms);
    number(out, "max-hold", request->max_hold_ms);
    number(out, "ladder", request->ladder);
    number(out, "rungs", request->rungs);
    buf_text(out, request->is_preemptible ? " preemptible" : "");
    buf_text(out, request->is_durable ? " durable" : "");
    buf_text(out, request->holds_by_connection ? " by-connection" : "");
    buf_text(out, request->is_reachable ? " reachable" : "");
    buf_text(out, request->is_watched ? " watched" : "");
}

static void admin(struct buf *out, const struct core_event *event)
{
    buf_printf(out, " %s", admin_names[event->admin.action]);
    number(out, "lease", event->admin.lease);
    number(out, "devices", event->admin.devices);
    number(out, "until", event->admin.until_ms);
    number(out, "ids-to", event->admin.id_end);
    number(out, "tokens-to", event->admin.token_end);
}

static void restore(struct buf *out, const struct core_record *record)
{
    switch (record->type) {
    case CORE_RECORD_LEASE:
    case CORE_RECORD_LEASE_END:
        number(out, "lease", record->lease.id);
        buf_printf(out, " %s",
                   lease_state_name((enum lease_state)record->lease.state));
        break;
    case CORE_RECORD_CLASS:
        buf_printf(out, " class %u", record->class_row.class_id);
        break;
    case CORE_RECORD_MODE:
        buf_text(out, " mode");
        break;
    case CORE_RECORDS:
        break;
    }
}

static void usages(struct buf *out, const struct core_event *event)
{
    uint32_t i;

    if (event->report.is_attributed) {
        buf_text(out, " by");
    }
    for (i = 0; i < event->report.usage_count; i++) {
        const struct core_usage *usage = &event->report.usages[i];

        buf_printf(out, " %llu/%u:%u", (unsigned long long)usage->lease,
                   usage->service, usage->used_mib);
    }
}

void trace_event(struct buf *out, const struct core_event *event)
{
    buf_printf(out, "[%6llu] %s", (unsigned long long)event->at_ms,
               event_names[event->type]);
    switch (event->type) {
    case CORE_SUBMIT:
        request(out, &event->submit);
        break;
    case CORE_ATTACH:
    case CORE_DETACH:
        number(out, "service", event->detach.service);
        number(out, "lease", event->detach.lease);
        number(out, "ref", event->detach.ref);
        break;
    case CORE_RELEASE:
        number(out, "lease", event->release.lease);
        number(out, "token", event->release.token);
        break;
    case CORE_RENEW:
        number(out, "lease", event->renew.lease);
        number(out, "token", event->renew.token);
        number(out, "ttl", event->renew.ttl_ms);
        break;
    case CORE_ACK:
        buf_printf(out, " %s", ack_names[event->ack.action]);
        number(out, "lease", event->ack.lease);
        number(out, "token", event->ack.token);
        number(out, "kept", event->ack.vram_mib);
        break;
    case CORE_CANCEL:
    case CORE_PROCESS_GONE:
        number(out, "lease", event->cancel.lease);
        break;
    case CORE_WATCH:
        number(out, "lease", event->watch.lease);
        buf_text(out, event->watch.is_watched ? " on" : " off");
        break;
    case CORE_RUNG:
        number(out, "lease", event->rung.lease);
        number(out, "token", event->rung.token);
        buf_printf(out, " %s%s %s", event->rung.is_undo ? "un-" : "",
                   rung_name(event->rung.rung),
                   rung_result_name(event->rung.result));
        break;
    case CORE_FOREIGN:
        number(out, "devices", event->foreign.devices);
        number(out, "lease", event->foreign.lease);
        number(out, "token", event->foreign.token);
        break;
    case CORE_DEVICE_REPORT:
        buf_printf(out, " device %u %s used %u begun %llu",
                   event->report.device, device_names[event->report.state],
                   event->report.used_mib,
                   (unsigned long long)event->report.begun_at_ms);
        usages(out, event);
        break;
    case CORE_ADMIN:
        admin(out, event);
        break;
    case CORE_RESTORE:
        restore(out, &event->restore);
        break;
    case CORE_TICK:
    case CORE_EVENTS:
        break;
    }
}

void trace_message(struct buf *out, const struct core_message *message)
{
    buf_printf(out, "         %s", core_message_name(message->type));
    number(out, "lease", message->lease);
    if (message->type == CORE_MSG_STATE) {
        buf_printf(out, " %s",
                   lease_state_name((enum lease_state)message->state));
    }
    number(out, "token", message->token);
    number(out, "ref", message->ref);
    if (message->type == CORE_MSG_UNLOAD) {
        number(out, "service", message->service);
    }
    number(out, "for", message->requester);
    number(out, "release", message->release_mib);
    number(out, "by", message->deadline_at_ms);
    number(out, "retry-after", message->retry_after_ms);
    if (message->rung != RUNG_NONE) {
        buf_printf(out, " %s%s", message->is_undo ? "un-" : "",
                   rung_name(message->rung));
    }
    if (message->reason != CORE_REASON_NONE) {
        buf_printf(out, " (%s)", core_reason_name(message->reason));
    }
    if (message->error != E_OK) {
        buf_printf(out, " error %s", err_type(message->error));
    }
}
