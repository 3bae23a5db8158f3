/* operator.c - what an operator does: `gpucoord pause | resume | revoke |
 * drain | undrain | bypass`.
 */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/devices.h"
#include "cli/lookup.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
    const char *device;
    uint64_t for_ms;
    bool stop;
    bool json;
};

#define JSON_OPTION                                             \
    {                                                           \
        "json", ARGS_FLAG, offsetof(struct values, json), NULL, \
            "print the answer as JSON", 0                       \
    }

#define DEVICE_OPTION                                                 \
    {                                                                 \
        "device", ARGS_TEXT, offsetof(struct values, device), "LIST", \
            "only these gpus: indexes or UUIDs", 0                    \
    }

/* Make the call and print @done, unless JSON was asked for. */
static int carry_out(const struct call *call, const char *done)
{
    struct client_answer answer;
    int status;

    client_answer_init(&answer);
    status = call_make(call, &answer);
    if (status == 0 && !call->prints_json) {
        (void)printf("%s\n", done);
    }
    client_answer_release(&answer);
    return status;
}

/* ---- pause, resume, revoke: one lease ---------------------------------- */

static const struct args_option lease_options[] = {JSON_OPTION};

static int on_lease(const char *about, const char *done, int argc, char **argv)
{
    char usage[64];
    struct args_spec spec = {
        .usage = usage,
        .about = about,
        .options = lease_options,
        .option_count = sizeof lease_options / sizeof lease_options[0],
        .operands_min = 1,
        .operands_max = 1,
    };
    struct values values = {.json = false};
    char path[64];
    char body[48];
    char what[96];
    char sentence[96];
    uint64_t lease;
    int status;
    int first;

    (void)snprintf(usage, sizeof usage, "%s LEASE|SERVICE", argv[0]);
    first = args_read(&spec, &values, argc, argv);
    if (first <= 0) {
        return err_exit(first);
    }
    status = lookup_lease(argv[first], &lease);
    if (status != 0) {
        return status;
    }
    (void)snprintf(path, sizeof path, "/gpu/admin/%s", argv[0]);
    (void)snprintf(body, sizeof body, "{\"lease\":%" PRIu64 "}", lease);
    (void)snprintf(what, sizeof what, "cannot %s lease %" PRIu64, argv[0],
                   lease);
    (void)snprintf(sentence, sizeof sentence, "lease %" PRIu64 " %s", lease,
                   done);
    return carry_out(&(struct call){.path = path,
                                    .body = body,
                                    .what = what,
                                    .prints_json = values.json},
                     sentence);
}

int pause_main(int argc, char **argv)
{
    return on_lease("Ask a holder to pause; it stays paused until 'gpucoord "
                    "resume'.\n",
                    "is asked to pause", argc, argv);
}

int resume_main(int argc, char **argv)
{
    return on_lease("Let a lease that was paused by 'gpucoord pause' go on "
                    "when its turn comes.\n",
                    "goes on when its turn comes", argc, argv);
}

int revoke_main(int argc, char **argv)
{
    return on_lease("Take a lease back by force; its holder is told, and its "
                    "token is refused\nfrom now on.\n",
                    "is taken back", argc, argv);
}

/* ---- drain, undrain: devices ------------------------------------------- */

static const struct args_option drain_options[] = {
    DEVICE_OPTION,
    {"stop", ARGS_FLAG, offsetof(struct values, stop), NULL,
     "stop the coordinator when the last holder has gone", 0},
    JSON_OPTION,
};

static const struct args_option undrain_options[] = {
    DEVICE_OPTION,
    JSON_OPTION,
};

/* Append the body of a drain or undrain. */
static int describe_drain(const struct values *values, struct buf *body)
{
    struct api_devices devices = {.count = 0};
    uint32_t i;

    if (values->device != NULL &&
        (devices_parse(values->device, &devices) || devices.count == 0)) {
        say("--device: '%s' is not a list as 0,1 or GPU-8932f937-…",
            values->device);
        return E_INVALID;
    }
    if (devices.count != 0 && values->stop) {
        say("--stop drains all gpus; leave --device out");
        return E_INVALID;
    }
    buf_printf(body, "{\"stop\":%s", values->stop ? "true" : "false");
    for (i = 0; i < devices.count; i++) {
        buf_text(body, i == 0 ? ",\"device\":[" : ",");
        if (devices.items[i].uuid[0] != '\0') {
            buf_json(body, devices.items[i].uuid);
        } else {
            buf_u64(body, devices.items[i].index);
        }
    }
    buf_text(body, devices.count == 0 ? "}" : "]}");
    return buf_error(body);
}

static int
on_devices(const struct args_spec *spec, bool drains, int argc, char **argv)
{
    struct values values = {.json = false};
    struct buf body;
    int status;
    int first = args_read(spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    buf_init(&body, 0);
    status = err_exit(describe_drain(&values, &body));
    if (status == 0) {
        status = carry_out(
            &(struct call){
                .path = drains ? "/gpu/admin/drain" : "/gpu/admin/undrain",
                .body = buf_string(&body),
                .what = drains ? "cannot drain" : "cannot end the drain",
                .prints_json = values.json},
            !drains       ? "open again"
            : values.stop ? "nothing new is admitted; the coordinator stops "
                            "when the last holder has gone"
                          : "nothing new is granted; holders go on");
    }
    buf_release(&body);
    return status;
}

int drain_main(int argc, char **argv)
{
    static const struct args_spec spec = {
        .usage = "drain [--device LIST] [--stop]",
        .about = "Admit and grant nothing new, on all gpus or on some; holders "
                 "go on.\n",
        .options = drain_options,
        .option_count = sizeof drain_options / sizeof drain_options[0],
    };

    return on_devices(&spec, true, argc, argv);
}

int undrain_main(int argc, char **argv)
{
    static const struct args_spec spec = {
        .usage = "undrain [--device LIST]",
        .about = "End a drain, of all gpus or of some.\n",
        .options = undrain_options,
        .option_count = sizeof undrain_options / sizeof undrain_options[0],
    };

    return on_devices(&spec, false, argc, argv);
}

/* ---- bypass ------------------------------------------------------------- */

static const struct args_option bypass_options[] = {
    {"for", ARGS_TIME, offsetof(struct values, for_ms), "TIME",
     "on: end it by itself after this time", 0},
    JSON_OPTION,
};

static const struct args_spec bypass_spec = {
    .usage = "bypass on|off",
    .about = "Grant everything at once, and pause and revoke nobody; for "
             "whoever suspects\nthe coordinator.  'gpucoord status' shows it "
             "in its first line.\n",
    .options = bypass_options,
    .option_count = sizeof bypass_options / sizeof bypass_options[0],
    .operands_min = 1,
    .operands_max = 1,
};

int bypass_main(int argc, char **argv)
{
    struct values values = {.for_ms = ARGS_UNSET};
    char body[64];
    bool is_on;
    int first = args_read(&bypass_spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    is_on = strcmp(argv[first], "on") == 0;
    if (!is_on && strcmp(argv[first], "off") != 0) {
        say("'%s' is not on or off", argv[first]);
        return err_exit(E_INVALID);
    }
    if (!is_on && values.for_ms != ARGS_UNSET) {
        say("--for goes with 'bypass on'");
        return err_exit(E_INVALID);
    }
    if (values.for_ms == ARGS_UNSET) {
        (void)snprintf(body, sizeof body, "{\"on\":%s}",
                       is_on ? "true" : "false");
    } else {
        (void)snprintf(body, sizeof body,
                       "{\"on\":true,\"for_ms\":%" PRIu64 "}", values.for_ms);
    }
    return carry_out(
        &(struct call){.path = "/gpu/admin/bypass",
                       .body = body,
                       .what = "cannot switch bypass",
                       .prints_json = values.json},
        is_on ? "bypass is on: everything is granted at once, nobody is paused"
              : "bypass is off: grants are decided again");
}
