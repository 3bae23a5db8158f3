/* release.c - `gpucoord release`: give a lease back. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/human.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
    const char *service;
    bool json;
};

static const struct args_option options[] = {
    {"service", ARGS_TEXT, offsetof(struct values, service), "NAME",
     "the only lease this service holds, without a token", 0},
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "release [LEASE TOKEN | --service NAME]",
    .about = "Give a lease back; a waiting one is withdrawn.  Without operands "
             "the lease\nin GPUCOORD_LEASE and GPUCOORD_TOKEN.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 2,
};

/* Write the body to @body and the message's beginning to @what. */
static int describe(const struct values *values,
                    int count,
                    char *const *operands,
                    struct buf *body,
                    struct buf *what)
{
    struct lease_name name;

    if (values->service == NULL) {
        if (lease_name_read(count, operands, &name) != E_OK) {
            return E_INVALID;
        }
        api_write_lease(body, name.lease, name.token);
        buf_printf(what, "cannot release lease %" PRIu64, name.lease);
        return E_OK;
    }
    if (count > 0) {
        say("release takes a lease or --service, not both");
        return E_INVALID;
    }
    if (!api_is_name(values->service, strlen(values->service))) {
        say("--service: '%s' is not a service's name", values->service);
        return E_INVALID;
    }
    buf_printf(body, "{\"service_id\":\"%s\"}", values->service);
    buf_printf(what, "cannot release the lease of %s", values->service);
    return E_OK;
}

int release_main(int argc, char **argv)
{
    struct values values = {.json = false};
    struct client_answer answer;
    char held[HUMAN_SIZE];
    struct buf body;
    struct buf what;
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    client_answer_init(&answer);
    buf_init(&body, 0);
    buf_init(&what, 0);
    status =
        err_exit(describe(&values, argc - first, argv + first, &body, &what));
    if (status == 0) {
        struct call call = {.path = "/gpu/release",
                            .body = buf_string(&body),
                            .what = buf_string(&what),
                            .prints_json = values.json};

        status = call_make(&call, &answer);
        if (status == 0 && !values.json) {
            (void)printf("released after %s\n",
                         human_time(answer.said.held_ms, held));
        }
    }
    buf_release(&what);
    buf_release(&body);
    client_answer_release(&answer);
    return status;
}
