/* simulate.c - `gpucoord simulate`: a trace on the very scheduler that serves
 * users, in virtual time.
 *
 * The jobs (workload.h) are fed to the core as events; the time of the next
 * event is the time of the next timer.  A card here frees its memory at once:
 * nothing is measured.
 */
#include "base/idmap.h"
#include "cli/commands.h"
#include "cli/say.h"
#include "cli/workload_options.h"
#include "core/core.h"
#include "daemon/config.h"

#include <assert.h>

enum {
    CAPACITY_MIB = 24576, /* Of the card where the configuration has none. */
    TTL_MS = API_TTL_MS_MAX,
    RENEW_MS = TTL_MS / 3,
    EFFECTS_MAX = 4096,
    CORE_START_MS = 1 /* Core time 0 means "never": ours lies one below. */
};

struct values {
    struct workload_values work;
    const char *config;
};

static const struct args_option options[] = {
    WORKLOAD_OPTIONS(struct values),
    {"config", ARGS_TEXT, offsetof(struct values, config), "FILE",
     "classes and gpus, as `serve` reads them", 0},
};

static const struct args_spec spec = {
    .usage = "simulate --trace FILE [--config FILE]",
    .about = "Run a trace on the scheduler in virtual time and print who "
             "waited how long.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

/* What the core knows a job by. */
struct sim_lease {
    uint64_t lease;
    uint64_t token;
    uint32_t job;
};

struct simulation {
    struct config config;
    struct core *core;
    struct workload work;
    struct sim_lease *leases; /* By job. */
    struct idmap by_lease;
    uint64_t now_ms;
};

/* ---- The core's side -------------------------------------------------- */

static int take_grant(struct simulation *sim,
                      const struct core_message *message)
{
    struct sim_lease *lease = idmap_find(&sim->by_lease, 0, message->lease);
    struct core_lease_view view;
    int rc = core_lease_view(sim->core, message->lease, &view);

    assert(lease != NULL && rc == E_OK && view.row.granted != 0);
    lease->token = message->token;
    return workload_granted(&sim->work, lease->job,
                            (uint32_t)__builtin_ctzll(view.row.granted),
                            sim->now_ms);
}

static void take_end(struct simulation *sim, const struct core_message *message)
{
    struct sim_lease *lease = idmap_remove(&sim->by_lease, 0, message->lease);

    if (lease != NULL) {
        workload_lost(&sim->work, lease->job, sim->now_ms);
    }
}

static int take_message(struct simulation *sim,
                        const struct core_message *message)
{
    const struct sim_lease *lease;

    switch (message->type) {
    case CORE_MSG_GRANT:
    case CORE_MSG_RESUME:
        return take_grant(sim, message);
    case CORE_MSG_PAUSE:
        lease = idmap_find(&sim->by_lease, 0, message->lease);
        assert(lease != NULL);
        workload_pause(&sim->work, lease->job);
        break;
    case CORE_MSG_REFUSE:
    case CORE_MSG_REVOKE:
        take_end(sim, message);
        break;
    case CORE_MSG_SUPERSEDED:
    case CORE_MSG_OFFER:
    case CORE_MSG_UNLOAD:
    case CORE_MSG_SHUTDOWN:
    case CORE_MSG_STOPPED:
    case CORE_MSG_RUNG:
    case CORE_MSG_STATE:
    case CORE_MESSAGES:
        break;
    }
    return E_OK;
}

/* Apply @event now; its lease is in @fx. */
static int
apply(struct simulation *sim, struct core_event *event, struct core_effects *fx)
{
    event->at_ms = sim->now_ms + CORE_START_MS;
    return core_step(sim->core, event, fx);
}

/* Pass on the messages of @fx.  Nothing is fed to the core meanwhile. */
static int take_messages(struct simulation *sim, const struct core_effects *fx)
{
    int rc = E_OK;

    for (size_t i = 0; rc == E_OK && i < fx->message_count; i++) {
        rc = take_message(sim, &fx->messages[i]);
    }
    return rc;
}

static int feed(struct simulation *sim, struct core_event *event)
{
    struct core_effects fx;
    int rc = apply(sim, event, &fx);

    return rc != E_OK ? rc : take_messages(sim, &fx);
}

/* ---- The jobs' side --------------------------------------------------- */

static int resolve(const struct simulation *sim,
                   const struct workload_job *job,
                   struct core_request *out)
{
    const char *class_name = sim->work.classes[job->class_index].name;
    struct config_request request = {
        .service_id = sim->work.services[job->service],
        .class_name = class_name,
        .timeout_ms = API_TIMEOUT_MS_MAX,
        .priority = CONFIG_UNSET,
        .ttl_ms = TTL_MS,
        .vram_mib = job->vram_mib,
        .preemptible = sim->work.options.is_preemptible ? CONFIG_CHOICE_UNSET
                                                        : CONFIG_CHOICE_NO,
    };
    const char *field;
    int rc = config_request_resolve(&sim->config, &request, out, &field);

    if (rc != E_OK) {
        say("the configuration has no class '%s'", class_name);
    }
    return rc;
}

static int submit(void *arg, uint32_t job)
{
    struct simulation *sim = arg;
    struct core_event event = {.type = CORE_SUBMIT};
    struct sim_lease *lease = &sim->leases[job];
    struct core_effects fx;
    int rc = resolve(sim, &sim->work.jobs[job], &event.submit);

    if (rc != E_OK) {
        return rc;
    }
    event.submit.ref = (uint64_t)job + 1;
    event.submit.service = sim->work.jobs[job].service + 1;
    event.submit.gpus = 1;
    rc = idmap_reserve(&sim->by_lease);
    if (rc == E_OK) {
        rc = apply(sim, &event, &fx);
    }
    if (rc == E_LIMIT || rc == E_INVALID) {
        workload_lost(&sim->work, job, sim->now_ms); /* As the API refuses. */
        return E_OK;
    }
    if (rc != E_OK) {
        return rc;
    }
    lease->lease = fx.lease;
    idmap_put(&sim->by_lease, 0, lease->lease, lease);
    return take_messages(sim, &fx);
}

static int release(void *arg, uint32_t job)
{
    struct simulation *sim = arg;
    struct core_event event = {.type = CORE_RELEASE};
    int rc;

    event.release.lease = sim->leases[job].lease;
    event.release.token = sim->leases[job].token;
    (void)idmap_remove(&sim->by_lease, 0, sim->leases[job].lease);
    rc = feed(sim, &event);
    if (rc == E_OK) {
        workload_released(&sim->work, job, sim->now_ms);
    }
    return rc;
}

static int paused(void *arg, uint32_t job)
{
    struct simulation *sim = arg;
    struct core_event event = {.type = CORE_ACK};

    event.ack.lease = sim->leases[job].lease;
    event.ack.token = sim->leases[job].token;
    event.ack.action = CORE_ACK_PAUSED;
    return feed(sim, &event);
}

static int renew(void *arg, uint32_t job)
{
    struct simulation *sim = arg;
    struct core_event event = {.type = CORE_RENEW};

    event.renew.lease = sim->leases[job].lease;
    event.renew.token = sim->leases[job].token;
    return feed(sim, &event);
}

/* ---- The run ---------------------------------------------------------- */

static int make_config(struct simulation *sim, const char *path)
{
    struct config_report report;
    struct buf text;
    int rc = config_load(path, &sim->config, &report);

    buf_init(&text, 0);
    config_report_print(&report, path == NULL ? "" : path, &text);
    (void)fputs(buf_string(&text), stderr);
    buf_release(&text);
    config_report_release(&report);
    return rc;
}

static int make_core(struct simulation *sim, struct core_config *out)
{
    const struct config_gpus *gpus = &sim->config.gpus;
    char uuid[API_UUID_MAX + 1];

    config_core_get(&sim->config, out);
    out->effects_max = EFFECTS_MAX;
    out->device_count = gpus->count == 0 ? 1 : gpus->count;
    for (uint32_t i = 0; i < out->device_count; i++) {
        uint32_t capacity_mib =
            gpus->count == 0 ? CAPACITY_MIB : gpus->capacity_mib[i];
        int rc;

        (void)snprintf(uuid, sizeof uuid, "GPU-simulated-%u", i);
        rc = config_device_get(&sim->config, i, uuid, capacity_mib, false,
                               &out->devices[i]);
        if (rc != E_OK) {
            say("the reserve leaves nothing of gpu %u", i);
            return rc;
        }
    }
    return core_create(out, &alloc_libc, CORE_START_MS, 1, &sim->core);
}

/* Give out numbers without end, and let every service listen. */
static int begin(struct simulation *sim)
{
    struct core_event event = {.type = CORE_ADMIN};
    int rc;

    event.admin.action = CORE_NUMBERS;
    event.admin.id_end = API_NUMBER_MAX;
    event.admin.token_end = API_NUMBER_MAX;
    rc = feed(sim, &event);
    for (uint32_t i = 0; rc == E_OK && i < sim->work.service_count; i++) {
        event = (struct core_event){.type = CORE_ATTACH};
        event.attach.service = i + 1;
        rc = feed(sim, &event);
    }
    return rc;
}

static int run(struct simulation *sim)
{
    int rc = begin(sim);

    while (rc == E_OK && !workload_is_over(&sim->work)) {
        uint64_t work_ms = workload_next(&sim->work);
        uint64_t core_ms = core_deadline(sim->core);

        if (core_ms != CORE_FOREVER) {
            core_ms -= CORE_START_MS;
        }
        /* A turn of the daemon's loop reads its input before it ticks. */
        if (work_ms <= core_ms && work_ms != CORE_FOREVER) {
            sim->now_ms = work_ms > sim->now_ms ? work_ms : sim->now_ms;
            rc = workload_run(&sim->work, sim->now_ms);
        } else {
            struct core_event tick = {.type = CORE_TICK};

            assert(core_ms != CORE_FOREVER); /* A waiter has a deadline. */
            sim->now_ms = core_ms > sim->now_ms ? core_ms : sim->now_ms;
            rc = feed(sim, &tick);
        }
    }
    return rc;
}

static int simulate(struct simulation *sim,
                    const struct values *values,
                    const struct trace *trace)
{
    struct workload_options work = workload_options_get(&values->work);
    struct workload_calls calls = {submit, release, paused, renew, sim};
    struct core_config core_config = {0};
    int rc = make_config(sim, values->config);

    if (rc != E_OK) {
        return rc;
    }
    work.renew_ms = RENEW_MS;
    rc = workload_init(&sim->work, trace, &work, &calls);
    if (rc != E_OK) {
        return rc;
    }
    sim->leases = calloc(sim->work.job_count, sizeof *sim->leases);
    if (sim->leases == NULL) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < sim->work.job_count; i++) {
        sim->leases[i].job = (uint32_t)i;
    }
    rc = make_core(sim, &core_config);
    if (rc == E_OK) {
        rc = run(sim);
    }
    if (rc == E_OK) {
        struct workload_run summary = {"simulate", sim->now_ms,
                                       core_config.device_count};

        workload_finish(&sim->work, sim->now_ms);
        rc = workload_print(&values->work, &sim->work, &summary);
    }
    return rc;
}

int simulate_main(int argc, char **argv)
{
    struct values values = {.work = workload_defaults};
    struct simulation sim = {0};
    struct trace trace;
    int rc = args_read(&spec, &values, argc, argv);

    if (rc <= 0) {
        return err_exit(rc);
    }
    rc = workload_open_trace(&values.work, &trace);
    if (rc != E_OK) {
        return err_exit(rc);
    }
    idmap_init(&sim.by_lease, &alloc_libc);
    rc = simulate(&sim, &values, &trace);
    if (rc == E_NOMEM) {
        say("cannot simulate: %s", err_text(rc));
    }
    core_destroy(sim.core);
    idmap_release(&sim.by_lease);
    free(sim.leases);
    workload_release(&sim.work);
    config_release(&sim.config);
    trace_release(&trace);
    return err_exit(rc);
}
