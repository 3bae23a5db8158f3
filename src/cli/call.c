#include "cli/call.h"

#include "base/units.h"
#include "cli/complain.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>

void call_print(const struct buf *body)
{
    size_t size = body->size;

    while (size > 0 && body->data[size - 1] == '\n') {
        size--;
    }
    (void)printf("%.*s\n", (int)size, buf_string(body));
}

int call_make(const struct call *call, struct client_answer *answer)
{
    struct client *client;
    int status = 0;
    int rc = client_open(&client);

    if (rc != E_OK) {
        return err_exit(rc);
    }
    client_call(client, call->path, call->body,
                call->limit_ms == 0 ? CLIENT_QUICK_MS : call->limit_ms, answer);
    if (call->prints_json && answer->body.size > 0) {
        call_print(&answer->body);
    }
    if (answer->error != E_OK) {
        status = complain(answer, call->what);
    }
    client_close(client);
    return status;
}

int lease_id_parse(const char *text, uint64_t *out)
{
    uint64_t id;
    int rc = units_parse_count(text, &id);

    if (rc != E_OK || id == 0 || id > API_NUMBER_MAX) {
        return E_INVALID;
    }
    *out = id;
    return E_OK;
}

int lease_name_read(int count, char *const *argv, struct lease_name *out)
{
    const char *lease = count > 0 ? argv[0] : getenv("GPUCOORD_LEASE");
    const char *token = count > 0 ? NULL : getenv("GPUCOORD_TOKEN");

    if (count > 1) {
        token = argv[1];
    }
    if (lease == NULL || token == NULL) {
        say("name a LEASE and its TOKEN, or set GPUCOORD_LEASE and "
            "GPUCOORD_TOKEN");
        return E_INVALID;
    }
    if (lease_id_parse(lease, &out->lease) != E_OK) {
        say("'%s' is not a lease's number", lease);
        return E_INVALID;
    }
    if (lease_id_parse(token, &out->token) != E_OK) {
        say("'%s' is not a token", token);
        return E_INVALID;
    }
    return E_OK;
}
