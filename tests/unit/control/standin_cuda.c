/* A stand-in for libcuda.so.1, driven by files in the directory $STANDIN_CUDA.
 *
 *   state.PID   a digit, the CUprocessState of that process; no file: no CUDA
 *   calls       appended to: one line a call, "lock 812"
 *   fail_at     a number N: the N-th call returns CUDA_ERROR_UNKNOWN (999) and
 *               changes nothing
 *   break_at    likewise, and leaves the process in CU_PROCESS_STATE_FAILED
 *   hang_at     the N-th call never returns
 *   late_at     likewise, and does what it is to do
 *   lie_at      the N-th call returns success and changes nothing
 *   busy.PID    its lock fails with CUDA_ERROR_NOT_READY (600)
 *
 * What it imitates: the states, the errors of a wrong state and of a process
 * without CUDA, and that a restore needs cuInit(), as the documentation of the
 * CUDA driver API 12.8 (driver 570.86) has them in "Checkpointing", and as the
 * CUDA plugin of CRIU relies on them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum {
    RUNNING,
    LOCKED,
    CHECKPOINTED,
    BROKEN
};

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    NOT_INITIALIZED = 3,
    ILLEGAL_STATE = 401,
    NOT_READY = 600,
    UNKNOWN = 999
};

static int is_initialized;

int cuInit(unsigned int flags);
int cuDriverGetVersion(int *version);
int cuGetErrorName(int code, const char **name);
int cuGetErrorString(int code, const char **text);
int cuCheckpointProcessGetState(int pid, int *state);
int cuCheckpointProcessLock(int pid, void *args);
int cuCheckpointProcessCheckpoint(int pid, void *args);
int cuCheckpointProcessRestore(int pid, void *args);
int cuCheckpointProcessUnlock(int pid, void *args);

EXPORTED int cuInit(unsigned int flags)
{
    is_initialized = flags == 0;
    return SUCCESS;
}

EXPORTED int cuDriverGetVersion(int *version)
{
    *version = 12080;
    return SUCCESS;
}

EXPORTED int cuGetErrorName(int code, const char **name)
{
    *name = code == NOT_READY       ? "CUDA_ERROR_NOT_READY"
            : code == ILLEGAL_STATE ? "CUDA_ERROR_ILLEGAL_STATE"
                                    : "CUDA_ERROR_UNKNOWN";
    return SUCCESS;
}

EXPORTED int cuGetErrorString(int code, const char **text)
{
    *text = code == NOT_READY ? "device not ready" : "stand-in error";
    return SUCCESS;
}

#ifndef STANDIN_OLD /* Drivers before 570 have none of these. */

static void path_of(const char *name, char path[512])
{
    const char *dir = getenv("STANDIN_CUDA");

    (void)snprintf(path, 512, "%s/%s", dir == NULL ? "/nonexistent" : dir,
                   name);
}

/* Read a number; -1 where there is no such file. */
static int read_number(const char *name)
{
    char path[512];
    FILE *file;
    int value = -1;

    path_of(name, path);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%d", &value) != 1) {
            value = -1;
        }
        (void)fclose(file);
    }
    return value;
}

static void write_state(int pid, int state)
{
    char name[32];
    char path[512];
    FILE *file;

    (void)snprintf(name, sizeof name, "state.%d", pid);
    path_of(name, path);
    file = fopen(path, "w");
    if (file != NULL) {
        (void)fprintf(file, "%d\n", state);
        (void)fclose(file);
    }
}

static int read_state(int pid)
{
    char name[32];

    (void)snprintf(name, sizeof name, "state.%d", pid);
    return read_number(name);
}

/* Note the call, and return which it is. */
static int note(const char *call, int pid)
{
    char path[512];
    FILE *file;
    int count = 0;
    int byte;

    path_of("calls", path);
    file = fopen(path, "a+");
    if (file == NULL) {
        return 0;
    }
    (void)fprintf(file, "%s %d\n", call, pid);
    rewind(file);
    while ((byte = fgetc(file)) != EOF) {
        count += byte == '\n';
    }
    (void)fclose(file);
    return count;
}

static void hang(void)
{
    for (;;) {
        (void)pause();
    }
}

/* Move @pid from one state to another, or do what the files say instead. */
static int step(const char *call, int pid, int from, int to)
{
    int count = note(call, pid);
    int state = read_state(pid);

    if (count == read_number("hang_at")) {
        hang();
    }
    if (count == read_number("break_at")) {
        write_state(pid, BROKEN);
        return UNKNOWN;
    }
    if (count == read_number("fail_at")) {
        return UNKNOWN;
    }
    if (state < 0) {
        return INVALID_VALUE;
    }
    if (state != from) {
        return ILLEGAL_STATE;
    }
    if (count != read_number("lie_at")) {
        write_state(pid, to);
    }
    if (count == read_number("late_at")) {
        hang();
    }
    return SUCCESS;
}

EXPORTED int cuCheckpointProcessGetState(int pid, int *state)
{
    int now = read_state(pid);
    int count = note("state", pid);

    if (count == read_number("hang_at")) {
        hang();
    }
    if (count == read_number("fail_at") || count == read_number("break_at")) {
        return UNKNOWN;
    }
    *state = now;
    return now < 0 ? INVALID_VALUE : SUCCESS;
}

EXPORTED int cuCheckpointProcessLock(int pid, void *args)
{
    char name[32];

    (void)args;
    (void)snprintf(name, sizeof name, "busy.%d", pid);
    if (read_number(name) >= 0) {
        (void)note("lock", pid);
        return NOT_READY;
    }
    return step("lock", pid, RUNNING, LOCKED);
}

EXPORTED int cuCheckpointProcessCheckpoint(int pid, void *args)
{
    (void)args;
    return step("checkpoint", pid, LOCKED, CHECKPOINTED);
}

EXPORTED int cuCheckpointProcessRestore(int pid, void *args)
{
    (void)args;
    return is_initialized ? step("restore", pid, CHECKPOINTED, LOCKED)
                          : NOT_INITIALIZED;
}

EXPORTED int cuCheckpointProcessUnlock(int pid, void *args)
{
    (void)args;
    return step("unlock", pid, LOCKED, RUNNING);
}

#endif
