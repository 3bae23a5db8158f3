/* Scenarios in which the driver names who uses the VRAM, each a page. */
#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void open_stage(struct stage *stage)
{
    struct core_config config;

    stage_config(&config);
    config.devices[0].is_measured = true;
    config.resume_margin_percent = 5;
    stage_open(stage, &config);
}

#define USAGES(...)                                        \
    (const struct core_usage[]){__VA_ARGS__},              \
        sizeof((const struct core_usage[]){__VA_ARGS__}) / \
            sizeof(struct core_usage)

/* What a lease is and uses, as the interfaces will say it. */
static void note_usage(struct stage *stage, uint64_t lease)
{
    struct core_lease_view view;

    assert_int_equal(core_lease_view(stage->rig.core, lease, &view), E_OK);
    buf_printf(&stage->page, "lease %llu: %u of %u MiB%s\n",
               (unsigned long long)lease, view.measured_mib,
               view.row.charge_mib, view.is_measured ? ", measured" : "");
}

/* What stands in the way of @lease, likewise. */
static void note_why(struct stage *stage, uint64_t lease)
{
    struct core_why why;

    assert_int_equal(core_why(stage->rig.core, lease, &why), E_OK);
    buf_printf(&stage->page, "lease %llu waits: %s, lease %llu, %u of %u MiB\n",
               (unsigned long long)lease, core_wait_name(why.wait),
               (unsigned long long)why.blocker, why.blocker_used_mib,
               why.blocker_charge_mib);
}

/* B8: what a desktop uses is charged to nobody, and blocks nobody. */
static void b8_a_desktop_blocks_nobody(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    open_stage(&stage);
    stage_usages(&stage, 0, 900, USAGES({.used_mib = 900}));
    lease = stage_ask(&stage, "work",
                      (struct core_request){.class_id = TRANSCRIPTION});
    stage_usages(&stage, 0, 23000,
                 USAGES({.used_mib = 950},
                        {.lease = lease, .service = 1, .used_mib = 22050}));
    stage_release(&stage, lease);
    stage_wait(&stage, 20);
    stage_usages(&stage, 0, 950, USAGES({.used_mib = 950}));
    (void)stage_ask(&stage, "work",
                    (struct core_request){.class_id = TRANSCRIPTION});
    stage_expect(&stage,
                 "[     0] gpu 0 uses 900 MiB: nobody 900\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 23420 MiB\n"
                 "[     0] gpu 0 uses 23000 MiB: nobody 950 lease 1 22050\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "[    20] gpu 0 uses 950 MiB: nobody 950\n"
                 "[    20] work asks -> lease 3\n"
                 "          work lease 3 granted, token 4, gpu 0, 23370 MiB\n");
    stage_close(&stage);
}

/* B3: who uses more than it asked for is charged what it uses. */
static void b3_who_uses_more_is_charged_more(void **state)
{
    struct stage stage;
    uint64_t greedy;

    (void)state;
    open_stage(&stage);
    stage_usages(&stage, 0, 0, NULL, 0);
    greedy = stage_ask(
        &stage, "work",
        (struct core_request){.class_id = TRANSCRIPTION, .vram_mib = 4096});
    stage_usages(&stage, 0, 14000,
                 USAGES({.lease = greedy, .service = 1, .used_mib = 14000}));
    note_usage(&stage, greedy);
    (void)stage_ask(
        &stage, "chat",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 12000});
    stage_wait(&stage, 500);
    stage_usages(&stage, 0, 4000,
                 USAGES({.lease = greedy, .service = 1, .used_mib = 4000}));
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB:\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 4096 MiB\n"
                 "[     0] gpu 0 uses 14000 MiB: lease 1 14000\n"
                 "lease 1: 14000 of 4096 MiB, measured\n"
                 "[     0] chat asks -> lease 3\n"
                 "          chat lease 3 queued\n"
                 "[   500] gpu 0 uses 4000 MiB: lease 1 4000\n"
                 "          chat lease 3 granted, token 4, gpu 0, 12000 MiB\n");
    stage_close(&stage);
}

/* C4: an ack is believed when that lease's own VRAM is gone.  Another holder
 * that uses less than it is charged does not hide what the liar keeps; and
 * what it keeps in the end is nobody's. */
static void c4_a_liar_cannot_hide_behind_another(void **state)
{
    struct stage stage;
    uint64_t modest;
    uint64_t liar;
    uint64_t chat;

    (void)state;
    open_stage(&stage);
    stage_usages(&stage, 0, 0, NULL, 0);
    stage_stream(&stage, "work", true);
    modest =
        stage_ask(&stage, "voice",
                  (struct core_request){.class_id = VOICE, .vram_mib = 8000});
    liar = stage_ask(&stage, "work",
                     (struct core_request){.class_id = TRANSCRIPTION,
                                           .vram_mib = 4096,
                                           .is_preemptible = true});
    chat = stage_ask(
        &stage, "chat",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 14000});
    stage_ack(&stage, liar, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 100);
    stage_usages(&stage, 0, 4100,
                 USAGES({.lease = modest, .service = 1, .used_mib = 1000},
                        {.lease = liar, .service = 2, .used_mib = 3100}));
    note_why(&stage, chat);
    stage_wait(&stage, 10000);
    stage_usages(&stage, 0, 4100,
                 USAGES({.lease = modest, .service = 1, .used_mib = 1000},
                        {.lease = liar, .service = 2, .used_mib = 3100}));
    note_why(&stage, chat);
    stage_wait(&stage, 5000);
    stage_usages(&stage, 0, 1100,
                 USAGES({.lease = modest, .service = 1, .used_mib = 1000},
                        {.used_mib = 100}));
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB:\n"
                 "[     0] work opens a stream\n"
                 "[     0] voice asks -> lease 1\n"
                 "          voice lease 1 granted, token 2, gpu 0, 8000 MiB\n"
                 "[     0] work asks -> lease 3\n"
                 "          work lease 3 granted, token 4, gpu 0, 4096 MiB\n"
                 "[     0] chat asks -> lease 5\n"
                 "          work lease 3 asked to pause by 10000, for lease 5, "
                 "3496 MiB\n"
                 "          chat lease 5 clearing\n"
                 "[     0] work has paused lease 3\n"
                 "[   100] gpu 0 uses 4100 MiB: lease 1 1000 lease 3 3100\n"
                 "lease 5 waits: vram, lease 3, 3100 of 4096 MiB\n"
                 "[ 10000] time\n"
                 "          work lease 3 revoked (pause_late)\n"
                 "          work lease 3 reclaiming\n"
                 "[ 10100] gpu 0 uses 4100 MiB: lease 1 1000 lease 3 3100\n"
                 "lease 5 waits: reclaim, lease 3, 3100 of 4096 MiB\n"
                 "[ 15000] time\n"
                 "          work lease 3 ended (pause_late)\n"
                 "          chat lease 5 queued\n"
                 "[ 15100] gpu 0 uses 1100 MiB: lease 1 1000 nobody 100\n"
                 "          chat lease 5 granted, token 6, gpu 0, 14000 MiB\n");
    stage_close(&stage);
}

/* Let `work` come, use @used_mib and be asked to pause; it says that it has. */
static uint64_t
send_to_sleep(struct stage *stage, uint32_t vram_mib, uint32_t used_mib)
{
    uint64_t work;

    stage_stream(stage, "work", true);
    work = stage_ask(stage, "work",
                     (struct core_request){.class_id = TRANSCRIPTION,
                                           .vram_mib = vram_mib,
                                           .is_preemptible = true});
    stage_usages(stage, 0, used_mib,
                 USAGES({.lease = work, .service = 1, .used_mib = used_mib}));
    stage_admin(stage, CORE_PAUSE, work, 0, 0);
    stage_ack(stage, work, CORE_ACK_PAUSED, 0);
    return work;
}

/* C4: who uses VRAM in its sleep has no claim to it: what others hold is not
 * room for it, on a device that is kept for somebody else as little. */
static void c4_use_in_sleep_is_no_room_for_a_resume(void **state)
{
    struct stage stage;
    uint64_t work;
    uint64_t voice;

    (void)state;
    open_stage(&stage);
    stage_usages(&stage, 0, 0, NULL, 0);
    work = send_to_sleep(&stage, 1024, 1000);
    stage_wait(&stage, 1);
    stage_usages(&stage, 0, 0, NULL, 0);
    voice =
        stage_ask(&stage, "voice",
                  (struct core_request){.class_id = VOICE, .vram_mib = 23500});
    (void)stage_ask(
        &stage, "chat",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 8000});
    stage_usages(&stage, 0, 15000,
                 USAGES({.lease = work, .service = 1, .used_mib = 5000},
                        {.lease = voice, .service = 2, .used_mib = 10000}));
    stage_admin(&stage, CORE_RESUME, work, 0, 0);
    stage_expect(
        &stage,
        "[     0] gpu 0 uses 0 MiB:\n"
        "[     0] work opens a stream\n"
        "[     0] work asks -> lease 1\n"
        "          work lease 1 granted, token 2, gpu 0, 1024 MiB\n"
        "[     0] gpu 0 uses 1000 MiB: lease 1 1000\n"
        "[     0] the operator pauses lease 1\n"
        "          work lease 1 asked to pause by 10000, for lease 0, 424 MiB\n"
        "[     0] work has paused lease 1\n"
        "[     1] gpu 0 uses 0 MiB:\n"
        "          work lease 1 paused\n"
        "[     1] voice asks -> lease 3\n"
        "          voice lease 3 granted, token 4, gpu 0, 23500 MiB\n"
        "[     1] chat asks -> lease 5\n"
        "          chat lease 5 queued\n"
        "[     1] gpu 0 uses 15000 MiB: lease 1 5000 lease 3 10000\n"
        "[     1] the operator resumes lease 1\n");
    stage_close(&stage);
}

/* C4: nobody resumes into less than it used before, and a margin. */
static void c4_a_resume_needs_what_was_used_and_a_margin(void **state)
{
    struct stage stage;
    uint64_t work;
    uint64_t voice;

    (void)state;
    open_stage(&stage);
    stage_usages(&stage, 0, 0, NULL, 0);
    work = send_to_sleep(&stage, 4096, 10000);
    stage_wait(&stage, 20);
    stage_usages(&stage, 0, 300,
                 USAGES({.lease = work, .service = 1, .used_mib = 300}));
    voice =
        stage_ask(&stage, "voice",
                  (struct core_request){.class_id = VOICE, .vram_mib = 14000});
    stage_usages(&stage, 0, 15300,
                 USAGES({.lease = work, .service = 1, .used_mib = 300},
                        {.lease = voice, .service = 2, .used_mib = 15000}));
    stage_admin(&stage, CORE_RESUME, work, 0, 0);
    stage_note(&stage, "4,096 would fit, 10,000 do not");
    stage_usages(&stage, 0, 14600,
                 USAGES({.lease = work, .service = 1, .used_mib = 300},
                        {.lease = voice, .service = 2, .used_mib = 14300}));
    stage_note(&stage,
               "10,000 would fit, a margin of 5 % beside them does not");
    stage_usages(&stage, 0, 14300,
                 USAGES({.lease = work, .service = 1, .used_mib = 300},
                        {.lease = voice, .service = 2, .used_mib = 14000}));
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB:\n"
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 4096 MiB\n"
                 "[     0] gpu 0 uses 10000 MiB: lease 1 10000\n"
                 "[     0] the operator pauses lease 1\n"
                 "          work lease 1 asked to pause by 10000, for lease 0, "
                 "9400 MiB\n"
                 "[     0] work has paused lease 1\n"
                 "[    20] gpu 0 uses 300 MiB: lease 1 300\n"
                 "          work lease 1 paused\n"
                 "[    20] voice asks -> lease 3\n"
                 "          voice lease 3 granted, token 4, gpu 0, 14000 MiB\n"
                 "[    20] gpu 0 uses 15300 MiB: lease 1 300 lease 3 15000\n"
                 "[    20] the operator resumes lease 1\n"
                 "4,096 would fit, 10,000 do not\n"
                 "[    20] gpu 0 uses 14600 MiB: lease 1 300 lease 3 14300\n"
                 "10,000 would fit, a margin of 5 % beside them does not\n"
                 "[    20] gpu 0 uses 14300 MiB: lease 1 300 lease 3 14000\n"
                 "          work lease 1 resumed, token 5, gpu 0, 10000 MiB\n");
    stage_close(&stage);
}

/* B8: VRAM of a known service without a lease is its warm model, which can be
 * told to go; where its pids are not known by lease, its leases explain what
 * it uses first. */
static void b8_the_service_of_a_process_is_enough(void **state)
{
    struct stage stage;
    uint64_t work;

    (void)state;
    open_stage(&stage);
    stage_usages(&stage, 0, 0, NULL, 0);
    stage_stream(&stage, "work", true);
    work = stage_ask(
        &stage, "work",
        (struct core_request){.class_id = TRANSCRIPTION, .vram_mib = 4096});
    stage_usages(&stage, 0, 6000, USAGES({.service = 1, .used_mib = 6000}));
    note_usage(&stage, work);
    stage_release(&stage, work);
    stage_wait(&stage, 20);
    stage_usages(&stage, 0, 5000, USAGES({.service = 1, .used_mib = 5000}));
    (void)stage_ask(
        &stage, "chat",
        (struct core_request){.class_id = CHATBOT, .vram_mib = 20000});
    stage_wait(&stage, 20);
    stage_usages(&stage, 0, 0, NULL, 0);
    stage_expect(&stage,
                 "[     0] gpu 0 uses 0 MiB:\n"
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 4096 MiB\n"
                 "[     0] gpu 0 uses 6000 MiB: work 6000\n"
                 "lease 1: 6000 of 4096 MiB, measured\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "[    20] gpu 0 uses 5000 MiB: work 5000\n"
                 "[    20] chat asks -> lease 3\n"
                 "          work told to unload 5000 MiB by 5020\n"
                 "          chat lease 3 clearing\n"
                 "[    40] gpu 0 uses 0 MiB:\n"
                 "          chat lease 3 granted, token 4, gpu 0, 20000 MiB\n");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b8_a_desktop_blocks_nobody),
        cmocka_unit_test(b3_who_uses_more_is_charged_more),
        cmocka_unit_test(c4_a_liar_cannot_hide_behind_another),
        cmocka_unit_test(c4_use_in_sleep_is_no_room_for_a_resume),
        cmocka_unit_test(c4_a_resume_needs_what_was_used_and_a_margin),
        cmocka_unit_test(b8_the_service_of_a_process_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
