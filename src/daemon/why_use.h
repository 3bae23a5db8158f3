/* why_use.h - the VRAM that somebody in the way still has, and which processes
 * have it. */
#ifndef GPUCOORD_DAEMON_WHY_USE_H
#define GPUCOORD_DAEMON_WHY_USE_H

#include "base/buf.h"
#include "core/core.h"

struct daemon;

/* A wait, and the lease in the way; NULL where .blocker is 0. */
struct why_use {
    const struct daemon *daemon;
    const struct core_why *why;
    const struct core_lease_view *blocker;
};

/* Append the rest of the sentence: ", acknowledged 1.2 s ago, 3,100 of 4,096
 * MiB still in use by pid 812 (python3)"; nothing where nothing is known. */
void why_use_text(const struct why_use *use, struct buf *out);

/* Append the members "used_mib", "charged_mib", "acknowledged_ms" and "pids"
 * of the blocker. */
void why_use_members(const struct why_use *use, struct buf *out);

#endif
