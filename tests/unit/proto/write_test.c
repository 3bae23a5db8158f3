/* What the coordinator says, byte for byte as the interfaces have it, and
 * that a client reads it back. */
#include "proto/api.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct api_grant_device devices[] = {{0, 24320, "GPU-1"}};

static const struct api_grant grant = {
    .lease = 42,
    .token = 1007,
    .guarantee = "verified",
    .service_id = "gemma-service",
    .ttl_ms = 30000,
    .renew_in_ms = 10000,
    .waited_ms = 3,
    .devices = devices,
    .device_count = 1,
};

#define GRANT                                                       \
    "\"lease\":42,\"token\":1007,\"state\":\"held\",\"guarantee\":" \
    "\"verified\",\"service_id\":\"gemma-service\",\"class\":null," \
    "\"priority\":0,\"devices\":[{\"index\":0,\"uuid\":\"GPU-1\","  \
    "\"vram_mib\":24320}],\"ttl_ms\":30000,\"renew_in_ms\":10000,"  \
    "\"waited_ms\":3}"

/* Compare what was written, see that it is JSON, and empty the buffer. */
static void expect(struct buf *out, const char *json)
{
    json_t *root;

    assert_int_equal(buf_error(out), E_OK);
    assert_string_equal(buf_string(out), json);
    root = json_loads(buf_string(out), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    json_decref(root);
    buf_clear(out);
}

static void answers_are_as_documented(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    api_write_grant(&out, &grant);
    expect(&out, "{" GRANT);
    api_write_queued(&out, 42, 2);
    expect(&out, "{\"lease\":42,\"state\":\"queued\",\"position\":2}");
    api_write_ended(&out, "released", 1500);
    expect(&out,
           "{\"state\":\"ended\",\"reason\":\"released\",\"held_ms\":1500}");
    api_write_state(&out, 42, "paused");
    expect(&out, "{\"lease\":42,\"state\":\"paused\"}");
    buf_release(&out);
}

static void a_renewal_carries_the_pending_command(void **state)
{
    struct api_control pause = {
        .type = API_CONTROL_PAUSE, .deadline_ms = 9000, .release_mib = 16384};
    struct api_control resume = {.type = API_CONTROL_RESUME, .grant = &grant};
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    api_write_renewed(&out, 30000, 10000, NULL);
    expect(&out, "{\"expires_in_ms\":30000,\"renew_in_ms\":10000,"
                 "\"control\":null}");
    api_write_renewed(&out, 30000, 1000, &pause);
    expect(&out, "{\"expires_in_ms\":30000,\"renew_in_ms\":1000,\"control\":"
                 "{\"action\":\"pause\",\"deadline_ms\":9000,"
                 "\"release_mib\":16384}}");
    api_write_renewed(&out, 30000, 1000, &resume);
    expect(&out, "{\"expires_in_ms\":30000,\"renew_in_ms\":1000,\"control\":"
                 "{\"action\":\"resume\"," GRANT "}");
    buf_release(&out);
}

/* B5: each command carries what its receiver needs. */
static void commands_are_as_documented(void **state)
{
    struct api_control control = {.lease = 42,
                                  .token = 1007,
                                  .deadline_ms = 10000,
                                  .release_mib = 16384,
                                  .reason = "expired",
                                  .grant = &grant};
    static const struct {
        enum api_control_type type;
        const char *name;
        const char *data;
    } expected[] = {
        {API_CONTROL_OFFER, "offer", "{\"lease\":42,\"job_id\":null}"},
        {API_CONTROL_GRANT, "grant", "{" GRANT},
        {API_CONTROL_PAUSE, "pause",
         "{\"lease\":42,\"token\":1007,\"requester\":null,"
         "\"deadline_ms\":10000,\"release_mib\":16384}"},
        {API_CONTROL_RESUME, "resume", "{" GRANT},
        {API_CONTROL_UNLOAD, "unload",
         "{\"release_mib\":16384,\"deadline_ms\":10000}"},
        {API_CONTROL_REVOKE, "revoke",
         "{\"lease\":42,\"token\":1007,\"reason\":\"expired\"}"},
        {API_CONTROL_SHUTDOWN, "shutdown",
         "{\"lease\":42,\"token\":1007,\"deadline_ms\":10000}"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        control.type = expected[i].type;
        assert_string_equal(api_control_name(control.type), expected[i].name);
        api_write_control(&out, &control);
        expect(&out, expected[i].data);
    }
    buf_release(&out);
}

/* A job's name is any text: it may not break out of its quotes, nor end the
 * line of an event. */
static void texts_are_escaped(void **state)
{
    struct api_control offer = {
        .type = API_CONTROL_OFFER, .lease = 1, .job_id = "a\"\\\n\x01\xc3\xa9"};
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    api_write_control(&out, &offer);
    expect(&out,
           "{\"lease\":1,\"job_id\":\"a\\\"\\\\\\u000a\\u0001\xc3\xa9\"}");
    buf_release(&out);
}

static void a_client_reads_what_was_written(void **state)
{
    struct api_control resume = {.type = API_CONTROL_RESUME, .grant = &grant};
    struct api_answer answer;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    api_write_renewed(&out, 30000, 1000, &resume);
    assert_int_equal(api_parse_answer(out.data, out.size, &answer), E_OK);
    assert_int_equal(answer.expires_in_ms, 30000);
    assert_string_equal(answer.action, "resume");
    assert_int_equal(answer.token, 1007);
    assert_int_equal(answer.renew_in_ms, 10000); /* The grant's is newer. */
    assert_int_equal(answer.devices.count, 1);
    assert_string_equal(answer.devices.items[0].uuid, "GPU-1");
    buf_release(&out);
}

/* Whatever a proxy in between answers is refused, not believed. */
static void a_client_refuses_what_is_not_an_answer(void **state)
{
    static const char *const bad[] = {"", "<html>", "[]", "{\"lease\":1e999}"};
    struct api_answer answer;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(api_parse_answer(bad[i], strlen(bad[i]), &answer),
                         E_SYNTAX);
    }
    assert_int_equal(
        api_parse_answer("{\"lease\":-1,\"state\":7}", 22, &answer), E_OK);
    assert_int_equal(answer.lease, 0);
    assert_string_equal(answer.state, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_as_documented),
        cmocka_unit_test(a_renewal_carries_the_pending_command),
        cmocka_unit_test(commands_are_as_documented),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(a_client_reads_what_was_written),
        cmocka_unit_test(a_client_refuses_what_is_not_an_answer),
    };

    return cmocka_run_group_tests_name("proto/write", tests, NULL, NULL);
}
