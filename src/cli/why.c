/* why.c - `gpucoord why`: why somebody waits, on whom, until when. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/lease_text.h"
#include "cli/lookup.h"
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
    .usage = "why [LEASE|SERVICE]",
    .about = "Show why a lease, or all leases of a service, wait: on whom, and "
             "until when.\nWithout an operand, everybody who waits.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 1,
};

/* Print the array @leases as JSON. */
static int print_json(const json_t *leases)
{
    if (json_dumpf(leases, stdout, JSON_COMPACT) != 0) {
        say("cannot print: no memory, or nobody reads");
        return 1;
    }
    (void)printf("\n");
    return 0;
}

/* Print the array @leases in sentences. */
static int print_text(const json_t *leases)
{
    struct buf text;
    size_t i;

    buf_init(&text, 0);
    for (i = 0; i < json_array_size(leases); i++) {
        lease_text_why(json_array_get(leases, i), &text);
    }
    (void)printf("%s", buf_string(&text));
    buf_release(&text);
    return 0;
}

/* Tell of the one lease @lease, which may have ended. */
static int why_lease(uint64_t lease, bool as_json)
{
    struct client_answer answer;
    json_t *leases;
    char path[48];
    char what[64];
    int status;

    (void)snprintf(path, sizeof path, "/gpu/leases/%" PRIu64, lease);
    (void)snprintf(what, sizeof what, "cannot look at lease %" PRIu64, lease);
    client_answer_init(&answer);
    status = call_make(
        &(struct call){.path = path, .what = what, .prints_json = as_json},
        &answer);
    if (status == 0 && !as_json) {
        leases = json_pack("[o]", json_loadb(buf_string(&answer.body),
                                             answer.body.size, 0, NULL));
        status = print_text(leases);
        json_decref(leases);
    }
    client_answer_release(&answer);
    return status;
}

/* Tell of all leases of @service, or of all that wait where it is NULL. */
static int why_service(const char *service, bool as_json)
{
    json_t *all;
    json_t *leases;
    int status = lookup_status(&all);

    if (status != 0) {
        return status;
    }
    leases = lookup_leases(all, service);
    if (as_json) {
        status = print_json(leases);
    } else if (json_array_size(leases) > 0) {
        status = print_text(leases);
    } else if (service != NULL) {
        (void)printf("'%s' has no lease and waits for none\n", service);
    } else {
        (void)printf("nobody waits\n");
    }
    json_decref(leases);
    json_decref(all);
    return status;
}

int why_main(int argc, char **argv)
{
    struct values values = {.json = false};
    uint64_t lease;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    if (first < argc && lease_id_parse(argv[first], &lease) == E_OK) {
        return why_lease(lease, values.json);
    }
    return why_service(argv[first], values.json);
}
