#include "control/pin.h"

#include <errno.h>
#include <event2/event.h>
#include <sys/syscall.h>
#include <unistd.h>

static int cause(void)
{
    switch (errno) {
    case ESRCH:
    case EINVAL: /* A thread's number. */
        return E_NOT_FOUND;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return E_NOMEM;
    default:
        return E_IO;
    }
}

int pin_open(struct pin *pin,
             pid_t pid,
             struct event_base *base,
             pin_died died,
             void *arg)
{
    *pin = (struct pin){.fd = (int)syscall(SYS_pidfd_open, pid, 0)};
    if (pin->fd < 0) {
        return cause();
    }
    pin->event = event_new(base, pin->fd, EV_READ, died, arg);
    if (pin->event == NULL) {
        (void)close(pin->fd);
        return E_NOMEM;
    }
    return E_OK;
}

void pin_close(struct pin *pin)
{
    if (pin->event != NULL) {
        event_free(pin->event);
        (void)close(pin->fd);
        pin->event = NULL;
    }
}

bool pin_is_there(const struct pin *pin)
{
    return syscall(SYS_pidfd_send_signal, pin->fd, 0, NULL, 0) == 0 ||
           errno == EPERM;
}

int pin_listen(struct pin *pin)
{
    return event_add(pin->event, NULL) == 0 ? E_OK : E_NOMEM;
}
