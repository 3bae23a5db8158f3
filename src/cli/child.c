#include "cli/child.h"

#include "cli/confine.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EXIT_NOT_RUNNABLE = 126,
    EXIT_NOT_FOUND = 127,
    EXIT_BY_SIGNAL = 128 /* Plus its number. */
};

void child_note_files(struct child_files *files)
{
    int fd;

    *files = (struct child_files){.given = {0}};
    for (fd = 0; fd < CHILD_FILES_MAX; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            files->given[fd / 64] |= UINT64_C(1) << (fd % 64);
        }
    }
}

/* Have everything closed by exec that is not in @files. */
static void close_others(const struct child_files *files)
{
    int fd = files->is_silent ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        (void)dup2(fd, STDOUT_FILENO);
        (void)dup2(fd, STDERR_FILENO);
    }

    for (fd = 0; fd < CHILD_FILES_MAX; fd++) {
        if ((files->given[fd / 64] >> (fd % 64) & 1) == 0) {
            (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* Most are not open. */
        }
    }
}

void child_adopt_orphans(void)
{
    /* Where the kernel cannot (before 3.4) they are init's, and nobody's. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int child_become(char *const *argv)
{
    int saved;

    (void)execvp(argv[0], argv);
    saved = errno;
    say("cannot run '%s': %s", argv[0], strerror(saved));
    return saved == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

static void close_both(const int ends[2])
{
    if (ends[0] >= 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
    }
}

/* Wait until the child has closed the pipe @ends: who asks for its cgroup
 * before it is there would be told another one. */
static void await_end(const int ends[2])
{
    char byte;

    (void)close(ends[1]);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    (void)close(ends[0]);
}

int child_start(struct child *child,
                char *const *argv,
                const struct child_files *files,
                const sigset_t *mask,
                const struct confine *confine)
{
    bool has_group = tcgetpgrp(STDIN_FILENO) != getpgrp();
    pid_t self = getpid();
    int entered[2] = {-1, -1};
    pid_t pid = pipe2(entered, O_CLOEXEC) == 0 ? fork() : -1;

    if (pid < 0) {
        say("cannot start '%s': %s", argv[0], strerror(errno));
        close_both(entered);
        return E_IO;
    }
    if (pid == 0) {
        if (has_group) {
            (void)setpgid(0, 0);
        }
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != self) {
            _exit(EXIT_BY_SIGNAL + SIGTERM); /* It died before that line. */
        }
        confine_enter(confine);
        close_both(entered);
        close_others(files);
        (void)sigprocmask(SIG_SETMASK, mask, NULL);
        _exit(child_become(argv));
    }
    if (has_group) {
        (void)setpgid(pid, pid); /* Both do it, so that neither is early. */
    }
    await_end(entered);
    *child = (struct child){.pid = pid, .has_group = has_group};
    return E_OK;
}

void child_signal(const struct child *child, int signal)
{
    (void)kill(child->has_group ? -child->pid : child->pid, signal);
}

void child_stop(struct child *child)
{
    child_signal(child, SIGSTOP);
    child->is_stopped = true;
}

void child_continue(struct child *child)
{
    if (child->is_stopped) {
        child->is_stopped = false;
        child_signal(child, SIGCONT);
    }
}

bool child_has_ended(const struct child *child, int *status)
{
    bool has_ended = false;
    pid_t pid;
    int how;

    while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
        if (pid == child->pid) {
            has_ended = true;
            *status = WIFEXITED(how) ? WEXITSTATUS(how)
                                     : EXIT_BY_SIGNAL + WTERMSIG(how);
        }
    }
    return has_ended;
}
