/* Scenarios of order, shares, operators and restarts, each a page. */
#include "sim/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

/* Hand the GPU over @rounds times while both background classes always wait;
 * the first letters of who got it, into @out. */
static void contend(struct stage *stage, char *out, int rounds)
{
    uint64_t holder = 0;
    int i;

    for (i = 0; i < 4; i++) {
        (void)stage_ask(stage, "T",
                        (struct core_request){.class_id = TRANSCRIPTION});
        (void)stage_ask(stage, "S",
                        (struct core_request){.class_id = SUMMARIZATION});
    }
    for (i = 0; i < rounds; i++) {
        size_t j;

        for (j = 0; j < stage->rig.store.count; j++) {
            if (stage->rig.store.rows[j].state == LEASE_HELD) {
                holder = stage->rig.store.rows[j].id;
            }
        }
        out[i] =
            rig_row(&stage->rig, holder)->class_id == TRANSCRIPTION ? 'T' : 'S';
        (void)stage_ask(stage, out[i] == 'T' ? "T" : "S",
                        (struct core_request){.class_id = out[i] == 'T'
                                                              ? TRANSCRIPTION
                                                              : SUMMARIZATION});
        stage_release(stage, holder);
    }
    buf_clear(&stage->page);
}

static int count(const char *order, int rounds, char letter)
{
    int sum = 0;
    int i;

    for (i = 0; i < rounds; i++) {
        sum += order[i] == letter;
    }
    return sum;
}

/* A5, A6: 70/30 with limits 2 and 1 comes to TTS TTS ..., 66.7 %; with limits
 * 3 and 1 it is 70.0 % exactly. */
static void a5_the_feasible_share_nearest_to_the_target(void **state)
{
    static char order[10000];
    struct core_config config;
    struct stage stage;
    int i;

    (void)state;
    stage_open_plain(&stage);
    contend(&stage, order, 10000);
    for (i = 0; i + 2 < 10000; i += 3) {
        assert_memory_equal(order + i, "TTS", 3);
    }
    assert_in_range(count(order, 10000, 'T'), 6666, 6668);
    stage_close(&stage);

    stage_config(&config);
    config.classes[2].max_consecutive = 3;
    stage_open(&stage, &config);
    contend(&stage, order, 10000);
    assert_int_equal(count(order, 10000, 'T'), 7000);
    stage_close(&stage);
}

/* A6: a limit yields where nobody else waits, or, as configured, does not. */
static void a6_a_limit_alone_runs_or_waits(void **state)
{
    struct core_config config;
    struct stage stage;
    int strict;

    (void)state;
    stage_config(&config);
    for (strict = 0; strict < 2; strict++) {
        uint64_t leases[3];
        int i;

        config.classes[2].waits_when_alone = strict == 1;
        stage_open(&stage, &config);
        for (i = 0; i < 3; i++) {
            leases[i] = stage_ask(
                &stage, "T", (struct core_request){.class_id = TRANSCRIPTION});
        }
        stage_release(&stage, leases[0]);
        stage_release(&stage, leases[1]);
        if (strict == 0) {
            stage_expect(
                &stage,
                "[     0] T asks -> lease 1\n"
                "          T lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                "[     0] T asks -> lease 3\n"
                "          T lease 3 queued\n"
                "[     0] T asks -> lease 4\n"
                "          T lease 4 queued\n"
                "[     0] T releases lease 1\n"
                "          T lease 1 ended (released)\n"
                "          T lease 3 granted, token 5, gpu 0, 24320 MiB\n"
                "[     0] T releases lease 3\n"
                "          T lease 3 ended (released)\n"
                "          T lease 4 granted, token 6, gpu 0, 24320 MiB\n");
        } else {
            leases[0] = stage_ask(
                &stage, "S", (struct core_request){.class_id = SUMMARIZATION});
            stage_release(&stage, leases[0]);
            stage_expect(
                &stage,
                "[     0] T asks -> lease 1\n"
                "          T lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                "[     0] T asks -> lease 3\n"
                "          T lease 3 queued\n"
                "[     0] T asks -> lease 4\n"
                "          T lease 4 queued\n"
                "[     0] T releases lease 1\n"
                "          T lease 1 ended (released)\n"
                "          T lease 3 granted, token 5, gpu 0, 24320 MiB\n"
                "[     0] T releases lease 3\n"
                "          T lease 3 ended (released)\n"
                "[     0] S asks -> lease 6\n"
                "          S lease 6 granted, token 7, gpu 0, 24320 MiB\n"
                "[     0] S releases lease 6\n"
                "          S lease 6 ended (released)\n"
                "          T lease 4 granted, token 8, gpu 0, 24320 MiB\n");
        }
        stage_close(&stage);
    }
}

/* C9: a chat's seat is kept warm for the next message; its equals end that. */
static void c9_a_seat_lingers(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t chat;

    (void)state;
    stage_config(&config);
    config.classes[0].linger_ms = 3000;
    stage_open(&stage, &config);
    chat =
        stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    (void)stage_ask(&stage, "work",
                    (struct core_request){.class_id = TRANSCRIPTION});
    stage_release(&stage, chat);
    stage_wait(&stage, 1000);
    chat =
        stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    stage_release(&stage, chat);
    stage_wait(&stage, 1000);
    chat =
        stage_ask(&stage, "other", (struct core_request){.class_id = CHATBOT});
    stage_release(&stage, chat);
    stage_wait(&stage, 4000);
    stage_expect(&stage,
                 "[     0] chat asks -> lease 1\n"
                 "          chat lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] work asks -> lease 3\n"
                 "          work lease 3 queued\n"
                 "[     0] chat releases lease 1\n"
                 "          chat lease 1 ended (released)\n"
                 "[  1000] chat asks -> lease 4\n"
                 "          chat lease 4 granted, token 5, gpu 0, 24320 MiB\n"
                 "[  1000] chat releases lease 4\n"
                 "          chat lease 4 ended (released)\n"
                 "[  2000] other asks -> lease 6\n"
                 "          other lease 6 granted, token 7, gpu 0, 24320 MiB\n"
                 "[  2000] other releases lease 6\n"
                 "          other lease 6 ended (released)\n"
                 "[  5000] time\n"
                 "          work lease 3 granted, token 8, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* C9: what runs gets to do something, except where priority 0 comes. */
static void c9_min_run_protects_from_all_but_priority_0(void **state)
{
    struct core_config config;
    struct stage stage;

    (void)state;
    stage_config(&config);
    config.classes[2].min_run_ms = 2000;
    stage_open(&stage, &config);
    stage_stream(&stage, "work", true);
    (void)stage_ask(&stage, "work",
                    (struct core_request){.class_id = TRANSCRIPTION,
                                          .is_preemptible = true});
    (void)stage_ask(&stage, "voice", (struct core_request){.class_id = VOICE});
    stage_wait(&stage, 2500);
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] voice asks -> lease 3\n"
                 "          voice lease 3 queued\n"
                 "[  2000] time\n"
                 "          work lease 1 asked to pause by 12000, for lease 3, "
                 "23720 MiB\n"
                 "          voice lease 3 clearing\n");
    stage_close(&stage);

    stage_open(&stage, &config);
    stage_stream(&stage, "work", true);
    (void)stage_ask(&stage, "work",
                    (struct core_request){.class_id = TRANSCRIPTION,
                                          .is_preemptible = true});
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = CHATBOT});
    stage_expect(&stage,
                 "[     0] work opens a stream\n"
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] chat asks -> lease 3\n"
                 "          work lease 1 asked to pause by 10000, for lease 3, "
                 "23720 MiB\n"
                 "          chat lease 3 clearing\n");
    stage_close(&stage);
}

/* C9, guarantee 9: endless chat, and yet every second grant may go to the one
 * that has waited too long. */
static void c9_max_wait_bounds_the_wait(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t chats[4];
    uint64_t first;
    int i;

    (void)state;
    stage_config(&config);
    config.classes[3].max_wait_ms = 1000;
    stage_open(&stage, &config);
    for (i = 0; i < 4; i++) {
        chats[i] = stage_ask(&stage, "chat",
                             (struct core_request){.class_id = CHATBOT});
    }
    first = stage_ask(&stage, "first",
                      (struct core_request){.class_id = SUMMARIZATION});
    (void)stage_ask(&stage, "second",
                    (struct core_request){.class_id = SUMMARIZATION});
    stage_release(&stage, chats[0]);
    stage_wait(&stage, 1000);
    stage_release(&stage, chats[1]);
    stage_release(&stage, first);
    stage_release(&stage, chats[2]);
    stage_expect(
        &stage,
        "[     0] chat asks -> lease 1\n"
        "          chat lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[     0] chat asks -> lease 3\n"
        "          chat lease 3 queued\n"
        "[     0] chat asks -> lease 4\n"
        "          chat lease 4 queued\n"
        "[     0] chat asks -> lease 5\n"
        "          chat lease 5 queued\n"
        "[     0] first asks -> lease 6\n"
        "          first lease 6 queued\n"
        "[     0] second asks -> lease 7\n"
        "          second lease 7 queued\n"
        "[     0] chat releases lease 1\n"
        "          chat lease 1 ended (released)\n"
        "          chat lease 3 granted, token 8, gpu 0, 24320 MiB\n"
        "[  1000] chat releases lease 3\n"
        "          chat lease 3 ended (released)\n"
        "          first lease 6 granted, token 9, gpu 0, 24320 MiB\n"
        "[  1000] first releases lease 6\n"
        "          first lease 6 ended (released)\n"
        "          chat lease 4 granted, token 10, gpu 0, 24320 MiB\n"
        "[  1000] chat releases lease 4\n"
        "          chat lease 4 ended (released)\n"
        "          second lease 7 granted, token 11, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* C12: N GPUs or none; two gangs cannot each hold half. */
static void c12_gangs_get_all_or_nothing(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t single;
    uint64_t gang;

    (void)state;
    stage_config(&config);
    config.devices[1] = config.devices[0];
    config.device_count = 2;
    stage_open(&stage, &config);
    single = stage_ask(&stage, "single", (struct core_request){.class_id = 2});
    gang = stage_ask(&stage, "gang",
                     (struct core_request){.class_id = 2, .gpus = 2});
    (void)stage_ask(&stage, "second gang",
                    (struct core_request){.class_id = 2, .gpus = 2});
    (void)stage_ask(&stage, "late",
                    (struct core_request){.class_id = 2, .vram_mib = 1000});
    stage_release(&stage, single);
    stage_release(&stage, gang);
    stage_expect(
        &stage,
        "[     0] single asks -> lease 1\n"
        "          single lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[     0] gang asks -> lease 3\n"
        "          gang lease 3 queued\n"
        "[     0] second gang asks -> lease 4\n"
        "          second gang lease 4 queued\n"
        "[     0] late asks -> lease 5\n"
        "          late lease 5 queued\n"
        "[     0] single releases lease 1\n"
        "          single lease 1 ended (released)\n"
        "          gang lease 3 granted, token 6, gpu 0 1, 24320 MiB\n"
        "[     0] gang releases lease 3\n"
        "          gang lease 3 ended (released)\n"
        "          second gang lease 4 granted, token 7, gpu 0 1, 24320 MiB\n");
    stage_close(&stage);
}

/* A large request is not starved by small ones that always fit. */
static void a_reservation_holds_against_backfill(void **state)
{
    struct stage stage;
    uint64_t first;
    uint64_t second;

    (void)state;
    stage_open_plain(&stage);
    first = stage_ask(&stage, "first",
                      (struct core_request){.class_id = 2, .vram_mib = 12000});
    second = stage_ask(&stage, "second",
                       (struct core_request){.class_id = 2, .vram_mib = 8000});
    (void)stage_ask(&stage, "large",
                    (struct core_request){.class_id = 2, .vram_mib = 20000});
    (void)stage_ask(&stage, "small",
                    (struct core_request){.class_id = 2, .vram_mib = 4000});
    stage_release(&stage, second);
    stage_release(&stage, first);
    stage_expect(&stage,
                 "[     0] first asks -> lease 1\n"
                 "          first lease 1 granted, token 2, gpu 0, 12000 MiB\n"
                 "[     0] second asks -> lease 3\n"
                 "          second lease 3 granted, token 4, gpu 0, 8000 MiB\n"
                 "[     0] large asks -> lease 5\n"
                 "          large lease 5 queued\n"
                 "[     0] small asks -> lease 6\n"
                 "          small lease 6 queued\n"
                 "[     0] second releases lease 3\n"
                 "          second lease 3 ended (released)\n"
                 "[     0] first releases lease 1\n"
                 "          first lease 1 ended (released)\n"
                 "          large lease 5 granted, token 7, gpu 0, 20000 MiB\n"
                 "          small lease 6 granted, token 8, gpu 0, 4000 MiB\n");
    stage_close(&stage);
}

/* An operator's drain admits and grants nothing new; holders go on. */
static void drain_lets_holders_finish(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    stage_open_plain(&stage);
    lease = stage_ask(&stage, "work", (struct core_request){.class_id = 2});
    (void)stage_ask(&stage, "next", (struct core_request){.class_id = 2});
    stage_admin(&stage, CORE_DRAIN, 0, 0, 0);
    (void)stage_ask(&stage, "late", (struct core_request){.class_id = 2});
    stage_renew(&stage, lease);
    stage_release(&stage, lease);
    stage_admin(&stage, CORE_UNDRAIN, 0, 0, 0);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] next asks -> lease 3\n"
                 "          next lease 3 queued\n"
                 "[     0] the operator drains\n"
                 "[     0] late asks -> draining\n"
                 "[     0] work renews lease 1\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "[     0] the operator undrains\n"
                 "          next lease 3 granted, token 4, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* A1, A8: stop admitting, end the waits, let holders finish within their
 * share (3 s of a budget of 10), stop. */
static void a8_shutdown_gives_holders_their_share(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    stage_open_plain(&stage);
    lease = stage_ask(&stage, "work", (struct core_request){.class_id = 2});
    (void)stage_ask(&stage, "next", (struct core_request){.class_id = 2});
    (void)stage_ask(&stage, "job",
                    (struct core_request){.class_id = 2, .job = 7});
    stage_admin(&stage, CORE_SHUTDOWN, 0, 0, 3000);
    (void)stage_ask(&stage, "late", (struct core_request){.class_id = 2});
    stage_wait(&stage, 1000);
    stage_release(&stage, lease);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] next asks -> lease 3\n"
                 "          next lease 3 queued\n"
                 "[     0] job asks -> lease 4\n"
                 "          job lease 4 queued\n"
                 "[     0] the operator stops until 3000\n"
                 "          work lease 1 to finish by 3000\n"
                 "          next lease 3 refused: draining\n"
                 "          next lease 3 ended (draining)\n"
                 "          job lease 4 refused: draining\n"
                 "          job lease 4 away\n"
                 "[     0] late asks -> draining\n"
                 "[  1000] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "          stopped\n");
    stage_close(&stage);

    stage_open_plain(&stage);
    (void)stage_ask(&stage, "work", (struct core_request){.class_id = 2});
    stage_admin(&stage, CORE_SHUTDOWN, 0, 0, 3000);
    stage_wait(&stage, 5000);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] the operator stops until 3000\n"
                 "          work lease 1 to finish by 3000\n"
                 "[  3000] time\n"
                 "          stopped\n");
    stage_close(&stage);
}

/* C15: bypass grants everything at once and asks nobody. */
static void c15_bypass_grants_everything(void **state)
{
    struct stage stage;
    uint64_t lease;

    (void)state;
    stage_open_plain(&stage);
    lease =
        stage_ask(&stage, "work",
                  (struct core_request){.class_id = 2, .is_preemptible = true});
    (void)stage_ask(&stage, "next", (struct core_request){.class_id = 2});
    stage_admin(&stage, CORE_BYPASS, 0, 0, 1000);
    (void)stage_ask(&stage, "chat", (struct core_request){.class_id = 0});
    stage_wait(&stage, 1000);
    (void)stage_ask(&stage, "late", (struct core_request){.class_id = 2});
    stage_release(&stage, lease);
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] next asks -> lease 3\n"
                 "          next lease 3 queued\n"
                 "[     0] the operator sets bypass until 1000\n"
                 "          next lease 3 granted, token 4, gpu 0, 0 MiB\n"
                 "[     0] chat asks -> lease 5\n"
                 "          chat lease 5 granted, token 6, gpu 0, 0 MiB\n"
                 "[  1000] late asks -> lease 7\n"
                 "          late lease 7 queued\n"
                 "[  1000] work releases lease 1\n"
                 "          work lease 1 ended (released)\n");
    stage_close(&stage);
}

/* C7: holders keep working, waiters with a job keep their place, durable tasks
 * are there, tokens rise, and nothing is granted in the first second. */
static void c7_restart_without_a_false_grant(void **state)
{
    struct core_config config;
    struct stage stage;
    uint64_t lease;
    uint64_t first;
    uint64_t second;

    (void)state;
    stage_config(&config);
    config.startup_hold_ms = 1000;
    stage_open(&stage, &config);
    stage_wait(&stage, 1000);
    lease = stage_ask(&stage, "work", (struct core_request){.class_id = 2});
    first = stage_ask(&stage, "first",
                      (struct core_request){.class_id = 2, .job = 1});
    second = stage_ask(&stage, "second",
                       (struct core_request){.class_id = 2, .job = 2});
    (void)stage_ask(&stage, "nameless", (struct core_request){.class_id = 2});
    (void)stage_ask(
        &stage, "task",
        (struct core_request){.class_id = 2, .job = 3, .is_durable = true});
    stage_restart(&stage);
    (void)stage_ask(&stage, "second",
                    (struct core_request){.class_id = 2, .job = 2});
    (void)stage_ask(&stage, "first",
                    (struct core_request){.class_id = 2, .job = 1});
    stage_release(&stage, lease);
    stage_wait(&stage, 1000);
    stage_release(&stage, first);
    stage_release(&stage, second);
    stage_stream(&stage, "task", true);
    stage_expect(
        &stage,
        "[  1000] work asks -> lease 1\n"
        "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
        "[  1000] first asks -> lease 3\n"
        "          first lease 3 queued\n"
        "[  1000] second asks -> lease 4\n"
        "          second lease 4 queued\n"
        "[  1000] nameless asks -> lease 5\n"
        "          nameless lease 5 queued\n"
        "[  1000] task asks -> lease 6\n"
        "          task lease 6 away\n"
        "[  1001] the coordinator starts again\n"
        "[  1001] second asks -> lease 4, again\n"
        "          second lease 4 queued\n"
        "[  1001] first asks -> lease 3, again\n"
        "          first lease 3 queued\n"
        "[  1001] work releases lease 1\n"
        "          work lease 1 ended (released)\n"
        "[  2001] time\n"
        "          first lease 3 granted, token 1000, gpu 0, 24320 MiB\n"
        "[  2001] first releases lease 3\n"
        "          first lease 3 ended (released)\n"
        "          second lease 4 granted, token 1001, gpu 0, 24320 MiB\n"
        "[  2001] second releases lease 4\n"
        "          second lease 4 ended (released)\n"
        "          task lease 6 offered\n"
        "[  2001] task opens a stream\n"
        "          task lease 6 granted, token 1002, gpu 0, 24320 MiB\n");
    stage_close(&stage);
}

/* Guarantee 7: who is known to have gone is granted nothing; a job keeps its
 * place, a nameless one does not. */
static void the_gone_are_not_granted(void **state)
{
    struct core_event event = {.type = CORE_DETACH};
    struct stage stage;
    uint64_t lease;
    uint64_t nameless;
    uint64_t job;

    (void)state;
    stage_open_plain(&stage);
    lease = stage_ask(&stage, "work", (struct core_request){.class_id = 2});
    nameless =
        stage_ask(&stage, "nameless", (struct core_request){.class_id = 2});
    job = stage_ask(&stage, "job",
                    (struct core_request){.class_id = 2, .job = 5});
    (void)stage_ask(&stage, "last", (struct core_request){.class_id = 2});
    event.at_ms = stage.rig.now_ms;
    event.detach.lease = nameless;
    event.detach.ref = 2;
    (void)stage_feed(&stage, "nameless hangs up", &event);
    event.detach.lease = job;
    event.detach.ref = 3;
    (void)stage_feed(&stage, "job hangs up", &event);
    stage_release(&stage, lease);
    (void)stage_ask(&stage, "job",
                    (struct core_request){.class_id = 2, .job = 5});
    stage_expect(&stage,
                 "[     0] work asks -> lease 1\n"
                 "          work lease 1 granted, token 2, gpu 0, 24320 MiB\n"
                 "[     0] nameless asks -> lease 3\n"
                 "          nameless lease 3 queued\n"
                 "[     0] job asks -> lease 4\n"
                 "          job lease 4 queued\n"
                 "[     0] last asks -> lease 5\n"
                 "          last lease 5 queued\n"
                 "[     0] nameless hangs up\n"
                 "          nameless lease 3 ended (gone)\n"
                 "[     0] job hangs up\n"
                 "          job lease 4 away\n"
                 "[     0] work releases lease 1\n"
                 "          work lease 1 ended (released)\n"
                 "          last lease 5 granted, token 6, gpu 0, 24320 MiB\n"
                 "[     0] job asks -> lease 4, again\n"
                 "          job lease 4 queued\n");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a5_the_feasible_share_nearest_to_the_target),
        cmocka_unit_test(a6_a_limit_alone_runs_or_waits),
        cmocka_unit_test(c9_a_seat_lingers),
        cmocka_unit_test(c9_min_run_protects_from_all_but_priority_0),
        cmocka_unit_test(c9_max_wait_bounds_the_wait),
        cmocka_unit_test(c12_gangs_get_all_or_nothing),
        cmocka_unit_test(a_reservation_holds_against_backfill),
        cmocka_unit_test(drain_lets_holders_finish),
        cmocka_unit_test(a8_shutdown_gives_holders_their_share),
        cmocka_unit_test(c15_bypass_grants_everything),
        cmocka_unit_test(c7_restart_without_a_false_grant),
        cmocka_unit_test(the_gone_are_not_granted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
