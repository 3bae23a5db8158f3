/* say.h - messages to the person at the terminal.
 *
 * One line each on standard error, lower case, without a full stop: what
 * failed first, then what to do about it where that is known.
 */
#ifndef GPUCOORD_CLI_SAY_H
#define GPUCOORD_CLI_SAY_H

/* Print "gpucoord: " and the message; control characters, which may have come
 * from another program, are shown as '?'. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
