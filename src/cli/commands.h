/* commands.h - every command's entry, for the table in main.c.
 *
 * Each takes its own arguments, argv[0] being its name, and returns the exit
 * status: 0 done, 1 failed, 2 usage or configuration, 3 not granted in time,
 * 4 refused, 5 coordinator unreachable; `run` that of its child.  What each
 * does is at the head of the file named after it.
 */
#ifndef GPUCOORD_CLI_COMMANDS_H
#define GPUCOORD_CLI_COMMANDS_H

/* The coordinator itself; daemon/serve.c. */
int serve_main(int argc, char **argv);

/* Show what this machine has, and what of the configuration works here. */
int check_main(int argc, char **argv);

/* Let go on what is frozen or checkpointed. */
int thaw_main(int argc, char **argv);

/* A queue from one store to another. */
int export_main(int argc, char **argv);
int import_main(int argc, char **argv);

/* One call of the CUDA driver, for the coordinator; control/cuda_call.c. */
int cuda_call_main(int argc, char **argv);

/* Run a trace in virtual time, or against a real coordinator. */
int simulate_main(int argc, char **argv);
int replay_main(int argc, char **argv);

/* Run a program while holding the GPU. */
int run_main(int argc, char **argv);

/* Ask for the GPU, from a script. */
int request_main(int argc, char **argv);

/* Give a lease back. */
int release_main(int argc, char **argv);

/* Extend a lease. */
int renew_main(int argc, char **argv);

/* Answer a pause or a resume. */
int ack_main(int argc, char **argv);

/* Withdraw a waiting request. */
int cancel_main(int argc, char **argv);

/* Show who holds, who waits. */
int status_main(int argc, char **argv);

/* Show why somebody waits. */
int why_main(int argc, char **argv);

/* Show the coordinators of a cluster. */
int cluster_main(int argc, char **argv);

/* What an operator does: pause, resume, drain, undrain, revoke, bypass. */
int pause_main(int argc, char **argv);
int resume_main(int argc, char **argv);
int drain_main(int argc, char **argv);
int undrain_main(int argc, char **argv);
int revoke_main(int argc, char **argv);
int bypass_main(int argc, char **argv);

/* Run a trace on the scheduler in virtual time. */
int simulate_main(int argc, char **argv);

/* Run a trace with real clients against a real coordinator. */
int replay_main(int argc, char **argv);

#endif
