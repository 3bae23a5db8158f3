/* What the coordinator makes of the bodies it is sent (B1, B2 and the bad
 * inputs of guarantee 15). */
#include "proto/api.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int
parse(const char *json, struct api_request *request, struct api_error *error)
{
    return api_parse_request(json, strlen(json), request, error);
}

/* B1: exactly these fields are enough. */
static void three_fields_are_a_request(void **state)
{
    struct api_request request;
    struct api_error error;

    (void)state;
    assert_int_equal(parse("{\"service_id\":\"gemma-service\",\"priority\":0,"
                           "\"timeout_ms\":5000}",
                           &request, &error),
                     E_OK);
    assert_int_equal(request.fields, API_HAS_PRIORITY | API_HAS_TIMEOUT);
    assert_string_equal(request.service_id, "gemma-service");
    assert_int_equal(request.priority, 0);
    assert_int_equal(request.timeout_ms, 5000);
    assert_int_equal(request.ttl_ms, 30000);
    assert_int_equal(request.gpus, 1);
    assert_true(request.waits);
    assert_string_equal(request.metadata, "{}");
}

static const char everything[] =
    "{\"service_id\":\"a\",\"class\":\"chatbot\",\"priority\":1,"
    "\"timeout_ms\":0,\"ttl_ms\":1000,\"vram_mib\":4096,\"gpus\":2,"
    "\"device\":[0,\"GPU-1\"],\"job_id\":\"j \\u00e9\","
    "\"metadata\":{\"k\":[1,2.5,null]},\"preemptible\":false,\"wait\":true,"
    "\"hold\":\"connection\",\"watch_pid\":0,\"ladder\":[\"ask\",\"term\"]}";

static void every_field_has_its_place(void **state)
{
    struct api_request request;
    struct api_error error;

    (void)state;
    assert_int_equal(parse(everything, &request, &error), E_OK);
    assert_int_equal(request.fields, (API_HAS_LADDER << 1) - 1);
    assert_string_equal(request.class_name, "chatbot");
    assert_int_equal(request.vram_mib, 4096);
    assert_int_equal(request.devices.count, 2);
    assert_int_equal(request.devices.items[0].index, 0);
    assert_string_equal(request.devices.items[0].uuid, "");
    assert_string_equal(request.devices.items[1].uuid, "GPU-1");
    assert_string_equal(request.job_id, "j \xc3\xa9");
    assert_string_equal(request.metadata, "{\"k\":[1,2.5,null]}");
    assert_false(request.is_preemptible);
    assert_true(request.holds_by_connection);
    assert_int_equal(request.ladder, RUNG_ASK | RUNG_TERM << 4);
}

static void a_request_written_reads_as_the_same(void **state)
{
    struct api_request request;
    struct api_request again;
    struct api_error error;
    struct buf one;
    struct buf two;

    (void)state;
    buf_init(&one, 0);
    buf_init(&two, 0);
    assert_int_equal(parse(everything, &request, &error), E_OK);
    api_write_request(&one, &request);
    assert_int_equal(parse(buf_string(&one), &again, &error), E_OK);
    api_write_request(&two, &again);
    assert_string_equal(buf_string(&one), buf_string(&two));
    buf_release(&one);
    buf_release(&two);
}

/* A client that sends null means "as usual"; one that sends more than we know
 * is newer than we are. */
static void null_and_unknown_fields_are_nothing(void **state)
{
    struct api_request request;
    struct api_error error;

    (void)state;
    assert_int_equal(parse(" {\"service_id\" : \"a\", \"class\":null,\r\n"
                           "\t\"colour\":{\"priority\":77}} ",
                           &request, &error),
                     E_OK);
    assert_int_equal(request.fields, 0);
}

struct bad {
    const char *json;
    int code;
    const char *field;
    const char *detail; /* NULL = any. */
};

#define S "{\"service_id\":\"a\","

static const struct bad bad_requests[] = {
    {S "\"priority\":\"5\"}", E_INVALID, "priority",
     "\"priority\" must be a whole number from 0 to 9, not \"5\""},
    {S "\"priority\":1.5}", E_INVALID, "priority",
     "\"priority\" must be a whole number from 0 to 9, not 1.5"},
    {S "\"priority\":-1}", E_INVALID, "priority",
     "\"priority\" must be a whole number from 0 to 9, not -1"},
    {S "\"priority\":10}", E_INVALID, "priority",
     "\"priority\" must be a whole number from 0 to 9, not 10"},
    {S "\"priority\":true}", E_INVALID, "priority",
     "\"priority\" must be a whole number from 0 to 9, not true"},
    {S "\"timeout_ms\":9007199254740992}", E_INVALID, "timeout_ms", NULL},
    {S "\"timeout_ms\":86400001}", E_INVALID, "timeout_ms", NULL},
    {S "\"vram_mib\":9223372036854775808,\"ttl_ms\":5}", E_INVALID, "vram_mib",
     "\"vram_mib\" must be a whole number from 0 to 16777216"},
    {S "\"vram_mib\":2147483648}", E_INVALID, "vram_mib", NULL},
    {S "\"ttl_ms\":1e999}", E_INVALID, "ttl_ms",
     "\"ttl_ms\" must be a whole number from 1000 to 600000"},
    {S "\"ttl_ms\":-1e999,\"gpus\":1}", E_INVALID, "ttl_ms", NULL},
    {S "\"metadata\":{\"ttl_ms\":1e999}}", E_INVALID, "metadata",
     "a number in \"metadata\" is too large to be read"},
    {S "\"ttl_ms\":999}", E_INVALID, "ttl_ms", NULL},
    {S "\"ttl_ms\":1e4}", E_INVALID, "ttl_ms",
     "\"ttl_ms\" must be a whole number from 1000 to 600000, not 10000"},
    {S "\"gpus\":0}", E_INVALID, "gpus", NULL},
    {S "\"gpus\":2,\"device\":0}", E_INVALID, "gpus",
     "\"gpus\" must be at most 1, the devices that \"device\" names, not 2"},
    {S "\"device\":64}", E_INVALID, "device", NULL},
    {S "\"device\":[]}", E_INVALID, "device", NULL},
    {S "\"device\":[0,[1]]}", E_INVALID, "device", NULL},
    {S "\"device\":\"GPU 1\"}", E_INVALID, "device",
     "\"device\" must be an index from 0 to 63, a UUID, or an array of them, "
     "not \"GPU 1\""},
    {S "\"job_id\":\"\"}", E_INVALID, "job_id", NULL},
    {S "\"job_id\":\"a\\nb\"}", E_INVALID, "job_id",
     "\"job_id\" must be a text of 1 to 128 bytes without control characters, "
     "not this text"},
    {S "\"job_id\":\"a\\u0000b\"}", E_SYNTAX, "", NULL},
    {S "\"metadata\":[]}", E_INVALID, "metadata",
     "\"metadata\" must be an object of at most 4096 bytes, not this array"},
    {S "\"preemptible\":1}", E_INVALID, "preemptible",
     "\"preemptible\" must be true or false, not 1"},
    {S "\"wait\":false}", E_INVALID, "job_id", NULL},
    {S "\"wait\":false,\"job_id\":\"j\",\"hold\":\"connection\"}", E_INVALID,
     "hold", NULL},
    {S "\"hold\":\"conn\"}", E_INVALID, "hold",
     "\"hold\" must be \"lease\" or \"connection\", not \"conn\""},
    {S "\"watch_pid\":4194305}", E_INVALID, "watch_pid", NULL},
    {S "\"ladder\":[\"term\",\"ask\"]}", E_INVALID, "ladder",
     "\"ladder\" must be an array of rungs in their order, as [\"ask\", "
     "\"checkpoint\", \"term\"], not this array"},
    {S "\"ladder\":[\"ask\",\"ask\"]}", E_INVALID, "ladder", NULL},
    {S "\"ladder\":[\"ask\",1]}", E_INVALID, "ladder", NULL},
    {S "\"ladder\":[\"none\"]}", E_INVALID, "ladder", NULL},
    {S "\"ladder\":[]}", E_INVALID, "ladder", NULL},
    {S "\"ladder\":\"ask\"}", E_INVALID, "ladder", NULL},
    {"{\"priority\":0}", E_INVALID, "service_id", "\"service_id\" is required"},
    {"{\"service_id\":null}", E_INVALID, "service_id", NULL},
    {"{\"service_id\":\"\"}", E_INVALID, "service_id", NULL},
    {"{\"service_id\":7}", E_INVALID, "service_id",
     "\"service_id\" must be 1 to 64 of A-Z a-z 0-9 . _ -, not 7"},
    {"{\"service_id\":\"../x\"}", E_INVALID, "service_id", NULL},
    {"{\"service_id\":\"a\\nb\"}", E_INVALID, "service_id", NULL},
    {"{\"service_id\":\"a\\\"b\"}", E_INVALID, "service_id", NULL},
    {"{\"service_id\":\"\xf0\x9f\x98\x80\"}", E_INVALID, "service_id", NULL},
    {"{\"service_id\":\"0123456789012345678901234567890123456789012345678901"
     "2345678901234\"}",
     E_INVALID, "service_id", NULL},
    {"", E_SYNTAX, "", NULL},
    {"[]", E_SYNTAX, "", "the body must be a JSON object, not an array"},
    {"7", E_SYNTAX, "", NULL},
    {"{\"service_id\":\"a\"", E_SYNTAX, "",
     "the body must be a JSON object: it ends too early (line 1, column 17)"},
    {"{\"service_id\":\"a\"} x", E_SYNTAX, "", NULL},
    {"{\"service_id\":\"a\",\"service_id\":\"a\"}", E_SYNTAX, "",
     "the body must be a JSON object: a field is given twice (line 1, column "
     "30)"},
    {S "\"x\":NaN}", E_SYNTAX, "", NULL},
    {S "\"priority\":01}", E_SYNTAX, "", NULL},
    {S "\"priority\":1,}", E_SYNTAX, "", NULL},
    {S "\"job_id\":\"\\ud800\"}", E_SYNTAX, "", NULL},
    {S "\"job_id\":\"\xff\"}", E_SYNTAX, "", NULL},
    {"\xef\xbb\xbf{\"service_id\":\"a\"}", E_SYNTAX, "", NULL},
    {S "\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}", E_SYNTAX, "",
     "the body is nested deeper than 16 levels"},
};

static void a_bad_request_is_told_which_field_and_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_requests / sizeof bad_requests[0]; i++) {
        const struct bad *bad = &bad_requests[i];
        struct api_request request;
        struct api_error error = {.code = 0};

        if (parse(bad->json, &request, &error) != bad->code ||
            error.code != bad->code || strcmp(error.field, bad->field) != 0 ||
            (bad->detail != NULL && strcmp(error.detail, bad->detail) != 0)) {
            fail_msg("%s: %d '%s' \"%s\"", bad->json, error.code, error.field,
                     error.detail);
        }
    }
}

static void metadata_is_limited_to_4_kib(void **state)
{
    struct api_request request;
    struct api_error error;
    struct buf body;

    (void)state;
    buf_init(&body, 0);
    buf_text(&body, S "\"metadata\":{\"k\":\"");
    for (int i = 0; i < API_METADATA_MAX - 8; i++) {
        buf_byte(&body, 'x');
    }
    buf_text(&body, "\"}}");
    assert_int_equal(parse(buf_string(&body), &request, &error), E_OK);
    assert_int_equal(strlen(request.metadata), API_METADATA_MAX);
    body.size -= 3;
    buf_text(&body, "x\"}}");
    assert_int_equal(parse(buf_string(&body), &request, &error), E_INVALID);
    assert_string_equal(error.field, "metadata");
    buf_release(&body);
}

/* B2: by lease and token, or with the service alone. */
static void a_release_names_a_lease_or_a_service(void **state)
{
    static const struct bad bad[] = {
        {"{\"lease\":1}", E_INVALID, "token", NULL},
        {"{\"token\":1}", E_INVALID, "lease", NULL},
        {"{}", E_INVALID, "lease", NULL},
        {"{\"lease\":0,\"token\":1}", E_INVALID, "lease", NULL},
        {"{\"lease\":\"1\",\"token\":1}", E_INVALID, "lease", NULL},
        {"{\"lease\":9007199254740992,\"token\":1}", E_INVALID, "lease", NULL},
    };
    struct api_release release;
    struct api_error error;

    (void)state;
    assert_int_equal(api_parse_release("{\"lease\":42,\"token\":1007}", 25,
                                       &release, &error),
                     E_OK);
    assert_int_equal(release.lease, 42);
    assert_int_equal(release.token, 1007);
    assert_int_equal(
        api_parse_release("{\"service_id\":\"a\"}", 18, &release, &error),
        E_OK);
    assert_string_equal(release.service_id, "a");
    assert_int_equal(release.lease, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(api_parse_release(bad[i].json, strlen(bad[i].json),
                                           &release, &error),
                         bad[i].code);
        assert_string_equal(error.field, bad[i].field);
    }
}

static void an_ack_has_an_action(void **state)
{
    static const char *const actions[] = {"paused", "resumed", "error"};
    struct api_error error;
    struct api_ack ack;
    struct buf body;

    (void)state;
    buf_init(&body, 0);
    for (int i = 0; i < 3; i++) {
        struct api_ack sent = {.lease = 4,
                               .token = 5,
                               .action = (unsigned)i,
                               .detail = "no \"RAM\""};

        buf_clear(&body);
        api_write_ack(&body, &sent);
        assert_non_null(strstr(buf_string(&body), actions[i]));
        assert_int_equal(api_parse_ack(body.data, body.size, &ack, &error),
                         E_OK);
        assert_int_equal(ack.action, i);
        assert_int_equal(ack.token, 5);
    }
    assert_string_equal(ack.detail, "no \"RAM\"");
    assert_int_equal(
        api_parse_ack("{\"lease\":1,\"token\":1}", 21, &ack, &error),
        E_INVALID);
    assert_string_equal(error.field, "action");
    buf_release(&body);
}

/* A detail that is too long is cut between characters, not within one. */
static void a_long_detail_is_cut_whole(void **state)
{
    struct api_error error;
    struct api_ack ack;
    struct buf body;

    (void)state;
    buf_init(&body, 0);
    buf_text(&body, "{\"lease\":1,\"token\":1,\"action\":\"error\","
                    "\"detail\":\"");
    for (int i = 0; i < 200; i++) {
        buf_text(&body, "\xc3\xa9");
    }
    buf_text(&body, "\"}");
    assert_int_equal(api_parse_ack(body.data, body.size, &ack, &error), E_OK);
    assert_int_equal(strlen(ack.detail), 254);
    buf_release(&body);
}

static void renew_and_cancel_are_read(void **state)
{
    struct api_error error;
    struct api_renew renew;
    struct buf written;
    struct api_cancel cancel;
    static const char json[] = "{\"token\":3,\"lease\":2,\"ttl_ms\":60000}";

    (void)state;
    assert_int_equal(api_parse_renew(json, strlen(json), &renew, &error), E_OK);
    assert_int_equal(renew.lease, 2);
    assert_int_equal(renew.token, 3);
    assert_int_equal(renew.ttl_ms, 60000);
    assert_int_equal(
        api_parse_renew("{\"lease\":2,\"token\":3}", 21, &renew, &error), E_OK);
    assert_int_equal(renew.ttl_ms, 0);
    assert_int_equal(renew.watch_pid, 0);
    buf_init(&written, 0);
    api_write_renew(&written, 2, 3, 0);
    assert_string_equal(buf_string(&written), "{\"lease\":2,\"token\":3}");
    buf_clear(&written);
    api_write_renew(&written, 2, 3, 77);
    assert_int_equal(
        api_parse_renew(written.data, written.size, &renew, &error), E_OK);
    assert_int_equal(renew.watch_pid, 77);
    buf_release(&written);
    assert_int_equal(api_parse_cancel("{\"lease\":9}", 11, &cancel, &error),
                     E_OK);
    assert_int_equal(cancel.lease, 9);
    assert_int_equal(api_parse_cancel("{}", 2, &cancel, &error), E_INVALID);
    assert_string_equal(error.field, "lease");
}

static void an_operators_calls_are_read(void **state)
{
    static const char bypass[] = "{\"on\":true,\"for_ms\":3600000}";
    struct api_error error;
    struct api_admin admin;

    (void)state;
    assert_int_equal(api_parse_admin(NULL, 0, API_ADMIN_DRAIN, &admin, &error),
                     E_OK);
    assert_false(admin.stops);
    assert_int_equal(api_parse_admin("{\"stop\":true,\"device\":1}", 24,
                                     API_ADMIN_DRAIN, &admin, &error),
                     E_OK);
    assert_true(admin.stops);
    assert_int_equal(admin.devices.items[0].index, 1);
    assert_int_equal(api_parse_admin(bypass, strlen(bypass), API_ADMIN_BYPASS,
                                     &admin, &error),
                     E_OK);
    assert_true(admin.is_on);
    assert_int_equal(admin.for_ms, 3600000);
    assert_int_equal(api_parse_admin("{}", 2, API_ADMIN_REVOKE, &admin, &error),
                     E_INVALID);
    assert_string_equal(error.field, "lease");
    assert_string_equal(api_admin_name(API_ADMIN_UNDRAIN), "undrain");
}

static size_t calls_left;

static void *failing_malloc(size_t size)
{
    if (calls_left == 0) {
        return NULL;
    }
    calls_left--;
    return malloc(size);
}

/* Guarantee 16: whichever allocation fails, the body is refused with a reason
 * and nothing leaks.  Where jansson does not say that it was for memory, it
 * counts as not JSON. */
static void without_memory_a_body_is_refused(void **state)
{
    struct api_request request;
    struct api_error error;
    int rc = E_NOMEM;

    (void)state;
    json_set_alloc_funcs(failing_malloc, free);
    for (size_t n = 0; rc != E_OK; n++) {
        calls_left = n;
        rc = parse(everything, &request, &error);
        assert_true(rc == E_OK || rc == E_NOMEM || rc == E_SYNTAX);
        assert_true(rc == E_OK || error.detail[0] != '\0');
    }
    json_set_alloc_funcs(malloc, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_fields_are_a_request),
        cmocka_unit_test(every_field_has_its_place),
        cmocka_unit_test(a_request_written_reads_as_the_same),
        cmocka_unit_test(null_and_unknown_fields_are_nothing),
        cmocka_unit_test(a_bad_request_is_told_which_field_and_why),
        cmocka_unit_test(without_memory_a_body_is_refused),
        cmocka_unit_test(metadata_is_limited_to_4_kib),
        cmocka_unit_test(a_release_names_a_lease_or_a_service),
        cmocka_unit_test(an_ack_has_an_action),
        cmocka_unit_test(a_long_detail_is_cut_whole),
        cmocka_unit_test(renew_and_cancel_are_read),
        cmocka_unit_test(an_operators_calls_are_read),
    };

    return cmocka_run_group_tests_name("proto/api", tests, NULL, NULL);
}
