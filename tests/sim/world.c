#include "sim/world.h"

#include "core/look.h"
#include "sim/world_rungs.h"

#include <assert.h>
#include <string.h>

/* ---- Configuration ---------------------------------------------------- */

static const struct core_class_config classes[] = {
    {.priority = 0, .weight = 50, .linger_ms = 300},
    {.priority = 1, .weight = 50, .min_run_ms = 200},
    {.priority = 2, .weight = 70, .max_consecutive = 2},
    {.priority = 2, .weight = 30, .max_consecutive = 1},
    {.priority = 2, .weight = 20, .max_wait_ms = 4000},
    {.priority = 3,
     .weight = 10,
     .max_consecutive = 2,
     .waits_when_alone = true,
     .min_run_ms = 500},
    {.priority = 3, .weight = 90, .max_wait_ms = 8000},
};

enum {
    CLASSES = sizeof classes / sizeof classes[0],
    CLASSES_ADDED = 4, /* By reloads, at most. */
    CAPACITY_MIB = 24576
};

void world_config(const struct world_profile *profile,
                  struct random *random,
                  struct core_config *config)
{
    uint32_t i;

    *config = (struct core_config){
        .device_count = profile->devices,
        .class_count = CLASSES,
        .waiters_max = profile->live_max * 2 / 3,
        .service_waiters_max = profile->live_max / 2,
        .stream_grace_ms = 2000,
        .away_ms = 5000,
        .startup_hold_ms = 1000,
        .effects_max = 4096,
        .resume_margin_percent = profile->is_attributed ? 5 : 0,
    };
    memcpy(config->classes, classes, sizeof classes);
    for (i = 0; i < profile->devices; i++) {
        config->devices[i] = (struct core_device_config){
            .capacity_mib = CAPACITY_MIB >> random_below(random, 2),
            .reserve_mib = 256,
            .residue_mib = 600,
            .settle_ms = 500,
            .is_measured =
                profile->is_measured && (!profile->has_ladders || i == 0),
        };
    }
    config->is_observing = profile->is_observing;
    if (profile->has_ladders) {
        rungs_config(config);
    }
}

void world_init(struct world *world, const struct world_profile *profile)
{
    *world = (struct world){.profile = profile, .ref_next = 1};
}

/* ---- Clients and VRAM ------------------------------------------------- */

struct client *client_find(struct world *world, uint64_t lease)
{
    size_t i;

    for (i = 0; i < world->client_count; i++) {
        if (world->clients[i].lease == lease) {
            return &world->clients[i];
        }
    }
    return NULL;
}

static void client_drop(struct world *world, struct client *client)
{
    world->past[world->past_count++ % WORLD_PAST] = *client;
    *client = world->clients[--world->client_count];
}

void usage_add(struct world *world, struct usage usage)
{
    if (world->usage_count < WORLD_USAGES && usage.mib > 0) {
        world->usages[world->usage_count++] = usage;
    }
}

/* Forget VRAM whose time is over. */
static void usage_expire(struct world *world, uint64_t now_ms)
{
    size_t i = 0;

    while (i < world->usage_count) {
        if (world->usages[i].gone_at_ms <= now_ms) {
            world->usages[i] = world->usages[--world->usage_count];
        } else {
            i++;
        }
    }
}

static uint32_t usage_sum(const struct world *world, uint32_t device)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < world->usage_count; i++) {
        sum += world->usages[i].device == device ? world->usages[i].mib : 0;
    }
    return sum > CAPACITY_MIB ? CAPACITY_MIB : (uint32_t)sum;
}

/* The lease's VRAM goes, at @at_ms; a share of it may stay. */
void usage_leave(struct world *world, uint64_t lease, uint64_t at_ms)
{
    size_t i;

    for (i = 0; i < world->usage_count; i++) {
        if (world->usages[i].lease == lease) {
            world->usages[i].gone_at_ms = at_ms;
        }
    }
}

/* The lease's VRAM stays as its service's warm model. */
static void usage_stay(struct world *world, uint64_t lease)
{
    size_t i;

    for (i = 0; i < world->usage_count; i++) {
        if (world->usages[i].lease == lease) {
            world->usages[i].lease = 0;
        }
    }
}

/* Warm models of @service go; as do strangers, where it is 0. */
static void usage_unload(struct world *world, uint32_t service, uint64_t at_ms)
{
    size_t i;

    for (i = 0; i < world->usage_count; i++) {
        if (world->usages[i].service == service &&
            world->usages[i].lease == 0) {
            world->usages[i].gone_at_ms = at_ms;
        }
    }
}

/* Fail unless the VRAM that is granted to @client was truly free, as far as a
 * sample could show it: what others were using when the newest one was begun,
 * and still do, fits beside it (C1, C2; guarantees 1 and 10).  Warm models of
 * its own service are its room; which of what is used they are a sample of the
 * whole device does not tell. */
static void check_free(struct world *world,
                       const struct rig *rig,
                       const struct client *client)
{
    const struct core_lease_row *row = rig_row(rig, client->lease);
    const uint32_t unverified = CORE_ROW_ADVISORY | CORE_ROW_BYPASSED |
                                CORE_ROW_UNCHECKED | CORE_ROW_FROZEN;
    bool is_resume = row != NULL && row->token_before != 0;
    uint32_t i;
    size_t n;

    if (row == NULL || (row->flags & unverified) != 0) {
        return;
    }
    for (i = 0; i < rig->config.device_count; i++) {
        const struct core_device_config *device = &rig->config.devices[i];
        uint64_t taken_mib = core_row_share(row, i).charge_mib;
        uint64_t room_mib = (uint64_t)device->capacity_mib -
                            device->reserve_mib + world->resident_mib[i] +
                            (is_resume ? device->residue_mib : 0);

        if ((row->granted >> i & 1) == 0 || !device->is_measured) {
            continue;
        }
        for (n = 0; n < world->usage_count; n++) {
            const struct usage *usage = &world->usages[n];

            if (usage->device == i && usage->gone_at_ms > rig->now_ms &&
                usage->since_ms < world->sampled_at_ms[i] &&
                usage->service != row->service) {
                taken_mib += usage->mib;
            }
        }
        if (taken_mib > room_mib) {
            rig_fail(rig,
                     "lease %llu: %u MiB of %u are granted, of which %u "
                     "are in use",
                     (unsigned long long)client->lease,
                     core_row_share(row, i).charge_mib, device->capacity_mib,
                     (unsigned)taken_mib - core_row_share(row, i).charge_mib);
        }
    }
}

/* A granted client loads its model: less than it may, now and then more. */
static void usage_load(struct world *world,
                       const struct rig *rig,
                       struct random *random,
                       const struct client *client)
{
    const struct core_lease_row *row = rig_row(rig, client->lease);
    uint32_t i;

    if (row == NULL || !world->profile->is_measured) {
        return;
    }
    usage_leave(world, client->lease, rig->now_ms);
    usage_unload(world, client->request.service, rig->now_ms);
    usage_expire(world, rig->now_ms);
    for (i = 0; i < rig->config.device_count; i++) {
        uint32_t charge = core_row_share(row, i).charge_mib;
        uint32_t mib = random_between(random, charge / 2, charge);

        if ((row->granted >> i & 1) == 0) {
            continue;
        }
        if (world->profile->has_liars &&
            random_once_in(random, world->profile->is_attributed ? 8 : 50)) {
            mib += mib / 2;
        }
        usage_add(world, (struct usage){.lease = client->lease,
                                        .since_ms = rig->now_ms,
                                        .gone_at_ms = CORE_FOREVER,
                                        .service = client->request.service,
                                        .device = i,
                                        .mib = mib});
    }
}

/* ---- Drawing: requests ------------------------------------------------ */

static void draw_request(struct world *world,
                         const struct rig *rig,
                         struct random *random,
                         struct core_request *out)
{
    static const uint32_t sizes[] = {0, 0, 1024, 2048, 4096, 4096, 9000, 16000};
    bool is_durable = random_once_in(random, 12);

    *out = (struct core_request){
        .ref = is_durable ? 0 : world->ref_next++,
        .service = random_between(random, 1, world->profile->services),
        .class_id =
            random_once_in(random, 4)
                ? random_below(random, 4)
                : CORE_CLASS(random_below(random, rig->config.class_count)),
        .vram_mib = sizes[random_below(random, 8)],
        .gpus = 1,
        .ttl_ms = random_between(random, 1, 8) * 1000,
        .pause_grace_ms = random_between(random, 1, 4) * 500,
        .timeout_ms = random_between(random, 100, 20000),
        .max_hold_ms = random_once_in(random, 10) ? 5000 : 0,
        .is_preemptible = !random_once_in(random, 4),
        .is_durable = is_durable,
    };
    if (out->vram_mib > rig->config.devices[0].capacity_mib / 2) {
        out->vram_mib /= 2;
    }
    if (is_durable || random_once_in(random, 3)) {
        out->job = random_between(random, 1, 1000000);
    }
    if (!is_durable && random_once_in(random, 10)) {
        out->holds_by_connection = true;
    }
    if (world->profile->devices > 1 && random_once_in(random, 4)) {
        out->devices =
            random_between(random, 1, (1u << world->profile->devices) - 1);
    }
    if (world->profile->has_gangs && random_once_in(random, 5)) {
        out->gpus = random_between(random, 2, world->profile->devices);
    }
    if (random_once_in(random, 30)) {
        out->timeout_ms = 0;
    }
    if (world->profile->has_ladders) {
        out->ladder =
            (uint8_t)random_below(random, rig->config.ladder_count + 1);
        if (out->ladder != 0 && out->service % 2 == 0) {
            out->rungs = ladder_pack(&rig->config.ladders[out->ladder - 1]);
            out->ladder = 0; /* It brings them itself. */
        }
        out->is_reachable = random_once_in(random, 2);
        out->is_watched = random_once_in(random, 2);
    }
}

/* The same request sent again, on a new connection. */
static void draw_again(struct world *world,
                       const struct client *client,
                       struct core_event *out)
{
    out->type = CORE_SUBMIT;
    out->submit = client->request;
    if (!client->request.is_durable) {
        out->submit.ref = world->ref_next++;
    }
}

/* ---- Drawing: what a client does -------------------------------------- */

static void draw_waiting(struct world *world,
                         const struct client *client,
                         struct random *random,
                         struct core_event *out)
{
    uint32_t dice = random_below(random, 100);

    if (dice < 20) {
        out->type = CORE_CANCEL;
        out->cancel.lease = client->lease;
    } else if (dice < 60 && client->ref != 0) {
        out->type = CORE_DETACH;
        out->detach.lease = client->lease;
        out->detach.ref = client->ref;
        out->detach.service = client->request.service;
    } else if (dice < 90 && client->request.job != 0) {
        draw_again(world, client, out);
    } else if (dice < 92) {
        out->type = CORE_PROCESS_GONE;
        out->process_gone.lease = client->lease;
    }
}

static void draw_release(const struct client *client, struct core_event *out)
{
    out->type = CORE_RELEASE;
    out->release.lease = client->lease;
    out->release.token = client->token;
}

static void draw_renew(const struct client *client,
                       struct random *random,
                       struct core_event *out)
{
    out->type = CORE_RENEW;
    out->renew.lease = client->lease;
    out->renew.token = client->token;
    out->renew.ttl_ms =
        random_once_in(random, 8) ? random_between(random, 1, 9) * 1000 : 0;
}

static void draw_ack(const struct client *client,
                     struct random *random,
                     enum core_ack action,
                     struct core_event *out)
{
    out->type = CORE_ACK;
    out->ack.lease = client->lease;
    out->ack.token = client->token;
    out->ack.action = action;
    out->ack.vram_mib =
        random_once_in(random, 2) ? 0 : random_below(random, 500);
    if (random_once_in(random, 25)) {
        out->ack.vram_mib = 4000;
    }
}

static void draw_holding(struct world *world,
                         const struct client *client,
                         struct random *random,
                         struct core_event *out)
{
    uint32_t dice = random_below(random, 100);

    if (dice < 40) {
        draw_release(client, out);
    } else if (dice < 80) {
        draw_renew(client, random, out);
    } else if (dice < 84) {
        draw_ack(client, random, CORE_ACK_RESUMED, out);
    } else if (dice < 87) {
        draw_ack(client, random, CORE_ACK_PAUSED, out);
    } else if (dice < 92 && client->request.holds_by_connection) {
        out->type = CORE_DETACH;
        out->detach.lease = client->lease;
        out->detach.ref = client->ref;
        out->detach.service = client->request.service;
    } else if (dice < 95 && client->request.job != 0) {
        draw_again(world, client, out);
    } else if (dice < 97) {
        out->type = CORE_PROCESS_GONE;
        out->process_gone.lease = client->lease;
    }
}

static void draw_asked(const struct client *client,
                       struct random *random,
                       struct core_event *out)
{
    uint32_t dice = random_below(random, 100);

    if (dice < 70) {
        draw_ack(client, random, CORE_ACK_PAUSED, out);
    } else if (dice < 75) {
        draw_ack(client, random, CORE_ACK_ERROR, out);
    } else if (dice < 82) {
        draw_release(client, out);
    } else if (dice < 90) {
        draw_renew(client, random, out);
    } else if (dice < 92) {
        out->type = CORE_PROCESS_GONE;
        out->process_gone.lease = client->lease;
    }
}

static void draw_paused(struct world *world,
                        const struct client *client,
                        struct random *random,
                        struct core_event *out)
{
    uint32_t dice = random_below(random, 100);

    if (dice < 60) {
        draw_renew(client, random, out);
    } else if (dice < 70) {
        draw_ack(client, random, CORE_ACK_PAUSED, out);
    } else if (dice < 75) {
        draw_release(client, out);
    } else if (dice < 78) {
        out->type = CORE_CANCEL;
        out->cancel.lease = client->lease;
    } else if (dice < 82 && client->request.job != 0) {
        draw_again(world, client, out);
    } else if (dice < 84) {
        out->type = CORE_PROCESS_GONE;
        out->process_gone.lease = client->lease;
    }
}

static void
draw_client(struct world *world, struct random *random, struct core_event *out)
{
    struct client *client;
    struct client stale;

    if (world->client_count == 0) {
        return;
    }
    if (world->past_count > 0 && random_once_in(random, 20)) {
        /* Somebody who does not know that it is over. */
        stale = world->past[random_below(
            random, world->past_count < WORLD_PAST ? (uint32_t)world->past_count
                                                   : WORLD_PAST)];
        draw_asked(&stale, random, out);
        return;
    }
    client =
        &world->clients[random_below(random, (uint32_t)world->client_count)];
    if (world->profile->has_liars && random_once_in(random, 30)) {
        stale = *client;
        stale.token -= random_below(random, 5);
        client = &stale;
    }
    switch (client->state) {
    case CLIENT_NONE:
        break;
    case CLIENT_WAITS:
        draw_waiting(world, client, random, out);
        break;
    case CLIENT_HOLDS:
        draw_holding(world, client, random, out);
        break;
    case CLIENT_ASKED:
        draw_asked(client, random, out);
        break;
    case CLIENT_PAUSED:
        draw_paused(world, client, random, out);
        break;
    }
}

/* ---- Drawing: the rest ------------------------------------------------ */

static void
draw_stream(struct world *world, struct random *random, struct core_event *out)
{
    uint32_t service = random_between(random, 1, world->profile->services);

    if (world->streams[service] > 0 && random_once_in(random, 2)) {
        out->type = CORE_DETACH;
        out->detach.service = service;
    } else if (world->streams[service] < 3) {
        out->type = CORE_ATTACH;
        out->attach.service = service;
    }
}

/* What the driver says of one user: right, without the lease, or wrong. */
static struct core_usage name_usage(const struct world *world,
                                    struct random *random,
                                    const struct usage *usage)
{
    struct core_usage named = {.lease = usage->lease,
                               .service = usage->service,
                               .used_mib = usage->mib};

    if (random_once_in(random, 4)) {
        named.lease = 0; /* A process nobody told us of, of a known service. */
    }
    if (world->profile->has_liars && random_once_in(random, 100)) {
        named.used_mib = random_below(random, 2 * CAPACITY_MIB);
    }
    if (world->profile->has_liars && random_once_in(random, 100) &&
        world->client_count > 0) {
        named.lease =
            world->clients[random_below(random, (uint32_t)world->client_count)]
                .lease;
    }
    if (world->profile->has_liars && random_once_in(random, 100)) {
        named.service = random_below(random, world->profile->services + 1);
    }
    return named;
}

/* Name the users of a device; now and then with gaps, or not at all. */
static void
draw_usages(struct world *world, struct random *random, struct core_event *out)
{
    bool has_gaps = random_once_in(random, 20);
    uint32_t count = 0;
    size_t i;

    if (!world->profile->is_attributed || random_once_in(random, 12)) {
        return;
    }
    for (i = 0; i < world->usage_count && count < CORE_USAGES_MAX; i++) {
        if (world->usages[i].device == out->report.device &&
            (!has_gaps || random_once_in(random, 2))) {
            world->named[count++] =
                name_usage(world, random, &world->usages[i]);
        }
    }
    out->report.usages = world->named;
    out->report.usage_count = count;
    out->report.is_attributed = true;
}

static void draw_report(struct world *world,
                        const struct rig *rig,
                        struct random *random,
                        struct core_event *out)
{
    uint32_t device = random_below(random, world->profile->devices);

    if (random_once_in(random, 40)) {
        /* A stranger comes, or goes. */
        usage_unload(world, 0, rig->now_ms);
        usage_add(world, (struct usage){.since_ms = rig->now_ms,
                                        .gone_at_ms = random_once_in(random, 2)
                                                          ? CORE_FOREVER
                                                          : rig->now_ms + 3000,
                                        .device = device,
                                        .mib = random_below(random, 3000)});
    }
    out->type = CORE_DEVICE_REPORT;
    out->report.device = device;
    out->report.state = CORE_DEVICE_OK;
    out->report.begun_at_ms =
        out->at_ms - (random_once_in(random, 2) ? random_below(random, 30) : 0);
    out->report.used_mib = usage_sum(world, device);
    if (!world->profile->is_measured) {
        out->report.used_mib = 0;
    }
    if (world->profile->has_liars && !world->profile->has_ladders &&
        random_once_in(random, 60)) {
        out->report.used_mib = random_below(random, CAPACITY_MIB);
    }
    draw_usages(world, random, out);
    if (random_once_in(random, 40)) {
        out->report.state =
            random_once_in(random, 2) ? CORE_DEVICE_STALE : CORE_DEVICE_GONE;
    }
}

/* Change some of what a class is; now and then its priority. */
static void draw_class(struct random *random, struct core_class_config *class)
{
    static const uint32_t times[] = {0, 200, 500, 1500};
    static const uint32_t waits[] = {0, 0, 4000, 8000};

    class->weight = random_between(random, 1, 100);
    class->max_consecutive = random_below(random, 4);
    class->waits_when_alone = random_once_in(random, 6);
    class->linger_ms = times[random_below(random, 4)];
    class->min_run_ms = times[random_below(random, 4)];
    class->max_wait_ms = waits[random_below(random, 4)];
    if (random_once_in(random, 4)) {
        class->priority = random_below(random, 4);
    }
}

/* A configuration that differs from the present one here and there. */
static void draw_reload(struct world *world,
                        const struct rig *rig,
                        struct random *random,
                        struct core_event *out)
{
    struct core_config *config = &world->reload;
    uint32_t live_max = world->profile->live_max;
    uint32_t i;

    *config = rig->config;
    if (config->class_count < CLASSES + CLASSES_ADDED &&
        random_once_in(random, 4)) {
        config->classes[config->class_count++].priority =
            random_below(random, 4);
        draw_class(random, &config->classes[config->class_count - 1]);
    }
    for (i = 0; i < config->class_count; i++) {
        if (random_once_in(random, 3)) {
            draw_class(random, &config->classes[i]);
        }
    }
    for (i = 0; i < config->device_count; i++) {
        if (random_once_in(random, 3)) {
            config->devices[i].reserve_mib = random_between(random, 100, 1000);
            config->devices[i].residue_mib = random_between(random, 300, 900);
            config->devices[i].settle_ms = random_between(random, 200, 900);
        }
    }
    config->waiters_max = random_between(random, live_max / 2, live_max);
    config->service_waiters_max =
        random_between(random, live_max / 4, live_max / 2);
    config->stream_grace_ms = random_between(random, 500, 4000);
    config->away_ms = random_between(random, 2000, 8000);
    out->admin.action = CORE_CONFIGURE;
    out->admin.config = config;
    out->admin.lease = 0;
}

/* Modes: who is let in, and for how long this goes on. */
static void draw_mode(struct world *world,
                      const struct rig *rig,
                      struct random *random,
                      struct core_event *out)
{
    uint32_t dice = random_below(random, 100);

    out->admin.lease = 0;
    if (dice < 20 && world->profile->has_bypass) {
        out->admin.action = CORE_BYPASS;
        out->admin.until_ms = random_once_in(random, 2) ? 0 : rig->now_ms + 500;
    } else if (dice < 40 && world->profile->has_reloads) {
        draw_reload(world, rig, random, out);
    } else if (dice < 45 && world->profile->has_shutdowns) {
        out->admin.action = CORE_SHUTDOWN;
        out->admin.until_ms = rig->now_ms + random_below(random, 3000);
    } else {
        out->admin.action =
            random_below(random, 45) < 17 ? CORE_DRAIN : CORE_UNDRAIN;
        out->admin.devices =
            random_below(random, 1u << world->profile->devices);
    }
}

static void draw_operator(struct world *world,
                          const struct rig *rig,
                          struct random *random,
                          struct core_event *out)
{
    uint32_t dice = random_below(random, 100);
    uint64_t lease = 0;

    if (world->client_count > 0) {
        lease =
            world->clients[random_below(random, (uint32_t)world->client_count)]
                .lease;
    }
    out->type = CORE_ADMIN;
    out->admin.lease = lease;
    if (world->profile->has_ladders && random_once_in(random, 4)) {
        rungs_draw_hands(lease, random, out);
    } else if (dice < 20) {
        out->admin.action = CORE_PAUSE;
    } else if (dice < 50) {
        out->admin.action = CORE_RESUME;
    } else if (dice < 55) {
        out->admin.action = CORE_REVOKE;
    } else {
        draw_mode(world, rig, random, out);
    }
}

static void
draw_time(const struct rig *rig, struct random *random, struct core_event *out)
{
    uint64_t deadline = core_deadline(rig->core);

    out->type = CORE_TICK;
    if (deadline != CORE_FOREVER && deadline > out->at_ms &&
        !random_once_in(random, 4)) {
        out->at_ms = deadline;
    } else {
        out->at_ms += random_below(random, 400);
    }
    if (random_once_in(random, 50)) {
        out->at_ms += random_below(random, 3000);
    }
}

void world_draw(struct world *world,
                const struct rig *rig,
                struct random *random,
                struct core_event *out)
{
    uint32_t dice = random_below(random, 1000);

    *out = (struct core_event){.type = CORE_TICK, .at_ms = rig->now_ms};
    if (random_once_in(random, 2)) {
        out->at_ms += random_below(random, 8);
    }
    usage_expire(world, out->at_ms);
    if (world->profile->has_ladders && random_once_in(random, 3) &&
        rungs_draw(world, rig, random, out)) {
        return;
    }
    if (dice < 260) {
        if (world->client_count < world->profile->live_max) {
            out->type = CORE_SUBMIT;
            draw_request(world, rig, random, &out->submit);
        }
    } else if (dice < 620) {
        draw_client(world, random, out);
    } else if (dice < (world->profile->is_measured ? 800 : 640)) {
        draw_report(world, rig, random, out);
    } else if (dice < 830) {
        draw_stream(world, random, out);
    } else if (dice < 850 && world->profile->has_operators) {
        draw_operator(world, rig, random, out);
    } else {
        draw_time(rig, random, out);
    }
}

/* ---- Hearing ---------------------------------------------------------- */

static void hear_submit(struct world *world,
                        const struct core_event *event,
                        const struct core_effects *effects)
{
    struct client *client = client_find(world, effects->lease);

    if (client == NULL) {
        assert(world->client_count < WORLD_CLIENTS);
        client = &world->clients[world->client_count++];
        *client = (struct client){.state = CLIENT_WAITS,
                                  .lease = effects->lease,
                                  .request = event->submit};
    }
    client->ref = event->submit.ref;
}

/* An answer to a pause: how much of the truth is in it? */
static void hear_ack(struct world *world,
                     struct random *random,
                     const struct core_event *event)
{
    struct client *client = client_find(world, event->ack.lease);
    uint64_t late_ms =
        random_once_in(random, 3) ? random_below(random, 300) : 0;

    if (client == NULL || event->ack.action != CORE_ACK_PAUSED) {
        return;
    }
    if (client->state == CLIENT_ASKED) {
        client->state = CLIENT_PAUSED;
    }
    if (world->profile->has_liars && random_once_in(random, 20)) {
        return;
    }
    usage_leave(world, client->lease, event->at_ms + late_ms);
}

static void hear_end(struct world *world,
                     struct random *random,
                     const struct core_message *message,
                     uint64_t now_ms)
{
    struct client *client = client_find(world, message->lease);

    if (random_once_in(random, 3)) {
        usage_stay(world, message->lease);
    } else {
        usage_leave(world, message->lease,
                    now_ms + (random_once_in(random, 3)
                                  ? random_below(random, 400)
                                  : 0));
    }
    rungs_hear_end(world, message);
    if (client != NULL) {
        client_drop(world, client);
    }
}

static void hear_message(struct world *world,
                         const struct rig *rig,
                         struct random *random,
                         const struct core_message *message,
                         bool is_release)
{
    struct client *client = client_find(world, message->lease);

    if (message->type == CORE_MSG_UNLOAD && !random_once_in(random, 4)) {
        usage_unload(world, message->service,
                     rig->now_ms + random_below(random, 300));
    }
    if (message->type == CORE_MSG_STATE && message->state == LEASE_ENDED) {
        hear_end(world, random, message, rig->now_ms);
    }
    if (message->type == CORE_MSG_RUNG) {
        rungs_hear(world, rig, random, message);
    }
    if (client == NULL) {
        return;
    }
    if (message->type == CORE_MSG_STATE && message->state == LEASE_PAUSED &&
        world->profile->has_ladders) {
        client->state = CLIENT_PAUSED;
    }
    if (message->type == CORE_MSG_GRANT || message->type == CORE_MSG_RESUME) {
        if (client->token != message->token) {
            client->token = message->token;
            rungs_hear_grant(world, message->lease);
            if (world->profile->has_ladders && !is_release) {
                check_free(world, rig, client);
            }
            usage_load(world, rig, random, client);
        }
        client->state = CLIENT_HOLDS;
        client->ref = client->request.holds_by_connection ? client->ref : 0;
    } else if (message->type == CORE_MSG_PAUSE) {
        client->state = CLIENT_ASKED;
    } else if (message->type == CORE_MSG_REFUSE) {
        client->ref = 0;
    }
}

/* Note what the core takes for warm models, for the next event. */
static void note_residents(struct world *world, const struct rig *rig)
{
    struct core_device_view view;
    uint32_t i;

    for (i = 0; i < rig->config.device_count; i++) {
        core_device_view(rig->core, i, &view);
        world->resident_mib[i] = view.resident_mib;
    }
}

void world_hear(struct world *world,
                const struct rig *rig,
                struct random *random,
                const struct core_event *event,
                int rc,
                const struct core_effects *effects)
{
    size_t i;

    if (rc != E_OK) {
        return;
    }
    rungs_hear_event(world, event);
    if (event->type == CORE_SUBMIT) {
        hear_submit(world, event, effects);
    } else if (event->type == CORE_ACK) {
        hear_ack(world, random, event);
    } else if (event->type == CORE_DEVICE_REPORT &&
               event->report.state == CORE_DEVICE_OK) {
        world->sampled_at_ms[event->report.device] = event->report.begun_at_ms;
    } else if (event->type == CORE_ATTACH) {
        world->streams[event->attach.service]++;
    } else if (event->type == CORE_DETACH && event->detach.lease == 0) {
        world->streams[event->detach.service]--;
    } else if (event->type == CORE_DETACH) {
        struct client *client = client_find(world, event->detach.lease);

        if (client != NULL) {
            client->ref = 0;
        }
    }
    for (i = 0; i < effects->message_count; i++) {
        hear_message(world, rig, random, &effects->messages[i],
                     event->type == CORE_RELEASE);
    }
    note_residents(world, rig);
}

void world_disconnect(struct world *world, const struct rig *rig)
{
    size_t i = 0;

    rungs_restart(world, rig);
    memset(world->sampled_at_ms, 0, sizeof world->sampled_at_ms);
    memset(world->streams, 0, sizeof world->streams);
    while (i < world->client_count) {
        struct client *client = &world->clients[i];

        client->ref = 0;
        if (rig_row(rig, client->lease) == NULL) {
            usage_leave(world, client->lease, rig->now_ms);
            client_drop(world, client);
        } else {
            i++;
        }
    }
}
