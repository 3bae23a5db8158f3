/* cancel.c - `gpucoord cancel`: withdraw a waiting request. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>

struct values {
    bool json;
};

static const struct args_option options[] = {
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "cancel LEASE",
    .about =
        "Withdraw a request that waits; 'gpucoord status' has the number.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_min = 1,
    .operands_max = 1,
};

int cancel_main(int argc, char **argv)
{
    struct values values = {.json = false};
    struct client_answer answer;
    char body[48];
    char what[64];
    uint64_t lease;
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    if (lease_id_parse(argv[first], &lease) != E_OK) {
        say("'%s' is not a lease's number", argv[first]);
        return err_exit(E_INVALID);
    }
    (void)snprintf(body, sizeof body, "{\"lease\":%" PRIu64 "}", lease);
    (void)snprintf(what, sizeof what, "cannot cancel lease %" PRIu64, lease);
    client_answer_init(&answer);
    status = call_make(&(struct call){.path = "/gpu/cancel",
                                      .body = body,
                                      .what = what,
                                      .prints_json = values.json},
                       &answer);
    if (status == 0 && !values.json) {
        (void)printf("lease %" PRIu64 " is withdrawn\n", lease);
    }
    client_answer_release(&answer);
    return status;
}
