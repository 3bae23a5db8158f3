/* serve.h - `gpucoord serve`: be the coordinator. */
#ifndef GPUCOORD_DAEMON_SERVE_H
#define GPUCOORD_DAEMON_SERVE_H

/* Serve until told to leave; argv[0] is the command's name.  Returns the exit
 * status: 0 done, 1 failed, 2 usage or configuration. */
int serve_main(int argc, char **argv);

#endif
