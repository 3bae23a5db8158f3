#include "daemon/prevented.h"

#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/names.h"

#include <inttypes.h>

void prevented_tell(struct daemon *daemon, const struct core_message *message)
{
    if (message->type != CORE_MSG_GRANT || message->wait == CORE_WAIT_NOTHING ||
        message->wait >= CORE_WAITS) {
        return;
    }
    daemon->prevented.counts[message->wait]++;
    log_info("observing: lease %" PRIu64 " of '%s' would have waited: %s",
             message->lease,
             names_service_name(daemon->names, message->service),
             core_wait_name((enum core_wait)message->wait));
}

void prevented_write(const struct prevented *prevented, struct buf *out)
{
    const char *comma = "";
    int wait;

    buf_byte(out, '{');
    for (wait = 0; wait < CORE_WAITS; wait++) {
        if (prevented->counts[wait] != 0) {
            buf_text(out, comma);
            buf_json(out, core_wait_name((enum core_wait)wait));
            buf_byte(out, ':');
            buf_u64(out, prevented->counts[wait]);
            comma = ",";
        }
    }
    buf_byte(out, '}');
}
