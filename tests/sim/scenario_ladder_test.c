/* The escalation ladder, each rung a page (C2, B8). */
#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    ALL = CORE_LADDER(0), /* Every rung. */
    KEPT = CORE_LADDER(1),
    FORCE = CORE_LADDER(2),
    WATCHDOG = CORE_LADDER(3),
    FREEZE = CORE_LADDER(4)
};

static void open_stage(struct stage *stage, bool is_measured)
{
    struct core_config config;

    stage_config(&config);
    config.devices[0].is_measured = is_measured;
    config.ladder_count = 5;
    config.ladders[0] = (struct core_ladder){7,
                                             {{RUNG_ASK, 0},
                                              {RUNG_UNLOAD, 1000},
                                              {RUNG_FREEZE, 2000},
                                              {RUNG_CHECKPOINT, 3000},
                                              {RUNG_TERM, 4000},
                                              {RUNG_KILL, 500},
                                              {RUNG_RESTART, 0}}};
    config.ladders[1] =
        (struct core_ladder){2, {{RUNG_FREEZE, 2000}, {RUNG_CHECKPOINT, 3000}}};
    config.ladders[2] = (struct core_ladder){
        3, {{RUNG_TERM, 4000}, {RUNG_KILL, 500}, {RUNG_RESTART, 0}}};
    config.ladders[3] =
        (struct core_ladder){2, {{RUNG_ASK, 0}, {RUNG_RESTART, 0}}};
    config.ladders[4] = (struct core_ladder){1, {{RUNG_FREEZE, 2000}}};
    stage_open(stage, &config);
    if (is_measured) {
        stage_sample(stage, 0, 0);
    }
}

/* Let `work` hold the GPU with @ladder. */
static uint64_t work(struct stage *stage, uint32_t ladder)
{
    return stage_ask(stage, "work",
                     (struct core_request){.class_id = TRANSCRIPTION,
                                           .ladder = (uint8_t)ladder,
                                           .ttl_ms = 20000,
                                           .is_preemptible = true,
                                           .is_reachable = true,
                                           .is_watched = true});
}

/* Set the stage, on which `work` holds the GPU, and where it is measured uses
 * 20,000 MiB of it; the page begins anew. */
static uint64_t hold(struct stage *stage, uint32_t ladder, bool is_measured)
{
    uint64_t lease;

    open_stage(stage, is_measured);
    lease = work(stage, ladder);
    if (is_measured) {
        stage_wait(stage, 100);
        stage_sample(stage, 0, 20000);
    }
    stage_expect(
        stage,
        is_measured
            ? "[     0] gpu 0 uses 0 MiB\n"
              "[     0] work asks -> lease 1\n"
              "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
              "[   100] gpu 0 uses 20000 MiB\n"
            : "[     0] work asks -> lease 1\n"
              "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n");
    return lease;
}

/* Let `chat` ask for the GPU. */
static uint64_t chat(struct stage *stage)
{
    return stage_ask(stage, "chat", (struct core_request){.class_id = CHATBOT});
}

/* Say how @rung, of the newest token of @lease, or its undo, ended. */
static void say(struct stage *stage,
                const char *what,
                uint64_t lease,
                const struct core_event *rung)
{
    struct core_event event = *rung;

    event.type = CORE_RUNG;
    event.at_ms = stage->rig.now_ms;
    event.rung.lease = lease;
    event.rung.token = rig_row(&stage->rig, lease)->token;
    assert_int_equal(stage_feed(stage, what, &event), E_OK);
}

static void answer(struct stage *stage,
                   const char *what,
                   uint64_t lease,
                   enum rung rung,
                   enum rung_result result)
{
    say(stage, what, lease,
        &(struct core_event){.rung = {.rung = rung, .result = result}});
}

static void undone(struct stage *stage,
                   const char *what,
                   uint64_t lease,
                   enum rung rung,
                   enum rung_result result)
{
    say(stage, what, lease,
        &(struct core_event){
            .rung = {.rung = rung, .is_undo = true, .result = result}});
}

/* C1: VRAM that has gone in a checkpoint may come back with it: it is nobody's
 * until somebody has said what came of it. */
static void c1_what_a_checkpoint_has_freed_may_come_back(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, KEPT, true);
    (void)chat(&stage);
    stage_wait(&stage, 3000);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    answer(&stage, "it comes to nothing", lease, RUNG_CHECKPOINT, RUNG_FAILED);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 20000);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    stage_expect(&stage,
                 "[   100] chat asks -> lease 3\n"
                 "          work lease 1: checkpoint by 3100\n"
                 "          chat lease 3 clearing\n"
                 "[  3100] time\n"
                 "          work lease 1 revoked (pause_late)\n"
                 "          work lease 1 reclaiming\n"
                 "[  3200] gpu 0 uses 0 MiB\n"
                 "[  3200] it comes to nothing\n"
                 "[  3200] gpu 0 uses 0 MiB\n"
                 "[  3300] gpu 0 uses 20000 MiB\n"
                 "[  3400] gpu 0 uses 0 MiB\n"
                 "          work lease 1 ended (pause_late)\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* C1: the same where the holder says that it has paused, meanwhile. */
static void c1_nor_does_an_ack_make_room_meanwhile(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, KEPT, true);
    (void)chat(&stage);
    stage_wait(&stage, 100);
    stage_ack(&stage, lease, CORE_ACK_PAUSED, 0);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    answer(&stage, "it comes to nothing", lease, RUNG_CHECKPOINT, RUNG_FAILED);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    stage_expect(&stage,
                 "[   100] chat asks -> lease 3\n"
                 "          work lease 1: checkpoint by 3100\n"
                 "          chat lease 3 clearing\n"
                 "[   200] work has paused lease 1\n"
                 "[   300] gpu 0 uses 0 MiB\n"
                 "[   300] it comes to nothing\n"
                 "[   300] gpu 0 uses 0 MiB\n"
                 "[   400] gpu 0 uses 0 MiB\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n"
                 "          work lease 1 paused\n");
    stage_close(&stage);
}

/* C1: a restore that nobody has heard of may still come to its end. */
static void c1_what_a_restore_needs_is_nobodys_meanwhile(void **state)
{
    struct stage stage;
    uint64_t lease;
    uint64_t first;

    (void)state;
    lease = hold(&stage, KEPT, true);
    first = chat(&stage);
    answer(&stage, "checkpointed", lease, RUNG_CHECKPOINT, RUNG_OK);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    stage_release(&stage, first);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    stage_wait(&stage, 3000);
    (void)chat(&stage);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    undone(&stage, "restored", lease, RUNG_CHECKPOINT, RUNG_OK);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 20000);
    stage_wait(&stage, 5000);
    stage_expect(&stage,
                 "[   100] chat asks -> lease 3\n"
                 "          work lease 1: checkpoint by 3100\n"
                 "          chat lease 3 clearing\n"
                 "[   100] checkpointed\n"
                 "[   200] gpu 0 uses 0 MiB\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n"
                 "          work lease 1 paused\n"
                 "[   200] chat releases lease 3\n"
                 "          chat lease 3 ended (released)\n"
                 "          work lease 1 clearing\n"
                 "[   300] gpu 0 uses 0 MiB\n"
                 "          work lease 1 resumed, token 5, gpu 0, 24320 MiB\n"
                 "          work lease 1: undo checkpoint by 3300\n"
                 "[  3300] time\n"
                 "          work lease 1 revoked (restore_failed)\n"
                 "          work lease 1 reclaiming\n"
                 "[  3300] chat asks -> lease 6\n"
                 "          chat lease 6 clearing\n"
                 "[  3400] gpu 0 uses 0 MiB\n"
                 "[  3400] restored\n"
                 "[  3500] gpu 0 uses 20000 MiB\n"
                 "[  8300] time\n"
                 "          work lease 1 ended (restore_failed)\n"
                 "          chat lease 6 granted, token 7, gpu 0, 4320 MiB\n");
    stage_close(&stage);
}

/* C2: a holder that hangs is walked up the whole ladder; what needs no room,
 * the freeze, is left out, and the chat comes when the VRAM is free. */
static void c2_a_hung_holder_climbs_every_rung(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, ALL, true);
    (void)chat(&stage);
    stage_wait(&stage, 10000);
    answer(&stage, "the engine is not there", lease, RUNG_UNLOAD, RUNG_FAILED);
    stage_wait(&stage, 3000);
    answer(&stage, "its time is over", lease, RUNG_CHECKPOINT, RUNG_FAILED);
    stage_wait(&stage, 4000);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 0);
    stage_expect(&stage,
                 "[   100] chat asks -> lease 3\n"
                 "          work lease 1 asked to pause by 10100, for "
                 "lease 3, 23720 MiB\n"
                 "          chat lease 3 clearing\n"
                 "[ 10100] time\n"
                 "          work lease 1: unload by 11100\n"
                 "[ 10100] the engine is not there\n"
                 "          work lease 1: checkpoint by 13100\n"
                 "[ 13100] time\n"
                 "          work lease 1 revoked (pause_late)\n"
                 "          work lease 1: term by 17100\n"
                 "          work lease 1 reclaiming\n"
                 "[ 13100] its time is over\n"
                 "[ 17100] time\n"
                 "          work lease 1: kill by 17600\n"
                 "[ 17200] gpu 0 uses 0 MiB\n"
                 "          work lease 1: restart by 22200\n"
                 "          work lease 1 ended (pause_late)\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* C2: a training script that nobody changed gives way to a chat, and goes on
 * afterwards; while it is checkpointed its TTL stands still. */
static void c2_a_checkpointed_holder_comes_back(void **state)
{
    struct stage stage;
    uint64_t first;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, KEPT, true);
    first = chat(&stage);
    answer(&stage, "checkpointed", lease, RUNG_CHECKPOINT, RUNG_OK);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 300);
    stage_wait(&stage, 25000);
    stage_release(&stage, first);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 300);
    stage_wait(&stage, 100);
    undone(&stage, "restored", lease, RUNG_CHECKPOINT, RUNG_OK);
    stage_wait(&stage, 19999);
    stage_note(&stage, "its full TTL runs from there");
    stage_wait(&stage, 1);
    stage_expect(&stage,
                 "[   100] chat asks -> lease 3\n"
                 "          work lease 1: checkpoint by 3100\n"
                 "          chat lease 3 clearing\n"
                 "[   100] checkpointed\n"
                 "[   200] gpu 0 uses 300 MiB\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24020 MiB\n"
                 "          work lease 1 paused\n"
                 "[ 25200] chat releases lease 3\n"
                 "          chat lease 3 ended (released)\n"
                 "          work lease 1 clearing\n"
                 "[ 25300] gpu 0 uses 300 MiB\n"
                 "          work lease 1 resumed, token 5, gpu 0, 24320 MiB\n"
                 "          work lease 1: undo checkpoint by 28300\n"
                 "[ 25400] restored\n"
                 "its full TTL runs from there\n"
                 "[ 45400] time\n"
                 "          work lease 1 revoked (expired)\n"
                 "          work lease 1 reclaiming\n");
    stage_close(&stage);
}

/* C4: a failed restore is terminal: it is said, and the room goes on. */
static void c4_a_failed_restore_ends_the_lease(void **state)
{
    struct stage stage;
    uint64_t first;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, KEPT, false);
    first = chat(&stage);
    answer(&stage, "checkpointed", lease, RUNG_CHECKPOINT, RUNG_OK);
    stage_release(&stage, first);
    undone(&stage, "the restore fails", lease, RUNG_CHECKPOINT, RUNG_FAILED);
    stage_wait(&stage, 5000);
    stage_expect(&stage,
                 "[     0] chat asks -> lease 3\n"
                 "          work lease 1: checkpoint by 3000\n"
                 "          chat lease 3 clearing\n"
                 "[     0] checkpointed\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n"
                 "          work lease 1 paused\n"
                 "[     0] chat releases lease 3\n"
                 "          chat lease 3 ended (released)\n"
                 "          work lease 1 resumed, token 5, gpu 0, 24320 MiB\n"
                 "          work lease 1: undo checkpoint by 3000\n"
                 "[     0] the restore fails\n"
                 "          work lease 1 revoked (restore_failed)\n"
                 "          work lease 1 reclaiming\n"
                 "[  5000] time\n"
                 "          work lease 1 ended, left in checkpoint "
                 "(restore_failed)\n");
    stage_close(&stage);
}

/* B8: the watchdog: a holder past its TTL is revoked, its service restarted,
 * once, also where the coordinator starts again in between; the next waiter
 * comes when the VRAM is free. */
static void b8_a_service_is_restarted_once(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, WATCHDOG, true);
    stage_wait(&stage, 19900);
    answer(&stage, "it runs", lease, RUNG_RESTART, RUNG_OK);
    stage_restart(&stage);
    (void)chat(&stage);
    stage_wait(&stage, 4000);
    stage_sample(&stage, 0, 0);
    stage_expect(&stage, "[ 20000] time\n"
                         "          work lease 1 revoked (expired)\n"
                         "          work lease 1: restart by 25000\n"
                         "          work lease 1 reclaiming\n"
                         "[ 20000] it runs\n"
                         "[ 20001] the coordinator starts again\n"
                         "[ 20001] chat asks -> lease 1000\n"
                         "          chat lease 1000 clearing\n"
                         "[ 24001] gpu 0 uses 0 MiB\n"
                         "          work lease 1 ended (expired)\n"
                         "          chat lease 1000 granted, token 1001, gpu "
                         "0, 24320 MiB\n");
    stage_close(&stage);
}

/* C2: a rung that a restart of the coordinator interrupted is begun again. */
static void c2_a_rung_is_begun_again_after_a_restart(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, ALL, false);
    stage_admin(&stage, CORE_REVOKE, lease, 0, 0);
    answer(&stage, "no engine", lease, RUNG_UNLOAD, RUNG_SKIPPED);
    stage_wait(&stage, 1000);
    stage_restart(&stage);
    stage_wait(&stage, 1);
    stage_gone(&stage, lease);
    stage_expect(&stage, "[     0] the operator revokes lease 1\n"
                         "          work lease 1 revoked (operator)\n"
                         "          work lease 1: unload by 1000\n"
                         "          work lease 1 reclaiming\n"
                         "[     0] no engine\n"
                         "          work lease 1: term by 4000\n"
                         "[  1001] the coordinator starts again\n"
                         "[  1001] time\n"
                         "          work lease 1: term by 5001\n"
                         "[  1002] work dies with lease 1\n"
                         "          work lease 1: restart by 6002\n"
                         "          work lease 1 ended (operator)\n");
    stage_close(&stage);
}

/* C3: who dies is not restarted: it is gone, and was not revoked. */
static void c3_a_death_is_no_revocation(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, FORCE, false);
    stage_gone(&stage, lease);
    stage_expect(&stage, "[     0] work dies with lease 1\n"
                         "          work lease 1 revoked (gone)\n"
                         "          work lease 1 ended (gone)\n");
    stage_close(&stage);
}

/* C2: an operator's pause may freeze: the VRAM stays charged, who wants the
 * device alone waits, and the resume needs no room. */
static void c2_a_frozen_holder_keeps_its_room(void **state)
{
    struct stage stage;
    struct core_why why;
    uint64_t lease;
    uint64_t next;

    (void)state;
    lease = hold(&stage, KEPT, false);
    stage_admin(&stage, CORE_PAUSE, lease, 0, 0);
    answer(&stage, "frozen", lease, RUNG_FREEZE, RUNG_OK);
    next = chat(&stage);
    assert_int_equal(core_why(stage.rig.core, next, &why), E_OK);
    assert_int_equal(why.wait, CORE_WAIT_FROZEN);
    assert_int_equal(why.blocker, lease);
    stage_wait(&stage, 25000);
    stage_admin(&stage, CORE_RESUME, lease, 0, 0);
    undone(&stage, "thawed", lease, RUNG_FREEZE, RUNG_OK);
    stage_expect(&stage,
                 "[     0] the operator pauses lease 1\n"
                 "          work lease 1: freeze by 2000\n"
                 "[     0] frozen\n"
                 "          work lease 1 paused\n"
                 "[     0] chat asks -> lease 3\n"
                 "          chat lease 3 queued\n"
                 "[ 25000] the operator resumes lease 1\n"
                 "          work lease 1 resumed, token 4, gpu 0, 24320 MiB\n"
                 "          work lease 1: undo freeze by 27000\n"
                 "[ 25000] thawed\n"
                 "          work lease 1: checkpoint by 28000\n"
                 "          chat lease 3 clearing\n");
    stage_close(&stage);
}

/* Guarantee 1: who was frozen keeps what it is charged when it goes on, also
 * where strangers took more than there is: it still has its VRAM. */
static void c2_a_frozen_holder_is_charged_no_less_when_it_goes_on(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, KEPT, true);
    stage_admin(&stage, CORE_PAUSE, lease, 0, 0);
    answer(&stage, "frozen", lease, RUNG_FREEZE, RUNG_OK);
    stage_wait(&stage, 100);
    stage_sample(&stage, 0, 24400);
    stage_admin(&stage, CORE_RESUME, lease, 0, 0);
    undone(&stage, "thawed", lease, RUNG_FREEZE, RUNG_OK);
    stage_expect(&stage,
                 "[   100] the operator pauses lease 1\n"
                 "          work lease 1: freeze by 2100\n"
                 "[   100] frozen\n"
                 "          work lease 1 paused\n"
                 "[   200] gpu 0 uses 24400 MiB\n"
                 "[   200] the operator resumes lease 1\n"
                 "          work lease 1 resumed, token 3, gpu 0, 24320 MiB\n"
                 "          work lease 1: undo freeze by 2200\n"
                 "[   200] thawed\n");
    stage_close(&stage);
}

/* C2: a freeze makes no room, so for somebody's room a ladder of it alone is
 * force.  But a grant leaves before its end does: an overdue waiter that
 * was let in has its turn before the next one takes it back. */
static void c2_nobody_is_granted_and_revoked_in_one_step(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t first;

    (void)state;
    open_stage(&stage, false);
    config = stage.rig.config;
    config.classes[TRANSCRIPTION - CORE_CLASS(0)].max_wait_ms = 1000;
    stage_configure(&stage, &config);
    first = chat(&stage);
    (void)work(&stage, FREEZE);
    (void)chat(&stage);
    stage_wait(&stage, 1000);
    stage_release(&stage, first);
    stage_wait(&stage, 2000);
    stage_expect(&stage,
                 "[     0] the operator loads a configuration\n"
                 "[     0] chat asks -> lease 1\n"
                 "          chat lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] work asks -> lease 3\n"
                 "          work lease 3 queued\n"
                 "[     0] chat asks -> lease 4\n"
                 "          chat lease 4 queued\n"
                 "[  1000] chat releases lease 1\n"
                 "          chat lease 1 ended (released)\n"
                 "          work lease 3 granted, token 5, gpu 0, 24320 MiB\n"
                 "[  3000] time\n"
                 "          work lease 3 revoked (preempted)\n"
                 "          chat lease 4 clearing\n"
                 "          work lease 3 reclaiming\n");
    stage_close(&stage);
}

/* C2: who is revoked while frozen is thawed, or it would never hear TERM; a
 * checkpoint that is left is said at the end. */
static void c2_nobody_is_left_frozen(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, KEPT, false);
    stage_admin(&stage, CORE_PAUSE, lease, 0, 0);
    answer(&stage, "frozen", lease, RUNG_FREEZE, RUNG_OK);
    stage_release(&stage, lease);
    lease = work(&stage, KEPT);
    (void)chat(&stage);
    answer(&stage, "checkpointed", lease, RUNG_CHECKPOINT, RUNG_OK);
    stage_release(&stage, lease);
    stage_expect(&stage,
                 "[     0] the operator pauses lease 1\n"
                 "          work lease 1: freeze by 2000\n"
                 "[     0] frozen\n"
                 "          work lease 1 paused\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1: undo freeze by 2000\n"
                 "          work lease 1 ended (released)\n"
                 "[     0] work asks -> lease 3\n"
                 "          work lease 3 granted, token 4, gpu 0, 24320 MiB\n"
                 "[     0] chat asks -> lease 5\n"
                 "          work lease 3: checkpoint by 3000\n"
                 "          chat lease 5 clearing\n"
                 "[     0] checkpointed\n"
                 "          chat lease 5 granted, token 6, gpu 0, 24320 MiB\n"
                 "          work lease 3 paused\n"
                 "[     0] work releases lease 3\n"
                 "          work lease 3 ended, left in checkpoint "
                 "(released)\n");
    stage_close(&stage);
}

/* C2: a ladder that begins with force revokes; the next rung waits for the
 * grace of the one before, and answers to old rungs do nothing. */
static void c2_force_walks_with_its_graces(void **state)
{
    struct stage stage;
    struct core_lease_view view;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, FORCE, true);
    (void)chat(&stage);
    answer(&stage, "told", lease, RUNG_TERM, RUNG_OK);
    assert_int_equal(core_lease_view(stage.rig.core, lease, &view), E_OK);
    assert_int_equal(view.rung, RUNG_TERM);
    assert_int_equal(view.rung_by_ms, view.rung_at_ms + 4000);
    assert_int_equal(view.guarantee, CORE_SUPERVISED);
    stage_wait(&stage, 4000);
    answer(&stage, "late", lease, RUNG_TERM, RUNG_FAILED);
    stage_wait(&stage, 500);
    stage_wait(&stage, 5000);
    stage_expect(&stage, "[   100] chat asks -> lease 3\n"
                         "          work lease 1 revoked (preempted)\n"
                         "          work lease 1: term by 4100\n"
                         "          chat lease 3 clearing\n"
                         "          work lease 1 reclaiming\n"
                         "[   100] told\n"
                         "[  4100] time\n"
                         "          work lease 1: kill by 4600\n"
                         "[  4100] late\n"
                         "[  4600] time\n"
                         "          work lease 1: restart by 9600\n"
                         "[  9600] time\n"
                         "          work lease 1 ended (preempted)\n");
    stage_close(&stage);
}

/* A watched process on a device nobody measures: the next grant waits for its
 * end, not for a clock. */
static void the_end_of_a_watched_process_counts(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, 0, false);
    (void)chat(&stage);
    stage_admin(&stage, CORE_REVOKE, lease, 0, 0);
    stage_wait(&stage, 100);
    stage_gone(&stage, lease);
    stage_expect(&stage,
                 "[     0] chat asks -> lease 3\n"
                 "          work lease 1 asked to pause by 10000, for "
                 "lease 3, 23720 MiB\n"
                 "          chat lease 3 clearing\n"
                 "[     0] the operator revokes lease 1\n"
                 "          work lease 1 revoked (operator)\n"
                 "          work lease 1 reclaiming\n"
                 "[   100] work dies with lease 1\n"
                 "          work lease 1 ended (operator)\n"
                 "          chat lease 3 granted, token 4, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* C15: a bypass ends nobody any more, also where that has begun; what was ended
 * is started again. */
static void c15_a_bypass_stops_a_ladder(void **state)
{
    struct stage stage;

    (void)state;
    (void)hold(&stage, FORCE, true);
    stage_wait(&stage, 20000); /* The TTL: term has begun. */
    stage_admin(&stage, CORE_BYPASS, 0, 0, 90000);
    (void)chat(&stage);
    stage_wait(&stage, 4000);
    stage_wait(&stage, 10000);
    stage_expect(&stage,
                 "[ 20000] time\n"
                 "          work lease 1 revoked (expired)\n"
                 "          work lease 1: term by 24000\n"
                 "          work lease 1 reclaiming\n"
                 "[ 20100] the operator sets bypass until 90000\n"
                 "[ 20100] chat asks -> lease 3\n"
                 "          chat lease 3 granted, token 4, gpu 0, 0 MiB, "
                 "advisory\n"
                 "[ 24000] time\n"
                 "          work lease 1: restart by 29000\n"
                 "[ 29000] time\n"
                 "          work lease 1 ended (expired)\n");
    stage_close(&stage);
}

/* C15: and nobody is revoked who could not pause. */
static void c15_a_bypass_revokes_nobody_who_fails_to_pause(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    lease = hold(&stage, ALL, true);
    (void)chat(&stage);
    stage_admin(&stage, CORE_BYPASS, 0, 0, 60000);
    stage_ack(&stage, lease, CORE_ACK_ERROR, 0);
    stage_wait(&stage, 15000);
    stage_expect(&stage,
                 "[   100] chat asks -> lease 3\n"
                 "          work lease 1 asked to pause by 10100, for lease 3, "
                 "23720 MiB\n"
                 "          chat lease 3 clearing\n"
                 "[   100] the operator sets bypass until 60000\n"
                 "          chat lease 3 granted, token 4, gpu 0, 0 MiB, "
                 "advisory\n"
                 "[   100] work cannot pause lease 1\n");
    stage_close(&stage);
}

/* C15: who observes grants at once, says what it would have waited for, and
 * revokes nobody. */
static void c15_observing_holds_nobody_up(void **state)
{
    struct core_config config;
    struct core_stats stats;
    struct core_lease_view view;
    struct stage stage;
    uint64_t lease;

    (void)state;
    open_stage(&stage, false);
    config = stage.rig.config;
    config.is_observing = true;
    stage_configure(&stage, &config);
    (void)work(&stage, ALL);
    lease = chat(&stage);
    core_stats(stage.rig.core, &stats);
    assert_int_equal(stats.prevented, 1);
    assert_int_equal(core_lease_view(stage.rig.core, lease, &view), E_OK);
    assert_true((view.row.flags & CORE_ROW_UNCHECKED) != 0);
    assert_int_equal(view.guarantee, CORE_ADVISORY);
    stage_wait(&stage, 30000);
    stage_expect(&stage,
                 "[     0] the operator loads a configuration\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] chat asks -> lease 3\n"
                 "          chat lease 3 granted, token 4, gpu 0, 0 MiB\n"
                 "[ 20000] time\n"
                 "          work lease 1 ended (expired)\n"
                 "[ 30000] time\n"
                 "          chat lease 3 ended (expired)\n");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c1_what_a_checkpoint_has_freed_may_come_back),
        cmocka_unit_test(c1_nor_does_an_ack_make_room_meanwhile),
        cmocka_unit_test(c1_what_a_restore_needs_is_nobodys_meanwhile),
        cmocka_unit_test(c2_a_hung_holder_climbs_every_rung),
        cmocka_unit_test(c2_a_checkpointed_holder_comes_back),
        cmocka_unit_test(c4_a_failed_restore_ends_the_lease),
        cmocka_unit_test(b8_a_service_is_restarted_once),
        cmocka_unit_test(c2_a_rung_is_begun_again_after_a_restart),
        cmocka_unit_test(c3_a_death_is_no_revocation),
        cmocka_unit_test(c2_a_frozen_holder_keeps_its_room),
        cmocka_unit_test(c2_a_frozen_holder_is_charged_no_less_when_it_goes_on),
        cmocka_unit_test(c2_nobody_is_granted_and_revoked_in_one_step),
        cmocka_unit_test(c2_nobody_is_left_frozen),
        cmocka_unit_test(c2_force_walks_with_its_graces),
        cmocka_unit_test(the_end_of_a_watched_process_counts),
        cmocka_unit_test(c15_a_bypass_stops_a_ladder),
        cmocka_unit_test(c15_a_bypass_revokes_nobody_who_fails_to_pause),
        cmocka_unit_test(c15_observing_holds_nobody_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
