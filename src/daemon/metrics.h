/* metrics.h - how a figure of the metrics is written. */
#ifndef GPUCOORD_DAEMON_METRICS_H
#define GPUCOORD_DAEMON_METRICS_H

#include "base/buf.h"

#include <stdint.h>

/* Append a metric without labels; @type is "counter" or "gauge". */
void metric_plain(struct buf *out,
                  const char *name,
                  const char *type,
                  const char *help,
                  uint64_t value);

#endif
