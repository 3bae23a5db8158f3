/* complain.h - what went wrong with a call, and what to do about it. */
#ifndef GPUCOORD_CLI_COMPLAIN_H
#define GPUCOORD_CLI_COMPLAIN_H

#include "cli/client.h"

/* Tell the user that @what, as "cannot release lease 42", failed for the
 * reason in @answer, and what to do about it; return the exit status. */
int complain(const struct client_answer *answer, const char *what);

#endif
