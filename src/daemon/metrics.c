/* metrics.c - GET /metrics: counts in Prometheus' text form (C13). */
#include "daemon/metrics.h"

#include "base/clock.h"
#include "cluster/leader.h"
#include "core/lease.h"
#include "daemon/acting.h"
#include "daemon/answer.h"
#include "daemon/census.h"
#include "daemon/cluster.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"
#include "daemon/records.h"
#include "daemon/redis.h"
#include "daemon/routes.h"
#include "daemon/walks.h"
#include "http/http.h"

#include <inttypes.h>

/* Append the two lines that introduce a metric. */
static void
head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metric_plain(struct buf *out,
                  const char *name,
                  const char *type,
                  const char *help,
                  uint64_t value)
{
    head(out, name, type, help);
    buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void write_counters(const struct core_stats *stats, struct buf *out)
{
    const struct {
        const char *name;
        const char *help;
        uint64_t value;
    } counters[] = {
        {"gpucoord_grants_total", "First grants.", stats->grants},
        {"gpucoord_resumes_total", "Paused leases granted again.",
         stats->resumes},
        {"gpucoord_pauses_total", "Holders asked to pause.", stats->pauses},
        {"gpucoord_acks_total", "Pauses acknowledged and verified.",
         stats->acks},
        {"gpucoord_expiries_total", "Leases not renewed in time.",
         stats->expiries},
        {"gpucoord_revocations_total", "Leases taken back.",
         stats->revocations},
        {"gpucoord_timeouts_total", "Requests not granted in time.",
         stats->timeouts},
        {"gpucoord_prevented_total", "Grants that only observing gave.",
         stats->prevented},
        {"gpucoord_advisories_total", "Exclusive grants without verified room.",
         stats->advisories},
    };
    size_t i;

    for (i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        metric_plain(out, counters[i].name, "counter", counters[i].help,
                     counters[i].value);
    }
}

static void write_states(const struct core_stats *stats, struct buf *out)
{
    int state;

    head(out, "gpucoord_leases", "gauge", "Live leases by state.");
    for (state = 0; state < LEASE_ENDED; state++) {
        buf_printf(out, "gpucoord_leases{state=\"%s\"} %" PRIu64 "\n",
                   lease_state_name((enum lease_state)state),
                   stats->leases[state]);
    }
}

static void write_classes(const struct daemon *daemon, struct buf *out)
{
    uint32_t count = CORE_CLASS(daemon->core_config.class_count);
    struct core_class_view view;
    char name[65];
    uint32_t i;

    head(out, "gpucoord_class_grants_total", "counter",
         "First grants by class.");
    for (i = 0; i < count; i++) {
        core_class_view(driver_core(daemon->driver), i, &view);
        records_class_name(daemon->config, i, name);
        buf_printf(out,
                   "gpucoord_class_grants_total{class=\"%s\"} %" PRIu64 "\n",
                   name, view.grants);
    }
    head(out, "gpucoord_class_waiting", "gauge", "Attended waiters by class.");
    for (i = 0; i < count; i++) {
        core_class_view(driver_core(daemon->driver), i, &view);
        records_class_name(daemon->config, i, name);
        buf_printf(out, "gpucoord_class_waiting{class=\"%s\"} %" PRIu64 "\n",
                   name, view.waiting);
    }
}

static void write_devices(const struct daemon *daemon, struct buf *out)
{
    static const char *const names[] = {"capacity", "used",     "charged",
                                        "resident", "unleased", "free"};
    uint32_t i;

    head(out, "gpucoord_device_vram_mib", "gauge",
         "VRAM of a device by what it is.");
    for (i = 0; i < daemon->core_config.device_count; i++) {
        struct core_device_view view;
        size_t j;

        core_device_view(driver_core(daemon->driver), i, &view);
        for (j = 0; j < sizeof(names) / sizeof(names[0]); j++) {
            const uint32_t figures[] = {view.capacity_mib, view.used_mib,
                                        view.charged_mib,  view.resident_mib,
                                        view.unleased_mib, view.free_mib};

            buf_printf(out,
                       "gpucoord_device_vram_mib{device=\"%" PRIu32
                       "\",uuid=\"%s\",kind=\"%s\"} %" PRIu32 "\n",
                       i, gpus_uuid(daemon, i), names[j], figures[j]);
        }
    }
}

static void write_rungs(const struct daemon *daemon, struct buf *out)
{
    const struct walks *walks = acting_walks(daemon->acting);
    int rung;
    int outcome;

    head(out, "gpucoord_rungs_total", "counter",
         "Rungs of ladders that have ended, by outcome.");
    for (rung = RUNG_NONE + 1; rung < RUNGS; rung++) {
        for (outcome = WALKS_OK; outcome < WALKS_OUTCOMES; outcome++) {
            buf_printf(out,
                       "gpucoord_rungs_total{rung=\"%s\",outcome=\"%s\"} "
                       "%" PRIu64 "\n",
                       rung_name((enum rung)rung),
                       walks_outcome_name((enum walks_outcome)outcome),
                       walks_count(walks, (enum rung)rung,
                                   (enum walks_outcome)outcome));
        }
    }
}

static void write_prevented(const struct daemon *daemon, struct buf *out)
{
    int wait;

    head(out, "gpucoord_prevented_by_total", "counter",
         "Grants that only observing gave, by what they would have waited "
         "for.");
    for (wait = CORE_WAIT_NOTHING + 1; wait < CORE_WAITS; wait++) {
        buf_printf(out,
                   "gpucoord_prevented_by_total{wait=\"%s\"} %" PRIu64 "\n",
                   core_wait_name((enum core_wait)wait),
                   daemon->prevented.counts[wait]);
    }
}

/* Append the figures of a card that the driver has. */
static void write_cards(const struct daemon *daemon, struct buf *out)
{
    static const struct {
        const char *name;
        const char *help;
    } heads[] = {
        {"gpucoord_device_utilisation_percent", "Time with work on it."},
        {"gpucoord_device_temperature_celsius", "Temperature."},
        {"gpucoord_device_power_milliwatts", "Power drawn."},
    };
    size_t j;
    uint32_t i;

    for (j = 0; j < sizeof(heads) / sizeof(heads[0]); j++) {
        head(out, heads[j].name, "gauge", heads[j].help);
        for (i = 0; i < daemon->core_config.device_count; i++) {
            const struct device_sample *sample =
                census_sample(daemon->census, i);
            const uint32_t figures[] = {
                sample == NULL ? DEVICE_UNKNOWN : sample->utilisation_percent,
                sample == NULL ? DEVICE_UNKNOWN : sample->temperature_c,
                sample == NULL ? DEVICE_UNKNOWN : sample->power_mw};

            if (figures[j] != DEVICE_UNKNOWN) {
                buf_printf(out, "%s{device=\"%" PRIu32 "\"} %" PRIu32 "\n",
                           heads[j].name, i, figures[j]);
            }
        }
    }
}

static void write_rogues(const struct daemon *daemon, struct buf *out)
{
    static const struct {
        const char *name;
        const char *type;
        const char *help;
    } heads[] = {
        {"gpucoord_rogue_vram_mib", "gauge",
         "VRAM of processes that belong to no service."},
        {"gpucoord_rogue_processes", "gauge", "Such processes now."},
        {"gpucoord_rogues_total", "counter", "Such processes seen."},
        {"gpucoord_rogue_mib_seconds_total", "counter",
         "Their VRAM times how long they had it."},
    };
    size_t j;
    uint32_t i;

    for (j = 0; j < sizeof(heads) / sizeof(heads[0]); j++) {
        head(out, heads[j].name, heads[j].type, heads[j].help);
        for (i = 0; i < daemon->core_config.device_count; i++) {
            struct census_rogues rogues;

            census_rogues(daemon->census, i, &rogues);
            const uint64_t figures[] = {rogues.mib, rogues.count, rogues.seen,
                                        rogues.mib_ms / 1000};

            buf_printf(out, "%s{device=\"%" PRIu32 "\"} %" PRIu64 "\n",
                       heads[j].name, i, figures[j]);
        }
    }
}

static void write_daemon(const struct daemon *daemon, struct buf *out)
{
    struct driver_stats stats;

    driver_stats(daemon->driver, &stats);
    metric_plain(out, "gpucoord_events_total", "counter",
                 "Events fed to the core.", stats.events);
    metric_plain(out, "gpucoord_commits_total", "counter",
                 "Transactions of the store.", stats.commits);
    metric_plain(out, "gpucoord_commits_failed_total", "counter",
                 "Transactions that failed.", stats.commits_failed);
    head(out, "gpucoord_commit_seconds_total", "counter",
         "Time spent in transactions.");
    buf_printf(out, "gpucoord_commit_seconds_total %.6f\n",
               (double)stats.commit_ns / 1e9);
    metric_plain(out, "gpucoord_store_away", "gauge",
                 "1 while the store cannot be reached and nothing is granted.",
                 stats.is_away ? 1 : 0);
    metric_plain(out, "gpucoord_store_aways_total", "counter",
                 "Times that the store could not be reached.", stats.aways);
    head(out, "gpucoord_store_away_seconds_total", "counter",
         "Time for which the store could not be reached.");
    buf_printf(out, "gpucoord_store_away_seconds_total %.3f\n",
               (double)stats.away_ms / 1e3);
    metric_plain(out, "gpucoord_connections", "gauge", "Open connections.",
                 http_connection_count(daemon->http));
    metric_plain(out, "gpucoord_uptime_seconds", "gauge",
                 "Time since the start.",
                 (clock_mono_ms() - daemon->started_mono_ms) / 1000);
}

void metrics_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct buf *body = answer_buf(daemon);
    struct core_stats stats;

    (void)last;
    core_stats(driver_core(daemon->driver), &stats);
    write_counters(&stats, body);
    write_states(&stats, body);
    write_classes(daemon, body);
    write_devices(daemon, body);
    write_cards(daemon, body);
    write_rogues(daemon, body);
    write_rungs(daemon, body);
    write_prevented(daemon, body);
    write_daemon(daemon, body);
    redis_write_metrics(daemon, body);
    if (daemon->leader != NULL) {
        cluster_write_metrics(leader_look(daemon->leader), body);
    }
    answer_text(daemon, request->conn, "text/plain; version=0.0.4", body);
}
