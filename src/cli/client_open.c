/* client_open.c - the life of clients and of their answers. */
#include "cli/client.h"
#include "cli/client_state.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOKEN_MAX = 4096
};

void client_answer_init(struct client_answer *answer)
{
    *answer = (struct client_answer){.error = E_OK};
    buf_init(&answer->body, CLIENT_BODY_MAX);
    buf_init(&answer->trouble, 0);
}

void client_answer_release(struct client_answer *answer)
{
    buf_release(&answer->body);
    buf_release(&answer->trouble);
    answer->error = E_OK;
}

/* Add the bearer token in the file GPUCOORD_AUTH_FILE, if it is set. */
static int add_token(struct curl_slist **headers)
{
    const char *path = getenv("GPUCOORD_AUTH_FILE");
    char line[TOKEN_MAX + 32] = "Authorization: Bearer ";
    size_t size = strlen(line);
    struct curl_slist *more;
    FILE *file;

    if (path == NULL || path[0] == '\0') {
        return E_OK;
    }
    file = fopen(path, "re");
    if (file == NULL) {
        say("cannot open GPUCOORD_AUTH_FILE '%s': %s", path, strerror(errno));
        return E_INVALID;
    }
    if (fgets(line + size, TOKEN_MAX, file) == NULL) {
        line[size] = '\0';
    }
    (void)fclose(file);
    size += strcspn(line + size, "\r\n");
    line[size] = '\0';
    more = curl_slist_append(*headers, line);
    if (more == NULL) {
        return E_NOMEM;
    }
    *headers = more;
    return E_OK;
}

/* Gather the parts of a client whose endpoints are known. */
static int build(struct client *client)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return E_NOMEM;
    }
    client->multi = curl_multi_init();
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (client->multi == NULL || client->headers == NULL) {
        return E_NOMEM;
    }
    return add_token(&client->headers);
}

int client_open(struct client **out)
{
    struct client *client = calloc(1, sizeof *client);
    int rc;

    if (client == NULL) {
        say("%s", err_text(E_NOMEM));
        return E_NOMEM;
    }
    buf_init(&client->body, CLIENT_BODY_MAX);
    rc = endpoints_find(&client->endpoints);
    if (rc == E_OK && client->endpoints.count == 0) {
        say("the coordinator is switched off: GPUCOORD_URL is 'off'");
        rc = E_UNREACHABLE;
    }
    if (rc == E_OK) {
        rc = build(client);
    }
    if (rc == E_NOMEM) {
        say("%s", err_text(rc));
    }
    if (rc != E_OK) {
        goto err;
    }
    *out = client;
    return E_OK;

err:
    client_close(client);
    return rc;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    client_drop(client);
    if (client->multi != NULL) {
        (void)curl_multi_cleanup(client->multi);
    }
    curl_slist_free_all(client->headers);
    buf_release(&client->body);
    free(client);
    curl_global_cleanup();
}

bool client_is_local(const struct client *client)
{
    const struct endpoints *places = &client->endpoints;
    size_t i;

    /* In a cluster the call may go to any of them. */
    for (i = 0; places->is_cluster && i < places->count; i++) {
        if (places->items[i].socket[0] == '\0') {
            return false;
        }
    }
    return places->items[client->endpoint].socket[0] != '\0';
}

bool client_is_cluster(const struct client *client)
{
    return client->endpoints.is_cluster;
}
