/* renew.c - `gpucoord renew`: extend a lease, and hear a pending command. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
    uint64_t ttl_ms;
    bool json;
};

static const struct args_option options[] = {
    {"ttl", ARGS_TIME, offsetof(struct values, ttl_ms), "TIME",
     "the lease's time to live from now on", API_TTL_MS_MAX},
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "renew [LEASE TOKEN]",
    .about = "Extend a lease, and say what its holder is asked to do.  Without "
             "operands\nthe lease in GPUCOORD_LEASE and GPUCOORD_TOKEN.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 2,
};

/* Tell what came back, for a person. */
static void print(const struct api_answer *said)
{
    char time[HUMAN_SIZE];

    if (strcmp(said->action, "pause") == 0) {
        (void)printf("pause: %s needs %" PRIu64 " MiB of each gpu within %s; "
                     "then 'gpucoord ack paused'\n",
                     said->requester[0] != '\0' ? said->requester
                                                : "an operator",
                     said->release_mib, human_time(said->deadline_ms, time));
    } else if (strcmp(said->action, "resume") == 0) {
        (void)printf("resume: lease %" PRIu64 " holds again, with token "
                     "%" PRIu64 "\n",
                     said->lease, said->token);
    } else {
        (void)printf("renewed: expires in %s\n",
                     human_time(said->expires_in_ms, time));
    }
}

int renew_main(int argc, char **argv)
{
    struct values values = {.ttl_ms = ARGS_UNSET};
    struct client_answer answer;
    struct lease_name name;
    char body[96];
    char what[64];
    int size;
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    if (lease_name_read(argc - first, argv + first, &name) != E_OK) {
        return err_exit(E_INVALID);
    }
    size =
        snprintf(body, sizeof body, "{\"lease\":%" PRIu64 ",\"token\":%" PRIu64,
                 name.lease, name.token);
    if (values.ttl_ms != ARGS_UNSET) {
        size += snprintf(body + size, sizeof body - (size_t)size,
                         ",\"ttl_ms\":%" PRIu64, values.ttl_ms);
    }
    (void)snprintf(body + size, sizeof body - (size_t)size, "}");
    (void)snprintf(what, sizeof what, "cannot renew lease %" PRIu64,
                   name.lease);
    client_answer_init(&answer);
    status = call_make(&(struct call){.path = "/gpu/renew",
                                      .body = body,
                                      .what = what,
                                      .prints_json = values.json},
                       &answer);
    if (status == 0 && !values.json) {
        print(&answer.said);
    }
    client_answer_release(&answer);
    return status;
}
