/* Any bytes as an answer in Redis: nothing crashes, every refusal says why,
 * and what is accepted is a body that the call reads or refuses by a field. */
#include "proto/pubsub.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The refusal as it is published is JSON again. */
static void check_refusal(const struct api_error *error)
{
    struct pubsub_command command = {.name = "refuse",
                                     .error = err_type(error->code),
                                     .detail = error->detail,
                                     .field = error->field};
    struct api_answer answer;
    struct buf out;

    assert(error->detail[0] != '\0');
    buf_init(&out, 0);
    pubsub_write(&out, &command);
    assert(api_parse_answer(out.data, out.size, &answer) == E_OK);
    assert(strcmp(answer.detail, error->detail) == 0);
    buf_release(&out);
}

/* Read @body as the call of @type does. */
static int read_body(enum pubsub_type type,
                     const struct buf *body,
                     struct api_error *error)
{
    static struct api_request request;
    struct api_release release;
    struct api_renew renew;
    struct api_ack ack;

    switch (type) {
    case PUBSUB_PAUSED:
    case PUBSUB_RESUMED:
    case PUBSUB_ERROR:
        return api_parse_ack(body->data, body->size, &ack, error);
    case PUBSUB_RENEW:
        return api_parse_renew(body->data, body->size, &renew, error);
    case PUBSUB_RELEASE:
        return api_parse_release(body->data, body->size, &release, error);
    case PUBSUB_REQUEST:
        return api_parse_request(body->data, body->size, &request, error);
    case PUBSUB_CLAIM:
    case PUBSUB_TYPES:
        break;
    }
    return E_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pubsub_answer answer;
    struct api_error error = {0};
    struct buf body;
    int rc;

    buf_init(&body, 0);
    if (pubsub_parse((const char *)data, size, "asr", &answer, &error) ==
        E_OK) {
        pubsub_write_body(&body, &answer, 42, answer.token);
        rc = read_body(answer.type, &body, &error);
        /* Metadata is the caller's: a request may be nested too deeply. */
        assert(rc != E_SYNTAX || answer.type == PUBSUB_REQUEST);
        assert(rc == E_OK || error.field[0] != '\0' || rc == E_SYNTAX);
    } else {
        check_refusal(&error);
    }
    pubsub_release(&answer);
    buf_release(&body);
    return 0;
}
