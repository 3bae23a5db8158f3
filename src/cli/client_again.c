/* client_again.c - a call that one coordinator did not carry out is another's,
 * or a later one's. */
#include "base/clock.h"
#include "cli/client.h"
#include "cli/client_state.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    TRY_MS = 3000, /* For a quick call, where there are others to ask. */
    PROBE_EACH_MS = 2000,
    PROBE_MS = 2000,    /* For its answer. */
    PAUSE_MS = 100,     /* After the first round; longer from then on, */
    PAUSE_MS_MAX = 800, /*   up to this. */
    PROBE_TEXT_MAX = 512
};

/* ---- Trying again ------------------------------------------------------- */

/* Say whether the body @body of a request names its job. */
static bool names_job(const char *body)
{
    json_t *root = json_loads(body, 0, NULL);
    bool has_job = json_is_string(json_object_get(root, "job_id"));

    json_decref(root);
    return has_job;
}

/* Say whether making the call twice does no more than making it once: whoever
 * names its job is told of the same lease. */
static bool is_repeatable(const struct client *client)
{
    if (client->request == NULL) {
        return true;
    }
    if (strcmp(client->path, "/gpu/request") == 0) {
        return names_job(client->request);
    }
    return strncmp(client->path, "/gpu/admin/", strlen("/gpu/admin/")) != 0;
}

uint64_t client_try_ms(const struct client *client, uint64_t left_ms)
{
    bool is_quick = left_ms <= CLIENT_QUICK_MS;

    return client->endpoints.is_cluster && is_quick && left_ms > TRY_MS
               ? TRY_MS
               : left_ms;
}

/* Say whether another try may be answered better than with @answer. */
static bool may_help(const struct client *client,
                     const struct client_answer *answer)
{
    if (answer->error == E_NO_LEADER || answer->error == E_RESTARTING) {
        return true;
    }
    if (answer->error != E_UNREACHABLE) {
        return false;
    }
    if (!client->is_sent) {
        return true; /* It took no connection. */
    }
    return client->endpoints.is_cluster && is_repeatable(client);
}

uint64_t client_jitter_ms(uint64_t most_ms)
{
    uint32_t chance = 0;

    (void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK);
    return most_ms - chance % (most_ms / 2 + 1);
}

/* Say whether the call, tried everywhere in vain, is tried again later. */
static bool persists(const struct client *client, uint64_t now_ms)
{
    return now_ms < client->persist_at_ms && now_ms < client->limit_at_ms &&
           (client->was_denied || client->endpoints.is_cluster);
}

bool client_goes_on(struct client *client, const struct client_answer *answer)
{
    const struct endpoints *places = &client->endpoints;
    uint64_t now_ms = clock_mono_ms();
    size_t round;
    uint64_t pause_ms = PAUSE_MS;

    client->was_denied = client->was_denied || answer->error == E_NO_LEADER ||
                         answer->error == E_RESTARTING;
    if (!may_help(client, answer)) {
        return false;
    }
    client->tried++;
    client->again_at_ms = now_ms;
    if (client->tried % places->count == 0) {
        if (!persists(client, now_ms)) {
            return false;
        }
        for (round = client->tried / places->count; round > 1; round--) {
            pause_ms = pause_ms < PAUSE_MS_MAX ? pause_ms * 2 : PAUSE_MS_MAX;
        }
        client->again_at_ms = now_ms + client_jitter_ms(pause_ms);
    }
    client->endpoint = (client->endpoint + 1) % places->count;
    return true;
}

/* ---- Is it alive? ------------------------------------------------------- */

static size_t drop_body(const char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

/* Set one option; once @ok is false it stays so. */
#define SET(ok, easy, option, value) \
    ((ok) = curl_easy_setopt((easy), (option), (value)) == CURLE_OK && (ok))

/* Send the probe on a connection of its own: that of the call is waiting. */
static void send_probe(struct client *client)
{
    const struct endpoint *to = &client->endpoints.items[client->endpoint];
    CURL *easy = curl_easy_init();
    char url[PROBE_TEXT_MAX];
    bool ok = easy != NULL;

    client->probe_at_ms = UINT64_MAX;
    if (!ok) {
        return;
    }
    (void)snprintf(url, sizeof url, "%s/healthz", to->base);
    SET(ok, easy, CURLOPT_URL, url);
    if (to->socket[0] != '\0') {
        SET(ok, easy, CURLOPT_UNIX_SOCKET_PATH, to->socket);
    }
    SET(ok, easy, CURLOPT_PROXY, "");
    SET(ok, easy, CURLOPT_NOSIGNAL, 1L);
    SET(ok, easy, CURLOPT_TIMEOUT_MS, (long)PROBE_MS);
    SET(ok, easy, CURLOPT_WRITEFUNCTION, drop_body);
    if (!ok || curl_multi_add_handle(client->multi, easy) != CURLM_OK) {
        curl_easy_cleanup(easy);
        return;
    }
    client->probe = easy;
}

void client_probe_begin(struct client *client, uint64_t left_ms)
{
    client_probe_drop(client);
    if (client->endpoints.is_cluster && left_ms > CLIENT_QUICK_MS) {
        client->probe_at_ms = clock_mono_ms() + PROBE_EACH_MS;
    }
}

void client_probe(struct client *client)
{
    if (client->easy != NULL && clock_mono_ms() >= client->probe_at_ms) {
        send_probe(client);
    }
}

bool client_probe_end(struct client *client, CURLcode result)
{
    client_probe_drop(client);
    client->probe_at_ms = clock_mono_ms() + PROBE_EACH_MS;
    return result == CURLE_OK;
}

void client_probe_drop(struct client *client)
{
    client->probe_at_ms = UINT64_MAX;
    if (client->probe == NULL) {
        return;
    }
    (void)curl_multi_remove_handle(client->multi, client->probe);
    curl_easy_cleanup(client->probe);
    client->probe = NULL;
}
