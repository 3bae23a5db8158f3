/* trace.h - events and effects as lines of text.
 *
 * One event a line, its effects indented below it: what scenarios compare and
 * what a failing run prints.
 */
#ifndef GPUCOORD_TESTS_SIM_TRACE_H
#define GPUCOORD_TESTS_SIM_TRACE_H

#include "core/core.h"

/* Append @event, without a line end. */
void trace_event(struct buf *out, const struct core_event *event);

/* Append @message, without a line end. */
void trace_message(struct buf *out, const struct core_message *message);

#endif
