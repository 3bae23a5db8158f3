/* Any bytes as any body: nothing crashes, every refusal says why in valid
 * JSON, and what is accepted survives being written and read again. */
#include "http/problem.h"
#include "proto/api.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The refusal as the daemon would send it is an answer a client can read. */
static void check_refusal(const struct api_error *error)
{
    const struct http_problem problem = {
        .code = error->code, .detail = error->detail, .field = error->field};
    struct api_answer answer;
    struct buf out;

    assert(error->detail[0] != '\0');
    buf_init(&out, 0);
    http_problem_write(&problem, &out);
    assert(api_parse_answer(out.data, out.size, &answer) == E_OK);
    assert(strcmp(answer.detail, error->detail) == 0);
    buf_release(&out);
}

static void check_request(const struct api_request *request)
{
    static struct api_request again;
    struct api_error error;
    struct buf out;

    buf_init(&out, 0);
    api_write_request(&out, request);
    assert(api_parse_request(out.data, out.size, &again, &error) == E_OK);
    assert(again.fields == request->fields);
    assert(again.timeout_ms == request->timeout_ms);
    assert(strcmp(again.job_id, request->job_id) == 0);
    assert(strcmp(again.metadata, request->metadata) == 0);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    static struct api_request request;
    struct api_release release;
    struct api_renew renew;
    struct api_ack ack;
    struct api_cancel cancel;
    struct api_admin admin;
    struct api_answer answer;
    struct api_error error;

    if (api_parse_request(text, size, &request, &error) == E_OK) {
        check_request(&request);
    } else {
        check_refusal(&error);
    }
    if (api_parse_release(text, size, &release, &error) != E_OK) {
        check_refusal(&error);
    }
    if (api_parse_renew(text, size, &renew, &error) != E_OK) {
        check_refusal(&error);
    }
    if (api_parse_ack(text, size, &ack, &error) != E_OK) {
        check_refusal(&error);
    }
    if (api_parse_cancel(text, size, &cancel, &error) != E_OK) {
        check_refusal(&error);
    }
    for (int action = 0; action < API_ADMIN_ACTIONS; action++) {
        if (api_parse_admin(text, size, (enum api_admin_action)action, &admin,
                            &error) != E_OK) {
            check_refusal(&error);
        }
    }
    (void)!api_parse_answer(text, size, &answer);
    return 0;
}
