/* replay.c - `gpucoord replay`: a trace with real clients over real sockets
 * against a real coordinator.
 *
 * The jobs are those of `simulate` (workload.h).  With --speed N all of their
 * times are N times shorter; what is printed is in the trace's time, so that
 * both commands' results can be laid side by side.
 */
#include "cli/replay.h"
#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/say.h"
#include "cli/workload_options.h"

enum {
    RENEW_MS = REPLAY_TTL_MS / 3,
    LEAVE_MS = 5000, /* How long the last releases may take. */
    SPEED_MAX = 1000
};

struct values {
    struct workload_values work;
    uint64_t speed;
};

static const struct args_option options[] = {
    WORKLOAD_OPTIONS(struct values),
    {"speed", ARGS_COUNT, offsetof(struct values, speed), "N",
     "run n times as fast as the trace (1)", SPEED_MAX},
};

static const struct args_spec spec = {
    .usage = "replay --trace FILE [--speed N]",
    .about = "Run a trace with real clients against the coordinator and print "
             "who waited\nhow long.  Best on one that serves nobody else.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

/* ---- The run ---------------------------------------------------------- */

static int run(struct replay *replay)
{
    int rc = E_OK;

    for (uint32_t i = 0; rc == E_OK && i < replay->work.service_count; i++) {
        rc = crowd_listen(replay->crowd, replay->work.services[i]);
    }
    replay->start_ns = clock_mono_ns();
    while (rc == E_OK && !workload_is_over(&replay->work)) {
        uint64_t next = workload_next(&replay->work);
        uint64_t now = replay_now_ms(replay);

        /* Rounded up: a timer fires late rather than twice. */
        rc = crowd_turn(
            replay->crowd,
            next <= now ? 0 : (next - now + replay->speed - 1) / replay->speed);
        if (rc == E_OK) {
            rc = workload_run(&replay->work, replay_now_ms(replay));
        }
    }
    return rc;
}

/* Release the leases that are paused, or those that are not, and wait. */
static int give_back(struct replay *replay, bool is_paused)
{
    uint64_t until_ms = clock_mono_ms() + LEAVE_MS;
    int rc = E_OK;

    for (size_t i = 0; rc == E_OK && i < replay->work.job_count; i++) {
        if (replay->leases[i].lease != 0 &&
            is_paused == (replay->work.jobs[i].state == WORKLOAD_PAUSED)) {
            rc = replay_release(replay, (uint32_t)i);
        }
    }
    while (rc == E_OK && crowd_count(replay->crowd) != 0 &&
           clock_mono_ms() < until_ms) {
        rc = crowd_turn(replay->crowd, 100);
    }
    return rc;
}

/* Withdraw and give back what the background has.  The paused come first: they
 * would be resumed, with a new token, as soon as the others have gone. */
static int leave(struct replay *replay)
{
    int rc;

    crowd_drop(replay->crowd);
    rc = give_back(replay, true);
    return rc != E_OK ? rc : give_back(replay, false);
}

/* Ask the coordinator how many devices it has; 1 where it does not say. */
static uint32_t count_devices(void)
{
    struct client_answer answer;
    struct client *client;
    uint32_t count = 0;

    client_answer_init(&answer);
    if (client_open(&client) == E_OK) {
        client_call(client, "/gpu/status", NULL, CLIENT_QUICK_MS, &answer);
        count = answer.said.devices.count;
        client_close(client);
    }
    client_answer_release(&answer);
    return count == 0 ? 1 : count;
}

static int replay_trace(struct replay *replay,
                        const struct values *values,
                        const struct trace *trace)
{
    struct workload_options work = workload_options_get(&values->work);
    struct workload_calls calls = replay_calls(replay);
    struct crowd_handler handler = replay_handler(replay);
    struct workload_run summary = {.command = "replay"};
    int rc;

    work.renew_ms = RENEW_MS * values->speed;
    rc = workload_init(&replay->work, trace, &work, &calls);
    if (rc != E_OK) {
        return rc;
    }
    replay->leases = calloc(replay->work.job_count, sizeof *replay->leases);
    if (replay->leases == NULL) {
        return E_NOMEM;
    }
    for (size_t i = 0; i < replay->work.job_count; i++) {
        replay->leases[i].job = (uint32_t)i;
    }
    rc = crowd_open(&handler, &replay->crowd);
    if (rc == E_OK) {
        rc = run(replay);
    }
    if (rc != E_OK) {
        return rc;
    }
    summary.duration_ms = replay_now_ms(replay);
    summary.devices = count_devices();
    workload_finish(&replay->work, summary.duration_ms);
    rc = leave(replay);
    return rc != E_OK ? rc
                      : workload_print(&values->work, &replay->work, &summary);
}

int replay_main(int argc, char **argv)
{
    struct values values = {.work = workload_defaults, .speed = 1};
    struct replay replay = {0};
    struct trace trace;
    int rc = args_read(&spec, &values, argc, argv);

    if (rc <= 0) {
        return err_exit(rc);
    }
    if (values.speed == 0) {
        say("--speed must be above 0");
        return err_exit(E_INVALID);
    }
    rc = workload_open_trace(&values.work, &trace);
    if (rc != E_OK) {
        return err_exit(rc);
    }
    replay.speed = values.speed;
    idmap_init(&replay.by_lease, &alloc_libc);
    rc = replay_trace(&replay, &values, &trace);
    if (rc == E_NOMEM) {
        say("cannot replay: %s", err_text(rc));
    }
    crowd_close(replay.crowd);
    idmap_release(&replay.by_lease);
    free(replay.leases);
    workload_release(&replay.work);
    trace_release(&trace);
    return err_exit(rc);
}
