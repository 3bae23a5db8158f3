#include "cli/workload_report.h"

enum {
    NOTICED_MS = 100
};

static int compare_waits(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t two = *(const uint64_t *)b;

    return (one > two) - (one < two);
}

/* Return the wait that @percent of all are not above (nearest rank); 0 where
 * nobody waited.  The waits are sorted. */
static uint64_t percentile(const struct workload_class *class, size_t percent)
{
    size_t rank = (class->wait_count * percent + 99) / 100;

    return class->wait_count == 0 ? 0 : class->waits_ms[rank - 1];
}

/* Return how many waited long enough for a person to notice. */
static size_t waited(const struct workload_class *class)
{
    size_t count = class->wait_count;

    for (size_t i = 0; i < class->wait_count; i++) {
        count -= class->waits_ms[i] <= NOTICED_MS;
    }
    return count;
}

static double share(const struct workload_run *run, uint64_t ms)
{
    uint64_t all = run->duration_ms * run->devices;

    return all == 0 ? 0.0 : 100.0 * (double)ms / (double)all;
}

static void sort_waits(struct workload *work)
{
    for (uint32_t i = 0; i < work->class_count; i++) {
        struct workload_class *class = &work->classes[i];

        if (class->wait_count != 0) {
            qsort(class->waits_ms, class->wait_count, sizeof *class->waits_ms,
                  compare_waits);
        }
    }
}

struct totals {
    uint64_t pauses;
    uint64_t swap_ms;
    uint64_t refusals;
};

static struct totals add_up(const struct workload *work)
{
    struct totals totals = {0};

    for (uint32_t i = 0; i < work->class_count; i++) {
        totals.pauses += work->classes[i].pauses;
        totals.swap_ms += work->classes[i].swap_ms;
        totals.refusals += work->classes[i].refusals;
    }
    return totals;
}

void workload_report_text(struct workload *work,
                          const struct workload_run *run,
                          struct buf *out)
{
    struct totals totals = add_up(work);

    sort_waits(work);
    buf_printf(out, "%s: %zu jobs of the trace in %.1f s on %u GPU%s\n\n",
               run->command, work->foreground_count,
               (double)run->duration_ms / 1000, run->devices,
               run->devices == 1 ? "" : "s");
    buf_printf(out, "%-16s %7s %7s %9s %9s %9s %9s %7s %7s\n", "CLASS",
               "GRANTS", "WAITED", "P50", "P95", "P99", "MAX", "GPU", "PAUSED");
    for (uint32_t i = 0; i < work->class_count; i++) {
        const struct workload_class *class = &work->classes[i];

        buf_printf(
            out, "%-16s %7llu %7zu %8.3fs %8.3fs %8.3fs %8.3fs %6.1f%% %7llu\n",
            class->name, (unsigned long long)class->grants, waited(class),
            (double)percentile(class, 50) / 1000,
            (double)percentile(class, 95) / 1000,
            (double)percentile(class, 99) / 1000,
            (double)percentile(class, 100) / 1000, share(run, class->held_ms),
            (unsigned long long)class->pauses);
    }
    buf_printf(out,
               "\n%llu preemptions; %.1f s (%.1f%% of the GPU time) spent "
               "loading and offloading models\n",
               (unsigned long long)totals.pauses, (double)totals.swap_ms / 1000,
               share(run, totals.swap_ms));
    if (totals.refusals != 0) {
        buf_printf(out, "%llu jobs were refused or revoked\n",
                   (unsigned long long)totals.refusals);
    }
}

static void put_class(struct buf *out,
                      const struct workload_class *class,
                      const struct workload_run *run)
{
    buf_text(out, "{\"class\":");
    buf_json(out, class->name);
    buf_printf(out,
               ",\"grants\":%llu,\"waited\":%zu,\"wait_ms\":{\"p50\":%llu,"
               "\"p95\":%llu,\"p99\":%llu,\"max\":%llu},",
               (unsigned long long)class->grants, waited(class),
               (unsigned long long)percentile(class, 50),
               (unsigned long long)percentile(class, 95),
               (unsigned long long)percentile(class, 99),
               (unsigned long long)percentile(class, 100));
    buf_printf(out,
               "\"gpu_share\":%.4f,\"preemptions\":%llu,\"swap_ms\":%llu,"
               "\"refused\":%llu}",
               share(run, class->held_ms) / 100,
               (unsigned long long)class->pauses,
               (unsigned long long)class->swap_ms,
               (unsigned long long)class->refusals);
}

void workload_report_json(struct workload *work,
                          const struct workload_run *run,
                          struct buf *out)
{
    struct totals totals = add_up(work);

    sort_waits(work);
    buf_printf(out,
               "{\"command\":\"%s\",\"jobs\":%zu,\"duration_ms\":%llu,"
               "\"devices\":%u,\"preemptions\":%llu,\"swap_ms\":%llu,"
               "\"refused\":%llu,\"classes\":[",
               run->command, work->foreground_count,
               (unsigned long long)run->duration_ms, run->devices,
               (unsigned long long)totals.pauses,
               (unsigned long long)totals.swap_ms,
               (unsigned long long)totals.refusals);
    for (uint32_t i = 0; i < work->class_count; i++) {
        if (i != 0) {
            buf_byte(out, ',');
        }
        put_class(out, &work->classes[i], run);
    }
    buf_text(out, "]}\n");
}

int workload_report_jobs(const struct workload *work, FILE *file)
{
    (void)fprintf(file, "row,class,submitted_ms,granted_ms,ended_ms\n");
    for (size_t i = 0; i < work->foreground_count; i++) {
        const struct workload_job *job = &work->jobs[i];

        (void)fprintf(file, "%zu,%s,%llu,", i + 1,
                      work->classes[job->class_index].name,
                      (unsigned long long)job->submitted_at_ms);
        if (job->granted_at_ms != CORE_FOREVER) {
            (void)fprintf(file, "%llu", (unsigned long long)job->granted_at_ms);
        }
        (void)fprintf(file, ",%llu\n", (unsigned long long)job->ended_at_ms);
    }
    return fflush(file) == 0 && !ferror(file) ? E_OK : E_IO;
}
