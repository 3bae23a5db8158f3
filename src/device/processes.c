#include "device/probe.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the kernel has the first pid namespace: PROC_PID_INIT_INO, in
 * include/linux/proc_ns.h since 3.8. */
static const char first_namespace[] = "pid:[4026531836]";

void probe_clear(struct device_sample *sample, uint32_t index)
{
    /* The list itself is not cleared: it is long, and bounded by its count. */
    sample->device = index;
    sample->state = DEVICE_OK;
    sample->begun_at_ms = 0;
    sample->reason = NULL;
    sample->used_mib = 0;
    sample->utilisation_percent = DEVICE_UNKNOWN;
    sample->temperature_c = DEVICE_UNKNOWN;
    sample->power_mw = DEVICE_UNKNOWN;
    probe_forget(sample, NULL);
}

void probe_forget(struct device_sample *sample, const char *reason)
{
    sample->processes_known = false;
    sample->processes_reason = reason;
    sample->process_count = 0;
    sample->rest_count = 0;
    sample->rest_mib = 0;
}

/* A sum in which one unknown makes the whole unknown, and which does not
 * overflow into it. */
static uint32_t sum_mib(uint32_t first, uint32_t second)
{
    if (first == DEVICE_UNKNOWN || second == DEVICE_UNKNOWN) {
        return DEVICE_UNKNOWN;
    }
    return first < DEVICE_UNKNOWN - 1 - second ? first + second
                                               : DEVICE_UNKNOWN - 1;
}

void probe_add(struct device_sample *sample,
               uint32_t pid,
               uint32_t used_mib,
               enum device_use use)
{
    struct device_process *process = sample->processes;
    struct device_process *end = process + sample->process_count;

    while (process < end && process->pid != pid) {
        process++;
    }
    if (process < end) {
        process->used_mib = sum_mib(process->used_mib, used_mib);
        process->use |= (uint32_t)use;
    } else if (sample->process_count < DEVICE_PROCESSES_MAX) {
        *process = (struct device_process){
            .pid = pid, .used_mib = used_mib, .use = (uint32_t)use};
        sample->process_count++;
    } else {
        sample->rest_count++;
        if (used_mib != DEVICE_UNKNOWN) {
            sample->rest_mib = sum_mib(sample->rest_mib, used_mib);
        }
    }
}

void probe_merge(const struct device_sample *from, struct device_sample *sample)
{
    uint32_t i;

    for (i = 0; i < from->process_count; i++) {
        const struct device_process *process = &from->processes[i];
        struct device_process *found = sample->processes;
        struct device_process *end = found + sample->process_count;

        while (found < end && found->pid != process->pid) {
            found++;
        }
        if (found == end) {
            probe_add(sample, process->pid, process->used_mib,
                      (enum device_use)process->use);
            continue;
        }
        found->use |= process->use;
        if (found->used_mib == DEVICE_UNKNOWN ||
            (process->used_mib != DEVICE_UNKNOWN &&
             process->used_mib > found->used_mib)) {
            found->used_mib = process->used_mib;
        }
    }
    sample->rest_count += from->rest_count;
    sample->rest_mib = sum_mib(sample->rest_mib, from->rest_mib);
}

bool probe_owns_pids(const char *proc)
{
    char path[PATH_MAX];
    char link[64];
    ssize_t size;

    (void)snprintf(path, sizeof path, "%s/self/ns/pid", proc);
    size = readlink(path, link, sizeof link - 1);
    if (size < 0) {
        return false;
    }
    link[size] = '\0';
    return strcmp(link, first_namespace) == 0;
}
