/* cuda.h - NVIDIA's driver moves the VRAM of a process: one call at a time.
 *
 * Either the driver's own functions (cuCheckpointProcess*, driver 570 and
 * later), called by a process of ours that does only that (cuda_call.h), or
 * NVIDIA's program `cuda-checkpoint` (driver 550 and later).  Both understand
 * the same command line, so there is one way to call them, and a driver that
 * hangs hangs a process that can be killed or left behind.
 */
#ifndef GPUCOORD_CONTROL_CUDA_H
#define GPUCOORD_CONTROL_CUDA_H

#include "base/buf.h"
#include "base/err.h"
#include "control/patience.h"
#include "control/proc.h"

#include <stdbool.h>

enum cuda_state {
    CUDA_RUNNING,
    CUDA_LOCKED,       /* Its CUDA calls wait. */
    CUDA_CHECKPOINTED, /* Likewise, and it uses no VRAM. */
    CUDA_BROKEN,       /* A checkpoint or restore failed for good. */
    CUDA_NONE          /* No CUDA in this process. */
};

enum cuda_action {
    CUDA_LOCK,
    CUDA_CHECKPOINT,
    CUDA_RESTORE,
    CUDA_UNLOCK,
    CUDA_TOGGLE /* Lock and checkpoint, or restore and unlock. */
};

enum {
    CUDA_ARGS_MAX = 8,
    CUDA_VERSION_SIZE = 48
};

/* Where to look; all borrowed as long as it is used. */
struct cuda_config {
    const char *const *caller; /* Command, NULL-terminated, that ends in
                                * cuda_call_main(); NULL = this program's. */
    const char *program;       /* NULL = "cuda-checkpoint". */
    const char *version_path;  /* NULL = "/sys/module/nvidia/version". */
    const char *device_prefix; /* NULL = "/dev/nvidia". */
};

/* The way that works here. */
struct cuda_tool {
    const char *argv[CUDA_ARGS_MAX]; /* The command's beginning. */
    bool is_program;                 /* NVIDIA's, not the driver's functions; */
    bool toggles_only;               /* that of 550: no lock by itself. */
    const char *device_prefix;       /* As in the configuration. */
    char driver[CUDA_VERSION_SIZE];  /* "570.86.10"; "" = not known. */
};

/* Find the way, asking the driver once.
 *
 * Errors, with the cause appended to @why:
 *   E_UNSUPPORTED  there is none: no driver, too old a driver, no program.
 *   E_TIMEOUT      the driver does not answer.
 *   E_ENDED        cancelled.
 *   E_NOMEM        no memory.
 */
MUST_USE int cuda_find(const struct cuda_config *config,
                       const struct patience *patience,
                       struct cuda_tool *out,
                       struct buf *why);

/* Ask in which state the process @id is.  A tool that only toggles has no such
 * question: then a process with the library and with a GPU open is RUNNING, and
 * one without a GPU is CHECKPOINTED or has never begun.
 *
 * Errors, with the cause appended to @why:
 *   E_NOT_FOUND  it has gone.
 *   E_IO         the driver failed.
 *   others       as launch_run().
 */
MUST_USE int cuda_ask(const struct cuda_tool *tool,
                      const struct proc_id *id,
                      const struct patience *patience,
                      enum cuda_state *out,
                      struct buf *why);

/* Have @action done to the process @id.
 *
 * Errors, with the cause appended to @why:
 *   E_NOT_FOUND  it has gone.
 *   E_IO         the driver failed; ask for its state.
 *   others       as launch_run(): it may or may not have been done.
 */
MUST_USE int cuda_do(const struct cuda_tool *tool,
                     enum cuda_action action,
                     const struct proc_id *id,
                     const struct patience *patience,
                     struct buf *why);

/* Return the word for a state, as the driver's own program prints it. */
const char *cuda_state_name(enum cuda_state state);

#endif
