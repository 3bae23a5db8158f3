#include "control/cuda.h"

#include "base/smallfile.h"
#include "control/cuda_call.h"
#include "control/launch.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEEDS "checkpoint needs 570, or 550 and the cuda-checkpoint program"

enum {
    OUTPUT_MAX = 16384,
    NUMBER_SIZE = 16,
    PATH_SIZE = 128,
    API_MAJOR = 570,    /* The driver's functions, a lock by itself. */
    TOGGLE_MAJOR = 550, /* Its program. */
    LOCK_SPARE_MS = 250 /* For the driver to give up before we do. */
};

static const char *const own_caller[] = {"/proc/self/exe", "cuda-call", NULL};

static const char *const state_names[] = {
    [CUDA_RUNNING] = "running",
    [CUDA_LOCKED] = "locked",
    [CUDA_CHECKPOINTED] = "checkpointed",
    [CUDA_BROKEN] = "failed",
    [CUDA_NONE] = "none",
};

static const char *const action_names[] = {
    [CUDA_LOCK] = "lock",       [CUDA_CHECKPOINT] = "checkpoint",
    [CUDA_RESTORE] = "restore", [CUDA_UNLOCK] = "unlock",
    [CUDA_TOGGLE] = "toggle",
};

enum {
    STATES = (int)(sizeof state_names / sizeof state_names[0])
};

const char *cuda_state_name(enum cuda_state state)
{
    return state_names[state];
}

/* ---- What is here -------------------------------------------------------- */

/* Return the major version of the driver; 0 = not known. */
static long major_of(const struct cuda_tool *tool)
{
    return strtol(tool->driver, NULL, 10);
}

static void set_command(struct cuda_tool *tool, const char *const *argv)
{
    size_t i;

    for (i = 0; argv[i] != NULL; i++) {
        assert(i + 1 < CUDA_ARGS_MAX);
        tool->argv[i] = argv[i];
    }
    tool->argv[i] = NULL;
}

/* Run the tool with @more, NULL-terminated. */
static int call(const struct cuda_tool *tool,
                const char *const *more,
                const struct patience *patience,
                struct buf *out,
                int *status)
{
    const char *argv[2 * CUDA_ARGS_MAX] = {NULL};
    struct buf ignored;
    size_t count = 0;
    size_t i;
    int rc;

    for (i = 0; tool->argv[i] != NULL; i++) {
        argv[count++] = tool->argv[i];
    }
    for (i = 0; more[i] != NULL; i++) {
        assert(count + 1 < sizeof argv / sizeof argv[0]);
        argv[count++] = more[i];
    }
    buf_init(&ignored, OUTPUT_MAX);
    rc = launch_run(argv, patience, out, status, &ignored);
    buf_release(&ignored);
    return rc;
}

/* Say in a sentence which driver there is, or that there is none. */
static void
describe(const struct cuda_tool *tool, const char *probed, struct buf *why)
{
    long cuda =
        strncmp(probed, "cuda ", 5) == 0 ? strtol(probed + 5, NULL, 10) : 0;

    if (tool->driver[0] != '\0') {
        buf_printf(why, "driver %s found", tool->driver);
    } else if (cuda > 0) {
        buf_printf(why, "a driver for CUDA %ld.%ld found", cuda / 1000,
                   cuda % 1000 / 10);
    } else {
        buf_text(why, "no NVIDIA driver found");
    }
    buf_text(why, ", " NEEDS);
}

/* Try NVIDIA's program. */
static int find_program(const struct cuda_config *config,
                        const struct patience *patience,
                        struct cuda_tool *out)
{
    static const char *const help[] = {"--help", NULL};
    const char *argv[] = {
        config->program != NULL ? config->program : "cuda-checkpoint", NULL};
    struct buf text;
    int status = 0;
    int rc;

    set_command(out, argv);
    out->is_program = true;
    buf_init(&text, OUTPUT_MAX);
    rc = call(out, help, patience, &text, &status);
    if (rc == E_NOT_FOUND || rc == E_IO ||
        (rc == E_OK && strstr(buf_string(&text), "--toggle") == NULL) ||
        (major_of(out) != 0 && major_of(out) < TOGGLE_MAJOR)) {
        rc = E_UNSUPPORTED;
    }
    out->toggles_only = strstr(buf_string(&text), "--action") == NULL ||
                        (major_of(out) != 0 && major_of(out) < API_MAJOR);
    buf_release(&text);
    return rc;
}

int cuda_find(const struct cuda_config *config,
              const struct patience *patience,
              struct cuda_tool *out,
              struct buf *why)
{
    static const char *const probe[] = {"--probe", NULL};
    struct buf text;
    int status = 0;
    int rc;

    *out = (struct cuda_tool){.device_prefix = config->device_prefix != NULL
                                                   ? config->device_prefix
                                                   : "/dev/nvidia"};
    smallfile_line(AT_FDCWD,
                   config->version_path != NULL ? config->version_path
                                                : "/sys/module/nvidia/version",
                   out->driver, sizeof out->driver);
    set_command(out, config->caller != NULL ? config->caller : own_caller);
    buf_init(&text, OUTPUT_MAX);
    rc = call(out, probe, patience, &text, &status);
    if (rc == E_OK && status != CUDA_CALL_OK) {
        rc = find_program(config, patience, out);
    }
    if (rc == E_UNSUPPORTED || rc == E_NOT_FOUND || rc == E_IO) {
        describe(out, buf_string(&text), why);
        rc = E_UNSUPPORTED;
    } else if (rc != E_OK) {
        buf_printf(why, "the NVIDIA driver does not answer: %s", err_text(rc));
    }
    buf_release(&text);
    return rc;
}

/* ---- One process --------------------------------------------------------- */

static int check_alive(const struct proc_id *id, struct buf *why)
{
    struct proc_stat stat;

    if (proc_read_stat(PROC_ROOT, id->pid, &stat) == E_OK &&
        proc_is_same(&stat.id, id) && !proc_has_died(&stat)) {
        return E_OK;
    }
    buf_printf(why, "pid %d has gone", (int)id->pid);
    return E_NOT_FOUND;
}

/* Append what could not be done, and the last line that was printed. */
static int complain(int rc,
                    const char *what,
                    const struct proc_id *id,
                    struct buf *output,
                    struct buf *why)
{
    const char *line;

    while (output->size > 0 && output->data[output->size - 1] == '\n') {
        output->data[--output->size] = '\0';
    }
    line = strrchr(buf_string(output), '\n');
    line = line != NULL ? line + 1 : buf_string(output);
    if (rc == E_OK) {
        buf_printf(why, "%s of pid %d failed: %s", what, (int)id->pid,
                   line[0] != '\0' ? line : "the driver does not say why");
        return E_IO;
    }
    buf_printf(why, "%s of pid %d: %s", what, (int)id->pid,
               rc == E_TIMEOUT ? "the driver does not answer" : err_text(rc));
    return rc;
}

/* Say whether the library is mapped in the process. */
static bool has_library(const struct proc_id *id)
{
    char path[PATH_SIZE];
    char line[1024];
    bool has_it = false;
    FILE *file;

    (void)snprintf(path, sizeof path, PROC_ROOT "/%d/maps", (int)id->pid);
    file = fopen(path, "re");
    while (file != NULL && !has_it && fgets(line, sizeof line, file) != NULL) {
        has_it = strstr(line, "/libcuda.so") != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return has_it;
}

/* Say whether the process has a GPU open.
 *
 * Errors: E_FORBIDDEN where that may not be looked at.
 */
static int
has_gpu(const struct cuda_tool *tool, const struct proc_id *id, bool *out)
{
    size_t prefix = strlen(tool->device_prefix);
    char path[PATH_SIZE];
    char target[PATH_SIZE];
    const struct dirent *entry;
    DIR *dir;

    (void)snprintf(path, sizeof path, PROC_ROOT "/%d/fd", (int)id->pid);
    dir = opendir(path);
    if (dir == NULL) {
        return E_FORBIDDEN;
    }
    *out = false;
    while (!*out && (entry = readdir(dir)) != NULL) {
        ssize_t size =
            readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);

        if (size > 0) {
            target[size] = '\0';
            /* /dev/nvidia0, not /dev/nvidiactl. */
            *out = strncmp(target, tool->device_prefix, prefix) == 0 &&
                   target[prefix] >= '0' && target[prefix] <= '9';
        }
    }
    (void)closedir(dir);
    return E_OK;
}

/* The state as it looks from outside. */
static int guess(const struct cuda_tool *tool,
                 const struct proc_id *id,
                 enum cuda_state *out,
                 struct buf *why)
{
    bool has_it;

    if (!has_library(id)) {
        *out = CUDA_NONE;
        return E_OK;
    }
    if (has_gpu(tool, id, &has_it) != E_OK) {
        buf_printf(why, "not allowed to look at pid %d", (int)id->pid);
        return E_IO;
    }
    *out = has_it ? CUDA_RUNNING : CUDA_CHECKPOINTED;
    return E_OK;
}

/* Read the word; NVIDIA's own program has none for a process without CUDA, and
 * exits with an error. */
static int read_state(const struct cuda_tool *tool,
                      const char *text,
                      int status,
                      enum cuda_state *out)
{
    size_t size = strcspn(text, "\n");
    int i;

    for (i = 0; status == CUDA_CALL_OK && i < STATES; i++) {
        if (strlen(state_names[i]) == size &&
            strncmp(text, state_names[i], size) == 0) {
            *out = (enum cuda_state)i;
            return E_OK;
        }
    }
    if (tool->is_program && status != CUDA_CALL_OK) {
        *out = CUDA_NONE;
        return E_OK;
    }
    return E_IO;
}

int cuda_ask(const struct cuda_tool *tool,
             const struct proc_id *id,
             const struct patience *patience,
             enum cuda_state *out,
             struct buf *why)
{
    char pid[NUMBER_SIZE];
    const char *const more[] = {"--get-state", "--pid", pid, NULL};
    struct buf text;
    int status = 0;
    int rc = check_alive(id, why);

    if (rc != E_OK || tool->toggles_only) {
        return rc != E_OK ? rc : guess(tool, id, out, why);
    }
    (void)snprintf(pid, sizeof pid, "%d", (int)id->pid);
    buf_init(&text, OUTPUT_MAX);
    rc = call(tool, more, patience, &text, &status);
    if (rc != E_OK ||
        read_state(tool, buf_string(&text), status, out) != E_OK) {
        rc = complain(rc, "get-state", id, &text, why);
    }
    buf_release(&text);
    return rc;
}

/* Return how long the driver may wait for the lock: it gives up first, and
 * leaves the process running, before we kill the caller. */
static int lock_ms(const struct patience *patience)
{
    int left_ms = patience_left_ms(patience);

    return left_ms > 2 * LOCK_SPARE_MS ? left_ms - LOCK_SPARE_MS
                                       : left_ms / 2 + 1;
}

int cuda_do(const struct cuda_tool *tool,
            enum cuda_action action,
            const struct proc_id *id,
            const struct patience *patience,
            struct buf *why)
{
    char pid[NUMBER_SIZE];
    char timeout[NUMBER_SIZE];
    const char *more[] = {"--pid", pid, "--toggle", NULL, NULL, NULL, NULL};
    struct buf text;
    int status = 0;
    int rc = check_alive(id, why);

    if (rc != E_OK) {
        return rc;
    }
    (void)snprintf(pid, sizeof pid, "%d", (int)id->pid);
    if (action != CUDA_TOGGLE) {
        more[2] = "--action";
        more[3] = action_names[action];
    }
    if (action == CUDA_LOCK) {
        (void)snprintf(timeout, sizeof timeout, "%d", lock_ms(patience));
        more[4] = "--timeout";
        more[5] = timeout;
    }
    buf_init(&text, OUTPUT_MAX);
    rc = call(tool, more, patience, &text, &status);
    if (rc != E_OK || status != CUDA_CALL_OK) {
        rc = complain(rc, action_names[action], id, &text, why);
    }
    buf_release(&text);
    return rc;
}
