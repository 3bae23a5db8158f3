/* Scenarios of what changes while it runs: reloads, bypass, shutdown, and
 * offers to those who are away; each a page. */
#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t ask(struct stage *stage,
                    const char *service,
                    uint32_t class_id,
                    uint32_t vram_mib)
{
    return stage_ask(stage, service,
                     (struct core_request){.class_id = class_id,
                                           .vram_mib = vram_mib,
                                           .is_preemptible = true});
}

/* A durable task: nobody attends it before its service opens a stream. */
static uint64_t
put(struct stage *stage, const char *service, uint32_t class_id, uint64_t job)
{
    return stage_ask(stage, service,
                     (struct core_request){
                         .class_id = class_id, .job = job, .is_durable = true});
}

/* B3, guarantee 7: who sleeps goes before who is away, so nobody is called for
 * a room that a resume waits for. */
static void a_sleeper_comes_before_an_offer(void **state)
{
    struct stage stage;
    uint64_t work;
    uint64_t chat;

    (void)state;
    stage_open_measured(&stage);
    stage_stream(&stage, "work", true);
    (void)put(&stage, "files", TRANSCRIPTION, 1);
    stage_sample(&stage, 0, 0);
    work = ask(&stage, "work", TRANSCRIPTION, 0);
    chat = ask(&stage, "chat", CHATBOT, 0);
    stage_ack(&stage, work, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 1);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 6000);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] files asks -> lease 1\n"
                 "          files lease 1 offered\n"
                 "          files lease 1 away\n"
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[     0] work asks -> lease 2\n"
                 "          work lease 2 granted, token 3, gpu 0, 24320 MiB\n"
                 "[     0] chat asks -> lease 4\n"
                 "          work lease 2 asked to pause by 10000, for lease "
                 "4, 23720 MiB\n"
                 "          chat lease 4 clearing\n"
                 "[     0] work has paused lease 2\n"
                 "[     1] gpu 0 uses 0 MiB\n"
                 "          chat lease 4 granted, token 5, gpu 0, 24320 MiB\n"
                 "          work lease 2 paused\n");
    stage_note(&stage, "the room is work's, and nobody is called for it");
    stage_release(&stage, chat);
    stage_wait(&stage, 1);
    stage_sample(&stage, 0, 0);
    stage_expect(&stage,
                 "the room is work's, and nobody is called for it\n"
                 "[  6001] chat releases lease 4\n"
                 "          chat lease 4 ended (released)\n"
                 "          work lease 2 clearing\n"
                 "[  6002] gpu 0 uses 0 MiB\n"
                 "          work lease 2 resumed, token 6, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* A6: a limit that a reload lowers holds from then on, also after a restart.
 */
static void a6_a_reload_lowers_a_limit(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t first;
    uint64_t second;

    (void)state;
    stage_config(&config);
    stage_open(&stage, &config);
    first = ask(&stage, "a", TRANSCRIPTION, 0);
    second = ask(&stage, "b", TRANSCRIPTION, 0);
    stage_release(&stage, first);
    config.classes[2].max_consecutive = 1;
    stage_configure(&stage, &config);
    stage_restart(&stage);
    (void)ask(&stage, "c", TRANSCRIPTION, 0);
    (void)ask(&stage, "d", SUMMARIZATION, 0);
    stage_release(&stage, second);
    stage_expect(
        &stage,
        "[     0] a asks -> lease 1\n"
        "          a lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[     0] b asks -> lease 3\n"
        "          b lease 3 queued\n"
        "[     0] a releases lease 1\n"
        "          a lease 1 ended (released)\n"
        "          b lease 3 granted, token 4, gpu 0, 24320 MiB\n"
        "[     0] the operator loads a configuration\n"
        "[     1] the coordinator starts again\n"
        "[     1] c asks -> lease 1000\n"
        "          c lease 1000 queued\n"
        "[     1] d asks -> lease 1001\n"
        "          d lease 1001 queued\n"
        "[     1] b releases lease 3\n"
        "          b lease 3 ended (released)\n"
        "          d lease 1001 granted, token 1002, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* B11: a reload that leaves less takes nothing away, and grants nothing until
 * there is room again. */
static void b11_a_reload_raises_the_reserve(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t all;

    (void)state;
    stage_config(&config);
    stage_open(&stage, &config);
    all = ask(&stage, "all", TRANSCRIPTION, 0);
    config.devices[0].reserve_mib = 1024;
    stage_configure(&stage, &config);
    (void)ask(&stage, "some", TRANSCRIPTION, 1000);
    stage_restart(&stage);
    stage_release(&stage, all);
    (void)ask(&stage, "all", TRANSCRIPTION, 0);
    stage_expect(
        &stage,
        "[     0] all asks -> lease 1\n"
        "          all lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[     0] the operator loads a configuration\n"
        "[     0] some asks -> lease 3\n"
        "          some lease 3 queued\n"
        "[     1] the coordinator starts again\n"
        "[     1] all releases lease 1\n"
        "          all lease 1 ended (released)\n"
        "[     1] all asks -> lease 1000\n"
        "          all lease 1000 granted, token 1001, gpu 0, 23552 MiB\n");
    stage_close(&stage);
}

/* B7: never expired early: a grace that a reload makes longer is longer also
 * for those who have lost their stream already. */
static void b7_a_reload_makes_the_grace_longer(void **state)
{
    struct core_config config;
    struct stage stage;

    (void)state;
    stage_config(&config);
    stage_open(&stage, &config);
    stage_stream(&stage, "work", true);
    (void)ask(&stage, "work", TRANSCRIPTION, 0);
    stage_wait(&stage, 100);
    stage_stream(&stage, "work", false);
    config.stream_grace_ms = 5000;
    stage_configure(&stage, &config);
    stage_wait(&stage, 4999);
    stage_note(&stage, "it is still there");
    stage_wait(&stage, 1);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[   100] work closes a stream\n"
                 "[   100] the operator loads a configuration\n"
                 "it is still there\n"
                 "[  5100] time\n"
                 "          work lease 1 revoked (expired)\n"
                 "          work lease 1 ended (expired)\n");
    stage_close(&stage);
}

/* B11, C2: a settle time that a reload changes is the new one also where it
 * runs already. */
static void b11_a_reload_makes_the_settle_time_longer(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t work;

    (void)state;
    stage_config(&config);
    config.devices[0].is_measured = true;
    config.devices[0].settle_ms = 1000;
    stage_open(&stage, &config);
    stage_sample(&stage, 0, 0);
    work = ask(&stage, "work", TRANSCRIPTION, 20000);
    stage_wait(&stage, 1);
    stage_sample(&stage, 0, 20000);
    stage_admin(&stage, CORE_REVOKE, work, 0, 0);
    config.devices[0].settle_ms = 4000;
    stage_configure(&stage, &config);
    stage_wait(&stage, 3999);
    stage_note(&stage, "it is still waited for");
    stage_wait(&stage, 1);
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 20000 MiB\n"
                 "[     1] gpu 0 uses 20000 MiB\n"
                 "[     1] the operator revokes lease 1\n"
                 "          work lease 1 revoked (operator)\n"
                 "          work lease 1 reclaiming\n"
                 "[     1] the operator loads a configuration\n"
                 "it is still waited for\n"
                 "[  4001] time\n"
                 "          work lease 1 ended (operator)\n");
    stage_close(&stage);
}

/* C15: when a bypass is over, who held for too long is revoked, though it
 * renews; not before. */
static void c15_after_a_bypass_max_hold_counts_again(void **state)
{
    struct stage stage;

    (void)state;
    stage_open_plain(&stage);
    (void)stage_ask(
        &stage, "work",
        (struct core_request){.class_id = TRANSCRIPTION, .max_hold_ms = 5000});
    stage_admin(&stage, CORE_BYPASS, 0, 0, 8000);
    stage_wait(&stage, 7999);
    stage_note(&stage, "it is still there");
    stage_wait(&stage, 1);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] the operator sets bypass until 8000\n"
                 "it is still there\n"
                 "[  8000] time\n"
                 "          work lease 1 revoked (max_hold)\n"
                 "          work lease 1 ended (max_hold)\n");
    stage_close(&stage);
}

/* C15: who only observes revokes nobody: a holder whom the operator paused, and
 * who does not renew, just leaves. */
static void c15_an_expired_sleeper_just_leaves(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t work;

    (void)state;
    stage_config(&config);
    config.is_observing = true;
    stage_open(&stage, &config);
    stage_stream(&stage, "work", true);
    work = ask(&stage, "work", TRANSCRIPTION, 1000);
    stage_admin(&stage, CORE_PAUSE, work, 0, 0);
    stage_ack(&stage, work, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 30000);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 1000 MiB\n"
                 "[     0] the operator pauses lease 1\n"
                 "          work lease 1 asked to pause by 10000, for lease 0, "
                 "400 MiB\n"
                 "[     0] work has paused lease 1\n"
                 "          work lease 1 paused\n"
                 "[ 30000] time\n"
                 "          work lease 1 ended (expired)\n");
    stage_close(&stage);
}

/* A8: a drain of the operator's outlives a shutdown, whatever else changes
 * before its end. */
static void a8_a_drain_outlives_a_shutdown(void **state)
{
    struct stage stage;

    (void)state;
    stage_open_plain(&stage);
    (void)ask(&stage, "work", TRANSCRIPTION, 0);
    stage_admin(&stage, CORE_DRAIN, 0, 0, 0);
    stage_admin(&stage, CORE_SHUTDOWN, 0, 0, 3000);
    stage_admin(&stage, CORE_BYPASS, 0, 0, 1000);
    stage_wait(&stage, 3000);
    stage_restart(&stage);
    (void)ask(&stage, "late", TRANSCRIPTION, 0);
    stage_admin(&stage, CORE_UNDRAIN, 0, 0, 0);
    (void)ask(&stage, "late", TRANSCRIPTION, 0);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] the operator drains\n"
                 "[     0] the operator stops until 3000\n"
                 "          work lease 1 to finish by 3000\n"
                 "[     0] the operator sets bypass until 1000\n"
                 "[  3000] time\n"
                 "          stopped\n"
                 "[  3001] the coordinator starts again\n"
                 "[  3001] late asks -> draining\n"
                 "[  3001] the operator undrains\n"
                 "[  3001] late asks -> lease 1000\n"
                 "          late lease 1000 queued\n");
    stage_close(&stage);
}

/* B9: while the store is away nothing is granted, not even under bypass, and
 * nobody is asked to pause; holders go on, and give back. */
static void b9_a_hold_grants_nothing_until_it_ends(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t work;

    (void)state;
    stage_config(&config);
    stage_open(&stage, &config);
    stage_stream(&stage, "work", true);
    work = ask(&stage, "work", TRANSCRIPTION, 0);
    stage_admin(&stage, CORE_HOLD, 0, 0, 9000);
    (void)ask(&stage, "chat", CHATBOT, 0);
    stage_admin(&stage, CORE_BYPASS, 0, 0, 1000);
    stage_renew(&stage, work);
    stage_wait(&stage, 2000);
    stage_release(&stage, work);
    stage_note(&stage, "the store is back");
    stage_admin(&stage, CORE_HOLD, 0, 0, 0);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] the operator holds until 9000\n"
                 "[     0] chat asks -> lease 3\n"
                 "          chat lease 3 queued\n"
                 "[     0] the operator sets bypass until 1000\n"
                 "[     0] work renews lease 1\n"
                 "[  2000] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "the store is back\n"
                 "[  2000] the operator holds\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* A stream opens while the coordinator stops: lease 1 waits for it, and lease 2
 * holds. */
static void expect_no_entry(struct stage *stage)
{
    stage_admin(stage, CORE_SHUTDOWN, 0, 0, 8000);
    stage_stream(stage, "files", true);
    stage_wait(stage, 8000);
    stage_expect(stage, "[     0] the operator stops until 8000\n"
                        "          work lease 2 to finish by 8000\n"
                        "[     0] files opens a stream\n"
                        "          files lease 1 away\n"
                        "[  8000] time\n"
                        "          stopped\n");
}

/* A8, C15: who stops lets nobody in, not even under bypass. */
static void a8_a_shutdown_ends_the_waits_under_bypass(void **state)
{
    struct stage stage;

    (void)state;
    stage_open_plain(&stage);
    (void)put(&stage, "files", TRANSCRIPTION, 1);
    (void)ask(&stage, "work", TRANSCRIPTION, 1000);
    stage_admin(&stage, CORE_BYPASS, 0, 0, 60000);
    stage_expect(&stage,
                 "[     0] files asks -> lease 1\n"
                 "          files lease 1 offered\n"
                 "          files lease 1 away\n"
                 "[     0] work asks -> lease 2\n"
                 "          work lease 2 granted, token 3, gpu 0, 1000 MiB\n"
                 "[     0] the operator sets bypass until 60000\n");
    expect_no_entry(&stage);
    stage_close(&stage);
}

/* A8, C15: nor where nothing is enforced; and nobody is offered what nobody
 * would get. */
static void a8_a_shutdown_ends_the_waits_while_observing(void **state)
{
    struct core_config config;
    struct stage stage;

    (void)state;
    stage_config(&config);
    config.is_observing = true;
    stage_open(&stage, &config);
    (void)put(&stage, "files", TRANSCRIPTION, 1);
    (void)ask(&stage, "work", TRANSCRIPTION, 1000);
    stage_expect(&stage,
                 "[     0] files asks -> lease 1\n"
                 "          files lease 1 offered\n"
                 "          files lease 1 away\n"
                 "[     0] work asks -> lease 2\n"
                 "          work lease 2 granted, token 3, gpu 0, 1000 MiB\n");
    expect_no_entry(&stage);
    stage_close(&stage);
}

/* C12: a device that is too small for a request is not kept for it. */
static void c12_a_small_device_is_not_kept_for_the_large(void **state)
{
    struct core_config config;
    struct stage stage;

    (void)state;
    stage_config(&config);
    config.devices[1] = config.devices[0];
    config.devices[1].capacity_mib = 12288;
    config.device_count = 2;
    stage_open(&stage, &config);
    (void)ask(&stage, "holder", CHATBOT, 20000);
    (void)ask(&stage, "large", CHATBOT, 16000);
    (void)ask(&stage, "small", CHATBOT, 8000);
    stage_expect(&stage,
                 "[     0] holder asks -> lease 1\n"
                 "          holder lease 1 granted, token 2, gpu 0, 20000 MiB\n"
                 "[     0] large asks -> lease 3\n"
                 "          large lease 3 queued\n"
                 "[     0] small asks -> lease 4\n"
                 "          small lease 4 granted, token 5, gpu 1, 8000 MiB\n");
    stage_close(&stage);
}

/* B11: a warm model whose room a stranger has taken in part is no room: where
 * more is used than there is, nothing is granted. */
static void b11_a_warm_model_is_no_room_where_too_much_is_used(void **state)
{
    struct stage stage;
    uint64_t work;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    work = ask(&stage, "work", TRANSCRIPTION, 23500);
    stage_sample(&stage, 0, 23500);
    stage_release(&stage, work);
    stage_wait(&stage, 1);
    stage_sample(&stage, 0, 23500);
    stage_wait(&stage, 1);
    stage_sample(&stage, 0, 24500);
    (void)ask(&stage, "work", TRANSCRIPTION, 23500);
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 23500 MiB\n"
                 "[     0] gpu 0 uses 23500 MiB\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "[     1] gpu 0 uses 23500 MiB\n"
                 "[     2] gpu 0 uses 24500 MiB\n"
                 "[     2] work asks -> lease 3\n"
                 "          work lease 3 queued\n");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sleeper_comes_before_an_offer),
        cmocka_unit_test(a6_a_reload_lowers_a_limit),
        cmocka_unit_test(b11_a_reload_raises_the_reserve),
        cmocka_unit_test(b7_a_reload_makes_the_grace_longer),
        cmocka_unit_test(b11_a_reload_makes_the_settle_time_longer),
        cmocka_unit_test(c15_after_a_bypass_max_hold_counts_again),
        cmocka_unit_test(c15_an_expired_sleeper_just_leaves),
        cmocka_unit_test(a8_a_drain_outlives_a_shutdown),
        cmocka_unit_test(b9_a_hold_grants_nothing_until_it_ends),
        cmocka_unit_test(a8_a_shutdown_ends_the_waits_under_bypass),
        cmocka_unit_test(a8_a_shutdown_ends_the_waits_while_observing),
        cmocka_unit_test(c12_a_small_device_is_not_kept_for_the_large),
        cmocka_unit_test(b11_a_warm_model_is_no_room_where_too_much_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
