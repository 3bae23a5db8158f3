/* VRAM moves to host RAM and back, on a stand-in for the driver in which every
 * call can fail or hang. */
#include "act_rig.h"

#include "control/checkpoint.h"
#include "control/rung.h"
#include "control/thaw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHILDREN = 2,
    LONG_MS = 60000,
    BRIEF_MS = 4000,
    VRAM_MIB = 100
};

/* Each with the stand-in that it is to find, whatever was said around us. */
static const char *const caller[] = {
    "/usr/bin/env", "LD_LIBRARY_PATH=" NEW_LIBRARY, CUDA_CALLER, NULL};
static const char *const old_caller[] = {
    "/usr/bin/env", "LD_LIBRARY_PATH=" OLD_LIBRARY, CUDA_CALLER, NULL};
static const char *const no_caller[] = {"/bin/false", NULL};

struct move {
    struct act_rig rig;
    struct cuda_config cuda;
    struct journal journal;
    struct hostram ram;
    struct checkpoint_context context;
    struct tree_target target;
    struct outcome outcome;
    pid_t pids[CHILDREN + 1];
    bool may_not_restore;
};

static void set_state(const struct move *move, pid_t pid, const char *state)
{
    char name[32];

    (void)snprintf(name, sizeof name, "state.%d", (int)pid);
    act_rig_write(&move->rig, name, state);
}

static char state_of(const struct move *move, pid_t pid)
{
    char name[32];
    char text[8];

    (void)snprintf(name, sizeof name, "state.%d", (int)pid);
    act_rig_read(&move->rig, name, text, sizeof text);
    return text[0];
}

/* A tree of which all processes use CUDA. */
static void begin(struct move *move)
{
    int i;

    *move = (struct move){.cuda = {.caller = caller,
                                   .program = "/nonexistent/cuda-checkpoint",
                                   .version_path = "/nonexistent/version"}};
    act_rig_init(&move->rig);
    assert_int_equal(setenv("STANDIN_CUDA", move->rig.dir, 1), 0);
    assert_int_equal(journal_init(&move->journal, move->rig.dir), E_OK);
    hostram_init(&move->ram, NULL, 0);
    move->context = (struct checkpoint_context){
        .cuda = &move->cuda, .journal = &move->journal, .ram = &move->ram};
    act_rig_tree(move->pids, CHILDREN);
    act_rig_target(move->pids[0], &move->target);
    for (i = 0; i <= CHILDREN; i++) {
        set_state(move, move->pids[i], "0\n");
    }
}

static void end(struct move *move)
{
    act_rig_end(move->pids, CHILDREN + 1);
    hostram_release(&move->ram);
    act_rig_release(&move->rig);
}

static int set_up(void **state)
{
    static struct move move;

    begin(&move);
    *state = &move;
    return 0;
}

static int tear_down(void **state)
{
    end(*state);
    return 0;
}

/* The same tree once more. */
static void begin_again(struct move *move)
{
    end(move);
    begin(move);
}

static void checkpoint(struct move *move, uint64_t time_ms)
{
    struct patience patience = patience_for(time_ms);
    struct journal_entry entry = {
        .lease = 7, .vram_mib = VRAM_MIB, .service = "svc"};

    checkpoint_tree(&move->context, &move->target, &entry, &patience,
                    &move->outcome);
}

static size_t restore(struct move *move, uint64_t free_mib, uint64_t time_ms)
{
    struct patience patience = patience_for(time_ms);
    struct journal_list list;
    size_t count;

    assert_int_equal(journal_read(&move->journal, &list), E_OK);
    count = thaw_select(&list, 7, true);
    checkpoint_undo(
        &move->context,
        &(struct checkpoint_moved){.entries = list.entries,
                                   .count = count,
                                   .need_mib = VRAM_MIB,
                                   .free_mib = free_mib,
                                   .may_restore = !move->may_not_restore},
        &patience, &move->outcome);
    journal_list_release(&list);
    return count;
}

static size_t in_journal(const struct move *move)
{
    struct journal_list list;
    size_t count;

    assert_int_equal(journal_read(&move->journal, &list), E_OK);
    count = list.count;
    journal_list_release(&list);
    return count;
}

static void all_are(const struct move *move, char state)
{
    int i;

    for (i = 0; i <= CHILDREN; i++) {
        assert_int_equal(state_of(move, move->pids[i]), state);
    }
}

/* The checkpoint came to nothing, for a reason with @words in it: all run, and
 * nothing is kept in mind. */
static void
came_to_nothing(struct move *move, enum outcome_kind kind, const char *words)
{
    assert_int_equal(move->outcome.kind, kind);
    assert_non_null(strstr(move->outcome.reason, words));
    assert_int_equal(in_journal(move), 0);
    all_are(move, '0');
}

static void checkpoint_well(struct move *move)
{
    checkpoint(move, LONG_MS);
    assert_string_equal(move->outcome.reason, "");
    assert_int_equal(move->outcome.kind, OUTCOME_OK);
    all_are(move, '2');
}

static void restore_well(struct move *move)
{
    assert_int_equal(restore(move, VRAM_MIB, LONG_MS), CHILDREN + 1);
    assert_string_equal(move->outcome.reason, "");
    assert_int_equal(move->outcome.kind, OUTCOME_OK);
    all_are(move, '0');
}

/* C2: all are locked before the first is moved, and restored before the first
 * is unlocked. */
static void a_tree_goes_to_host_ram_and_comes_back(void **state)
{
    char calls[2048];
    struct move *move = *state;

    checkpoint_well(move);
    assert_int_equal(in_journal(move), CHILDREN + 1);
    act_rig_read(&move->rig, "calls", calls, sizeof calls);
    assert_true(strstr(strstr(calls, "checkpoint"), "lock") == NULL);
    restore_well(move);
    assert_int_equal(in_journal(move), 0);
    act_rig_read(&move->rig, "calls", calls, sizeof calls);
    assert_true(strstr(strstr(calls, "unlock"), "restore") == NULL);
}

/* Whichever call fails, all processes run again and none is in the journal. */
static void any_call_that_fails_is_taken_back(void **state)
{
    struct move *move = *state;
    char number[16];
    int n = 0;
    bool is_over = false;

    while (!is_over) {
        begin_again(move);
        (void)snprintf(number, sizeof number, "%d\n", ++n);
        act_rig_write(&move->rig, "fail_at", number);
        checkpoint(move, LONG_MS);
        is_over = move->outcome.kind == OUTCOME_OK;
        if (!is_over) {
            assert_string_not_equal(move->outcome.reason, "");
            came_to_nothing(move, OUTCOME_FAILED, "");
            assert_int_equal(move->ram.promised_mib, 0);
        }
    }
    all_are(move, '2');
    /* 3 states, 3 locks, 3 checkpoints with a state after each. */
    assert_int_equal(n, 13);
}

/* Whichever call of the way back fails: what it left checkpointed or locked is
 * still in the journal, and the next try brings it back. */
static void any_call_that_fails_on_the_way_back_can_be_tried_again(void **state)
{
    struct move *move = *state;
    char number[16];
    int n = 12;
    bool is_over = false;

    while (!is_over) {
        begin_again(move);
        checkpoint_well(move);
        (void)snprintf(number, sizeof number, "%d\n", ++n);
        act_rig_write(&move->rig, "fail_at", number);
        (void)restore(move, VRAM_MIB, LONG_MS);
        is_over = move->outcome.kind == OUTCOME_OK;
        if (!is_over) {
            assert_false(move->outcome.is_lost);
            assert_true(in_journal(move) > 0);
            (void)restore(move, VRAM_MIB, LONG_MS);
            assert_string_equal(move->outcome.reason, "");
        }
        all_are(move, '0');
        assert_int_equal(in_journal(move), 0);
    }
    assert_true(n > 20);
}

/* A driver that hangs costs the deadline, not the coordinator; the call's
 * process is killed and the others run again. */
static void a_call_that_hangs_is_killed_and_taken_back(void **state)
{
    static const char *const at[] = {"2\n", "5\n", "7\n"};
    struct move *move = *state;
    size_t i;

    for (i = 0; i < sizeof at / sizeof at[0]; i++) {
        begin_again(move);
        act_rig_write(&move->rig, "hang_at", at[i]);
        checkpoint(move, BRIEF_MS);
        came_to_nothing(move, OUTCOME_FAILED, "does not answer");
    }
}

/* C1: what comes too late, or after a cancel, takes no VRAM back, which may be
 * somebody else's by then.  Those that have moved stay, with their peers, until
 * there is room; where none has, all go on. */
static void what_comes_late_takes_no_vram(void **state)
{
    static const struct {
        const char *file;
        const char *call;
        const char *states;
    } late[] = {
        {"hang_at", "8\n", "211"}, /* The look at the first, */
        {"late_at", "9\n", "221"}, /* the second itself. */
    };
    struct move *move = *state;
    size_t n;
    int i;

    for (n = 0; n < sizeof late / sizeof late[0]; n++) {
        begin_again(move);
        act_rig_write(&move->rig, late[n].file, late[n].call);
        checkpoint(move, BRIEF_MS);
        assert_int_equal(move->outcome.kind, OUTCOME_FAILED);
        assert_non_null(strstr(move->outcome.reason, "stays there"));
        assert_int_equal(in_journal(move), CHILDREN + 1);
        for (i = 0; i <= CHILDREN; i++) {
            assert_int_equal(state_of(move, move->pids[i]), late[n].states[i]);
        }
        restore_well(move);
        assert_int_equal(in_journal(move), 0);
    }
}

/* C1: one that is over late is over: nobody has to take it back. */
static void a_checkpoint_that_is_made_late_is_made(void **state)
{
    struct move *move = *state;

    act_rig_write(&move->rig, "late_at", "11\n");
    checkpoint(move, BRIEF_MS);
    assert_string_equal(move->outcome.reason, "");
    assert_int_equal(move->outcome.kind, OUTCOME_OK);
    all_are(move, '2');
    restore_well(move);
}

/* C1: of a lease that has ended nothing is restored; who is only locked goes
 * on. */
static void nothing_is_restored_for_nobody(void **state)
{
    struct move *move = *state;
    int i;

    move->may_not_restore = true;
    checkpoint_well(move);
    set_state(move, move->pids[0], "1\n");
    assert_int_equal(restore(move, VRAM_MIB, LONG_MS), CHILDREN + 1);
    assert_int_equal(move->outcome.kind, OUTCOME_FAILED);
    assert_non_null(strstr(move->outcome.reason, "holds no lease"));
    assert_int_equal(state_of(move, move->pids[0]), '1');
    assert_int_equal(state_of(move, move->pids[1]), '2');
    for (i = 0; i <= CHILDREN; i++) {
        set_state(move, move->pids[i], "1\n");
    }
    restore_well(move);
    assert_int_equal(in_journal(move), 0);
}

/* A process that the driver broke is lost, and told so; the others run. */
static void a_broken_process_is_told_as_lost(void **state)
{
    struct move *move = *state;

    act_rig_write(&move->rig, "break_at", "9\n"); /* The second checkpoint. */
    checkpoint(move, LONG_MS);
    assert_int_equal(move->outcome.kind, OUTCOME_FAILED);
    assert_true(move->outcome.is_lost);
    assert_int_equal(state_of(move, move->pids[0]), '0');
    assert_int_equal(state_of(move, move->pids[2]), '0');
    assert_int_equal(in_journal(move), 0);
}

/* Success that is none is seen. */
static void a_driver_that_lies_is_seen(void **state)
{
    struct move *move = *state;

    act_rig_write(&move->rig, "lie_at", "9\n");
    checkpoint(move, LONG_MS);
    came_to_nothing(move, OUTCOME_FAILED, "after its checkpoint");
}

/* The driver's words reach the user. */
static void a_lock_that_times_out_is_explained(void **state)
{
    struct move *move = *state;
    char name[32];

    (void)snprintf(name, sizeof name, "busy.%d", (int)move->pids[1]);
    act_rig_write(&move->rig, name, "1\n");
    checkpoint(move, LONG_MS);
    came_to_nothing(move, OUTCOME_FAILED, "device not ready");
}

/* C4: a restore into too little room can be the end of the process. */
static void nothing_is_restored_into_too_little_room(void **state)
{
    struct move *move = *state;

    checkpoint(move, LONG_MS);
    (void)restore(move, VRAM_MIB - 1, LONG_MS);
    assert_int_equal(move->outcome.kind, OUTCOME_SKIPPED);
    assert_non_null(strstr(move->outcome.reason, "needs 100 MiB, only 99"));
    all_are(move, '2');
    assert_int_equal(in_journal(move), CHILDREN + 1);
}

/* Host RAM is a second ledger: what is promised to one is not there for the
 * next, and the reserve is nobody's. */
static void short_host_ram_refuses_it(void **state)
{
    struct move *move = *state;
    struct buf why;
    char path[128];

    act_rig_write(&move->rig, "meminfo",
                  "MemTotal: 1000000 kB\nMemAvailable: 307200 kB\n");
    (void)snprintf(path, sizeof path, "%s/meminfo", move->rig.dir);
    hostram_release(&move->ram);
    hostram_init(&move->ram, path, 150); /* 300 are available. */
    buf_init(&why, 1000);
    assert_int_equal(hostram_take(&move->ram, &move->target.roots[0], 51, &why),
                     E_OK);
    checkpoint(move, LONG_MS);
    came_to_nothing(move, OUTCOME_SKIPPED, "needs 100 MiB of host RAM");
    hostram_give(&move->ram, 51);
    checkpoint_well(move);
    assert_int_equal(move->ram.promised_mib, 0);
    buf_release(&why);
}

static void what_cannot_be_moved_is_skipped(void **state)
{
    struct move *move = *state;
    char name[32];
    int i;

    set_state(move, move->pids[1], "2\n");
    checkpoint(move, LONG_MS);
    assert_int_equal(move->outcome.kind, OUTCOME_SKIPPED);
    assert_non_null(strstr(move->outcome.reason, "checkpointed already"));
    for (i = 0; i <= CHILDREN; i++) {
        char path[128];

        (void)snprintf(name, sizeof name, "state.%d", (int)move->pids[i]);
        (void)snprintf(path, sizeof path, "%s/%s", move->rig.dir, name);
        assert_int_equal(unlink(path), 0);
    }
    checkpoint(move, LONG_MS);
    assert_int_equal(move->outcome.kind, OUTCOME_SKIPPED);
    assert_string_equal(move->outcome.reason,
                        "none of its processes uses CUDA");
}

/* Ends its tree itself: the numbers may be others' afterwards. */
static void processes_that_died_are_dropped_from_the_journal(void **state)
{
    struct move move;

    (void)state;
    begin(&move);
    checkpoint_well(&move);
    act_rig_end(move.pids, CHILDREN + 1);
    (void)restore(&move, VRAM_MIB, LONG_MS);
    assert_int_equal(move.outcome.kind, OUTCOME_FAILED);
    assert_int_equal(in_journal(&move), 0);
    hostram_release(&move.ram);
    act_rig_release(&move.rig);
}

/* ---- NVIDIA's program ---------------------------------------------------- */

static void the_program_does_it_where_the_driver_has_no_functions(void **state)
{
    struct move *move = *state;

    move->cuda.caller = old_caller;
    move->cuda.program = CUDA_PROGRAM;
    checkpoint_well(move);
    restore_well(move);
}

/* The program of driver 550 cannot lock all before it moves one; nothing here
 * has its library mapped, so nothing uses CUDA in its eyes. */
static void the_program_of_550_looks_at_the_process(void **state)
{
    struct move *move = *state;

    move->cuda.caller = no_caller;
    move->cuda.program = CUDA_PROGRAM;
    act_rig_write(&move->rig, "toggles", "");
    checkpoint(move, LONG_MS);
    assert_int_equal(move->outcome.kind, OUTCOME_SKIPPED);
    assert_string_equal(move->outcome.reason,
                        "none of its processes uses CUDA");
}

/* Preflight: the driver found and the one needed, in one sentence. */
static void preflight_names_the_driver_found_and_the_one_needed(void **state)
{
    struct rung_config config = {.state_dir = "/tmp"};
    struct move *move = *state;
    struct buf why;
    char path[128];

    buf_init(&why, 1000);
    config.cuda = move->cuda;
    assert_true(rung_available(&config, RUNG_DO_CHECKPOINT, NULL, &why));
    assert_string_equal(buf_string(&why), "");
    config.cuda.caller = old_caller;
    assert_false(rung_available(&config, RUNG_DO_CHECKPOINT, NULL, &why));
    assert_string_equal(buf_string(&why),
                        "a driver for CUDA 12.8 found, checkpoint needs 570, "
                        "or 550 and the cuda-checkpoint program");
    buf_clear(&why);
    act_rig_write(&move->rig, "version", "535.129.03\n");
    (void)snprintf(path, sizeof path, "%s/version", move->rig.dir);
    config.cuda.version_path = path;
    config.cuda.program = CUDA_PROGRAM; /* Too old even for that. */
    assert_false(rung_available(&config, RUNG_DO_CHECKPOINT, NULL, &why));
    assert_string_equal(buf_string(&why),
                        "driver 535.129.03 found, checkpoint needs 570, or "
                        "550 and the cuda-checkpoint program");
    buf_clear(&why);
    config.cuda.caller = no_caller;
    config.cuda.version_path = "/nonexistent";
    config.cuda.program = "/nonexistent";
    assert_false(rung_available(&config, RUNG_DO_CHECKPOINT, NULL, &why));
    assert_non_null(strstr(buf_string(&why), "no NVIDIA driver found"));
    buf_release(&why);
}

/* ---- thaw ---------------------------------------------------------------- */

struct thawed {
    size_t calls;
    size_t processes;
    uint64_t free_mib;
};

static uint64_t room(void *arg, const char *gpus)
{
    const struct thawed *thawed = arg;

    (void)gpus;
    return thawed->free_mib;
}

static void count(void *arg,
                  const struct journal_entry *entry,
                  size_t processes,
                  const struct outcome *outcome)
{
    struct thawed *thawed = arg;

    (void)outcome;
    assert_string_equal(entry->service, "svc");
    thawed->calls++;
    thawed->processes += processes;
}

/* C15: a coordinator that died between any two calls leaves a journal from
 * which everything goes on. */
static void thaw_frees_what_a_dead_coordinator_left(void **state)
{
    struct thawed thawed = {.free_mib = VRAM_MIB};
    struct thaw thaw = {.time_ms = LONG_MS, .room = room, .done = count};
    struct move *move = *state;
    size_t failed;
    size_t damaged;

    thaw.context = &move->context;
    thaw.arg = &thawed;
    checkpoint(move, LONG_MS);
    set_state(move, move->pids[0], "1\n"); /* It was only locked, */
    set_state(move, move->pids[1], "0\n"); /* and this one not even that. */
    assert_int_equal(thaw_run(&thaw, 0, &failed, &damaged), E_OK);
    assert_int_equal(failed, 0);
    assert_int_equal(thawed.calls, 1);
    assert_int_equal(thawed.processes, CHILDREN + 1);
    all_are(move, '0');
    assert_int_equal(in_journal(move), 0);
}

static void thaw_leaves_what_has_no_room(void **state)
{
    struct thawed thawed = {.free_mib = VRAM_MIB - 1};
    struct thaw thaw = {.time_ms = LONG_MS, .room = room, .done = count};
    struct move *move = *state;
    size_t failed;
    size_t damaged;

    thaw.context = &move->context;
    thaw.arg = &thawed;
    checkpoint(move, LONG_MS);
    assert_int_equal(thaw_run(&thaw, 0, &failed, &damaged), E_OK);
    assert_int_equal(failed, 1);
    all_are(move, '2');
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_tree_goes_to_host_ram_and_comes_back),
        T(any_call_that_fails_is_taken_back),
        T(any_call_that_fails_on_the_way_back_can_be_tried_again),
        T(a_call_that_hangs_is_killed_and_taken_back),
        T(what_comes_late_takes_no_vram),
        T(a_checkpoint_that_is_made_late_is_made),
        T(nothing_is_restored_for_nobody),
        T(a_broken_process_is_told_as_lost),
        T(a_driver_that_lies_is_seen),
        T(a_lock_that_times_out_is_explained),
        T(nothing_is_restored_into_too_little_room),
        T(short_host_ram_refuses_it),
        T(what_cannot_be_moved_is_skipped),
        cmocka_unit_test(processes_that_died_are_dropped_from_the_journal),
        T(the_program_does_it_where_the_driver_has_no_functions),
        T(the_program_of_550_looks_at_the_process),
        T(preflight_names_the_driver_found_and_the_one_needed),
        T(thaw_frees_what_a_dead_coordinator_left),
        T(thaw_leaves_what_has_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
