/* amdgpu_processes.h - who uses an AMD card.
 *
 * Two sources, and for a process in both the larger figure: /proc/PID/fdinfo
 * tells of everybody, but of other users' processes to root only; and under
 * /sys/class/kfd the kernel shows everybody who computes (ROCm) to everybody.
 */
#ifndef GPUCOORD_DEVICE_AMDGPU_PROCESSES_H
#define GPUCOORD_DEVICE_AMDGPU_PROCESSES_H

#include "device/fdinfo.h"
#include "device/probe.h"

enum {
    AMDGPU_PIDS_MAX = 256,    /* Processes with a card open, at most. */
    AMDGPU_CLIENTS_MAX = 1024 /* Clients of one card, likewise. */
};

/* A card, as its processes name it. */
struct amdgpu_names {
    char pdev[FDINFO_PDEV_SIZE]; /* In fdinfo. */
    uint32_t kfd;                /* For KFD; 0 = it does not know the card. */
    uint32_t unexplained_mib;    /* Used by nobody who was found, last time. */
};

struct amdgpu_processes {
    const char *sysfs; /* Where /sys is; */
    const char *proc;  /* and /proc.  Both are the owner's. */
    uint64_t scanned_at_ms;
    uint32_t pids[AMDGPU_PIDS_MAX]; /* Who had a card open then, */
    uint32_t pid_count;
    bool is_partial; /* not all of whom fitted; */
    bool is_hidden;  /* and into some of whom we may not look. */
    bool is_foreign; /* KFD's pids are not this namespace's. */
    uint64_t clients[AMDGPU_CLIENTS_MAX]; /* Counted in this sample. */
    uint32_t client_count;
};

/* Look into /proc and /sys at these places, borrowed until the end. */
void amdgpu_processes_init(struct amdgpu_processes *processes,
                           const char *sysfs,
                           const char *proc);

/* Fill in the list of @out, whose .used_mib is known: the processes on @card.
 * All of /proc is looked through about once a second, or when VRAM is used of
 * which nobody is known; else only those are asked that were found then. */
void amdgpu_processes_read(struct amdgpu_processes *processes,
                           struct amdgpu_names *card,
                           struct device_sample *out);

#endif
