/* The driver's functions and structures are declared here, from its
 * documentation (CUDA driver API, "Checkpointing", since CUDA 12.8, driver
 * 570); its binary interface is stable.
 */
#include "control/cuda_call.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CU_SUCCESS = 0,
    CU_INVALID_VALUE = 1,
    CU_NOT_INITIALIZED = 3
};

struct lock_args {
    unsigned int timeout_ms; /* 0 = none. */
    unsigned int reserved0;
    uint64_t reserved1[7];
};

struct other_args { /* Of checkpoint and unlock; of restore, all of it 0. */
    uint64_t reserved[8];
};

struct cu_api {
    int (*init)(unsigned int flags);
    int (*version)(int *version);
    int (*error_name)(int code, const char **name);
    int (*error_text)(int code, const char **text);
    int (*state)(int pid, int *state);
    int (*lock)(int pid, struct lock_args *args);
    int (*checkpoint)(int pid, struct other_args *args);
    int (*restore)(int pid, struct other_args *args);
    int (*unlock)(int pid, struct other_args *args);
};

#define SYMBOL(member) offsetof(struct cu_api, member)

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    {"cuInit", SYMBOL(init)},
    {"cuDriverGetVersion", SYMBOL(version)},
    {"cuGetErrorName", SYMBOL(error_name)},
    {"cuGetErrorString", SYMBOL(error_text)},
    {"cuCheckpointProcessGetState", SYMBOL(state)},
    {"cuCheckpointProcessLock", SYMBOL(lock)},
    {"cuCheckpointProcessCheckpoint", SYMBOL(checkpoint)},
    {"cuCheckpointProcessRestore", SYMBOL(restore)},
    {"cuCheckpointProcessUnlock", SYMBOL(unlock)},
};

static const char *const state_names[] = {"running", "locked", "checkpointed",
                                          "failed"};

enum {
    STATES = (int)(sizeof state_names / sizeof state_names[0])
};

struct options {
    const char *action; /* NULL = none. */
    int pid;
    unsigned int timeout_ms;
    bool asks_state;
    bool probes;
};

/* Print what the driver calls @code. */
static int fail(const struct cu_api *api, const char *what, int code)
{
    const char *name = NULL;
    const char *text = NULL;

    if (api->error_name(code, &name) != CU_SUCCESS || name == NULL) {
        name = "unknown error";
    }
    if (api->error_text(code, &text) != CU_SUCCESS || text == NULL) {
        text = "no description";
    }
    (void)printf("%s: %s (%d): %s\n", what, name, code, text);
    return CUDA_CALL_FAILED;
}

/* Load the driver's library; say what is missing. */
static int load(struct cu_api *api)
{
    void *library =
        dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    int version = 0;
    size_t i;

    if (library == NULL) {
        (void)printf("no driver: %s\n", dlerror());
        return CUDA_CALL_UNSUPPORTED;
    }
    for (i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *symbol = dlsym(library, symbols[i].name);

        memcpy((char *)api + symbols[i].offset, &symbol, sizeof symbol);
        if (symbol == NULL) {
            if (api->version != NULL && api->version(&version) == CU_SUCCESS) {
                (void)printf("cuda %d\n", version);
            }
            (void)printf("no %s\n", symbols[i].name);
            return CUDA_CALL_UNSUPPORTED;
        }
    }
    return CUDA_CALL_OK;
}

static int probe(const struct cu_api *api)
{
    int version = 0;
    int code = api->version(&version);

    if (code != CU_SUCCESS) {
        return fail(api, "cuDriverGetVersion", code);
    }
    (void)printf("cuda %d\n", version);
    return CUDA_CALL_OK;
}

/* Print the state.  For a process without CUDA the driver has no word but an
 * error: "none". */
static int print_state(const struct cu_api *api, int pid)
{
    int state = -1;
    int code = api->state(pid, &state);

    if (code == CU_INVALID_VALUE || code == CU_NOT_INITIALIZED) {
        (void)printf("none\n");
        return CUDA_CALL_OK;
    }
    if (code != CU_SUCCESS) {
        return fail(api, "cuCheckpointProcessGetState", code);
    }
    if (state < 0 || state >= STATES) {
        (void)printf("unknown state %d\n", state);
        return CUDA_CALL_FAILED;
    }
    (void)printf("%s\n", state_names[state]);
    return CUDA_CALL_OK;
}

static int act(const struct cu_api *api, const struct options *options)
{
    struct lock_args lock = {.timeout_ms = options->timeout_ms};
    struct other_args other = {.reserved = {0}};
    const char *action = options->action;
    int code;

    if (strcmp(action, "lock") == 0) {
        code = api->lock(options->pid, &lock);
    } else if (strcmp(action, "checkpoint") == 0) {
        code = api->checkpoint(options->pid, &other);
    } else if (strcmp(action, "restore") == 0) {
        /* It needs an initialized driver, or persistence mode. */
        code = api->init(0);
        if (code == CU_SUCCESS) {
            code = api->restore(options->pid, &other);
        }
    } else if (strcmp(action, "unlock") == 0) {
        code = api->unlock(options->pid, &other);
    } else {
        (void)printf("unknown action '%s'\n", action);
        return CUDA_CALL_USAGE;
    }
    return code == CU_SUCCESS ? CUDA_CALL_OK : fail(api, action, code);
}

/* Read a number of at most nine digits; 0 where it is none. */
static int number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    return *end == '\0' && end - text <= 9 && value > 0 ? (int)value : 0;
}

static bool read_options(int argc, char **argv, struct options *out)
{
    int i;

    *out = (struct options){.action = NULL};
    for (i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";

        if (strcmp(argv[i], "--get-state") == 0) {
            out->asks_state = true;
        } else if (strcmp(argv[i], "--probe") == 0) {
            out->probes = true;
        } else if (strcmp(argv[i], "--action") == 0) {
            out->action = value;
            i++;
        } else if (strcmp(argv[i], "--pid") == 0) {
            out->pid = number(value);
            i++;
        } else if (strcmp(argv[i], "--timeout") == 0) {
            out->timeout_ms = (unsigned int)number(value);
            i++;
        } else {
            return false;
        }
    }
    return out->probes + out->asks_state + (out->action != NULL) == 1 &&
           (out->probes || out->pid > 0);
}

int cuda_call_main(int argc, char **argv)
{
    struct cu_api api = {.init = NULL};
    struct options options;
    int status;

    if (!read_options(argc, argv, &options)) {
        (void)printf("usage: --probe | --get-state --pid PID | --action ACTION "
                     "--pid PID [--timeout MS]\n");
        return CUDA_CALL_USAGE;
    }
    status = load(&api);
    if (status != CUDA_CALL_OK) {
        return status;
    }
    if (options.probes) {
        return probe(&api);
    }
    return options.asks_state ? print_state(&api, options.pid)
                              : act(&api, &options);
}
