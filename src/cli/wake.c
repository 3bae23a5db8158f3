#include "cli/wake.h"

#include "cli/say.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static const int signals[] = {SIGCHLD, SIGINT,  SIGQUIT, SIGTERM, SIGHUP,
                              SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGCONT};

static void block(sigset_t *set, sigset_t *before)
{
    size_t i;

    (void)sigemptyset(set);
    for (i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)sigaddset(set, signals[i]);
    }
    (void)sigprocmask(SIG_BLOCK, set, before);
}

static bool join(const struct wake *wake, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    return fd >= 0 && epoll_ctl(wake->fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

int wake_open(struct wake *wake)
{
    sigset_t set;

    block(&set, &wake->mask_before);
    wake->fd = epoll_create1(EPOLL_CLOEXEC);
    wake->signals_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    wake->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (wake->fd < 0 || !join(wake, wake->signals_fd) ||
        !join(wake, wake->timer_fd)) {
        say("cannot wait for signals: %s", strerror(errno));
        wake_close(wake);
        return E_IO;
    }
    return E_OK;
}

void wake_close(struct wake *wake)
{
    const int fds[] = {wake->fd, wake->signals_fd, wake->timer_fd};
    size_t i;

    for (i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

void wake_at(struct wake *wake, uint64_t at_ms)
{
    struct itimerspec when = {.it_value = {
                                  .tv_sec = (time_t)(at_ms / 1000),
                                  .tv_nsec = (long)(at_ms % 1000) * 1000000,
                              }};

    (void)timerfd_settime(wake->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Read @size bytes; false where there is nothing. */
static bool take(int fd, void *data, size_t size)
{
    return read(fd, data, size) == (ssize_t)size;
}

bool wake_take(struct wake *wake, struct wake_signal *out)
{
    struct signalfd_siginfo info;
    uint64_t expiries;

    (void)take(wake->timer_fd, &expiries, sizeof expiries);
    if (!take(wake->signals_fd, &info, sizeof info)) {
        return false;
    }
    *out = (struct wake_signal){
        .number = (int)info.ssi_signo,
        .is_from_terminal = info.ssi_code == SI_KERNEL,
    };
    return true;
}
