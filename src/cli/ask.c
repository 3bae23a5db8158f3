#include "cli/ask.h"

#include "cli/devices.h"
#include "cli/say.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Copy the name @from, if it was given, to @to. */
static int take_name(const char *option, const char *from, char *to)
{
    if (from == NULL) {
        return E_OK;
    }
    if (!api_is_name(from, strlen(from))) {
        say("--%s: '%s' is not 1 to %d of A-Z a-z 0-9 . _ -", option, from,
            API_NAME_MAX);
        return E_INVALID;
    }
    memcpy(to, from, strlen(from) + 1);
    return E_OK;
}

static int take_job(const char *job, struct api_request *out)
{
    if (job == NULL) {
        return E_OK;
    }
    if (job[0] == '\0' || strlen(job) > API_JOB_MAX) {
        say("--job: not 1 to %d bytes", API_JOB_MAX);
        return E_INVALID;
    }
    memcpy(out->job_id, job, strlen(job) + 1);
    out->fields |= API_HAS_JOB;
    return E_OK;
}

static int take_metadata(const char *text, struct api_request *out)
{
    json_error_t error;
    json_t *object;
    char *packed;
    int rc = E_INVALID;

    if (text == NULL) {
        return E_OK;
    }
    object = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    packed = json_dumps(object, JSON_COMPACT);
    if (!json_is_object(object) || packed == NULL) {
        say("--metadata: not a JSON object%s%s", object == NULL ? ": " : "",
            object == NULL ? error.text : "");
    } else if (strlen(packed) > API_METADATA_MAX) {
        say("--metadata: larger than %d bytes", API_METADATA_MAX);
    } else {
        memcpy(out->metadata, packed, strlen(packed) + 1);
        out->fields |= API_HAS_METADATA;
        rc = E_OK;
    }
    free(packed);
    json_decref(object);
    return rc;
}

static int take_devices(const char *list, struct api_request *out)
{
    if (list == NULL) {
        return E_OK;
    }
    if (devices_parse(list, &out->devices) != E_OK || out->devices.count == 0) {
        say("--device: '%s' is not a list as 0,1 or GPU-8932f937-…", list);
        return E_INVALID;
    }
    out->fields |= API_HAS_DEVICE;
    return E_OK;
}

/* Copy the number @from, whose option has a maximum, if it was given. */
static void take_number(uint64_t from,
                        enum api_fields field,
                        uint32_t *to,
                        uint32_t *fields)
{
    if (from != ARGS_UNSET) {
        *to = (uint32_t)from;
        *fields |= field;
    }
}

int ask_fill(const struct ask *ask, struct api_request *out)
{
    *out = (struct api_request){.fields = 0};
    if (take_name("service", ask->service, out->service_id) != E_OK ||
        take_name("class", ask->class_name, out->class_name) != E_OK ||
        take_job(ask->job, out) != E_OK ||
        take_metadata(ask->metadata, out) != E_OK ||
        take_devices(ask->device, out) != E_OK) {
        return E_INVALID;
    }
    if (ask->class_name != NULL) {
        out->fields |= API_HAS_CLASS;
    }
    take_number(ask->priority, API_HAS_PRIORITY, &out->priority, &out->fields);
    take_number(ask->ttl_ms, API_HAS_TTL, &out->ttl_ms, &out->fields);
    take_number(ask->vram_mib, API_HAS_VRAM, &out->vram_mib, &out->fields);
    take_number(ask->gpus, API_HAS_GPUS, &out->gpus, &out->fields);
    if (ask->timeout_ms != ARGS_UNSET) {
        out->timeout_ms = ask->timeout_ms;
        out->fields |= API_HAS_TIMEOUT;
    }
    return E_OK;
}
