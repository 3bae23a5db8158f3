/* renew.c - what a holder waits for a renewal and a release.
 *
 *   renew SOCKET LEASES RENEWALS
 *
 * It takes so many leases of 1 MiB, prints "ready" and waits for a line on its
 * standard input: in between the caller may make the driver hang.  Then it
 * renews, one lease after the other, and releases all.  Prints one line of
 * JSON.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "bench/wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BODY_SIZE = 128
};

/* Make one call for @grant; return how long it took. */
static uint64_t
call_ns(struct wire *wire, const char *path, const struct wire_grant *grant)
{
    char body[BODY_SIZE];
    uint64_t began_ns;

    (void)snprintf(body, sizeof(body),
                   "{\"lease\":%" PRIu64 ",\"token\":%" PRIu64 "}",
                   grant->lease, grant->token);
    began_ns = clock_mono_ns();
    wire_ask(wire, path, body);
    wire_wait(wire);
    return clock_mono_ns() - began_ns;
}

static void run(struct wire *wire,
                struct wire_grant *grants,
                size_t grant_count,
                uint64_t *samples_ns,
                size_t renewals)
{
    char line[BODY_SIZE];
    size_t i;

    for (i = 0; i < grant_count; i++) {
        wire_ask(wire, "/gpu/request",
                 "{\"service_id\":\"holder\",\"vram_mib\":1,"
                 "\"ttl_ms\":600000}");
        wire_granted(wire, &grants[i]);
    }
    printf("ready\n");
    (void)fflush(stdout);
    if (fgets(line, sizeof(line), stdin) == NULL) {
        wire_die("nobody said when to go on");
    }
    for (i = 0; i < renewals; i++) {
        samples_ns[i] = call_ns(wire, "/gpu/renew", &grants[i % grant_count]);
    }
    printf("{");
    wire_print("renew", samples_ns, renewals);
    for (i = 0; i < grant_count; i++) {
        samples_ns[i] = call_ns(wire, "/gpu/release", &grants[i]);
    }
    printf(",");
    wire_print("release", samples_ns, grant_count);
    printf("}\n");
}

int main(int argc, char **argv)
{
    size_t count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
    size_t renewals = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    struct wire_grant *grants;
    uint64_t *samples_ns;
    struct wire wire;

    if (count == 0 || renewals < count) {
        wire_die("usage: renew SOCKET LEASES RENEWALS (at least a lease's "
                 "one)");
    }
    grants = calloc(count, sizeof(grants[0]));
    samples_ns = calloc(renewals, sizeof(samples_ns[0]));
    if (grants == NULL || samples_ns == NULL) {
        wire_die("out of memory");
    }
    wire_open(&wire, argv[1]);
    run(&wire, grants, count, samples_ns, renewals);
    wire_close(&wire);
    free(grants);
    free(samples_ns);
    return 0;
}
