/* lease_text.h - one lease in sentences, from the coordinator's JSON. */
#ifndef GPUCOORD_CLI_LEASE_TEXT_H
#define GPUCOORD_CLI_LEASE_TEXT_H

#include "base/buf.h"

#include <jansson.h>

/* Append why @lease waits, on whom and until when; or, where it does not
 * wait, what it does instead.  Lines end with a newline, the first is a
 * sentence of its own. */
void lease_text_why(const json_t *lease, struct buf *out);

/* Append the devices of @lease as "gpu 0" or "gpus 0 and 2"; "no gpu" where
 * it has none. */
void lease_text_devices(const json_t *lease, struct buf *out);

/* Append @text with control characters as '?': it came from elsewhere. */
void lease_text_plain(const char *text, struct buf *out);

#endif
