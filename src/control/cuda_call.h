/* cuda_call.h - one call of the CUDA driver, in a process of its own.
 *
 * The main function of the hidden command `gpucoord cuda-call`.  It loads
 * libcuda.so.1 at run time, as nothing else of the project does.
 */
#ifndef GPUCOORD_CONTROL_CUDA_CALL_H
#define GPUCOORD_CONTROL_CUDA_CALL_H

enum {
    CUDA_CALL_OK = 0,
    CUDA_CALL_FAILED = 1, /* The driver said why, and so does the output. */
    CUDA_CALL_USAGE = 2,
    CUDA_CALL_UNSUPPORTED = 3 /* No driver, or none that can. */
};

/* Do what @argv says, in the words of NVIDIA's own program:
 *
 *   --get-state --pid PID        print running, locked, checkpointed or failed
 *   --action ACTION --pid PID    lock, checkpoint, restore or unlock
 *   --timeout MS                 for lock
 *   --probe                      print the versions found, and what is missing
 *
 * Return the exit status, one of the above. */
int cuda_call_main(int argc, char **argv);

#endif
