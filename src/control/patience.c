#include "control/patience.h"

#include "base/clock.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

struct patience patience_for(uint64_t time_ms)
{
    return (struct patience){.until_at_ms = clock_mono_ms() + time_ms,
                             .cancel_fd = -1};
}

int patience_left_ms(const struct patience *patience)
{
    uint64_t now_ms = clock_mono_ms();

    if (now_ms >= patience->until_at_ms) {
        return 0;
    }
    return patience->until_at_ms - now_ms > INT_MAX
               ? INT_MAX
               : (int)(patience->until_at_ms - now_ms);
}

int patience_wait(const struct patience *patience,
                  struct pollfd *fds,
                  size_t count,
                  int time_ms)
{
    struct pollfd all[PATIENCE_FDS_MAX + 1] = {
        {.fd = patience->cancel_fd, .events = POLLIN}};
    int left_ms = patience_left_ms(patience);
    int ready;

    assert(count <= PATIENCE_FDS_MAX);
    if (count > 0) {
        memcpy(all + 1, fds, count * sizeof *fds);
    }
    if (time_ms < 0 || time_ms > left_ms) {
        time_ms = left_ms;
    }
    /* A signal ends the wait early; the caller looks and waits again. */
    ready = poll(all, (nfds_t)count + 1, time_ms);
    if (count > 0) {
        memcpy(fds, all + 1, count * sizeof *fds);
    }
    if (ready > 0) {
        return all[0].revents != 0 ? E_ENDED : E_OK;
    }
    return patience_left_ms(patience) == 0 ? E_TIMEOUT : E_BUSY;
}
