/* status_services.c - what /gpu/status says of the services: what they were
 * seen to do. */
#include "daemon/daemon.h"
#include "daemon/members.h"
#include "daemon/names.h"
#include "daemon/observed.h"
#include "daemon/views.h"

/* Append a mean of @count observations; null for too few. */
static void
write_mean(struct buf *out, const char *name, uint32_t count, uint64_t ms)
{
    member_maybe(out, name, count >= OBSERVED_MIN, ms);
}

static void write_service(const char *name,
                          const struct observed_service *seen,
                          struct buf *out)
{
    buf_text(out, "{\"service_id\":");
    buf_json(out, name);
    member_maybe(out, "footprint_mib", seen->footprint_mib > 0,
                 seen->footprint_mib);
    member_u64(out, "holds", seen->holds);
    write_mean(out, "hold_ms", seen->holds, seen->hold_ms);
    member_u64(out, "pauses", seen->swaps[OBSERVED_PAUSE]);
    write_mean(out, "pause_ms", seen->swaps[OBSERVED_PAUSE],
               seen->swap_ms[OBSERVED_PAUSE]);
    member_u64(out, "resumes", seen->swaps[OBSERVED_RESUME]);
    write_mean(out, "resume_ms", seen->swaps[OBSERVED_RESUME],
               seen->swap_ms[OBSERVED_RESUME]);
    buf_byte(out, '}');
}

void views_services(const struct daemon *daemon, struct buf *out)
{
    uint32_t count = names_service_count(daemon->names);
    uint32_t shown = 0;
    uint32_t service;

    member_name(out, "services");
    buf_byte(out, '[');
    for (service = 1; service <= count && shown < VIEWS_SERVICES; service++) {
        struct observed_service seen;

        observed_get(daemon->observed, service, &seen);
        if (seen.holds + seen.footprint_mib + seen.swaps[OBSERVED_PAUSE] > 0) {
            buf_text(out, shown == 0 ? "" : ",");
            write_service(names_service_name(daemon->names, service), &seen,
                          out);
            shown++;
        }
    }
    buf_byte(out, ']');
}
