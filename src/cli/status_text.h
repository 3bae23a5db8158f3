/* status_text.h - the coordinator's status as a page for people. */
#ifndef GPUCOORD_CLI_STATUS_TEXT_H
#define GPUCOORD_CLI_STATUS_TEXT_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

/* Append the page for @status (GET /gpu/status): who holds and who waits in a
 * sentence, what is unusual, then devices, holders and waiters as tables.
 * What is unusual is red where @has_colour. */
void status_text(const json_t *status, bool has_colour, struct buf *out);

#endif
