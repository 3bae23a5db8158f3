/* Guarantee 16: whichever allocation fails while a body or a trace is read, the
 * answer says that there is no memory, and nothing is made of half of it. */
#include "proto/api.h"
#include "proto/pubsub.h"
#include "proto/trace.h"

#include "lib/fault_malloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static struct api_error error;

static int read_request(const char *text, void *out)
{
    return api_parse_request(text, strlen(text), out, &error);
}

static int read_release(const char *text, void *out)
{
    return api_parse_release(text, strlen(text), out, &error);
}

static int read_ack(const char *text, void *out)
{
    return api_parse_ack(text, strlen(text), out, &error);
}

static int read_admin(const char *text, void *out)
{
    return api_parse_admin(text, strlen(text), API_ADMIN_DRAIN, out, &error);
}

static int read_answer(const char *text, void *out)
{
    return api_parse_answer(text, strlen(text), out);
}

static int read_trace(const char *text, void *out)
{
    struct trace_error where;
    struct trace trace;
    int rc = trace_parse(text, strlen(text), &trace_defaults, &trace, &where);

    if (rc == E_OK) {
        memcpy(out, &trace.count, sizeof trace.count);
        trace_release(&trace);
    }
    return rc;
}

static int read_pubsub(const char *text, void *out)
{
    struct pubsub_answer answer;
    int rc = pubsub_parse(text, strlen(text), "asr", &answer, &error);

    if (rc == E_OK) {
        memcpy(out, answer.job_id, sizeof answer.job_id);
    }
    pubsub_release(&answer);
    return rc;
}

/* Long ways: the metadata, the list and the escapes go through jansson. */
static const struct {
    int (*read)(const char *text, void *out);
    const char *text;
    int rc; /* With memory. */
} cases[] = {
    {read_request,
     "{\"service_id\":\"a\\u0062c\",\"job_id\":\"j\\u00f6\",\"class\":\"x\","
     "\"metadata\":{\"a\":[1,2.5,{\"b\":null}],\"c\":\"\\u20ac\"},"
     "\"device\":[0,\"GPU-1\"],\"timeout_ms\":1}",
     E_OK},
    {read_request, "{\"service_id\":\"a\",\"metadata\":[1]}", E_INVALID},
    {read_request, "{\"service_id\":\"a\",\"service_id\":\"b\"}", E_SYNTAX},
    {read_request, "{\"service_id\":\"a\",\"n\":1e999}", E_INVALID},
    {read_release, "{\"lease\":1,\"token\":2,\"x\":{\"y\":[]}}", E_OK},
    {read_ack,
     "{\"lease\":1,\"token\":2,\"action\":\"error\",\"detail\":\"\\u0041\"}",
     E_OK},
    {read_admin, "{\"device\":[0,1],\"x\":{}}", E_OK},
    {read_answer,
     "{\"lease\":1,\"token\":2,\"devices\":[{\"index\":0,\"uuid\":\"G\"}],"
     "\"control\":{\"action\":\"pause\",\"deadline_ms\":5}}",
     E_OK},
    {read_pubsub,
     "{\"ack_type\":\"request\",\"metadata\":{\"job_id\":\"j\",\"x\":[]}}",
     E_OK},
    {read_pubsub,
     "{\"ack_type\":\"error\",\"session_id\":\"7\",\"error\":\"x\"}", E_OK},
    {read_pubsub,
     "{\"ack_type\":\"paused\",\"session_id\":\"7\","
     "\"metadata\":{\"vram_mib\":1}}",
     E_OK},
    {read_trace, "class,at_ms,work_ms\nchatbot,1,2\nvoice,3,4\n", E_OK},
    {read_trace, "class,at_ms,work_ms\nchatbot,1\n", E_INVALID},
};

static void failed_allocation_is_said_and_nothing_half_is_taken(void **state)
{
    static union {
        struct api_request request;
        struct api_answer answer;
        char bytes[32768];
    } expected, got;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool was_reached = true;
        uint64_t n;

        for (n = 0; was_reached; n++) {
            int rc;

            memset(&got, 0, sizeof got);
            if (n != 0) {
                fault_malloc_arm(n, 1);
            }
            rc = cases[i].read(cases[i].text, &got);
            was_reached = fault_malloc_disarm() || n == 0;
            if (rc != cases[i].rc && (n == 0 || rc != E_NOMEM)) {
                fail_msg("case %zu, allocation %d: %d", i, (int)n, rc);
            }
            if (n == 0) {
                expected = got;
            } else if (rc == E_OK) {
                assert_memory_equal(&got, &expected, sizeof got);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_allocation_is_said_and_nothing_half_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
