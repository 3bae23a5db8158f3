/* pubsub_test.c - what services publish becomes the body of a call; what we
 * publish has the shape that is documented. */
#include "proto/pubsub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

/* Read @text on the channel of "asr", and compare the body it makes for lease
 * 42. */
static void takes(const char *text, const char *body)
{
    struct pubsub_answer answer;
    struct api_error error = {0};
    struct buf out;

    assert_int_equal(pubsub_parse(text, strlen(text), "asr", &answer, &error),
                     E_OK);
    buf_init(&out, 0);
    pubsub_write_body(&out, &answer, 42, answer.token);
    assert_string_equal(buf_string(&out), body);
    buf_release(&out);
    pubsub_release(&answer);
}

static void refuses(const char *text, int code, const char *field)
{
    struct pubsub_answer answer;
    struct api_error error = {0};

    assert_int_equal(pubsub_parse(text, strlen(text), "asr", &answer, &error),
                     code);
    assert_int_equal(error.code, code);
    assert_string_equal(error.field, field);
    assert_true(error.detail[0] != '\0');
    pubsub_release(&answer);
}

/* B6: what is said in Redis is the body of the same call over HTTP. */
static void answers_become_the_bodies_of_calls(void **state)
{
    (void)state;
    takes(
        "{\"ack_type\":\"paused\",\"service\":\"asr\",\"session_id\":\"1007\","
        "\"timestamp\":\"x\",\"error\":null,\"metadata\":{\"vram_mib\":300}}",
        "{\"lease\":42,\"token\":1007,\"action\":\"paused\",\"vram_mib\":300}");
    takes("{\"ack_type\":\"resumed\",\"session_id\":\"1007\"}",
          "{\"lease\":42,\"token\":1007,\"action\":\"resumed\"}");
    takes("{\"ack_type\":\"error\",\"session_id\":1007,\"error\":\"a "
          "\\\"b\\\"\"}",
          "{\"lease\":42,\"token\":1007,\"action\":\"error\","
          "\"detail\":\"a \\\"b\\\"\"}");
    takes("{\"ack_type\":\"renew\",\"session_id\":\"1007\"}",
          "{\"lease\":42,\"token\":1007}");
    takes("{\"ack_type\":\"renew\",\"session_id\":\"1007\","
          "\"metadata\":{\"ttl_ms\":5000,\"other\":1}}",
          "{\"lease\":42,\"token\":1007,\"ttl_ms\":5000}");
    takes(
        "{\"ack_type\":\"release\",\"session_id\":\"1007\",\"metadata\":null}",
        "{\"lease\":42,\"token\":1007}");
    takes("{\"ack_type\":\"request\",\"session_id\":null,"
          "\"metadata\":{\"job_id\":\"j\",\"wait\":false}}",
          "{\"job_id\":\"j\",\"wait\":false,\"service_id\":\"asr\"}");
}

static void a_request_keeps_its_job_and_a_claim_its_lease(void **state)
{
    static const char request[] =
        "{\"ack_type\":\"request\",\"metadata\":{\"job_id\":\"j\"}}";
    static const char claim[] =
        "{\"ack_type\":\"claim\",\"metadata\":{\"lease\":7}}";
    struct pubsub_answer answer;
    struct api_error error;

    (void)state;
    assert_int_equal(
        pubsub_parse(request, strlen(request), "asr", &answer, &error), E_OK);
    assert_string_equal(answer.job_id, "j");
    pubsub_release(&answer);
    assert_int_equal(pubsub_parse(claim, strlen(claim), "asr", &answer, &error),
                     E_OK);
    assert_int_equal(answer.type, PUBSUB_CLAIM);
    assert_int_equal(answer.lease, 7);
    assert_int_equal(answer.token, 0);
    pubsub_release(&answer);
}

static void what_is_no_answer_is_refused_by_its_field(void **state)
{
    static const char *const ids[] = {"\"\"",
                                      "\"0\"",
                                      "0",
                                      "-1",
                                      "1.5",
                                      "\"5 \"",
                                      "true",
                                      "\"x\"",
                                      "[]",
                                      "\"9007199254740992\"",
                                      "9007199254740992"};
    char text[200];
    char *big;
    size_t i;

    (void)state;
    refuses("", E_SYNTAX, "");
    refuses("[]", E_SYNTAX, "");
    refuses("{\"ack_type\":\"renew\",\"ack_type\":\"renew\"}", E_SYNTAX, "");
    refuses("{}", E_INVALID, "ack_type");
    refuses("{\"ack_type\":7}", E_INVALID, "ack_type");
    refuses("{\"ack_type\":\"Paused\"}", E_INVALID, "ack_type");
    refuses("{\"ack_type\":\"renew\",\"service\":\"x\"}", E_INVALID, "service");
    refuses("{\"ack_type\":\"renew\",\"service\":7}", E_INVALID, "service");
    refuses("{\"ack_type\":\"renew\"}", E_INVALID, "session_id");
    for (i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        (void)snprintf(text, sizeof text,
                       "{\"ack_type\":\"renew\",\"session_id\":%s}", ids[i]);
        refuses(text, E_INVALID, "session_id");
    }
    refuses("{\"ack_type\":\"request\"}", E_INVALID, "metadata");
    refuses("{\"ack_type\":\"request\",\"metadata\":[]}", E_INVALID,
            "metadata");
    refuses("{\"ack_type\":\"request\",\"metadata\":{\"wait\":true}}",
            E_INVALID, "wait");
    refuses("{\"ack_type\":\"request\",\"metadata\":{\"service_id\":\"x\"}}",
            E_INVALID, "service_id");
    refuses("{\"ack_type\":\"claim\"}", E_INVALID, "lease");
    refuses("{\"ack_type\":\"claim\",\"metadata\":{\"lease\":-1}}", E_INVALID,
            "lease");
    refuses("{\"ack_type\":\"error\",\"session_id\":\"1\",\"error\":7}",
            E_INVALID, "error");
    big = malloc(PUBSUB_SIZE_MAX + 2);
    assert_non_null(big);
    memset(big, ' ', PUBSUB_SIZE_MAX + 1);
    big[PUBSUB_SIZE_MAX + 1] = '\0';
    refuses(big, E_TOO_BIG, "");
    free(big);
}

static void commands_have_their_documented_shape(void **state)
{
    struct pubsub_command command = {.name = "pause",
                                     .token = 1007,
                                     .lease = 42,
                                     .requester = "gemma-service",
                                     .wall_ms = 0,
                                     .timeout_ms = 10000,
                                     .release_mib = 16384};
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    pubsub_write(&out, &command);
    assert_string_equal(
        buf_string(&out),
        "{\"command\":\"pause\",\"session_id\":\"1007\","
        "\"requester\":\"gemma-service\","
        "\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"timeout_ms\":10000,"
        "\"lease\":42,\"token\":1007,\"release_mib\":16384}");
    buf_clear(&out);
    command = (struct pubsub_command){
        .name = "refuse", .job_id = "a", .error = "invalid", .detail = "no"};
    pubsub_write(&out, &command);
    assert_string_equal(
        buf_string(&out),
        "{\"command\":\"refuse\",\"session_id\":null,\"requester\":null,"
        "\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"timeout_ms\":0,"
        "\"lease\":null,\"token\":null,\"release_mib\":0,\"job_id\":\"a\","
        "\"error\":\"invalid\",\"detail\":\"no\"}");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_become_the_bodies_of_calls),
        cmocka_unit_test(a_request_keeps_its_job_and_a_claim_its_lease),
        cmocka_unit_test(what_is_no_answer_is_refused_by_its_field),
        cmocka_unit_test(commands_have_their_documented_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
