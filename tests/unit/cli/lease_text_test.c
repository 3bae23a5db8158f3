/* `gpucoord why`, from the coordinator's JSON to a page of text (C10). */
#include "cli/lease_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *json, const char *text)
{
    json_t *lease = json_loads(json, 0, NULL);
    struct buf out;

    assert_non_null(lease);
    buf_init(&out, 0);
    lease_text_why(lease, &out);
    assert_string_equal(buf_string(&out), text);
    buf_release(&out);
    json_decref(lease);
}

/* On whom, on which rung, until when, for what room, and how long it may
 * still take. */
static void a_waiter_is_told_everything(void **state)
{
    (void)state;
    expect("{\"lease\":43,\"service_id\":\"gemma\",\"state\":\"clearing\","
           "\"waited_ms\":3000,\"devices\":[],\"why\":{\"wait\":\"pause\","
           "\"position\":1,\"text\":\"'asr' was asked to pause\","
           "\"blocker\":{\"lease\":41,\"service_id\":\"asr\",\"state\":"
           "\"pausing\",\"rung\":\"ask\",\"hears\":true},"
           "\"until_in_ms\":8000,\"device\":0,\"need_mib\":4096,"
           "\"free_mib\":1000,\"estimate_ms\":900,\"observations\":12}}",
           "'gemma' (lease 43) has waited for 3.0 s, place 1: 'asr' was asked "
           "to pause\n"
           "  on whom: 'asr' (lease 41), pausing, rung 'ask'\n"
           "  until when: at the latest in 8.0 s\n"
           "  room: 4.0 GiB of gpu 0, where 1000 MiB can be had now\n"
           "  estimate: about 900 ms, from 12 holds before\n");
}

static void a_bound_that_a_renewal_lifts_says_so(void **state)
{
    (void)state;
    expect("{\"lease\":43,\"service_id\":\"gemma\",\"waited_ms\":3000,"
           "\"why\":{\"position\":1,\"text\":\"held by 'asr'\","
           "\"until_in_ms\":24000,\"unless_renewed\":true}}",
           "'gemma' (lease 43) has waited for 3.0 s, place 1: held by 'asr'\n"
           "  until when: at the latest in 24 s unless it renews\n"
           "  estimate: unknown\n");
}

static void what_is_not_known_is_said_to_be(void **state)
{
    (void)state;
    expect("{\"lease\":43,\"service_id\":\"gemma\",\"state\":\"queued\","
           "\"waited_ms\":65000,\"devices\":[],\"why\":{\"wait\":\"holder\","
           "\"position\":2,\"text\":\"'x' holds it\",\"blocker\":"
           "{\"lease\":41,\"service_id\":\"x\",\"state\":\"held\","
           "\"rung\":null,\"hears\":false},\"until_in_ms\":null,"
           "\"device\":1,\"need_mib\":null,\"free_mib\":0,"
           "\"estimate_ms\":null,\"observations\":4}}",
           "'gemma' (lease 43) has waited for 1 min 5 s, place 2: 'x' holds "
           "it\n"
           "  on whom: 'x' (lease 41), held\n"
           "  until when: not known\n"
           "  room: all of gpu 1, where 0 MiB can be had now\n"
           "  estimate: unknown\n");
}

static void nobody_in_particular_is_no_blocker(void **state)
{
    (void)state;
    expect("{\"lease\":5,\"service_id\":\"a\",\"state\":\"queued\","
           "\"waited_ms\":10,\"why\":{\"position\":1,\"text\":\"draining\","
           "\"blocker\":null,\"until_in_ms\":null,\"device\":null}}",
           "'a' (lease 5) has waited for 10 ms, place 1: draining\n"
           "  until when: not known\n"
           "  estimate: unknown\n");
}

static void a_holder_does_not_wait(void **state)
{
    (void)state;
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"held\","
           "\"held_ms\":12000,\"expires_in_ms\":28000,\"devices\":"
           "[{\"index\":0},{\"index\":2},{\"index\":3}],\"why\":null}",
           "'x' (lease 41) does not wait: it has held gpus 0, 2 and 3 for 12 "
           "s\n"
           "  until when: at the latest in 28 s\n");
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"held\","
           "\"held_ms\":12000,\"expires_in_ms\":null,\"devices\":"
           "[{\"index\":0}],\"why\":null}",
           "'x' (lease 41) does not wait: it has held gpu 0 for 12 s\n"
           "  until when: its connection closes\n");
}

static void one_that_pauses_is_told_for_whom(void **state)
{
    (void)state;
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"pausing\","
           "\"requester\":\"gemma\",\"release_mib\":4096,"
           "\"deadline_in_ms\":9000,\"devices\":[{\"index\":0}]}",
           "'x' (lease 41) does not wait: it is asked by 'gemma' to pause and "
           "to free 4.0 GiB of gpu 0\n"
           "  until when: at the latest in 9.0 s\n");
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"pausing\","
           "\"requester\":null,\"release_mib\":512,\"deadline_in_ms\":null,"
           "\"devices\":[{\"index\":0}]}",
           "'x' (lease 41) does not wait: it is asked by an operator to pause "
           "and to free 512 MiB of gpu 0\n"
           "  until when: not known\n");
}

static void an_ended_one_says_how(void **state)
{
    (void)state;
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"ended\","
           "\"reason\":\"expired\",\"held_ms\":30000}",
           "'x' (lease 41) does not wait: it has ended, expired after 30 s\n");
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"ended\","
           "\"reason\":\"cancelled\",\"held_ms\":null}",
           "'x' (lease 41) does not wait: it has ended, cancelled\n");
    expect("{\"lease\":41,\"service_id\":\"x\",\"state\":\"reclaiming\"}",
           "'x' (lease 41) does not wait: it is reclaiming\n");
}

static void texts_from_elsewhere_are_plain(void **state)
{
    (void)state;
    expect("{\"lease\":5,\"service_id\":\"a\",\"state\":\"queued\","
           "\"waited_ms\":10,\"why\":{\"position\":1,"
           "\"text\":\"\\u001b[2J\\nx\"}}",
           "'a' (lease 5) has waited for 10 ms, place 1: ?[2J?x\n"
           "  until when: not known\n"
           "  estimate: unknown\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiter_is_told_everything),
        cmocka_unit_test(a_bound_that_a_renewal_lifts_says_so),
        cmocka_unit_test(what_is_not_known_is_said_to_be),
        cmocka_unit_test(nobody_in_particular_is_no_blocker),
        cmocka_unit_test(a_holder_does_not_wait),
        cmocka_unit_test(one_that_pauses_is_told_for_whom),
        cmocka_unit_test(an_ended_one_says_how),
        cmocka_unit_test(texts_from_elsewhere_are_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
