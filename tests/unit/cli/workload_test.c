/* The jobs of `simulate` and `replay`: what each does when it is granted,
 * asked to pause, resumed or lost (B5, C14). */
#include "cli/workload.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Writes down what the machines ask for. */
struct rig {
    struct workload work;
    struct buf log;
    uint64_t now_ms;
};

static int note(struct rig *rig, const char *what, uint32_t job)
{
    buf_printf(&rig->log, "%llu %s %u; ", (unsigned long long)rig->now_ms, what,
               job);
    return E_OK;
}

static int on_submit(void *arg, uint32_t job)
{
    return note(arg, "submit", job);
}

static int on_release(void *arg, uint32_t job)
{
    return note(arg, "release", job);
}

static int on_paused(void *arg, uint32_t job)
{
    return note(arg, "paused", job);
}

static int on_renew(void *arg, uint32_t job)
{
    return note(arg, "renew", job);
}

static void setup(struct rig *rig,
                  const struct trace_row *rows,
                  size_t count,
                  const char *background)
{
    struct trace_row copy[8];
    struct trace trace = {copy, count, count};
    struct workload_options options = {.chunk_ms = 2000,
                                       .job_ms = 5000,
                                       .load_ms = 1000,
                                       .offload_ms = 500,
                                       .backlog = 1,
                                       .renew_ms = 100000,
                                       .is_preemptible = true,
                                       .background = background};
    struct workload_calls calls = {on_submit, on_release, on_paused, on_renew,
                                   rig};

    if (count > 0) {
        memcpy(copy, rows, count * sizeof copy[0]);
    }
    *rig = (struct rig){0};
    buf_init(&rig->log, 0);
    assert_int_equal(workload_init(&rig->work, &trace, &options, &calls), E_OK);
}

static void teardown(struct rig *rig)
{
    workload_release(&rig->work);
    workload_release(&rig->work); /* Twice is allowed. */
    buf_release(&rig->log);
}

/* Run every timer up to @until_ms at its time, and compare what was asked
 * for. */
static void run_until(struct rig *rig, uint64_t until_ms, const char *expected)
{
    while (workload_next(&rig->work) <= until_ms) {
        rig->now_ms = workload_next(&rig->work);
        assert_int_equal(workload_run(&rig->work, rig->now_ms), E_OK);
    }
    rig->now_ms = until_ms;
    assert_string_equal(buf_string(&rig->log), expected);
    buf_clear(&rig->log);
}

static const struct trace_row chat = {.at_ms = 100,
                                      .work_ms = 3400,
                                      .class_name = "chatbot",
                                      .service_id = "gemma"};

static void a_chat_loads_works_and_gives_back(void **state)
{
    struct rig rig;

    (void)state;
    setup(&rig, &chat, 1, "");
    run_until(&rig, 99, "");
    run_until(&rig, 600, "100 submit 0; ");
    assert_int_equal(workload_granted(&rig.work, 0, 0, 600), E_OK);
    run_until(&rig, 9000, "5000 release 0; ");
    assert_false(workload_is_over(&rig.work));
    workload_released(&rig.work, 0, 5001);
    assert_true(workload_is_over(&rig.work));
    assert_int_equal(rig.work.classes[0].waits_ms[0], 500);
    assert_int_equal(rig.work.classes[0].held_ms, 4400);
    assert_int_equal(rig.work.classes[0].swap_ms, 1000);
    assert_string_equal(rig.work.services[rig.work.jobs[0].service], "gemma");
    teardown(&rig);
}

/* B5: it finishes its chunk, offloads its model, then acknowledges; its resume
 * loads the model again and loses no work. */
static void a_pause_ends_the_chunk_then_offloads(void **state)
{
    struct rig rig;

    (void)state;
    setup(&rig, NULL, 0, "transcription");
    run_until(&rig, 0, "0 submit 0; ");
    assert_int_equal(workload_granted(&rig.work, 0, 0, 0), E_OK);
    run_until(&rig, 1500, "");
    workload_pause(&rig.work, 0);
    run_until(&rig, 9000, "3500 paused 0; ");
    assert_int_equal(workload_granted(&rig.work, 0, 0, 10000), E_OK);
    run_until(&rig, 20000, "14000 release 0; ");
    workload_released(&rig.work, 0, 20000);
    run_until(&rig, 20000, "20000 submit 0; ");
    assert_int_equal(rig.work.classes[0].held_ms, 3500 + 4000);
    assert_int_equal(rig.work.classes[0].swap_ms, 2500);
    assert_int_equal(rig.work.classes[0].grants, 1);
    assert_int_equal(rig.work.classes[0].pauses, 1);
    teardown(&rig);
}

/* The pause comes with the last chunk: there is nothing left to pause. */
static void a_pause_in_the_last_chunk_is_a_release(void **state)
{
    struct rig rig;

    (void)state;
    setup(&rig, NULL, 0, "transcription");
    run_until(&rig, 0, "0 submit 0; ");
    assert_int_equal(workload_granted(&rig.work, 0, 0, 0), E_OK);
    run_until(&rig, 5500, "");
    workload_pause(&rig.work, 0);
    run_until(&rig, 9000, "6000 release 0; ");
    workload_pause(&rig.work, 0);
    run_until(&rig, 9000, "");
    teardown(&rig);
}

static void a_model_stays_until_another_has_the_card_alone(void **state)
{
    static const struct trace_row rows[] = {
        {.at_ms = 0, .work_ms = 10, .class_name = "a", .service_id = "a"},
        {.at_ms = 0, .work_ms = 10, .class_name = "a", .service_id = "a"},
        {.at_ms = 0,
         .work_ms = 10,
         .vram_mib = 8,
         .class_name = "b",
         .service_id = "b"},
        {.at_ms = 0, .work_ms = 10, .class_name = "a", .service_id = "a"},
        {.at_ms = 0, .work_ms = 10, .class_name = "b", .service_id = "b"},
        {.at_ms = 0, .work_ms = 10, .class_name = "a", .service_id = "a"},
    };
    static const uint64_t loads_ms[] = {1000, 1000, 2000, 2000, 3000, 4000};
    struct rig rig;

    (void)state;
    setup(&rig, rows, 6, "");
    assert_int_equal(workload_run(&rig.work, 0), E_OK);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(workload_granted(&rig.work, i, 0, 0), E_OK);
        assert_int_equal(rig.work.classes[0].swap_ms +
                             rig.work.classes[1].swap_ms,
                         loads_ms[i]);
    }
    teardown(&rig);
}

/* Work that was refused or revoked is counted; the background tries again. */
static void what_is_lost_is_counted(void **state)
{
    struct rig rig;

    (void)state;
    setup(&rig, &chat, 1, "transcription");
    run_until(&rig, 100, "0 submit 1; 100 submit 0; ");
    workload_lost(&rig.work, 0, 100);
    assert_true(workload_is_over(&rig.work));
    assert_int_equal(rig.work.jobs[0].granted_at_ms, CORE_FOREVER);
    assert_int_equal(workload_granted(&rig.work, 1, 0, 200), E_OK);
    workload_lost(&rig.work, 1, 500);
    run_until(&rig, 2000, "1500 submit 1; ");
    assert_int_equal(rig.work.classes[0].refusals, 1);
    assert_int_equal(rig.work.classes[1].refusals, 1);
    assert_int_equal(rig.work.classes[1].held_ms, 300);
    teardown(&rig);
}

/* A lease lives as long as it is renewed: also while it is paused. */
static void who_holds_renews(void **state)
{
    struct rig rig;

    (void)state;
    setup(&rig, NULL, 0, "transcription");
    rig.work.options.renew_ms = 3000;
    run_until(&rig, 0, "0 submit 0; ");
    assert_int_equal(workload_granted(&rig.work, 0, 0, 0), E_OK);
    workload_pause(&rig.work, 0);
    run_until(&rig, 7000, "1500 paused 0; 3000 renew 0; 6000 renew 0; ");
    teardown(&rig);
}

/* A timer that fires late does not make everything after it late. */
static void lateness_does_not_add_up(void **state)
{
    struct rig rig;

    (void)state;
    setup(&rig, NULL, 0, "transcription");
    assert_int_equal(workload_run(&rig.work, 0), E_OK);
    assert_int_equal(workload_granted(&rig.work, 0, 0, 0), E_OK);
    assert_int_equal(workload_run(&rig.work, 1040), E_OK);
    assert_int_equal(workload_next(&rig.work), 3000);
    teardown(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chat_loads_works_and_gives_back),
        cmocka_unit_test(a_pause_ends_the_chunk_then_offloads),
        cmocka_unit_test(a_pause_in_the_last_chunk_is_a_release),
        cmocka_unit_test(a_model_stays_until_another_has_the_card_alone),
        cmocka_unit_test(what_is_lost_is_counted),
        cmocka_unit_test(who_holds_renews),
        cmocka_unit_test(lateness_does_not_add_up),
    };

    return cmocka_run_group_tests_name("cli/workload", tests, NULL, NULL);
}
