/* Scenarios of measured VRAM, and of who is asked for how much, each a
 * page. */
#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* B7: a sign of life in the millisecond in which the last stream closed
 * counts: late is safe, early is not. */
static void b7_heard_in_the_millisecond_of_the_loss(void **state)
{
    struct stage stage;
    uint64_t old;
    uint64_t young;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "work", true);
    old = stage_ask(
        &stage, "work",
        (struct core_request){.class_id = TRANSCRIPTION, .vram_mib = 1000});
    stage_wait(&stage, 10000);
    stage_stream(&stage, "work", false);
    stage_renew(&stage, old);
    young = stage_ask(
        &stage, "work",
        (struct core_request){.class_id = TRANSCRIPTION, .vram_mib = 1000});
    stage_wait(&stage, 2000);
    stage_note(&stage, "both are still there");
    stage_renew(&stage, old);
    stage_release(&stage, young);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 1000 MiB\n"
                 "[ 10000] work closes a stream\n"
                 "[ 10000] work renews lease 1\n"
                 "[ 10000] work asks -> lease 3\n"
                 "          work lease 3 granted, token 4, gpu 0, 1000 MiB\n"
                 "both are still there\n"
                 "[ 12000] work renews lease 1\n"
                 "[ 12000] work releases lease 3\n"
                 "          work lease 3 ended (released)\n");
    stage_close(&stage);
}

/* C5: an exclusive holder may keep a residue, so it is not asked by somebody
 * who would not fit beside that. */
static void c5_the_residue_of_an_exclusive_victim_counts(void **state)
{
    struct stage stage;
    uint64_t large;

    (void)state;
    stage_open_plain(&stage);
    stage_stream(&stage, "work", true);
    (void)stage_ask(&stage, "work",
                    (struct core_request){.class_id = TRANSCRIPTION,
                                          .is_preemptible = true});
    large = stage_ask(
        &stage, "large",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 23721});
    stage_cancel(&stage, large);
    (void)stage_ask(
        &stage, "small",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 23720});
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] large asks -> lease 3\n"
                 "          large lease 3 queued\n"
                 "[     0] large cancels lease 3\n"
                 "          large lease 3 refused: ended\n"
                 "          large lease 3 ended (cancelled)\n"
                 "[     0] small asks -> lease 4\n"
                 "          work lease 1 asked to pause by 10000, for lease 4, "
                 "23720 MiB\n"
                 "          small lease 4 clearing\n");
    stage_close(&stage);
}

/* C5: nobody makes room for a resume that would find too little: what it used
 * before its pause is more than a stranger leaves. */
static void c5_nobody_pauses_for_a_resume_in_vain(void **state)
{
    struct stage stage;
    uint64_t voice;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    stage_stream(&stage, "voice", true);
    stage_stream(&stage, "work", true);
    voice = stage_ask(
        &stage, "voice",
        (struct core_request){.class_id = VOICE, .is_preemptible = true});
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 20000);
    stage_admin(&stage, CORE_PAUSE, voice, 0, 0);
    stage_ack(&stage, voice, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    stage_note(&stage, "a stranger comes");
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 14000);
    (void)stage_ask(&stage, "work",
                    (struct core_request){.class_id = TRANSCRIPTION,
                                          .vram_mib = 2000,
                                          .is_preemptible = true});
    stage_admin(&stage, CORE_RESUME, voice, 0, 0);
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[     0] voice opens a stream\n"
                 "[     0] work opens a stream\n"
                 "[     0] voice asks -> lease 1\n"
                 "          voice lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[   100] gpu 0 uses 20000 MiB\n"
                 "[   100] the operator pauses lease 1\n"
                 "          voice lease 1 asked to pause by 10100, for lease "
                 "0, 23720 MiB\n"
                 "[   100] voice has paused lease 1\n"
                 "[   200] gpu 0 uses 0 MiB\n"
                 "          voice lease 1 paused\n"
                 "a stranger comes\n"
                 "[   300] gpu 0 uses 14000 MiB\n"
                 "[   300] work asks -> lease 3\n"
                 "          work lease 3 granted, token 4, gpu 0, 2000 MiB\n"
                 "[   300] the operator resumes lease 1\n");
    stage_close(&stage);
}

/* B5: two say that they paused, and a sample shows that one did: the first to
 * say so is believed. */
static void b5_samples_settle_acks_in_their_order(void **state)
{
    struct stage stage;
    uint64_t first;
    uint64_t second;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    stage_stream(&stage, "work", true);
    first = stage_ask(&stage, "work",
                      (struct core_request){.class_id = TRANSCRIPTION,
                                            .vram_mib = 4096,
                                            .is_preemptible = true});
    second = stage_ask(&stage, "work",
                       (struct core_request){.class_id = TRANSCRIPTION,
                                             .vram_mib = 4096,
                                             .is_preemptible = true});
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    stage_wait(&stage, 100);
    stage_ack(&stage, first, CORE_ACK_PAUSED, 0);
    stage_ack(&stage, second, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 4096);
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB\n"
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 4096 MiB\n"
                 "[     0] work asks -> lease 3\n"
                 "          work lease 3 granted, token 4, gpu 0, 4096 MiB\n"
                 "[     0] chat asks -> lease 5\n"
                 "          work lease 3 asked to pause by 10000, for lease 5, "
                 "3496 MiB\n"
                 "          work lease 1 asked to pause by 10000, for lease 5, "
                 "3496 MiB\n"
                 "          chat lease 5 clearing\n"
                 "[   100] work has paused lease 1\n"
                 "[   100] work has paused lease 3\n"
                 "[   200] gpu 0 uses 4096 MiB\n"
                 "          work lease 1 paused\n");
    stage_close(&stage);
}

/* C4: whoever did not unload in its time is not told again because a lease of
 * its service ends that kept nothing. */
static void c4_an_end_that_leaves_nothing_starts_no_settle_time(void **state)
{
    struct stage stage;
    uint64_t paused;
    uint64_t warm;

    (void)state;
    stage_open_measured(&stage);
    stage_sample(&stage, 0, 0);
    stage_stream(&stage, "work", true);
    paused = stage_ask(&stage, "work",
                       (struct core_request){.class_id = TRANSCRIPTION,
                                             .vram_mib = 1000,
                                             .is_preemptible = true});
    warm = stage_ask(
        &stage, "work",
        (struct core_request){.class_id = TRANSCRIPTION, .vram_mib = 8000});
    stage_admin(&stage, CORE_PAUSE, paused, 0, 0);
    stage_ack(&stage, paused, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 8000);
    stage_release(&stage, warm);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 8000);
    (void)stage_ask(
        &stage, "chat",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 20000});
    stage_wait(&stage, 5000);
    stage_cancel(&stage, paused);
    stage_expect(
        &stage,
        "[     0] gpu 0 uses 0 MiB\n"
        "[     0] work opens a stream\n"
        "[     0] work asks -> lease 1\n"
        "          work lease 1 granted, token 2, gpu 0, 1000 MiB\n"
        "[     0] work asks -> lease 3\n"
        "          work lease 3 granted, token 4, gpu 0, 8000 MiB\n"
        "[     0] the operator pauses lease 1\n"
        "          work lease 1 asked to pause by 10000, for lease 0, 400 MiB\n"
        "[     0] work has paused lease 1\n"
        "[   100] gpu 0 uses 8000 MiB\n"
        "          work lease 1 paused\n"
        "[   100] work releases lease 3\n"
        "          work lease 3 ended (released)\n"
        "[   200] gpu 0 uses 8000 MiB\n"
        "[   200] chat asks -> lease 5\n"
        "          work told to unload 8000 MiB by 5200\n"
        "          chat lease 5 clearing\n"
        "[  5200] time\n"
        "          chat lease 5 queued\n"
        "[  5200] work cancels lease 1\n"
        "          work lease 1 ended (cancelled)\n");
    stage_close(&stage);
}

static uint64_t ask_on(struct stage *stage,
                       const char *service,
                       uint64_t devices,
                       uint32_t vram_mib)
{
    return stage_ask(stage, service,
                     (struct core_request){.class_id = TRANSCRIPTION,
                                           .devices = devices,
                                           .vram_mib = vram_mib,
                                           .is_preemptible = true});
}

/* C9: who is let in beside a reservation is not asked to go because that
 * reservation moved to where there is a little more room by now. */
static void c9_a_reservation_stays_where_it_is(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t gone;

    (void)state;
    stage_config(&config);
    config.devices[1] = config.devices[0];
    config.devices[1].capacity_mib = 12288;
    config.device_count = 2;
    stage_open(&stage, &config);
    stage_stream(&stage, "work", true);
    (void)stage_ask(&stage, "stays",
                    (struct core_request){
                        .class_id = CHATBOT, .devices = 1, .vram_mib = 13120});
    (void)ask_on(&stage, "work", 1, 4096);
    (void)ask_on(&stage, "work", 2, 4096);
    (void)stage_ask(
        &stage, "chat",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 9000});
    gone =
        stage_ask(&stage, "gone",
                  (struct core_request){.class_id = CHATBOT, .vram_mib = 9000});
    stage_cancel(&stage, gone);
    (void)stage_ask(&stage, "alone",
                    (struct core_request){.class_id = CHATBOT});
    stage_note(&stage, "chat leaves room for little ones");
    (void)ask_on(&stage, "work", 0, 1024);
    stage_expect(
        &stage, "[     0] work opens a stream\n"
                "[     0] stays asks -> lease 1\n"
                "          stays lease 1 granted, token 2, gpu 0, 13120 MiB\n"
                "[     0] work asks -> lease 3\n"
                "          work lease 3 granted, token 4, gpu 0, 4096 MiB\n"
                "[     0] work asks -> lease 5\n"
                "          work lease 5 granted, token 6, gpu 1, 4096 MiB\n"
                "[     0] chat asks -> lease 7\n"
                "          work lease 5 asked to pause by 10000, for lease "
                "7, 3496 MiB\n"
                "          chat lease 7 clearing\n"
                "[     0] gone asks -> lease 8\n"
                "          work lease 3 asked to pause by 10000, for lease "
                "8, 3496 MiB\n"
                "          gone lease 8 clearing\n"
                "[     0] gone cancels lease 8\n"
                "          gone lease 8 refused: ended\n"
                "          gone lease 8 ended (cancelled)\n"
                "[     0] alone asks -> lease 9\n"
                "          alone lease 9 queued\n"
                "chat leaves room for little ones\n"
                "[     0] work asks -> lease 10\n"
                "          work lease 10 granted, token 11, gpu 1, 1024 MiB\n");
    stage_close(&stage);
}

/* C9: whoever is let in because it waited for too long has its turn, before
 * the chat that it went before asks it to go: else each would be let in, asked
 * in the same step, and wait behind all chats again. */
static void c9_an_overdue_waiter_has_its_turn(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t first;
    uint64_t files;

    (void)state;
    stage_config(&config);
    config.classes[3].max_wait_ms = 1000;
    stage_open(&stage, &config);
    stage_stream(&stage, "files", true);
    first =
        stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    files = stage_ask(&stage, "files",
                      (struct core_request){.class_id = SUMMARIZATION,
                                            .is_preemptible = true});
    stage_wait(&stage, 1000);
    stage_release(&stage, first);
    stage_ack(&stage, files, CORE_ACK_RESUMED, 0);
    stage_wait(&stage, 2500);
    stage_ack(&stage, files, CORE_ACK_PAUSED, 0);
    stage_expect(
        &stage,
        "[     0] files opens a stream\n"
        "[     0] chat asks -> lease 1\n"
        "          chat lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[     0] chat asks -> lease 3\n"
        "          chat lease 3 queued\n"
        "[     0] files asks -> lease 4\n"
        "          files lease 4 queued\n"
        "[  1000] chat releases lease 1\n"
        "          chat lease 1 ended (released)\n"
        "          files lease 4 granted, token 5, gpu 0, 24320 MiB\n"
        "[  1000] files has resumed lease 4\n"
        "[  3000] time\n"
        "          files lease 4 asked to pause by 13000, for lease 3, 23720 "
        "MiB\n"
        "          chat lease 3 clearing\n"
        "[  3500] files has paused lease 4\n"
        "          chat lease 3 granted, token 6, gpu 0, 24320 MiB\n"
        "          files lease 4 paused\n");
    stage_close(&stage);
}

/* C1, C2: a lingering seat stands in for a new sample, not for the first: what
 * a restart has forgotten is in use still, and nobody is granted it. */
static void c2_a_kept_seat_is_no_room_nobody_measured(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t chat;

    (void)state;
    stage_config(&config);
    config.devices[0].is_measured = true;
    config.classes[0].linger_ms = 3000;
    stage_open(&stage, &config);
    stage_wait(&stage, 1000);
    stage_sample(&stage, 0, 9000);
    chat =
        stage_ask(&stage, "chat",
                  (struct core_request){.class_id = CHATBOT, .vram_mib = 4096});
    stage_restart(&stage);
    stage_sample(&stage, 0, 9000);
    stage_release(&stage, chat);
    chat =
        stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    stage_wait(&stage, 10);
    stage_sample(&stage, 0, 9000);
    stage_note(&stage, "once it is known who uses what, the seat is enough");
    stage_release(&stage, chat);
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    stage_expect(
        &stage,
        "[  1000] gpu 0 uses 9000 MiB\n"
        "[  1000] chat asks -> lease 1\n"
        "          chat lease 1 granted, token 2, gpu 0, 4096 MiB\n"
        "[  1001] the coordinator starts again\n"
        "[  1001] gpu 0 uses 9000 MiB\n"
        "[  1001] chat releases lease 1\n"
        "          chat lease 1 ended (released)\n"
        "[  1001] chat asks -> lease 1000\n"
        "          chat lease 1000 clearing\n"
        "[  1011] gpu 0 uses 9000 MiB\n"
        "          chat lease 1000 granted, token 1001, gpu 0, 19416 MiB\n"
        "once it is known who uses what, the seat is enough\n"
        "[  1011] chat releases lease 1000\n"
        "          chat lease 1000 ended (released)\n"
        "[  1011] chat asks -> lease 1002\n"
        "          chat lease 1002 granted, token 1003, gpu 0, 19416 MiB\n");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b7_heard_in_the_millisecond_of_the_loss),
        cmocka_unit_test(c5_the_residue_of_an_exclusive_victim_counts),
        cmocka_unit_test(c5_nobody_pauses_for_a_resume_in_vain),
        cmocka_unit_test(b5_samples_settle_acks_in_their_order),
        cmocka_unit_test(c4_an_end_that_leaves_nothing_starts_no_settle_time),
        cmocka_unit_test(c9_a_reservation_stays_where_it_is),
        cmocka_unit_test(c9_an_overdue_waiter_has_its_turn),
        cmocka_unit_test(c2_a_kept_seat_is_no_room_nobody_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
