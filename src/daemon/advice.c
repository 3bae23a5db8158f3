#include "daemon/advice.h"

#include "base/err.h"

#include <stddef.h>

static const struct {
    int code;
    const char *detail;
} details[] = {
    {E_NOMEM, "nothing was changed; try again"},
    {E_NOT_FOUND, "no lease of this number is live, or has ended lately"},
    {E_STALE, "the lease was granted again since, under a higher token"},
    {E_REVOKED, "it expired, paused too late, or an operator took it back"},
    {E_JOB_CONFLICT,
     "its class, priority, size or devices are not those of the live job"},
    {E_SUPERSEDED, "the same service_id and job_id asked again elsewhere"},
    {E_AMBIGUOUS, "it has none or several: name the lease and its token"},
    {E_STATE, "GET /gpu/leases/{lease} shows the state of the lease"},
    {E_LIMIT, "as many wait as 'limits:' in the configuration allows"},
    {E_DRAINING, "an operator drains the coordinator, or ends it"},
    {E_RESTARTING, "leases and jobs are kept until the next one has started"},
    {E_STORE_FULL, "its disk is full; releases and expiries go on"},
    {E_STORE, "nothing was changed; try again"},
    {E_STORE_AWAY, "what was asked for may happen when it is back; try again"},
    {E_NO_LEADER, "another coordinator has the store, and answers"},
    {E_ENDED, "it was released or cancelled, or its holder has gone"},
};

const char *advice_detail(int code)
{
    size_t i;

    for (i = 0; i < sizeof(details) / sizeof(details[0]); i++) {
        if (details[i].code == code) {
            return details[i].detail;
        }
    }
    return NULL;
}
