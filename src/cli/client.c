#include "cli/client.h"

#include "base/clock.h"
#include "cli/client_state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 5000
};

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct client *client = arg;

    buf_add(&client->body, data, size * count);
    return buf_error(&client->body) == E_OK ? size * count : 0;
}

static void drop_easy(struct client *client)
{
    if (client->easy == NULL) {
        return;
    }
    (void)curl_multi_remove_handle(client->multi, client->easy);
    curl_easy_cleanup(client->easy);
    client->easy = NULL;
}

void client_drop(struct client *client)
{
    drop_easy(client);
    client_probe_drop(client);
    free(client->path);
    free(client->request);
    client->path = NULL;
    client->request = NULL;
    client->is_busy = false;
}

/* Set one option; once @ok is false it stays so. */
#define SET(ok, easy, option, value) \
    ((ok) = curl_easy_setopt((easy), (option), (value)) == CURLE_OK && (ok))

/* Hand the call to curl, for the present endpoint. */
static int send_call(struct client *client)
{
    const struct endpoint *to = &client->endpoints.items[client->endpoint];
    uint64_t now_ms = clock_mono_ms();
    uint64_t left_ms = client_try_ms(client, client->limit_at_ms > now_ms
                                                 ? client->limit_at_ms - now_ms
                                                 : 1);
    CURL *easy = curl_easy_init();
    char url[ENDPOINT_TEXT_MAX + 512];
    bool ok = true;

    if (easy == NULL) {
        return E_NOMEM;
    }
    (void)snprintf(url, sizeof url, "%s%s", to->base, client->path);
    SET(ok, easy, CURLOPT_URL, url);
    if (to->socket[0] != '\0') {
        SET(ok, easy, CURLOPT_UNIX_SOCKET_PATH, to->socket);
    }
    if (client->request != NULL) {
        SET(ok, easy, CURLOPT_POSTFIELDS, client->request);
    }
    SET(ok, easy, CURLOPT_HTTPHEADER, client->headers);
    SET(ok, easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(ok, easy, CURLOPT_PROXY, ""); /* It is never behind one. */
    SET(ok, easy, CURLOPT_NOSIGNAL, 1L);
    SET(ok, easy, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(ok, easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    SET(ok, easy, CURLOPT_TIMEOUT_MS,
        left_ms > LONG_MAX ? LONG_MAX : (long)left_ms);
    SET(ok, easy, CURLOPT_WRITEFUNCTION, take_body);
    SET(ok, easy, CURLOPT_WRITEDATA, client);
    SET(ok, easy, CURLOPT_ERRORBUFFER, client->trouble);
    client->trouble[0] = '\0';
    buf_clear(&client->body);
    if (!ok || curl_multi_add_handle(client->multi, easy) != CURLM_OK) {
        curl_easy_cleanup(easy);
        return E_NOMEM;
    }
    client->easy = easy;
    client_probe_begin(client, left_ms);
    return E_OK;
}

int client_start(struct client *client,
                 const char *path,
                 const char *body,
                 uint64_t limit_ms)
{
    int rc;

    client_drop(client);
    client->tried = 0;
    client->was_sent = false;
    client->was_denied = false;
    client->limit_at_ms = clock_mono_ms() + limit_ms;
    client->persist_at_ms = 0;
    client->path = strdup(path);
    client->request = body == NULL ? NULL : strdup(body);
    if (client->path == NULL || (body != NULL && client->request == NULL)) {
        client_drop(client);
        return E_NOMEM;
    }
    rc = send_call(client);
    if (rc != E_OK) {
        client_drop(client);
        return rc;
    }
    client->is_busy = true;
    return E_OK;
}

/* Read the body that came with @status into @answer. */
static void read_body(long status, struct client_answer *answer)
{
    struct api_answer *said = &answer->said;
    int rc =
        api_parse_answer(buf_string(&answer->body), answer->body.size, said);
    const char *type = strrchr(said->type, '/');

    if (rc == E_OK && status >= 200 && status < 300) {
        answer->error = E_OK;
        return;
    }
    answer->error = rc == E_OK && type != NULL ? err_find(type + 1) : 0;
    if (answer->error == 0) {
        answer->error = rc == E_NOMEM ? E_NOMEM : E_IO;
        (void)snprintf(said->detail, sizeof said->detail,
                       "the answer, HTTP %ld, is not a coordinator's", status);
    }
}

/* Say whether @result means that nothing of the call has been sent. */
static bool took_no_connection(const struct client *client, CURLcode result)
{
    double connected = 0;

    (void)curl_easy_getinfo(client->easy, CURLINFO_CONNECT_TIME, &connected);
    return result == CURLE_COULDNT_CONNECT ||
           result == CURLE_COULDNT_RESOLVE_HOST ||
           (result == CURLE_OPERATION_TIMEDOUT && connected <= 0);
}

/* Append why no answer came, and what to do about it. */
static void explain(const struct client *client,
                    CURLcode result,
                    bool was_sent,
                    struct buf *out)
{
    const struct endpoints *places = &client->endpoints;
    size_t i;

    if (was_sent) {
        buf_printf(out, "the coordinator at %s did not answer: %s",
                   places->items[client->endpoint].text,
                   client->trouble[0] != '\0' ? client->trouble
                                              : curl_easy_strerror(result));
        return;
    }
    buf_text(out, "no coordinator at ");
    for (i = 0; i < places->count; i++) {
        buf_printf(out, "%s%s", i == 0 ? "" : " or ", places->items[i].text);
    }
    buf_text(out, ": start one with 'gpucoord serve', or 'systemctl start "
                  "gpucoord'");
}

/* Turn the finished try into @answer. */
static void
finish(struct client *client, CURLcode result, struct client_answer *answer)
{
    long status = 0;

    (void)curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    client_answer_release(answer);
    answer->said = (struct api_answer){.lease = 0};
    client->is_sent = !took_no_connection(client, result);
    client->was_sent = client->was_sent || client->is_sent;
    answer->was_sent = client->was_sent;
    if (result != CURLE_OK) {
        answer->error = E_UNREACHABLE;
        explain(client, result, client->is_sent, &answer->trouble);
    } else {
        answer->body = client->body;
        buf_init(&client->body, CLIENT_BODY_MAX);
        read_body(status, answer);
    }
    drop_easy(client);
    client_probe_drop(client);
}

/* Take the next result from curl; false where there is none. */
static bool take_result(struct client *client, CURL **easy, CURLcode *result)
{
    CURLMsg *message;
    int left;

    do {
        message = curl_multi_info_read(client->multi, &left);
    } while (message != NULL && message->msg != CURLMSG_DONE);
    if (message == NULL) {
        return false;
    }
    *easy = message->easy_handle;
    *result = message->data.result;
    return true;
}

/* Look whether the call is done; E_TIMEOUT while it is not. */
static int collect(struct client *client, struct client_answer *answer)
{
    CURLcode result = CURLE_OK;
    CURL *easy = NULL;

    while (easy != client->easy || easy == NULL) {
        if (!take_result(client, &easy, &result)) {
            return E_TIMEOUT;
        }
        if (easy == client->probe && !client_probe_end(client, result)) {
            easy = client->easy; /* Nothing will come of this try. */
            result = CURLE_OPERATION_TIMEDOUT;
        }
    }
    finish(client, result, answer);
    if (client_goes_on(client, answer)) {
        return E_TIMEOUT;
    }
    client_drop(client);
    return E_OK;
}

/* Do what is due in the call in progress; E_TIMEOUT while it goes on. */
static int go_on(struct client *client, struct client_answer *answer)
{
    int running;

    if (client->is_busy && client->easy == NULL &&
        clock_mono_ms() >= client->again_at_ms && send_call(client) != E_OK) {
        client_drop(client);
        client_answer_release(answer);
        answer->error = E_NOMEM;
        return E_OK;
    }
    client_probe(client);
    (void)curl_multi_perform(client->multi, &running);
    return client->easy != NULL ? collect(client, answer) : E_TIMEOUT;
}

/* Return the instant, at most @until_ms, at which something is due. */
static uint64_t due_ms(const struct client *client, uint64_t until_ms)
{
    uint64_t at_ms =
        client->easy == NULL ? client->again_at_ms : client->probe_at_ms;

    return client->is_busy && at_ms < until_ms ? at_ms : until_ms;
}

int client_wait(struct client *client,
                int wake_fd,
                uint64_t wait_ms,
                struct client_answer *answer)
{
    uint64_t until_ms = clock_mono_ms() + wait_ms;

    for (;;) {
        struct curl_waitfd wake = {.fd = wake_fd, .events = CURL_WAIT_POLLIN};
        uint64_t now_ms;
        uint64_t at_ms;

        if (go_on(client, answer) == E_OK) {
            return E_OK;
        }
        now_ms = clock_mono_ms();
        if (now_ms >= until_ms) {
            return E_TIMEOUT;
        }
        at_ms = due_ms(client, until_ms);
        wait_ms = at_ms > now_ms ? at_ms - now_ms : 0;
        (void)curl_multi_poll(client->multi, &wake, wake_fd >= 0 ? 1 : 0,
                              wait_ms > INT_MAX ? INT_MAX : (int)wait_ms, NULL);
        if (wake.revents != 0) {
            return E_TIMEOUT;
        }
    }
}

void client_call(struct client *client,
                 const char *path,
                 const char *body,
                 uint64_t limit_ms,
                 struct client_answer *answer)
{
    int rc = client_start(client, path, body, limit_ms);

    client->persist_at_ms = clock_mono_ms() + CLIENT_PERSIST_MS;
    if (rc != E_OK) {
        client_answer_release(answer);
        answer->error = rc;
    }
    client_finish(client, answer);
}

void client_finish(struct client *client, struct client_answer *answer)
{
    bool is_over = !client->is_busy;

    while (!is_over) {
        is_over = client_wait(client, -1, UINT64_C(3600000), answer) == E_OK;
    }
}
