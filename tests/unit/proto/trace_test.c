/* Recorded workloads are read whole, or refused with the line to look at. */
#include "proto/trace.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int parse(const char *text, struct trace *trace, struct trace_error *e)
{
    return trace_parse(text, strlen(text), &trace_defaults, trace, e);
}

static void the_own_format_is_read(void **state)
{
    struct trace_error error;
    struct trace trace;

    (void)state;
    assert_int_equal(parse("# a comment\n"
                           "class,at_ms,note,work_ms,vram_mib,service\r\n"
                           "\n"
                           "chatbot,100,hello,2500,16384,gemma\r\n"
                           "voice,100,,1,,\n"
                           "# another\n"
                           "chatbot,350,x,7,0,",
                           &trace, &error),
                     E_OK);
    assert_int_equal(trace.count, 3);
    assert_int_equal(trace.rows[0].at_ms, 0);
    assert_int_equal(trace.rows[0].work_ms, 2500);
    assert_int_equal(trace.rows[0].vram_mib, 16384);
    assert_string_equal(trace.rows[0].class_name, "chatbot");
    assert_string_equal(trace.rows[0].service_id, "gemma");
    assert_string_equal(trace.rows[1].service_id, "voice");
    assert_int_equal(trace.rows[2].at_ms, 250);
    trace_release(&trace);
}

static void tokens_become_gpu_time(void **state)
{
    struct trace_error error;
    struct trace trace;

    (void)state;
    assert_int_equal(parse("TIMESTAMP,ContextTokens,GeneratedTokens\n"
                           "2024-02-28 23:59:59.5,1000,10\n"
                           "2024-03-01 00:00:00.0000019,0,0\n"
                           "2024-03-01 00:00:00,1,0\n",
                           &trace, &error),
                     E_OK);
    assert_int_equal(trace.count, 3);
    assert_int_equal(trace.rows[0].work_ms, 330 + 220);
    assert_string_equal(trace.rows[0].class_name, "chatbot");
    assert_int_equal(trace.rows[1].at_ms, 500 + 86400000); /* A leap day. */
    assert_int_equal(trace.rows[1].work_ms, 1);
    trace_release(&trace);
}

static void every_nth_row_is_kept(void **state)
{
    struct trace_options options = trace_defaults;
    static const char text[] = "at_ms,class,work_ms\n"
                               "0,a,1\n1,a,1\n2,a,1\n3,a,1\n4,a,1\n";
    struct trace_error error;
    struct trace trace;

    (void)state;
    options.every = 2;
    assert_int_equal(trace_parse(text, strlen(text), &options, &trace, &error),
                     E_OK);
    assert_int_equal(trace.count, 3);
    assert_int_equal(trace.rows[2].at_ms, 4);
    trace_release(&trace);
}

#define OWN   "at_ms,class,work_ms\n"
#define AZURE "TIMESTAMP,ContextTokens,GeneratedTokens\n"

static void a_mistake_is_named_with_its_line(void **state)
{
    static const struct {
        const char *text;
        size_t line;
        const char *detail;
    } bad[] = {
        {"", 0, "the file has no first line with the names of its columns"},
        {"at_ms,class\n0,a\n", 1,
         "the first line must name the columns at_ms, class and work_ms, or "
         "TIMESTAMP, ContextTokens and GeneratedTokens"},
        {"at_ms,class,work_ms,class\n", 1, "the column class comes twice"},
        {OWN, 0, "the file has no rows"},
        {OWN "0,a\n", 2, "2 columns, but the first line names 3"},
        {OWN "# c\n\n0,a,1,7\n", 4, "4 columns, but the first line names 3"},
        {OWN "0,a,0\n", 2, "work_ms must be a whole number from 1 to 86400000"},
        {OWN "0,a,-1\n", 2, NULL},
        {OWN "0,a,1.5\n", 2, NULL},
        {OWN "0,a,86400001\n", 2, NULL},
        {OWN "18446744073709551617,a,1\n", 2, NULL},
        {OWN "0,a b,1\n", 2, "class must be 1 to 64 of A-Z a-z 0-9 . _ -"},
        {OWN "5,a,1\n4,a,1\n", 3, "its time is before that of the row above"},
        {AZURE "2023-11-16T18:15:46,1,1\n", 2,
         "TIMESTAMP must look like 2023-11-16 18:15:46.6805900"},
        {AZURE "2023-13-16 18:15:46,1,1\n", 2, NULL},
        {AZURE "2023-11-16 18:15:46.,1,1\n", 2, NULL},
        {AZURE "2023-11-16 18:15:46,x,1\n", 2, NULL},
        {AZURE "2023-11-16 18:15:46,0,10000000\n", 2,
         "that many tokens take more than a day"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct trace_error error;
        struct trace trace;

        if (parse(bad[i].text, &trace, &error) != E_INVALID ||
            error.line != bad[i].line || trace.rows != NULL ||
            (bad[i].detail != NULL &&
             strcmp(error.detail, bad[i].detail) != 0)) {
            fail_msg("%s: line %zu: %s", bad[i].text, error.line, error.detail);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_own_format_is_read),
        cmocka_unit_test(tokens_become_gpu_time),
        cmocka_unit_test(every_nth_row_is_kept),
        cmocka_unit_test(a_mistake_is_named_with_its_line),
    };

    return cmocka_run_group_tests_name("proto/trace", tests, NULL, NULL);
}
