#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    START_MS = 1000
};

void stage_config(struct core_config *config)
{
    *config = (struct core_config){
        .devices = {{.capacity_mib = 24576,
                     .reserve_mib = 256,
                     .residue_mib = 600,
                     .settle_ms = 5000}},
        .device_count = 1,
        .classes = {{.priority = 0, .weight = 50},
                    {.priority = 1, .weight = 50},
                    {.priority = 2, .weight = 70, .max_consecutive = 2},
                    {.priority = 2, .weight = 30, .max_consecutive = 1}},
        .class_count = 4,
        .waiters_max = 100000,
        .service_waiters_max = 100000,
        .stream_grace_ms = 2000,
        .away_ms = 60000,
        .effects_max = 4096,
    };
}

void stage_open(struct stage *stage, const struct core_config *config)
{
    *stage = (struct stage){.ref_next = 1};
    buf_init(&stage->page, 0);
    rig_init(&stage->rig, config, &alloc_libc, START_MS);
}

void stage_open_plain(struct stage *stage)
{
    struct core_config config;

    stage_config(&config);
    stage_open(stage, &config);
}

void stage_open_measured(struct stage *stage)
{
    struct core_config config;

    stage_config(&config);
    config.devices[0].is_measured = true;
    stage_open(stage, &config);
}

void stage_close(struct stage *stage)
{
    rig_release(&stage->rig);
    buf_release(&stage->page);
}

/* ---- Writing ---------------------------------------------------------- */

/* Core time as the page counts it. */
static unsigned long long page_ms(uint64_t at_ms)
{
    return (unsigned long long)(at_ms - START_MS);
}

static const char *service_name(const struct stage *stage, uint32_t service)
{
    return service == 0 ? "nobody" : stage->services[service - 1];
}

static void write_reason(struct buf *page, enum core_reason reason)
{
    if (reason != CORE_REASON_NONE) {
        buf_printf(page, " (%s)", core_reason_name(reason));
    }
    buf_byte(page, '\n');
}

static void write_grant(struct stage *stage, const struct core_message *message)
{
    const struct core_lease_row *row = rig_row(&stage->rig, message->lease);
    struct buf *page = &stage->page;
    uint32_t i;

    buf_printf(page, "          %s lease %llu %s, token %llu, gpu",
               service_name(stage, message->service),
               (unsigned long long)message->lease,
               message->type == CORE_MSG_GRANT ? "granted" : "resumed",
               (unsigned long long)message->token);
    for (i = 0; i < CORE_DEVICES_MAX; i++) {
        if ((row->granted >> i & 1) != 0) {
            buf_printf(page, " %u", i);
        }
    }
    buf_printf(page, ", %u MiB%s\n", row->charge_mib,
               (row->flags & CORE_ROW_ADVISORY) != 0 &&
                       stage->rig.config.devices[0].is_measured
                   ? ", advisory"
                   : "");
}

static void write_message(struct stage *stage,
                          const struct core_message *message)
{
    struct buf *page = &stage->page;
    const char *name = service_name(stage, message->service);
    unsigned long long lease = message->lease;

    switch (message->type) {
    case CORE_MSG_GRANT:
    case CORE_MSG_RESUME:
        write_grant(stage, message);
        break;
    case CORE_MSG_REFUSE:
        buf_printf(page, "          %s lease %llu refused: %s\n", name, lease,
                   err_type(message->error));
        break;
    case CORE_MSG_SUPERSEDED:
        buf_printf(page, "          an older connection of %s is told\n", name);
        break;
    case CORE_MSG_OFFER:
        buf_printf(page, "          %s lease %llu offered\n", name, lease);
        break;
    case CORE_MSG_PAUSE:
        buf_printf(page,
                   "          %s lease %llu asked to pause by %llu, for lease "
                   "%llu, %u MiB\n",
                   name, lease, page_ms(message->deadline_at_ms),
                   (unsigned long long)message->requester,
                   message->release_mib);
        break;
    case CORE_MSG_UNLOAD:
        buf_printf(page, "          %s told to unload %u MiB by %llu\n", name,
                   message->release_mib, page_ms(message->deadline_at_ms));
        break;
    case CORE_MSG_REVOKE:
        buf_printf(page, "          %s lease %llu revoked", name, lease);
        write_reason(page, message->reason);
        break;
    case CORE_MSG_SHUTDOWN:
        buf_printf(page, "          %s lease %llu to finish by %llu\n", name,
                   lease, page_ms(message->deadline_at_ms));
        break;
    case CORE_MSG_STOPPED:
        buf_text(page, "          stopped\n");
        break;
    case CORE_MSG_RUNG:
        buf_printf(page, "          %s lease %llu: %s%s by %llu\n", name, lease,
                   message->is_undo ? "undo " : "", rung_name(message->rung),
                   page_ms(message->deadline_at_ms));
        break;
    case CORE_MSG_STATE:
        /* A grant says it itself. */
        if (message->state != LEASE_HELD && message->state != LEASE_PAUSING) {
            buf_printf(page, "          %s lease %llu %s", name, lease,
                       lease_state_name((enum lease_state)message->state));
            if (message->rung != RUNG_NONE) {
                buf_printf(page, ", left in %s", rung_name(message->rung));
            }
            write_reason(page, message->reason);
        }
        break;
    case CORE_MESSAGES:
        break;
    }
}

/* Step, and write the messages below the line that says what happened. */
static int play(struct stage *stage,
                const struct core_event *event,
                struct core_effects *effects)
{
    int rc = rig_feed(&stage->rig, event, effects);
    size_t i;

    if (rc != E_OK) {
        buf_printf(&stage->page, " -> %s\n", err_type(rc));
        return rc;
    }
    if (event->type == CORE_SUBMIT) {
        buf_printf(&stage->page, " -> lease %llu%s",
                   (unsigned long long)effects->lease,
                   effects->is_repeat ? ", again" : "");
    }
    buf_byte(&stage->page, '\n');
    for (i = 0; i < effects->message_count; i++) {
        write_message(stage, &effects->messages[i]);
    }
    return E_OK;
}

static void write_time(struct stage *stage)
{
    buf_printf(&stage->page, "[%6llu] ", page_ms(stage->rig.now_ms));
}

int stage_feed(struct stage *stage,
               const char *what,
               const struct core_event *event)
{
    struct core_effects effects;

    write_time(stage);
    buf_text(&stage->page, what);
    return play(stage, event, &effects);
}

/* ---- What clients do -------------------------------------------------- */

static uint32_t service_number(struct stage *stage, const char *name)
{
    uint32_t i;

    for (i = 0; i < stage->service_count; i++) {
        if (strcmp(stage->services[i], name) == 0) {
            return i + 1;
        }
    }
    assert_true(stage->service_count < STAGE_SERVICES);
    stage->services[stage->service_count++] = name;
    return stage->service_count;
}

uint64_t
stage_ask(struct stage *stage, const char *service, struct core_request request)
{
    struct core_event event = {.type = CORE_SUBMIT, .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    request.service = service_number(stage, service);
    request.ref = request.is_durable ? 0 : stage->ref_next++;
    request.gpus = request.gpus == 0 ? 1 : request.gpus;
    request.ttl_ms = request.ttl_ms == 0 ? 30000 : request.ttl_ms;
    if (request.timeout_ms == 0) {
        request.timeout_ms = request.is_durable ? CORE_FOREVER : 30000;
    }
    if (request.pause_grace_ms == 0) {
        request.pause_grace_ms = 10000;
    }
    event.submit = request;
    write_time(stage);
    buf_printf(&stage->page, "%s asks", service);
    return play(stage, &event, &effects) == E_OK ? effects.lease : 0;
}

/* Start a line on which @lease's service does something. */
static void begin(struct stage *stage, uint64_t lease, const char *what)
{
    struct core_lease_view view;

    write_time(stage);
    if (core_lease_view(stage->rig.core, lease, &view) == E_OK) {
        buf_printf(&stage->page, "%s ", service_name(stage, view.row.service));
    }
    buf_printf(&stage->page, "%s lease %llu", what, (unsigned long long)lease);
}

static uint64_t newest_token(const struct stage *stage, uint64_t lease)
{
    const struct core_lease_row *row = rig_row(&stage->rig, lease);

    return row == NULL ? 0 : row->token;
}

void stage_release(struct stage *stage, uint64_t lease)
{
    struct core_event event = {.type = CORE_RELEASE,
                               .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.release.lease = lease;
    event.release.token = newest_token(stage, lease);
    begin(stage, lease, "releases");
    (void)play(stage, &event, &effects);
}

void stage_renew(struct stage *stage, uint64_t lease)
{
    struct core_event event = {.type = CORE_RENEW, .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.renew.lease = lease;
    event.renew.token = newest_token(stage, lease);
    begin(stage, lease, "renews");
    (void)play(stage, &event, &effects);
}

void stage_ack(struct stage *stage,
               uint64_t lease,
               enum core_ack action,
               uint32_t kept_mib)
{
    static const char *const words[] = {
        [CORE_ACK_PAUSED] = "has paused",
        [CORE_ACK_RESUMED] = "has resumed",
        [CORE_ACK_ERROR] = "cannot pause",
    };
    struct core_event event = {.type = CORE_ACK, .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.ack.lease = lease;
    event.ack.token = newest_token(stage, lease);
    event.ack.action = action;
    event.ack.vram_mib = kept_mib;
    begin(stage, lease, words[action]);
    if (kept_mib != 0) {
        buf_printf(&stage->page, ", keeps %u MiB", kept_mib);
    }
    (void)play(stage, &event, &effects);
}

void stage_cancel(struct stage *stage, uint64_t lease)
{
    struct core_event event = {.type = CORE_CANCEL, .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.cancel.lease = lease;
    begin(stage, lease, "cancels");
    (void)play(stage, &event, &effects);
}

void stage_gone(struct stage *stage, uint64_t lease)
{
    struct core_event event = {.type = CORE_PROCESS_GONE,
                               .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.process_gone.lease = lease;
    begin(stage, lease, "dies with");
    (void)play(stage, &event, &effects);
}

void stage_stream(struct stage *stage, const char *service, bool opens)
{
    struct core_event event = {.type = opens ? CORE_ATTACH : CORE_DETACH,
                               .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.attach.service = service_number(stage, service);
    write_time(stage);
    buf_printf(&stage->page, "%s %s a stream", service,
               opens ? "opens" : "closes");
    (void)play(stage, &event, &effects);
}

void stage_sample(struct stage *stage, uint32_t device, uint32_t used_mib)
{
    struct core_event event = {.type = CORE_DEVICE_REPORT,
                               .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.report.device = device;
    event.report.begun_at_ms = stage->rig.now_ms;
    event.report.used_mib = used_mib;
    write_time(stage);
    buf_printf(&stage->page, "gpu %u uses %u MiB", device, used_mib);
    (void)play(stage, &event, &effects);
}

void stage_usages(struct stage *stage,
                  uint32_t device,
                  uint32_t used_mib,
                  const struct core_usage *usages,
                  uint32_t count)
{
    struct core_event event = {.type = CORE_DEVICE_REPORT,
                               .at_ms = stage->rig.now_ms};
    struct core_effects effects;
    uint32_t i;

    event.report.device = device;
    event.report.begun_at_ms = stage->rig.now_ms;
    event.report.used_mib = used_mib;
    event.report.usages = usages;
    event.report.usage_count = count;
    event.report.is_attributed = true;
    write_time(stage);
    buf_printf(&stage->page, "gpu %u uses %u MiB:", device, used_mib);
    for (i = 0; i < count; i++) {
        if (usages[i].lease != 0) {
            buf_printf(&stage->page, " lease %llu",
                       (unsigned long long)usages[i].lease);
        } else {
            buf_printf(&stage->page, " %s",
                       service_name(stage, usages[i].service));
        }
        buf_printf(&stage->page, " %u", usages[i].used_mib);
    }
    (void)play(stage, &event, &effects);
}

void stage_admin(struct stage *stage,
                 enum core_admin action,
                 uint64_t lease,
                 uint64_t devices,
                 uint64_t until_ms)
{
    static const char *const words[] = {
        [CORE_DRAIN] = "drains",    [CORE_UNDRAIN] = "undrains",
        [CORE_REVOKE] = "revokes",  [CORE_PAUSE] = "pauses",
        [CORE_RESUME] = "resumes",  [CORE_BYPASS] = "sets bypass",
        [CORE_SHUTDOWN] = "stops",  [CORE_CONFIGURE] = "configures",
        [CORE_NUMBERS] = "numbers", [CORE_THAW] = "thaws",
        [CORE_HOLD] = "holds",
    };
    struct core_event event = {.type = CORE_ADMIN, .at_ms = stage->rig.now_ms};
    struct core_effects effects;

    event.admin.action = action;
    event.admin.lease = lease;
    event.admin.devices = devices;
    event.admin.until_ms = until_ms == 0 ? 0 : START_MS + until_ms;
    write_time(stage);
    buf_printf(&stage->page, "the operator %s", words[action]);
    if (lease != 0) {
        buf_printf(&stage->page, " lease %llu", (unsigned long long)lease);
    }
    if (until_ms != 0) {
        buf_printf(&stage->page, " until %llu", (unsigned long long)until_ms);
    }
    (void)play(stage, &event, &effects);
}

void stage_configure(struct stage *stage, const struct core_config *config)
{
    struct core_event event = {.type = CORE_ADMIN, .at_ms = stage->rig.now_ms};

    event.admin.action = CORE_CONFIGURE;
    event.admin.config = config;
    (void)stage_feed(stage, "the operator loads a configuration", &event);
}

/* ---- Time ------------------------------------------------------------- */

/* A TICK; on the page only where it did something. */
static void tick(struct stage *stage, uint64_t at_ms)
{
    struct core_event event = {.type = CORE_TICK, .at_ms = at_ms};
    struct core_effects effects;
    size_t before = stage->page.size;
    size_t line;

    buf_printf(&stage->page, "[%6llu] time", page_ms(at_ms));
    line = stage->page.size + 1;
    if (play(stage, &event, &effects) != E_OK || stage->page.size == line) {
        stage->page.size = before;
        stage->page.data[before] = '\0';
    }
}

void stage_wait(struct stage *stage, uint64_t ms)
{
    uint64_t until = stage->rig.now_ms + ms;
    int guard = 0;

    while (core_deadline(stage->rig.core) <= until && guard++ < 100000) {
        uint64_t due = core_deadline(stage->rig.core);

        tick(stage, due > stage->rig.now_ms ? due : stage->rig.now_ms);
    }
    if (stage->rig.now_ms < until) {
        tick(stage, until);
    }
}

void stage_restart(struct stage *stage)
{
    rig_check_replay(&stage->rig);
    rig_restart(&stage->rig, stage->rig.now_ms + 1);
    write_time(stage);
    buf_text(&stage->page, "the coordinator starts again\n");
}

void stage_note(struct stage *stage, const char *text)
{
    buf_text(&stage->page, text);
    buf_byte(&stage->page, '\n');
}

void stage_expect(struct stage *stage, const char *expected)
{
    assert_string_equal(buf_string(&stage->page), expected);
    buf_clear(&stage->page);
}
