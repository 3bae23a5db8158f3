/* How the machines of a workload come to be and go. */
#include "cli/say.h"
#include "cli/workload.h"

/* Return the index of class @name, made where it is new; -1 where there are
 * too many. */
static int class_index(struct workload *work, const char *name, size_t size)
{
    struct workload_class *class;

    for (uint32_t i = 0; i < work->class_count; i++) {
        if (strncmp(work->classes[i].name, name, size) == 0 &&
            work->classes[i].name[size] == '\0') {
            return (int)i;
        }
    }
    if (work->class_count == WORKLOAD_CLASSES_MAX) {
        say("more than %d classes", (int)WORKLOAD_CLASSES_MAX);
        return -1;
    }
    class = &work->classes[work->class_count];
    memcpy(class->name, name, size);
    class->name[size] = '\0';
    return (int)work->class_count++;
}

/* Likewise of a service. */
static int service_index(struct workload *work, const char *name)
{
    size_t size = strnlen(name, API_NAME_MAX);

    for (uint32_t i = 0; i < work->service_count; i++) {
        if (strcmp(work->services[i], name) == 0) {
            return (int)i;
        }
    }
    if (work->service_count == WORKLOAD_SERVICES_MAX) {
        say("more than %d services", (int)WORKLOAD_SERVICES_MAX);
        return -1;
    }
    memcpy(work->services[work->service_count], name, size);
    work->services[work->service_count][size] = '\0';
    return (int)work->service_count++;
}

/* Add a job of a class and a service; NULL where one of them could not be
 * made and is below 0. */
static struct workload_job *
add_job(struct workload *work, int class_at, int service_at, uint64_t at_ms)
{
    struct workload_job *job = &work->jobs[work->job_count];

    if (class_at < 0 || service_at < 0) {
        return NULL;
    }
    work->job_count++;
    job->class_index = (uint32_t)class_at;
    job->service = (uint32_t)service_at;
    job->granted_at_ms = CORE_FOREVER;
    heap_set(&work->timers, &job->timer, at_ms, work->job_count - 1);
    return job;
}

static int add_foreground(struct workload *work, const struct trace *trace)
{
    uint64_t until_ms =
        work->options.until_ms == 0 ? CORE_FOREVER : work->options.until_ms;

    for (size_t i = 0; i < trace->count && trace->rows[i].at_ms < until_ms;
         i++) {
        const struct trace_row *row = &trace->rows[i];
        struct workload_job *job = add_job(
            work, class_index(work, row->class_name, strlen(row->class_name)),
            service_index(work, row->service_id), row->at_ms);

        if (job == NULL) {
            return E_INVALID;
        }
        job->work_ms = row->work_ms;
        job->vram_mib = row->vram_mib;
    }
    work->foreground_count = work->job_count;
    work->foreground_left = work->job_count;
    return E_OK;
}

static int add_background_class(struct workload *work, int class_at)
{
    for (uint64_t i = 0; class_at >= 0 && i < work->options.backlog; i++) {
        struct workload_job *job =
            add_job(work, class_at,
                    service_index(work, work->classes[class_at].name), 0);

        if (job == NULL) {
            return E_INVALID;
        }
        job->is_background = true;
    }
    return class_at < 0 ? E_INVALID : E_OK;
}

static int add_background(struct workload *work)
{
    const char *name = work->options.background;
    int rc = E_OK;

    while (rc == E_OK && *name != '\0') {
        size_t size = strcspn(name, ",");

        if (!api_is_name(name, size)) {
            say("'%s' is not a list of classes with commas",
                work->options.background);
            return E_INVALID;
        }
        rc = add_background_class(work, class_index(work, name, size));
        name += size;
        name += *name == ',';
    }
    return rc;
}

/* Return an upper bound of how many background classes the list names. */
static size_t list_bound(const char *list)
{
    size_t count = 1;

    for (; *list != '\0'; list++) {
        count += *list == ',';
    }
    return count;
}

int workload_init(struct workload *work,
                  const struct trace *trace,
                  const struct workload_options *options,
                  const struct workload_calls *calls)
{
    size_t bound =
        trace->count + list_bound(options->background) * options->backlog;
    int rc;

    *work = (struct workload){.options = *options, .calls = *calls};
    heap_init(&work->timers, &alloc_libc);
    heap_init(&work->renewals, &alloc_libc);
    work->jobs = calloc(bound == 0 ? 1 : bound, sizeof *work->jobs);
    rc = work->jobs == NULL ? E_NOMEM : E_OK;
    if (rc == E_OK) {
        rc = heap_reserve(&work->timers, (uint32_t)bound);
    }
    if (rc == E_OK) {
        rc = heap_reserve(&work->renewals, (uint32_t)bound);
    }
    if (rc == E_OK) {
        rc = add_foreground(work, trace);
    }
    if (rc == E_OK) {
        rc = add_background(work);
    }
    if (rc != E_OK) {
        workload_release(work);
    }
    return rc;
}

void workload_release(struct workload *work)
{
    for (uint32_t i = 0; i < work->class_count; i++) {
        free(work->classes[i].waits_ms);
    }
    if (work->timers.alloc != NULL) {
        heap_release(&work->timers);
        heap_release(&work->renewals);
    }
    free(work->jobs);
    *work = (struct workload){0};
}
