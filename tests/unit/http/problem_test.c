/* What a refusal says, byte for byte, and that a client reads it. */
#include "base/buf.h"
#include "http/problem.h"
#include "proto/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void a_problem_says_what_helps(void **state)
{
    const struct http_problem plain = {.code = E_STALE};
    const struct http_problem full = {.code = E_LIMIT,
                                      .detail = "10000 wait already",
                                      .field = "service_id",
                                      .retry_after_ms = 1500};
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    http_problem_write(&plain, &out);
    assert_string_equal(buf_string(&out),
                        "{\"type\":\"/stale-token\",\"title\":\"the token is "
                        "not the lease's newest\",\"status\":409,\"detail\":"
                        "\"the token is not the lease's newest\"}");
    buf_clear(&out);
    http_problem_write(&full, &out);
    assert_string_equal(buf_string(&out),
                        "{\"type\":\"/queue-full\",\"title\":\"a configured "
                        "limit was reached\",\"status\":429,\"detail\":\"10000 "
                        "wait already\",\"field\":\"service_id\","
                        "\"retry_after_ms\":1500}");
    buf_release(&out);
}

static void a_client_reads_a_problem(void **state)
{
    const struct http_problem problem = {.code = E_TIMEOUT,
                                         .detail = "held by \"asr\"",
                                         .retry_after_ms = 60000};
    struct api_answer answer;
    struct buf out;

    (void)state;
    buf_init(&out, 0);
    http_problem_write(&problem, &out);
    assert_int_equal(api_parse_answer(out.data, out.size, &answer), E_OK);
    assert_string_equal(answer.type, "/wait-timeout");
    assert_string_equal(answer.detail, "held by \"asr\"");
    assert_int_equal(answer.status, 503);
    assert_int_equal(answer.retry_after_ms, 60000);
    assert_int_equal(answer.token, 0);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_says_what_helps),
        cmocka_unit_test(a_client_reads_a_problem),
    };

    return cmocka_run_group_tests_name("http/problem", tests, NULL, NULL);
}
