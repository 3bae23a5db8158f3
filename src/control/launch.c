#include "control/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    LEFT_MAX = 256, /* More unkillable children than that stay zombies. */
    READ_SIZE = 4096,
    READS_MAX = 16
};

/* ---- Those that would not die -------------------------------------------- */

static pthread_mutex_t left_mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t left[LEFT_MAX]; /* 0 = free.  Not reaped, so not used again. */

static void leave(pid_t pid)
{
    int i;

    (void)pthread_mutex_lock(&left_mutex);
    for (i = 0; i < LEFT_MAX; i++) {
        if (left[i] == 0) {
            left[i] = pid;
            break;
        }
    }
    (void)pthread_mutex_unlock(&left_mutex);
}

/* Reap who has died since. */
static void sweep(void)
{
    int i;

    (void)pthread_mutex_lock(&left_mutex);
    for (i = 0; i < LEFT_MAX; i++) {
        if (left[i] != 0 && waitpid(left[i], NULL, WNOHANG) != 0) {
            left[i] = 0;
        }
    }
    (void)pthread_mutex_unlock(&left_mutex);
}

/* ---- Start --------------------------------------------------------------- */

static size_t length_of(const char *const *strings)
{
    size_t count = 0;

    while (strings != NULL && strings[count] != NULL) {
        count++;
    }
    return count;
}

/* Say whether @entry of the environment is set anew by one of @more. */
static bool is_replaced(const char *entry, const char *const *more)
{
    for (; more != NULL && *more != NULL; more++) {
        size_t name = strcspn(*more, "=") + 1;

        if (strncmp(entry, *more, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Return environ with @more, whose strings are borrowed; NULL without memory.
 */
static char **environment(const char *const *more)
{
    size_t inherited = length_of((const char *const *)environ);
    char **out = calloc(inherited + length_of(more) + 1, sizeof *out);
    size_t count = 0;
    size_t i;

    for (i = 0; out != NULL && i < inherited; i++) {
        if (!is_replaced(environ[i], more)) {
            out[count++] = environ[i];
        }
    }
    for (i = 0; out != NULL && more != NULL && more[i] != NULL; i++) {
        memcpy(&out[count++], &more[i], sizeof *out); /* Sheds the const. */
    }
    return out;
}

/* Have every signal as a new program expects it, and a session. */
static int prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all;
    sigset_t none;
    int error = 0;

    (void)sigfillset(&all);
    (void)sigemptyset(&none);
    error |= posix_spawnattr_setflags(
        attributes, (short)(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF |
                            POSIX_SPAWN_SETSIGMASK));
    error |= posix_spawnattr_setsigdefault(attributes, &all);
    error |= posix_spawnattr_setsigmask(attributes, &none);
    return error;
}

/* /dev/null in, @fd out; nothing else.  The input comes last, since @fd may be
 * 0, 1 or 2 itself. */
static int prepare_files(posix_spawn_file_actions_t *files, int fd)
{
    int error = 0;

    error |= posix_spawn_file_actions_adddup2(files, fd, STDOUT_FILENO);
    error |= posix_spawn_file_actions_adddup2(files, fd, STDERR_FILENO);
    error |= posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null",
                                              O_RDONLY, 0);
    error |= posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1);
    return error;
}

/* Start it with its output in @fd; return an errno. */
static int
start(const char *const *argv, const char *const *more, int fd, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char **env = environment(more);
    char *const *args;
    int error = ENOMEM;

    if (env == NULL) {
        return ENOMEM;
    }
    memcpy(&args, &argv, sizeof args); /* exec takes no const. */
    if (posix_spawn_file_actions_init(&files) != 0) {
        goto err_env;
    }
    if (posix_spawnattr_init(&attributes) != 0) {
        goto err_files;
    }
    if (prepare_files(&files, fd) == 0 &&
        prepare_attributes(&attributes) == 0) {
        error = posix_spawnp(pid, argv[0], &files, &attributes, args, env);
    }
    (void)posix_spawnattr_destroy(&attributes);
err_files:
    (void)posix_spawn_file_actions_destroy(&files);
err_env:
    free(env);
    return error;
}

static int code_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return E_NOT_FOUND;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
        return E_NOMEM;
    default:
        return E_IO;
    }
}

int launch_start(const char *const *argv,
                 const char *const *more,
                 struct launched *out,
                 struct buf *why)
{
    int pipe_fds[2];
    int error;

    sweep();
    *out = (struct launched){.pid_fd = -1, .out_fd = -1};
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        error = errno;
        buf_printf(why, "cannot run '%s': %s", argv[0], strerror(error));
        return code_of(error);
    }
    error = start(argv, more, pipe_fds[1], &out->pid);
    (void)close(pipe_fds[1]);
    out->out_fd = pipe_fds[0];
    if (error == 0) {
        out->pid_fd = (int)syscall(SYS_pidfd_open, out->pid, 0);
        error = out->pid_fd < 0 ? errno : 0;
    } else {
        out->pid = 0;
    }
    if (error == 0 && fcntl(out->out_fd, F_SETFL, O_NONBLOCK) == 0) {
        return E_OK;
    }
    buf_printf(why, "cannot run '%s': %s", argv[0], strerror(error));
    launch_close(out);
    return code_of(error);
}

/* ---- End ----------------------------------------------------------------- */

int launch_reap(struct launched *launched, int *status)
{
    siginfo_t info = {.si_pid = 0};

    if (waitid(P_PID, (id_t)launched->pid, &info, WEXITED | WNOHANG) == 0 &&
        info.si_pid == 0) {
        return E_BUSY;
    }
    *status =
        info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    launched->pid = 0;
    return E_OK;
}

void launch_kill(const struct launched *launched)
{
    if (launched->pid != 0) {
        (void)kill(-launched->pid, SIGKILL);
    }
}

void launch_forget(struct launched *launched)
{
    int status;

    if (launched->pid != 0 && launch_reap(launched, &status) != E_OK) {
        leave(launched->pid);
    }
    if (launched->pid_fd >= 0) {
        (void)close(launched->pid_fd);
    }
    if (launched->out_fd >= 0) {
        (void)close(launched->out_fd);
    }
    *launched = (struct launched){.pid_fd = -1, .out_fd = -1};
}

void launch_close(struct launched *launched)
{
    launch_kill(launched);
    launch_forget(launched);
}

/* Append what there is to read; say whether more may come. */
static bool take_output(const struct launched *launched, struct buf *out)
{
    char bytes[READ_SIZE];
    ssize_t got = 1;
    int i;

    /* Bounded: who prints without end is still to be killed in time. */
    for (i = 0; i < READS_MAX && got > 0; i++) {
        got = read(launched->out_fd, bytes, sizeof bytes);
        if (got > 0) {
            buf_add(out, bytes, (size_t)got);
        }
    }
    return got > 0 || (got < 0 && errno == EAGAIN);
}

int launch_run(const char *const *argv,
               const struct patience *patience,
               struct buf *out,
               int *status,
               struct buf *why)
{
    struct launched launched;
    struct pollfd fds[2];
    bool goes_on = true;
    int rc = launch_start(argv, NULL, &launched, why);

    if (rc != E_OK) {
        return rc;
    }
    fds[0] = (struct pollfd){.fd = launched.pid_fd, .events = POLLIN};
    do {
        fds[1] = (struct pollfd){.fd = goes_on ? launched.out_fd : -1,
                                 .events = POLLIN};
        fds[0].revents = 0;
        rc = patience_wait(patience, fds, 2, -1);
        if (rc == E_OK && fds[1].revents != 0) {
            goes_on = take_output(&launched, out);
        }
    } while (rc == E_BUSY || (rc == E_OK && fds[0].revents == 0));
    if (rc == E_OK) {
        (void)take_output(&launched, out);
        rc = launch_reap(&launched, status);
    }
    if (rc != E_OK) {
        buf_printf(why, "'%s' %s", argv[0],
                   rc == E_ENDED ? "was cancelled" : "does not answer");
    }
    launch_close(&launched);
    return rc;
}
