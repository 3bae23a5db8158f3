/* What the options say is what the request's body has. */
#include "cli/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct api_request request;

static void expect_body(const struct ask *ask, const char *json)
{
    struct buf body;

    assert_int_equal(ask_fill(ask, &request), E_OK);
    buf_init(&body, 0);
    api_write_request(&body, &request);
    assert_string_equal(buf_string(&body), json);
    buf_release(&body);
}

/* B1: what was not given is left to the coordinator's configuration. */
static void only_what_was_given_is_sent(void **state)
{
    struct ask ask = ASK_NONE;

    (void)state;
    ask.service = "gemma-service";
    expect_body(&ask, "{\"service_id\":\"gemma-service\"}");
    ask.priority = 0;
    ask.timeout_ms = 5000;
    expect_body(&ask, "{\"service_id\":\"gemma-service\",\"priority\":0,"
                      "\"timeout_ms\":5000}");
}

static void everything_is_sent(void **state)
{
    struct ask ask = ASK_NONE;

    (void)state;
    ask.service = "x";
    ask.class_name = "chatbot";
    ask.device = "1,GPU-a";
    ask.job = "night \"run\"";
    ask.metadata = "{ \"a\": [1] }";
    ask.ttl_ms = 60000;
    ask.vram_mib = 4096;
    ask.gpus = 2;
    assert_int_equal(ask_fill(&ask, &request), E_OK);
    assert_string_equal(request.class_name, "chatbot");
    assert_string_equal(request.job_id, "night \"run\"");
    assert_string_equal(request.metadata, "{\"a\":[1]}");
    assert_int_equal(request.ttl_ms, 60000);
    assert_int_equal(request.vram_mib, 4096);
    assert_int_equal(request.gpus, 2);
    assert_int_equal(request.devices.count, 2);
    assert_int_equal(request.fields, API_HAS_CLASS | API_HAS_DEVICE |
                                         API_HAS_JOB | API_HAS_METADATA |
                                         API_HAS_TTL | API_HAS_VRAM |
                                         API_HAS_GPUS);
}

static void malformed_ones_are_refused(void **state)
{
    const struct ask good = ASK_NONE;
    struct ask ask = good;
    char long_job[API_JOB_MAX + 2];

    (void)state;
    ask.service = "no spaces";
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    ask = good;
    ask.class_name = "";
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    ask = good;
    ask.metadata = "[1]";
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    ask.metadata = "{";
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    ask = good;
    ask.device = "-1";
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    ask = good;
    ask.job = "";
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    memset(long_job, 'j', sizeof long_job - 1);
    long_job[sizeof long_job - 1] = '\0';
    ask.job = long_job;
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    ask.job = long_job + 1;
    assert_int_equal(ask_fill(&ask, &request), E_OK);
}

static void large_metadata_is_refused(void **state)
{
    static char text[API_METADATA_MAX + 16];
    struct ask ask = ASK_NONE;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + API_METADATA_MAX - 1, "\"}", 3);
    ask.metadata = text;
    assert_int_equal(ask_fill(&ask, &request), E_INVALID);
    memcpy(text + API_METADATA_MAX - 2, "\"}", 3);
    assert_int_equal(ask_fill(&ask, &request), E_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_was_given_is_sent),
        cmocka_unit_test(everything_is_sent),
        cmocka_unit_test(malformed_ones_are_refused),
        cmocka_unit_test(large_metadata_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
