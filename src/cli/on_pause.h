/* on_pause.h - how a program under `run` gives way. */
#ifndef GPUCOORD_CLI_ON_PAUSE_H
#define GPUCOORD_CLI_ON_PAUSE_H

#include "base/err.h"
#include "proto/api.h"

/* Read @text, rungs of a ladder with commas between them, into @out, and look
 * whether they can work here; "never" and NULL are a program that is left
 * alone.
 *
 * Errors (said to the user):
 *   E_INVALID      it is something else.
 *   E_UNSUPPORTED  no checkpoint can be made on this machine.
 */
MUST_USE int on_pause_read(const char *text, struct api_request *out);

#endif
