/* Scenarios of preemption, sharing and release, each a page. */
#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A9, A4: chat passes a transcription that waited longer, and does not touch
 * its count, so that the summarization comes next. */
static void a9_chat_next_then_the_limit(void **state)
{
    struct stage stage;
    uint64_t a;
    uint64_t b;
    uint64_t c;

    (void)state;
    stage_open_plain(&stage);
    a = stage_ask(&stage, "A",
                  (struct core_request){.class_id = TRANSCRIPTION});
    b = stage_ask(&stage, "B",
                  (struct core_request){.class_id = TRANSCRIPTION});
    stage_wait(&stage, 100);
    c = stage_ask(&stage, "C", (struct core_request){.class_id = CHATBOT});
    (void)stage_ask(&stage, "D",
                    (struct core_request){.class_id = TRANSCRIPTION});
    (void)stage_ask(&stage, "E",
                    (struct core_request){.class_id = SUMMARIZATION});
    stage_release(&stage, a);
    stage_release(&stage, c);
    stage_release(&stage, b);
    stage_expect(&stage,
                 "[     0] A asks -> lease 1\n"
                 "          A lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] B asks -> lease 3\n"
                 "          B lease 3 queued\n"
                 "[   100] C asks -> lease 4\n"
                 "          C lease 4 queued\n"
                 "[   100] D asks -> lease 5\n"
                 "          D lease 5 queued\n"
                 "[   100] E asks -> lease 6\n"
                 "          E lease 6 queued\n"
                 "[   100] A releases lease 1\n"
                 "          A lease 1 ended (released)\n"
                 "          C lease 4 granted, token 7, gpu 0, 24320 MiB\n"
                 "[   100] C releases lease 4\n"
                 "          C lease 4 ended (released)\n"
                 "          B lease 3 granted, token 8, gpu 0, 24320 MiB\n"
                 "[   100] B releases lease 3\n"
                 "          B lease 3 ended (released)\n"
                 "          E lease 6 granted, token 9, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* B4, B5: request, pause, ack, grant, release, resume, in this order. */
static void b5_pause_ack_grant_release_resume(void **state)
{
    struct stage stage;
    uint64_t work;
    uint64_t chat;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 10);
    stage_stream(&stage, "transcription", true);
    work = stage_ask(&stage, "transcription",
                     (struct core_request){.class_id = TRANSCRIPTION,
                                           .is_preemptible = true});
    stage_wait(&stage, 500);
    stage_sample(&stage, 0, 4096);
    chat =
        stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    stage_wait(&stage, 2000);
    stage_ack(&stage, work, CORE_ACK_PAUSED, 400);
    stage_wait(&stage, 15);
    stage_sample(&stage, 0, 3000);
    stage_wait(&stage, 15);
    stage_sample(&stage, 0, 400);
    stage_wait(&stage, 3000);
    stage_release(&stage, chat);
    stage_wait(&stage, 15);
    stage_sample(&stage, 0, 400);
    stage_ack(&stage, work, CORE_ACK_RESUMED, 0);
    stage_expect(
        &stage,
        "[     0] gpu 0 uses 0 MiB\n"
        "[    10] transcription opens a stream\n"
        "[    10] transcription asks -> lease 1\n"
        "          transcription lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[   510] gpu 0 uses 4096 MiB\n"
        "[   510] chat asks -> lease 3\n"
        "          transcription lease 1 asked to pause by 10510, for lease 3, "
        "23720 MiB\n"
        "          chat lease 3 clearing\n"
        "[  2510] transcription has paused lease 1, keeps 400 MiB\n"
        "[  2525] gpu 0 uses 3000 MiB\n"
        "[  2540] gpu 0 uses 400 MiB\n"
        "          chat lease 3 granted, token 4, gpu 0, 23920 MiB\n"
        "          transcription lease 1 paused\n"
        "[  5540] chat releases lease 3\n"
        "          chat lease 3 ended (released)\n"
        "          transcription lease 1 clearing\n"
        "[  5555] gpu 0 uses 400 MiB\n"
        "          transcription lease 1 resumed, token 5, gpu 0, 24320 MiB\n"
        "[  5555] transcription has resumed lease 1\n");
    stage_close(&stage);
}

/* B4: 0 preempts 1 and 2, 1 preempts 2, 2 preempts nobody. */
static void b4_strict_order_between_levels(void **state)
{
    struct stage stage;
    uint64_t two;
    uint64_t one;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "files", true);
    stage_stream(&stage, "voice", true);
    two =
        stage_ask(&stage, "files",
                  (struct core_request){.class_id = 2, .is_preemptible = true});
    (void)stage_ask(
        &stage, "index",
        (struct core_request){.class_id = 2, .is_preemptible = true});
    one =
        stage_ask(&stage, "voice",
                  (struct core_request){.class_id = 1, .is_preemptible = true});
    stage_ack(&stage, two, CORE_ACK_PAUSED, 0);
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = 0});
    stage_ack(&stage, one, CORE_ACK_PAUSED, 0);
    stage_expect(&stage,
                 "[     0] files opens a stream\n"
                 "[     0] voice opens a stream\n"
                 "[     0] files asks -> lease 1\n"
                 "          files lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] index asks -> lease 3\n"
                 "          index lease 3 queued\n"
                 "[     0] voice asks -> lease 4\n"
                 "          files lease 1 asked to pause by 10000, for lease "
                 "4, 23720 MiB\n"
                 "          voice lease 4 clearing\n"
                 "[     0] files has paused lease 1\n"
                 "          voice lease 4 granted, token 5, gpu 0, 24320 MiB\n"
                 "          files lease 1 paused\n"
                 "[     0] chat asks -> lease 6\n"
                 "          voice lease 4 asked to pause by 10000, for lease "
                 "6, 23720 MiB\n"
                 "          chat lease 6 clearing\n"
                 "[     0] voice has paused lease 4\n"
                 "          chat lease 6 granted, token 7, gpu 0, 24320 MiB\n"
                 "          voice lease 4 paused\n");
    stage_close(&stage);
}

/* B5, guarantee 10: who does not pause in time loses its lease, and who may
 * not be asked, or cannot hear, is waited for. */
static void a_late_pause_is_a_revocation(void **state)
{
    struct stage stage;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "hangs", true);
    (void)stage_ask(&stage, "hangs",
                    (struct core_request){.class_id = 2,
                                          .is_preemptible = true,
                                          .pause_grace_ms = 3000});
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = 0});
    stage_wait(&stage, 5000);
    (void)stage_ask(&stage, "second chat",
                    (struct core_request){.class_id = 0, .timeout_ms = 1000});
    stage_wait(&stage, 2000);
    stage_expect(&stage,
                 "[     0] hangs opens a stream\n"
                 "[     0] hangs asks -> lease 1\n"
                 "          hangs lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] chat asks -> lease 3\n"
                 "          hangs lease 1 asked to pause by 3000, for lease 3, "
                 "23720 MiB\n"
                 "          chat lease 3 clearing\n"
                 "[  3000] time\n"
                 "          hangs lease 1 revoked (pause_late)\n"
                 "          hangs lease 1 ended (pause_late)\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n"
                 "[  5000] second chat asks -> lease 5\n"
                 "          second chat lease 5 queued\n"
                 "[  6000] time\n"
                 "          second chat lease 5 refused: wait-timeout\n"
                 "          second chat lease 5 ended (timeout)\n");
    stage_close(&stage);
}

/* C1: the ack and the release say nothing; the measurement does. */
static void c1_vram_counts_when_measured(void **state)
{
    struct stage stage;
    uint64_t liar;

    (void)state;
    stage_open_measured(&stage);
    stage_stream(&stage, "liar", true);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 10);
    liar =
        stage_ask(&stage, "liar",
                  (struct core_request){.class_id = 2, .is_preemptible = true});
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 16000);
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = 0});
    stage_ack(&stage, liar, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 4000);
    stage_sample(&stage, 0, 16000);
    stage_wait(&stage, 6100);
    stage_sample(&stage, 0, 16000);
    stage_wait(&stage, 5000);
    stage_sample(&stage, 0, 100);
    stage_expect(&stage,
                 "[     0] liar opens a stream\n"
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[    10] liar asks -> lease 1\n"
                 "          liar lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[   110] gpu 0 uses 16000 MiB\n"
                 "[   110] chat asks -> lease 3\n"
                 "          liar lease 1 asked to pause by 10110, for lease 3, "
                 "23720 MiB\n"
                 "          chat lease 3 clearing\n"
                 "[   110] liar has paused lease 1\n"
                 "[  4110] gpu 0 uses 16000 MiB\n"
                 "[ 10110] time\n"
                 "          liar lease 1 revoked (pause_late)\n"
                 "          liar lease 1 reclaiming\n"
                 "[ 10210] gpu 0 uses 16000 MiB\n"
                 "[ 15110] time\n"
                 "          liar lease 1 ended (pause_late)\n"
                 "          chat lease 3 granted, token 4, gpu 0, 8320 MiB\n"
                 "[ 15210] gpu 0 uses 100 MiB\n");
    stage_close(&stage);
}

/* C4: a warm model is its service's, until somebody needs the room. */
static void c4_release_is_not_unload(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 10);
    stage_stream(&stage, "llm", true);
    lease = stage_ask(&stage, "llm",
                      (struct core_request){.class_id = 2, .vram_mib = 16000});
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 15000);
    stage_release(&stage, lease);
    stage_wait(&stage, 10);
    stage_sample(&stage, 0, 15000);
    stage_note(&stage, "-- its own next lease finds the model warm");
    lease = stage_ask(&stage, "llm",
                      (struct core_request){.class_id = 2, .vram_mib = 16000});
    stage_release(&stage, lease);
    stage_wait(&stage, 10);
    stage_sample(&stage, 0, 15000);
    stage_note(&stage, "-- somebody else's has it unloaded");
    (void)stage_ask(&stage, "asr",
                    (struct core_request){.class_id = 2, .vram_mib = 12000});
    stage_wait(&stage, 20);
    stage_sample(&stage, 0, 500);
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[    10] llm opens a stream\n"
                 "[    10] llm asks -> lease 1\n"
                 "          llm lease 1 granted, token 2, gpu 0, 16000 MiB\n"
                 "[   110] gpu 0 uses 15000 MiB\n"
                 "[   110] llm releases lease 1\n"
                 "          llm lease 1 ended (released)\n"
                 "[   120] gpu 0 uses 15000 MiB\n"
                 "-- its own next lease finds the model warm\n"
                 "[   120] llm asks -> lease 3\n"
                 "          llm lease 3 granted, token 4, gpu 0, 16000 MiB\n"
                 "[   120] llm releases lease 3\n"
                 "          llm lease 3 ended (released)\n"
                 "[   130] gpu 0 uses 15000 MiB\n"
                 "-- somebody else's has it unloaded\n"
                 "[   130] asr asks -> lease 5\n"
                 "          llm told to unload 15000 MiB by 5130\n"
                 "          asr lease 5 clearing\n"
                 "[   150] gpu 0 uses 500 MiB\n"
                 "          asr lease 5 granted, token 6, gpu 0, 12000 MiB\n");
    stage_close(&stage);
}

/* C4: an exclusive request takes what is free where nobody obeys; one that
 * names its size goes on waiting. */
static void c4_a_model_that_stays_makes_the_grant_advisory(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 10);
    lease = stage_ask(&stage, "llm",
                      (struct core_request){.class_id = 2, .vram_mib = 16000});
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 15000);
    stage_release(&stage, lease);
    stage_wait(&stage, 10);
    stage_sample(&stage, 0, 15000);
    (void)stage_ask(&stage, "asr",
                    (struct core_request){.class_id = 2, .vram_mib = 12000});
    stage_wait(&stage, 6000);
    stage_sample(&stage, 0, 15000);
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = 0});
    stage_wait(&stage, 6000);
    stage_sample(&stage, 0, 15000);
    stage_expect(
        &stage,
        "[     0] gpu 0 uses 0 MiB\n"
        "[    10] llm asks -> lease 1\n"
        "          llm lease 1 granted, token 2, gpu 0, 16000 MiB\n"
        "[   110] gpu 0 uses 15000 MiB\n"
        "[   110] llm releases lease 1\n"
        "          llm lease 1 ended (released)\n"
        "[   120] gpu 0 uses 15000 MiB\n"
        "[   120] asr asks -> lease 3\n"
        "          asr lease 3 clearing\n"
        "[  5120] time\n"
        "          asr lease 3 queued\n"
        "[  6120] gpu 0 uses 15000 MiB\n"
        "[  6120] chat asks -> lease 4\n"
        "          chat lease 4 granted, token 5, gpu 0, 9320 MiB, advisory\n"
        "[ 12120] gpu 0 uses 15000 MiB\n");
    stage_close(&stage);
}

/* C5: sharing while it fits; the fewest and least important make room. */
static void c5_the_fewest_and_least_important_make_room(void **state)
{
    struct stage stage;
    uint64_t three;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "one", true);
    stage_stream(&stage, "two", true);
    stage_stream(&stage, "large", true);
    stage_stream(&stage, "three", true);
    (void)stage_ask(&stage, "one",
                    (struct core_request){.class_id = 1,
                                          .vram_mib = 6000,
                                          .is_preemptible = true});
    (void)stage_ask(&stage, "two",
                    (struct core_request){.class_id = 2,
                                          .vram_mib = 4000,
                                          .is_preemptible = true});
    (void)stage_ask(&stage, "large",
                    (struct core_request){.class_id = 2,
                                          .vram_mib = 8000,
                                          .is_preemptible = true});
    three =
        stage_ask(&stage, "three",
                  (struct core_request){
                      .class_id = 3, .vram_mib = 2000, .is_preemptible = true});
    stage_note(&stage, "-- 4320 MiB are free: nobody is asked");
    (void)stage_ask(&stage, "small",
                    (struct core_request){.class_id = 0, .vram_mib = 4000});
    stage_note(&stage, "-- 1400 more: `three` suffices");
    (void)stage_ask(&stage, "more",
                    (struct core_request){.class_id = 0, .vram_mib = 1700});
    stage_ack(&stage, three, CORE_ACK_PAUSED, 0);
    stage_note(&stage, "-- 5000 more: the larger of level 2 suffices");
    (void)stage_ask(&stage, "most",
                    (struct core_request){.class_id = 0, .vram_mib = 5000});
    stage_expect(&stage,
                 "[     0] one opens a stream\n"
                 "[     0] two opens a stream\n"
                 "[     0] large opens a stream\n"
                 "[     0] three opens a stream\n"
                 "[     0] one asks -> lease 1\n"
                 "          one lease 1 granted, token 2, gpu 0, 6000 MiB\n"
                 "[     0] two asks -> lease 3\n"
                 "          two lease 3 granted, token 4, gpu 0, 4000 MiB\n"
                 "[     0] large asks -> lease 5\n"
                 "          large lease 5 granted, token 6, gpu 0, 8000 MiB\n"
                 "[     0] three asks -> lease 7\n"
                 "          three lease 7 granted, token 8, gpu 0, 2000 MiB\n"
                 "-- 4320 MiB are free: nobody is asked\n"
                 "[     0] small asks -> lease 9\n"
                 "          small lease 9 granted, token 10, gpu 0, 4000 MiB\n"
                 "-- 1400 more: `three` suffices\n"
                 "[     0] more asks -> lease 11\n"
                 "          three lease 7 asked to pause by 10000, for lease "
                 "11, 1400 MiB\n"
                 "          more lease 11 clearing\n"
                 "[     0] three has paused lease 7\n"
                 "          more lease 11 granted, token 12, gpu 0, 1700 MiB\n"
                 "          three lease 7 paused\n"
                 "-- 5000 more: the larger of level 2 suffices\n"
                 "[     0] most asks -> lease 13\n"
                 "          large lease 5 asked to pause by 10000, for lease "
                 "13, 7400 MiB\n"
                 "          most lease 13 clearing\n");
    stage_close(&stage);
}

/* C5: where all together would not suffice, nobody is asked. */
static void nobody_is_asked_in_vain(void **state)
{
    struct stage stage;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "files", true);
    (void)stage_ask(&stage, "chat",
                    (struct core_request){.class_id = 0, .vram_mib = 20000});
    (void)stage_ask(&stage, "files",
                    (struct core_request){.class_id = 2,
                                          .vram_mib = 4000,
                                          .is_preemptible = true});
    (void)stage_ask(&stage, "large chat",
                    (struct core_request){.class_id = 0, .vram_mib = 8000});
    (void)stage_ask(&stage, "lone chat", (struct core_request){.class_id = 0});
    stage_expect(&stage,
                 "[     0] files opens a stream\n"
                 "[     0] chat asks -> lease 1\n"
                 "          chat lease 1 granted, token 2, gpu 0, 20000 MiB\n"
                 "[     0] files asks -> lease 3\n"
                 "          files lease 3 granted, token 4, gpu 0, 4000 MiB\n"
                 "[     0] large chat asks -> lease 5\n"
                 "          large chat lease 5 queued\n"
                 "[     0] lone chat asks -> lease 6\n"
                 "          lone chat lease 6 queued\n");
    stage_close(&stage);
}

/* C6: a call with an old token is refused, whatever it asks. */
static void c6_a_stale_token_does_nothing(void **state)
{
    struct core_event event = {.type = CORE_RELEASE};
    struct stage stage;
    uint64_t work;
    uint64_t chat;
    uint64_t old;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "work", true);
    work =
        stage_ask(&stage, "work",
                  (struct core_request){.class_id = 2, .is_preemptible = true});
    old = rig_row(&stage.rig, work)->token;
    chat = stage_ask(&stage, "chat", (struct core_request){.class_id = 0});
    stage_ack(&stage, work, CORE_ACK_PAUSED, 0);
    stage_release(&stage, chat);
    event.at_ms = stage.rig.now_ms;
    event.release.lease = work;
    event.release.token = old;
    assert_int_equal(stage_feed(&stage, "release with the old token", &event),
                     E_STALE);
    event.type = CORE_ACK;
    event.ack.lease = work;
    event.ack.token = old;
    event.ack.action = CORE_ACK_PAUSED;
    assert_int_equal(stage_feed(&stage, "ack with the old token", &event),
                     E_STALE);
    event.type = CORE_RENEW;
    event.renew.lease = work;
    event.renew.token = old;
    event.renew.ttl_ms = 0;
    assert_int_equal(stage_feed(&stage, "renew is told of the resume", &event),
                     E_OK);
    stage_release(&stage, work);
    event.type = CORE_RELEASE;
    event.release.lease = work;
    event.release.token = old + 100;
    assert_int_equal(stage_feed(&stage, "release with a made-up token", &event),
                     E_STALE);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] chat asks -> lease 3\n"
                 "          work lease 1 asked to pause by 10000, for lease 3, "
                 "23720 MiB\n"
                 "          chat lease 3 clearing\n"
                 "[     0] work has paused lease 1\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n"
                 "          work lease 1 paused\n"
                 "[     0] chat releases lease 3\n"
                 "          chat lease 3 ended (released)\n"
                 "          work lease 1 resumed, token 5, gpu 0, 24320 MiB\n"
                 "[     0] release with the old token -> stale-token\n"
                 "[     0] ack with the old token -> stale-token\n"
                 "[     0] renew is told of the resume\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "[     0] release with a made-up token -> stale-token\n");
    stage_close(&stage);
}

/* B7: a holder that says nothing loses its lease after its TTL, not before. */
static void b7_never_early_always_late(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    stage_open_plain(&stage);
    lease = stage_ask(&stage, "work",
                      (struct core_request){.class_id = 2, .ttl_ms = 5000});
    (void)stage_ask(&stage, "next", (struct core_request){.class_id = 2});
    stage_wait(&stage, 4999);
    stage_renew(&stage, lease);
    stage_wait(&stage, 4999);
    stage_note(&stage, "-- so far nothing");
    stage_wait(&stage, 1);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] next asks -> lease 3\n"
                 "          next lease 3 queued\n"
                 "[  4999] work renews lease 1\n"
                 "-- so far nothing\n"
                 "[  9999] time\n"
                 "          work lease 1 revoked (expired)\n"
                 "          work lease 1 ended (expired)\n"
                 "          next lease 3 granted, token 4, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a9_chat_next_then_the_limit),
        cmocka_unit_test(b5_pause_ack_grant_release_resume),
        cmocka_unit_test(b4_strict_order_between_levels),
        cmocka_unit_test(a_late_pause_is_a_revocation),
        cmocka_unit_test(c1_vram_counts_when_measured),
        cmocka_unit_test(c4_release_is_not_unload),
        cmocka_unit_test(c4_a_model_that_stays_makes_the_grant_advisory),
        cmocka_unit_test(c5_the_fewest_and_least_important_make_room),
        cmocka_unit_test(nobody_is_asked_in_vain),
        cmocka_unit_test(c6_a_stale_token_does_nothing),
        cmocka_unit_test(b7_never_early_always_late),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
