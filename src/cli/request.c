/* request.c - `gpucoord request`: ask for the GPU, from a script.
 *
 * The lease outlives this process: the script renews it within its TTL and
 * releases it, or has the coordinator watch a process (--watch-pid).
 */
#include "base/clock.h"
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/complain.h"
#include "cli/human.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct values {
    struct ask ask;
    uint64_t watch_pid;
    bool no_wait;
    bool preemptible;
    bool not_preemptible;
    bool shell;
    bool json;
};

static const struct args_option options[] = {
    ASK_OPTIONS(values),
    {"no-wait", ARGS_FLAG, offsetof(struct values, no_wait), NULL,
     "leave a durable task in the queue; needs --job", 0},
    {"preemptible", ARGS_FLAG, offsetof(struct values, preemptible), NULL,
     "the holder may be asked to pause", 0},
    {"not-preemptible", ARGS_FLAG, offsetof(struct values, not_preemptible),
     NULL, "it may not", 0},
    {"watch-pid", ARGS_COUNT, offsetof(struct values, watch_pid), "PID",
     "end the lease when this process ends", API_PID_MAX},
    {"shell", ARGS_FLAG, offsetof(struct values, shell), NULL,
     "print assignments for a shell's eval", 0},
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "request --service NAME [OPTION...]",
    .about = "Ask for the GPU and wait for it, 30 s by default.  The lease is "
             "the caller's\nto renew and to release.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

enum {
    TIMEOUT_MS = 30000, /* The coordinator's default; retries end then. */
    ANSWER_MS = 10000,  /* What an answer may take on top of the wait. */
    RETRY_MS = 200
};

/* Complete what was asked with this command's own options. */
static int describe(const struct values *values, struct api_request *out)
{
    if (ask_fill(&values->ask, out) != E_OK) {
        return E_INVALID;
    }
    if (values->ask.service == NULL) {
        say("--service is missing: who asks?");
        return E_INVALID;
    }
    if (values->preemptible && values->not_preemptible) {
        say("--preemptible and --not-preemptible exclude each other");
        return E_INVALID;
    }
    if (values->preemptible || values->not_preemptible) {
        out->is_preemptible = values->preemptible;
        out->fields |= API_HAS_PREEMPTIBLE;
    }
    if (values->no_wait) {
        out->fields |= API_HAS_WAIT; /* .waits stays false. */
    }
    if (values->watch_pid != ARGS_UNSET) {
        out->watch_pid = (uint32_t)values->watch_pid;
        out->fields |= API_HAS_WATCH_PID;
    }
    return E_OK;
}

/* Tell of the grant, or of the place in the queue, for a person. */
static void print(const struct api_request *request,
                  const struct api_answer *said)
{
    char waited[HUMAN_SIZE];
    char renew[HUMAN_SIZE];
    uint32_t i;

    if (said->token == 0) {
        (void)printf("lease %" PRIu64 " of %s waits, place %" PRIu64 "\n",
                     said->lease, request->service_id, said->position);
        return;
    }
    (void)printf("%s holds ", request->service_id);
    for (i = 0; i < said->devices.count; i++) {
        (void)printf("%sgpu %" PRIu32, i == 0 ? "" : ", ",
                     said->devices.items[i].index);
    }
    (void)printf(" after %s: lease %" PRIu64 ", token %" PRIu64
                 "; renew it every %s\n",
                 human_time(said->waited_ms, waited), said->lease, said->token,
                 human_time(said->renew_in_ms, renew));
}

static void print_shell(const struct api_answer *said)
{
    (void)printf("GPUCOORD_LEASE=%" PRIu64 " GPUCOORD_TOKEN=%" PRIu64 "\n",
                 said->lease, said->token);
}

/* Say whether sending the same request again may help: the coordinator is
 * about to come back, and will know the job. */
static bool may_retry(const struct api_request *request, int error)
{
    return (request->fields & API_HAS_JOB) != 0 &&
           (error == E_RESTARTING || error == E_NO_LEADER ||
            error == E_UNREACHABLE);
}

/* Ask, again where the coordinator restarts meanwhile, and return the exit
 * status. */
static int ask_for_it(const struct api_request *request,
                      const char *body,
                      struct client_answer *answer)
{
    bool is_given = (request->fields & API_HAS_TIMEOUT) != 0;
    uint64_t limit_ms = is_given ? request->timeout_ms : API_TIMEOUT_MS_MAX;
    uint64_t until_ms =
        clock_boot_ms() + (is_given ? request->timeout_ms : TIMEOUT_MS);
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
    bool was_reached = false;
    struct client *client;
    int status = 0;
    int rc = client_open(&client);

    if (rc != E_OK) {
        return err_exit(rc);
    }
    for (;;) {
        client_call(client, "/gpu/request", body, limit_ms + ANSWER_MS, answer);
        was_reached = was_reached || answer->was_sent;
        if (!was_reached || !may_retry(request, answer->error) ||
            clock_boot_ms() >= until_ms) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    if (answer->error != E_OK) {
        status = complain(answer, "cannot get the gpu");
    }
    client_close(client);
    return status;
}

int request_main(int argc, char **argv)
{
    struct values values = {.ask = ASK_NONE, .watch_pid = ARGS_UNSET};
    struct api_request request;
    struct client_answer answer;
    struct buf body;
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    if (describe(&values, &request) != E_OK) {
        return err_exit(E_INVALID);
    }
    buf_init(&body, 0);
    api_write_request(&body, &request);
    client_answer_init(&answer);
    status = ask_for_it(&request, buf_string(&body), &answer);
    if (values.json && answer.body.size > 0) {
        call_print(&answer.body);
    } else if (status == 0 && values.shell) {
        print_shell(&answer.said);
    } else if (status == 0) {
        print(&request, &answer.said);
    }
    client_answer_release(&answer);
    buf_release(&body);
    return status;
}
