/* ack.c - `gpucoord ack`: tell that a pause or a resume was carried out. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
    uint64_t vram_mib;
    const char *detail;
    bool json;
};

static const struct args_option options[] = {
    {"vram", ARGS_SIZE, offsetof(struct values, vram_mib), "SIZE",
     "paused: what is still used on each gpu; 0 by default", API_VRAM_MIB_MAX},
    {"detail", ARGS_TEXT, offsetof(struct values, detail), "TEXT",
     "error: what went wrong", 0},
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "ack paused|resumed|error [LEASE TOKEN]",
    .about = "Answer a command: the holder has paused and freed its VRAM, has "
             "resumed, or\ncannot.  Without LEASE and TOKEN the ones in "
             "GPUCOORD_LEASE and GPUCOORD_TOKEN.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_min = 1,
    .operands_max = 3,
};

static int read_action(const char *text, enum core_ack *out)
{
    if (strcmp(text, "paused") == 0) {
        *out = CORE_ACK_PAUSED;
    } else if (strcmp(text, "resumed") == 0) {
        *out = CORE_ACK_RESUMED;
    } else if (strcmp(text, "error") == 0) {
        *out = CORE_ACK_ERROR;
    } else {
        say("'%s' is not paused, resumed or error", text);
        return E_INVALID;
    }
    return E_OK;
}

/* Fill @out from the command line. */
static int describe(const struct values *values,
                    int count,
                    char *const *operands,
                    struct api_ack *out)
{
    struct lease_name name;

    *out = (struct api_ack){.vram_mib = (uint32_t)values->vram_mib};
    if (read_action(operands[0], &out->action) != E_OK ||
        lease_name_read(count - 1, operands + 1, &name) != E_OK) {
        return E_INVALID;
    }
    out->lease = name.lease;
    out->token = name.token;
    if (values->detail != NULL) {
        (void)snprintf(out->detail, sizeof out->detail, "%s", values->detail);
    }
    return E_OK;
}

/* Each resume has a new token, which a program's environment cannot have: take
 * the newest.  Returns the exit status. */
static int find_token(struct api_ack *ack)
{
    struct client_answer answer;
    char path[48];
    char what[64];
    int status;

    (void)snprintf(path, sizeof path, "/gpu/leases/%" PRIu64, ack->lease);
    (void)snprintf(what, sizeof what, "cannot look at lease %" PRIu64,
                   ack->lease);
    client_answer_init(&answer);
    status = call_make(&(struct call){.path = path, .what = what}, &answer);
    if (status == 0 && answer.said.token != 0) {
        ack->token = answer.said.token;
    }
    client_answer_release(&answer);
    return status;
}

int ack_main(int argc, char **argv)
{
    struct values values = {.vram_mib = 0};
    struct client_answer answer;
    struct api_ack ack;
    struct buf body;
    char what[64];
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    if (describe(&values, argc - first, argv + first, &ack) != E_OK) {
        return err_exit(E_INVALID);
    }
    status = argc - first == 1 ? find_token(&ack) : 0;
    if (status != 0) {
        return status;
    }
    buf_init(&body, 0);
    api_write_ack(&body, &ack);
    (void)snprintf(what, sizeof what, "cannot acknowledge for lease %" PRIu64,
                   ack.lease);
    client_answer_init(&answer);
    status = call_make(&(struct call){.path = "/gpu/ack",
                                      .body = buf_string(&body),
                                      .what = what,
                                      .prints_json = values.json},
                       &answer);
    if (status == 0 && !values.json) {
        (void)printf("lease %" PRIu64 " is %s\n", ack.lease, answer.said.state);
    }
    client_answer_release(&answer);
    buf_release(&body);
    return status;
}
