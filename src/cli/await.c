#include "cli/await.h"

#include "base/clock.h"
#include "cli/complain.h"
#include "cli/field.h"
#include "cli/lookup.h"
#include "cli/say.h"

#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MS = 10000,     /* What an answer may take on top of the wait. */
    RETRY_MS = 400,        /* At most, by chance. */
    TELL_FIRST_MS = 1000,  /* Say on whom it waits after this time ... */
    TELL_AGAIN_MS = 10000, /* ... and look so often whether that changed. */
    EXIT_BY_SIGNAL = 128
};

/* A wait in progress. */
struct waiting {
    struct client *client;
    struct wake *wake;
    struct api_request *request;
    uint64_t until_ms; /* Of clock_boot_ms(), as all instants here. */
    uint64_t tell_at_ms;
    char told[256];   /* What was said last. */
    bool was_reached; /* By an earlier call. */
    bool said_away;
    bool was_stopped; /* By SIGTSTP, in the middle of a call. */
    int signal;       /* That ends the wait; 0 = none. */
};

bool await_may_retry(const struct client_answer *answer)
{
    return answer->error == E_RESTARTING || answer->error == E_NO_LEADER ||
           answer->error == E_STORE_AWAY || answer->error == E_UNREACHABLE;
}

int await_start(struct client *client,
                struct api_request *request,
                uint64_t wait_ms)
{
    struct buf body;
    int rc;

    request->timeout_ms =
        wait_ms < API_TIMEOUT_MS_MAX ? wait_ms : API_TIMEOUT_MS_MAX;
    request->fields |= API_HAS_TIMEOUT;
    request->watch_pid = 0; /* This process, the peer of the socket. */
    if (client_is_local(client)) {
        request->fields |= API_HAS_WATCH_PID;
    } else {
        request->fields &= ~(uint32_t)API_HAS_WATCH_PID;
    }
    buf_init(&body, 0);
    api_write_request(&body, request);
    rc = buf_error(&body);
    if (rc == E_OK) {
        rc = client_start(client, "/gpu/request", buf_string(&body),
                          request->timeout_ms + ANSWER_MS);
    }
    buf_release(&body);
    return rc;
}

/* Find this request in the coordinator's status; NULL where it is not shown.
 * It is returned to the caller. */
static json_t *find_own(const struct api_request *request)
{
    json_t *own = NULL;
    json_t *status;
    json_t *leases;
    size_t i;

    if (lookup_status(&status) != 0) {
        return NULL;
    }
    leases = lookup_leases(status, request->service_id);
    for (i = 0; i < json_array_size(leases); i++) {
        json_t *lease = json_array_get(leases, i);

        if (strcmp(field_text(lease, "job_id"), request->job_id) == 0) {
            own = json_incref(lease);
        }
    }
    json_decref(leases);
    json_decref(status);
    return own;
}

/* Say on whom it waits, where that is news. */
static void tell(struct waiting *waiting)
{
    json_t *own = find_own(waiting->request);
    const char *text = field_text(json_object_get(own, "why"), "text");

    if (text[0] != '\0' && strcmp(text, waiting->told) != 0) {
        (void)snprintf(waiting->told, sizeof waiting->told, "%s", text);
        say("waiting for the gpu: %s", text);
    }
    json_decref(own);
    waiting->tell_at_ms = clock_boot_ms() + TELL_AGAIN_MS;
}

/* Withdraw the request: its job_id would keep its place for a while. */
static void withdraw(struct waiting *waiting)
{
    struct client_answer answer;
    struct buf body;
    json_t *own;
    bool is_held;

    client_drop(waiting->client);
    own = find_own(waiting->request);
    if (own == NULL) {
        return;
    }
    is_held = field_has_number(own, "token"); /* Granted just now. */
    client_answer_init(&answer);
    buf_init(&body, 0);
    api_write_lease(&body, field_number(own, "lease"),
                    field_number(own, "token"));
    client_call(waiting->client, is_held ? "/gpu/release" : "/gpu/cancel",
                buf_string(&body), CLIENT_QUICK_MS, &answer);
    buf_release(&body);
    client_answer_release(&answer);
    json_decref(own);
}

/* Stop until SIGCONT.  The call in progress is dropped before: a request that
 * nobody attends keeps its place, and is not granted to who cannot use it. */
static void stop(struct waiting *waiting)
{
    client_drop(waiting->client);
    (void)raise(SIGSTOP);
    waiting->was_stopped = true;
}

/* Wait until @at_ms or for the answer; false where a signal ended it all. */
static bool rest(struct waiting *waiting,
                 uint64_t at_ms,
                 struct client_answer *answer,
                 bool *has_answer)
{
    struct wake_signal signal;

    wake_at(waiting->wake, at_ms);
    *has_answer = client_wait(waiting->client, waiting->wake->fd,
                              UINT64_C(3600000), answer) == E_OK;
    while (wake_take(waiting->wake, &signal)) {
        if (signal.number == SIGTSTP) {
            stop(waiting);
        } else if (signal.number != SIGCHLD && signal.number != SIGCONT) {
            waiting->signal = signal.number;
        }
    }
    return waiting->signal == 0;
}

/* Wait for the answer to one call; false where a signal ended it all.  For a
 * call that was dropped meanwhile it is E_TIMEOUT: ask again. */
static bool wait_answer(struct waiting *waiting, struct client_answer *answer)
{
    bool has_answer = false;

    waiting->was_stopped = false;
    while (!has_answer) {
        if (clock_boot_ms() >= waiting->tell_at_ms) {
            tell(waiting);
        }
        if (!rest(waiting, waiting->tell_at_ms, answer, &has_answer)) {
            return false;
        }
        if (waiting->was_stopped && !has_answer) {
            client_answer_release(answer);
            answer->error = E_TIMEOUT;
            return true;
        }
    }
    return true;
}

/* Judge @answer: true where it is worth asking again. */
static bool goes_on(struct waiting *waiting, const struct client_answer *answer)
{
    bool is_over = clock_boot_ms() >= waiting->until_ms;

    if (answer->error == E_TIMEOUT) {
        return !is_over;
    }
    waiting->was_reached = waiting->was_reached || answer->was_sent;
    if (is_over || !waiting->was_reached || !await_may_retry(answer)) {
        return false;
    }
    if (!waiting->said_away) {
        say("the coordinator is away; waiting for it to come back");
        waiting->said_away = true;
    }
    return true;
}

/* Ask once, and say in @goes whether to ask again; E_OK where @answer is there,
 * E_STATE where a signal came first. */
static int
ask_once(struct waiting *waiting, struct client_answer *answer, bool *goes)
{
    uint64_t now_ms = clock_boot_ms();
    uint64_t left_ms =
        waiting->until_ms > now_ms ? waiting->until_ms - now_ms : 0;
    bool ignored;
    int rc = await_start(waiting->client, waiting->request, left_ms);

    if (rc != E_OK) {
        return rc;
    }
    if (!wait_answer(waiting, answer)) {
        return E_STATE;
    }
    *goes = answer->error != E_OK && goes_on(waiting, answer);
    /* Without a call in progress this is a pause before the next one. */
    if (*goes && !rest(waiting, clock_boot_ms() + client_jitter_ms(RETRY_MS),
                       answer, &ignored)) {
        return E_STATE;
    }
    return E_OK;
}

int await_grant(struct client *client,
                struct wake *wake,
                struct api_request *request,
                uint64_t timeout_ms,
                struct client_answer *answer,
                uint64_t *sent_ms)
{
    uint64_t now_ms = clock_boot_ms();
    struct waiting waiting = {
        .client = client,
        .wake = wake,
        .request = request,
        .until_ms =
            timeout_ms == AWAIT_FOREVER ? UINT64_MAX : now_ms + timeout_ms,
        .tell_at_ms = now_ms + TELL_FIRST_MS,
    };
    bool goes;
    int rc;

    do {
        *sent_ms = clock_boot_ms();
        rc = ask_once(&waiting, answer, &goes);
    } while (rc == E_OK && goes);
    if (waiting.signal != 0) {
        withdraw(&waiting);
        return EXIT_BY_SIGNAL + waiting.signal;
    }
    if (rc != E_OK) {
        say("cannot ask for the gpu: %s", err_text(rc));
        return err_exit(rc);
    }
    return answer->error == E_OK ? 0 : complain(answer, "cannot get the gpu");
}
