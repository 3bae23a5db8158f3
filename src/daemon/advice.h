/* advice.h - what a problem says where nobody knows more about it. */
#ifndef GPUCOORD_DAEMON_ADVICE_H
#define GPUCOORD_DAEMON_ADVICE_H

/* Return the detail of a problem with the error @code, a static text; NULL
 * where its title says it all. */
const char *advice_detail(int code);

#endif
