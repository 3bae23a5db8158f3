#include "cli/keep.h"

#include "base/clock.h"
#include "cli/await.h"
#include "cli/complain.h"
#include "cli/human.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MARGIN_MS_MAX = 1000,
    RETRY_MS = 500,       /* At most, by chance. */
    RELEASE_MS = 3000,    /* The child has gone: nobody waits for long, */
    FAIL_OVER_MS = 10000, /*   but while another comes to lead. */
    KILL_AFTER_MS = 10000 /* From SIGTERM to SIGKILL. */
};

#define NEVER UINT64_MAX

uint64_t keep_trust_until(uint64_t sent_ms, uint64_t ttl_ms)
{
    uint64_t margin_ms = ttl_ms / 10;

    return sent_ms + ttl_ms -
           (margin_ms < MARGIN_MS_MAX ? margin_ms : MARGIN_MS_MAX);
}

/* ---- Trust --------------------------------------------------------------- */

/* The lease is certainly held: the answer @said to the newest call says so. */
static void trust(struct keep *keep, const struct api_answer *said)
{
    uint64_t renew_in_ms = said->renew_in_ms;
    uint64_t good_for_ms = said->expires_in_ms;

    if (good_for_ms == 0) {
        good_for_ms = keep->ttl_ms; /* A grant. */
    }
    if (renew_in_ms == 0) {
        renew_in_ms = keep->ttl_ms / 3;
    }
    keep->trust_until_ms = keep_trust_until(keep->sent_at_ms, good_for_ms);
    keep->next_at_ms = keep->sent_at_ms + renew_in_ms;
    keep->said_away = false;
    if (!keep->is_trusted) {
        keep->is_trusted = true;
        say("lease %" PRIu64 " is held again", keep->lease);
    }
    child_continue(&keep->child);
}

/* Have the child end, by and by. */
static void tell_to_end(struct keep *keep)
{
    child_signal(&keep->child, SIGTERM);
    child_continue(&keep->child);
    keep->kill_at_ms = clock_boot_ms() + KILL_AFTER_MS;
}

/* Nobody can say any more that the lease is held, because of @why. */
static void distrust(struct keep *keep, const char *why)
{
    if (!keep->is_trusted) {
        return;
    }
    keep->is_trusted = false;
    switch (keep->on_lost) {
    case ON_LOST_CONTINUE:
        say("lease %" PRIu64 " is lost: %s; the program goes on without it",
            keep->lease, why);
        break;
    case ON_LOST_STOP:
        say("lease %" PRIu64 " is lost: %s; the program is stopped until the "
            "gpu is held again",
            keep->lease, why);
        child_stop(&keep->child);
        break;
    case ON_LOST_TERM:
        say("lease %" PRIu64 " is lost: %s; the program is told to end",
            keep->lease, why);
        tell_to_end(keep);
        break;
    }
}

/* ---- Calls --------------------------------------------------------------- */

/* Take the grant in @said.  The child sees its devices and no others: if it
 * has to be asked for again, then for these. */
static void take_grant(struct keep *keep, const struct api_answer *said)
{
    keep->lease = said->lease;
    keep->token = said->token;
    keep->ttl_ms = said->ttl_ms;
    keep->request->devices = said->devices;
    keep->request->gpus = said->devices.count;
    keep->request->fields |= API_HAS_DEVICE | API_HAS_GPUS;
}

/* Start a renewal, or the request for a new lease. */
static int start_call(struct keep *keep)
{
    struct buf body;
    int rc;

    keep->sent_at_ms = clock_boot_ms();
    keep->next_at_ms = NEVER;
    if (keep->lease == 0) {
        return await_start(keep->client, keep->request, API_TIMEOUT_MS_MAX);
    }
    buf_init(&body, 0);
    api_write_renew(&body, keep->lease, keep->token, keep->watch_pid);
    rc = buf_error(&body);
    if (rc == E_OK) {
        rc = client_start(keep->client, "/gpu/renew", buf_string(&body),
                          CLIENT_QUICK_MS);
    }
    buf_release(&body);
    return rc;
}

/* Answer a command to pause: a program that knows nothing of leases cannot. */
static void refuse_pause(struct keep *keep)
{
    struct api_ack ack = {
        .lease = keep->lease, .token = keep->token, .action = CORE_ACK_ERROR};
    struct client_answer answer;
    struct buf body;

    (void)snprintf(ack.detail, sizeof ack.detail,
                   "a program under 'gpucoord run' cannot pause");
    say("lease %" PRIu64 " is asked to pause, which its program cannot do",
        keep->lease);
    client_answer_init(&answer);
    buf_init(&body, 0);
    api_write_ack(&body, &ack);
    client_call(keep->client, "/gpu/ack", buf_string(&body), CLIENT_QUICK_MS,
                &answer);
    buf_release(&body);
    client_answer_release(&answer);
}

/* The lease has ended, as @answer says.
 *
 * A coordinator that knows nothing of it has lost its store: it is asked
 * anew.  One that took it back is asked only for a child that can do nothing
 * else meanwhile. */
static void lose(struct keep *keep, const struct client_answer *answer)
{
    const char *detail = answer->said.detail;

    distrust(keep, detail[0] != '\0' ? detail : err_text(answer->error));
    keep->lease = 0;
    keep->next_at_ms =
        answer->error == E_NOT_FOUND || keep->on_lost == ON_LOST_STOP
            ? clock_boot_ms() + RETRY_MS
            : NEVER;
}

/* The request for another lease was refused, as @answer says. */
static void give_up(struct keep *keep, const struct client_answer *answer)
{
    (void)complain(answer, "cannot get the gpu again");
    keep->next_at_ms = NEVER;
    if (keep->child.is_stopped) {
        say("the stopped program is told to end");
        tell_to_end(keep);
    }
}

/* Return the process that the coordinator can watch for this lease; 0 = none.
 * The end of a container's client says nothing. */
static uint32_t watchable(const struct keep *keep)
{
    return client_is_local(keep->client) && keep->then == NULL
               ? (uint32_t)keep->child.pid
               : 0;
}

/* The coordinator cannot be reached, or cannot say. */
static void try_later(struct keep *keep, const struct client_answer *answer)
{
    char left[HUMAN_SIZE];
    uint64_t now_ms = clock_boot_ms();

    keep->next_at_ms = now_ms + client_jitter_ms(RETRY_MS);
    keep->watch_pid = watchable(keep); /* The next one knows of nobody. */
    if (!keep->said_away && keep->is_trusted) {
        say("cannot renew lease %" PRIu64 ": %s; trying again, it is good for "
            "%s",
            keep->lease, err_text(answer->error),
            human_time(keep->trust_until_ms > now_ms
                           ? keep->trust_until_ms - now_ms
                           : 0,
                       left));
        keep->said_away = true;
    }
}

static void judge(struct keep *keep, const struct client_answer *answer)
{
    const struct api_answer *said = &answer->said;

    if (answer->error == E_INVALID && keep->watch_pid != 0) {
        keep->watch_pid = 0; /* Another user's by now, as with sudo. */
        keep->next_at_ms = clock_boot_ms();
        return;
    }

    switch (answer->error) {
    case E_OK:
        keep->watch_pid = 0;
        if (said->token != 0) {
            take_grant(keep, said); /* Of a new lease. */
        }
        trust(keep, said);
        if (said->token != 0) {
            keep_watch_child(keep);
        }
        /* With a ladder, the program is made to, or answers itself. */
        if (strcmp(said->action, "pause") == 0 && keep->request->ladder == 0) {
            refuse_pause(keep);
        }
        break;
    case E_NOT_FOUND:
    case E_STALE:
    case E_REVOKED:
    case E_ENDED:
    case E_SUPERSEDED:
    case E_JOB_CONFLICT:
    case E_INVALID:
        if (keep->lease != 0) {
            lose(keep, answer);
        } else {
            give_up(keep, answer);
        }
        break;
    default:
        try_later(keep, answer);
        break;
    }
}

/* ---- The loop ------------------------------------------------------------ */

int keep_begin(struct keep *keep,
               const struct api_answer *said,
               uint64_t sent_ms)
{
    struct client_answer answer;
    int status = 0;

    take_grant(keep, said);
    keep->trust_until_ms = keep_trust_until(sent_ms, keep->ttl_ms);
    keep->is_trusted = true;
    keep->kill_at_ms = NEVER;
    client_answer_init(&answer);
    answer.error = start_call(keep);
    client_finish(keep->client, &answer);
    if (answer.error == E_OK) {
        trust(keep, &answer.said);
    } else if (await_may_retry(&answer)) {
        try_later(keep, &answer);
    } else {
        status = complain(&answer, "cannot keep the gpu");
    }
    client_answer_release(&answer);
    return status;
}

/* Stop until SIGCONT, and the child with this process: one that went on alone
 * would use a GPU for which nobody renews.  It may have been stopped by its
 * terminal (@has_it), which then is what lets it go on, too. */
static void stop_both(struct keep *keep, bool has_it)
{
    keep->stops_child = !has_it;
    if (!has_it) {
        child_signal(&keep->child, SIGTSTP);
    }
    (void)raise(SIGSTOP);
}

/* SIGCONT came: let the child go on, unless its lease is lost and it has to
 * stay as it is. */
static void go_on(struct keep *keep)
{
    if (clock_boot_ms() >= keep->trust_until_ms) {
        distrust(keep, "it was not renewed while this was stopped");
    }
    if (keep->stops_child && !keep->child.is_stopped) {
        child_signal(&keep->child, SIGCONT);
    }
    keep->stops_child = false;
}

void keep_watch_child(struct keep *keep)
{
    keep->watch_pid = watchable(keep);
    if (keep->watch_pid != 0) {
        keep->next_at_ms = clock_boot_ms();
    }
}

/* Hand the child what was sent to this process. */
static void forward(struct keep *keep)
{
    struct wake_signal signal;

    while (wake_take(keep->wake, &signal)) {
        bool has_it = signal.is_from_terminal && !keep->child.has_group;

        if (signal.number == SIGTSTP) {
            stop_both(keep, has_it);
        } else if (signal.number == SIGCONT) {
            go_on(keep);
        } else if (signal.number != SIGCHLD && !has_it) {
            child_signal(&keep->child, signal.number);
        }
    }
}

/* Do what is due now. */
static void on_time(struct keep *keep)
{
    uint64_t now_ms = clock_boot_ms();

    if (now_ms >= keep->kill_at_ms) {
        say("the program did not end within %d s; it is killed",
            KILL_AFTER_MS / 1000);
        child_signal(&keep->child, SIGKILL);
        keep->kill_at_ms = NEVER;
    }
    if (now_ms >= keep->trust_until_ms) {
        distrust(keep, "it could not be renewed in time");
    }
    if (now_ms >= keep->next_at_ms && start_call(keep) != E_OK) {
        keep->next_at_ms = now_ms + RETRY_MS; /* No memory: perhaps later. */
    }
}

/* Arm the timer for what is due next. */
static void arm(struct keep *keep)
{
    uint64_t at_ms = keep->next_at_ms;

    if (keep->is_trusted && keep->trust_until_ms < at_ms) {
        at_ms = keep->trust_until_ms;
    }
    if (keep->kill_at_ms < at_ms) {
        at_ms = keep->kill_at_ms;
    }
    wake_at(keep->wake, at_ms);
}

static uint64_t release_ms(const struct keep *keep)
{
    return client_is_cluster(keep->client) ? FAIL_OVER_MS : RELEASE_MS;
}

static void release(struct keep *keep, struct client_answer *answer)
{
    struct buf body;

    buf_init(&body, 0);
    api_write_lease(&body, keep->lease, keep->token);
    client_call(keep->client, "/gpu/release", buf_string(&body),
                release_ms(keep), answer);
    buf_release(&body);
}

/* It was paused and resumed since the last renewal: learn its new token. */
static void renew_token(struct keep *keep)
{
    struct client_answer answer;
    struct buf body;

    client_answer_init(&answer);
    buf_init(&body, 0);
    api_write_renew(&body, keep->lease, keep->token, 0);
    client_call(keep->client, "/gpu/renew", buf_string(&body), release_ms(keep),
                &answer);
    if (answer.error == E_OK && answer.said.token != 0) {
        keep->token = answer.said.token;
    }
    buf_release(&body);
    client_answer_release(&answer);
}

void keep_release(struct keep *keep)
{
    struct client_answer answer;

    if (keep->lease == 0) {
        return;
    }
    client_answer_init(&answer);
    release(keep, &answer);
    if (answer.error == E_STALE) {
        renew_token(keep);
        client_answer_release(&answer);
        client_answer_init(&answer);
        release(keep, &answer);
    }
    if (answer.error != E_OK && answer.error != E_NOT_FOUND) {
        say("cannot release lease %" PRIu64 ": %s; it ends by itself",
            keep->lease, err_text(answer.error));
    }
    client_answer_release(&answer);
}

/* Renew until the child has ended; returns its exit status. */
static int outlast_child(struct keep *keep)
{
    struct client_answer answer;
    int status = 0;

    client_answer_init(&answer);
    while (!child_has_ended(&keep->child, &status)) {
        on_time(keep);
        arm(keep);
        if (client_wait(keep->client, keep->wake->fd, UINT64_C(3600000),
                        &answer) == E_OK) {
            judge(keep, &answer);
        }
        forward(keep);
    }
    client_answer_release(&answer);
    return status;
}

int keep_run(struct keep *keep)
{
    const struct child_files quiet = {.is_silent = true};
    int status = outlast_child(keep);

    if (keep->then != NULL &&
        child_start(&keep->child, keep->then->argv, &quiet,
                    &keep->wake->mask_before, NULL) == E_OK) {
        (void)outlast_child(keep);
    }
    client_drop(keep->client);
    keep_release(keep);
    return status;
}
