/* workload_report.h - what a run of a workload came to. */
#ifndef GPUCOORD_CLI_WORKLOAD_REPORT_H
#define GPUCOORD_CLI_WORKLOAD_REPORT_H

#include "cli/workload.h"

#include <stdio.h>

/* What the workload does not know itself. */
struct workload_run {
    const char *command;  /* "simulate". */
    uint64_t duration_ms; /* Of the workload's time. */
    uint32_t devices;
};

/* Append a table for people to @out: waits, shares, preemptions, swaps.
 * workload_finish() was called; sorts the waits. */
void workload_report_text(struct workload *work,
                          const struct workload_run *run,
                          struct buf *out);

/* Append the same as one line of JSON. */
void workload_report_json(struct workload *work,
                          const struct workload_run *run,
                          struct buf *out);

/* Write a line of CSV for each job of the trace to @file, borrowed: row,
 * class, submitted_ms, granted_ms, ended_ms (empty where it never was).
 *
 * Errors:
 *   E_IO  it could not be written.
 */
MUST_USE int workload_report_jobs(const struct workload *work, FILE *file);

#endif
