#include "cli/lookup.h"

#include "cli/call.h"
#include "cli/field.h"
#include "cli/say.h"

#include <stdbool.h>
#include <string.h>

int lookup_status(json_t **out)
{
    struct client_answer answer;
    json_error_t error;
    int status;

    client_answer_init(&answer);
    status = call_make(
        &(struct call){.path = "/gpu/status", .what = "cannot get the status"},
        &answer);
    if (status == 0) {
        *out =
            json_loadb(buf_string(&answer.body), answer.body.size, 0, &error);
        if (*out == NULL) {
            say("cannot read the status: %s", error.text);
            status = err_exit(E_IO);
        }
    }
    client_answer_release(&answer);
    return status;
}

/* Append those of the list @key of @status that are @service's. */
static bool
gather(const json_t *status, const char *key, const char *service, json_t *out)
{
    const json_t *list = json_object_get(status, key);
    size_t i;

    for (i = 0; i < json_array_size(list); i++) {
        json_t *lease = json_array_get(list, i);

        if (service != NULL &&
            strcmp(field_text(lease, "service_id"), service) != 0) {
            continue;
        }
        if (json_array_append(out, lease) != 0) {
            return false;
        }
    }
    return true;
}

json_t *lookup_leases(const json_t *status, const char *service)
{
    json_t *leases = json_array();

    if (leases == NULL || !gather(status, "waiters", service, leases) ||
        !gather(status, "paused", service, leases) ||
        (service != NULL && !gather(status, "holders", service, leases))) {
        json_decref(leases);
        return NULL;
    }
    return leases;
}

int lookup_lease(const char *text, uint64_t *out)
{
    json_t *status;
    json_t *leases;
    size_t count;
    int rc;

    if (lease_id_parse(text, out) == E_OK) {
        return 0;
    }
    rc = lookup_status(&status);
    if (rc != 0) {
        return rc;
    }
    leases = lookup_leases(status, text);
    count = json_array_size(leases);
    if (count == 1) {
        *out = field_number(json_array_get(leases, 0), "lease");
        rc = 0;
    } else if (count == 0) {
        say("'%s' is no service with a lease; see 'gpucoord status'", text);
        rc = err_exit(E_NOT_FOUND);
    } else {
        say("'%s' has %zu leases; name one by its number, see 'gpucoord why "
            "%s'",
            text, count, text);
        rc = err_exit(E_AMBIGUOUS);
    }
    json_decref(leases);
    json_decref(status);
    return rc;
}
