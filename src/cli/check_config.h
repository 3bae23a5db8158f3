/* check_config.h - `gpucoord check-config`: is this file right? */
#ifndef GPUCOORD_CLI_CHECK_CONFIG_H
#define GPUCOORD_CLI_CHECK_CONFIG_H

/* Check the file named in @argv and print every mistake as FILE:LINE:COLUMN;
 * return the exit status: 0, also with warnings, or 2. */
int check_config_main(int argc, char **argv);

#endif
