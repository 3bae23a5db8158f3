/* cluster.h - what is known of the cluster, as people and programs see it. */
#ifndef GPUCOORD_DAEMON_CLUSTER_H
#define GPUCOORD_DAEMON_CLUSTER_H

#include "base/buf.h"

struct leader_view;

/* Append GET /gpu/cluster's answer, as the member @self gives it. */
void cluster_write(const struct leader_view *view,
                   const char *self,
                   struct buf *out);

/* Append the metrics of a member. */
void cluster_write_metrics(const struct leader_view *view, struct buf *out);

#endif
