/* status_gpu.h - what `gpucoord status` shows of the cards themselves. */
#ifndef GPUCOORD_CLI_STATUS_GPU_H
#define GPUCOORD_CLI_STATUS_GPU_H

#include "base/buf.h"

#include <jansson.h>

/* Append driver, utilisation, temperature and power of the devices in @status
 * as a table; nothing where none of it is known. */
void status_gpu_figures(const json_t *status, struct buf *out);

/* Append the processes on them, likewise: whose they are, or that they are
 * nobody's. */
void status_gpu_processes(const json_t *status, struct buf *out);

#endif
