/* The simulated card, and cards that are only declared. */
#include "rig.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint32_t capacities[] = {24576, 8192};

static void open_cards(struct rig *rig)
{
    rig_init(rig);
    assert_int_equal(rig_open(rig,
                              (struct device_config){
                                  .kind = DEVICE_SIMULATED,
                                  .dir = rig->dir,
                                  .capacity_mib = capacities,
                                  .count = 2,
                                  .stale_ms = 100,
                              }),
                     E_OK);
}

static bool both_were_sampled(const struct rig *rig)
{
    return rig->counts[0] > 0 && rig->counts[1] > 0;
}

static bool first_uses_1000(const struct rig *rig)
{
    return rig->last[0].used_mib == 1000;
}

static bool first_uses_nothing(const struct rig *rig)
{
    return rig->counts[0] > 0 && rig->last[0].used_mib == 0;
}

static bool second_uses_512(const struct rig *rig)
{
    return rig->last[1].used_mib == 512;
}

static bool first_is_stale(const struct rig *rig)
{
    return rig->last[0].state == DEVICE_STALE;
}

static bool first_is_full(const struct rig *rig)
{
    return rig->last[0].used_mib == 24576;
}

/* C12: a simulated card, described like a real one; the same after a
 * restart, another in another directory. */
static void cards_are_described(void **state)
{
    struct rig rig;
    struct rig other;
    char uuid[DEVICE_UUID_SIZE];

    (void)state;
    open_cards(&rig);
    open_cards(&other);
    assert_int_equal(device_count(rig.set), 2);
    assert_int_equal(device_info(rig.set, 1)->total_mib, 8192);
    assert_int_equal(device_info(rig.set, 1)->index, 1);
    assert_string_equal(device_kind_name(device_kind(rig.set)), "simulated");
    (void)snprintf(uuid, sizeof uuid, "%s", device_info(rig.set, 0)->uuid);
    assert_memory_equal(uuid, "GPU-sim-", 8);
    assert_string_not_equal(uuid, device_info(rig.set, 1)->uuid);
    assert_string_not_equal(uuid, device_info(other.set, 0)->uuid);
    device_set_close(rig.set);
    assert_int_equal(rig_open(&rig,
                              (struct device_config){
                                  .kind = DEVICE_SIMULATED,
                                  .dir = rig.dir,
                                  .capacity_mib = capacities,
                                  .count = 2,
                              }),
                     E_OK);
    assert_string_equal(uuid, device_info(rig.set, 0)->uuid);
    rig_release(&other);
    rig_release(&rig);
}

static void files_of_living_processes_count(void **state)
{
    struct rig rig;
    char name[128];

    (void)state;
    open_cards(&rig);
    rig_until(&rig, both_were_sampled);
    assert_int_equal(rig.last[0].used_mib, 0);
    (void)snprintf(name, sizeof name, "%s/1", rig.dir);
    assert_int_equal(mkdir(name, 0700), 0);
    (void)snprintf(name, sizeof name, "%ld", (long)getpid());
    rig_write(&rig, name, "1000\n");
    (void)snprintf(name, sizeof name, "1/%ld", (long)getpid());
    rig_write(&rig, name, "512MiB");
    rig_write(&rig, "notes.txt", "not a number");
    device_want(rig.set, 0, true);
    device_want(rig.set, 1, true);
    rig_until(&rig, first_uses_1000);
    rig_until(&rig, second_uses_512);
    rig_release(&rig);
}

/* What @pid uses in the last sample of device 0; DEVICE_UNKNOWN where it is
 * not listed. */
static uint32_t used_by(const struct rig *rig, uint32_t pid)
{
    const struct device_sample *sample = &rig->last[0];
    uint32_t i;

    for (i = 0; i < sample->process_count; i++) {
        if (sample->processes[i].pid == pid) {
            return sample->processes[i].used_mib;
        }
    }
    return DEVICE_UNKNOWN;
}

/* C1, C8: who uses what is known, as with a driver that tells; and nothing is
 * made up that a directory of files cannot say. */
static void each_process_has_its_own_figure(void **state)
{
    struct rig rig;
    char name[128];
    uint32_t me = (uint32_t)getpid();
    uint32_t parent = (uint32_t)getppid();

    (void)state;
    open_cards(&rig);
    (void)snprintf(name, sizeof name, "%s/0", rig.dir);
    assert_int_equal(mkdir(name, 0700), 0);
    (void)snprintf(name, sizeof name, "%u", me);
    rig_write(&rig, name, "300");
    (void)snprintf(name, sizeof name, "0/%u", me);
    rig_write(&rig, name, "100");
    (void)snprintf(name, sizeof name, "%u", parent);
    rig_write(&rig, name, "600");
    device_want(rig.set, 0, true);
    rig_until(&rig, first_uses_1000);
    assert_true(rig.last[0].processes_known);
    assert_int_equal(rig.last[0].process_count, 2);
    assert_int_equal(used_by(&rig, me), 400);
    assert_int_equal(rig.last[0].processes[0].use, DEVICE_COMPUTE);
    assert_int_equal(used_by(&rig, parent), 600);
    assert_int_equal(rig.last[0].rest_count, 0);
    assert_true(rig.last[0].utilisation_percent == DEVICE_UNKNOWN);
    assert_true(rig.last[0].temperature_c == DEVICE_UNKNOWN);
    assert_true(rig.last[0].power_mw == DEVICE_UNKNOWN);
    rig_release(&rig);
}

/* A crashed holder's memory is free, also before it is waited for. */
static void dead_processes_count_nothing(void **state)
{
    struct rig rig;
    char name[32];
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        for (;;) {
            (void)pause();
        }
    }
    assert_true(pid > 0);
    open_cards(&rig);
    (void)snprintf(name, sizeof name, "%ld", (long)pid);
    rig_write(&rig, name, "1000");
    device_want(rig.set, 0, true);
    rig_until(&rig, first_uses_1000);
    assert_int_equal(kill(pid, SIGKILL), 0);
    rig_until(&rig, first_uses_nothing);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    rig_release(&rig);
}

/* A file that is being written is not a card that is empty. */
static void unreadable_figures_are_no_figures(void **state)
{
    struct rig rig;
    char name[32];

    (void)state;
    open_cards(&rig);
    (void)snprintf(name, sizeof name, "%ld", (long)getpid());
    rig_write(&rig, name, "1000");
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_uses_1000);
    rig_write(&rig, name, "");
    device_want(rig.set, 0, true);
    rig_until(&rig, first_is_stale);
    assert_int_equal(rig.news[DEVICE_STALE], 1);
    rig_write(&rig, name, "99999999");
    rig_until(&rig, first_is_full);
    rig_release(&rig);
}

static uint64_t asked_at_ms;

static bool sample_is_newer(const struct rig *rig)
{
    return rig->last[0].begun_at_ms > asked_at_ms;
}

/* C1: a grant waits for a sample begun after the release, and gets it at
 * once, not a period later. */
static void sample_asked_for_is_begun_afterwards(void **state)
{
    struct rig rig;
    unsigned before;

    (void)state;
    open_cards(&rig);
    rig_until(&rig, both_were_sampled);
    before = rig.counts[0];
    asked_at_ms = clock_mono_ms();
    device_sample_now(rig.set, 0);
    device_sample_now(rig.set, 0);
    rig_until(&rig, sample_is_newer);
    assert_in_range(rig.counts[0] - before, 1, 2);
    rig_release(&rig);
}

/* What a card that is waited for has been asked when the other, which is not,
 * was asked twice more. */
struct rate {
    unsigned idle_from;
    unsigned wanted_from;
    unsigned early;  /* Samples of it begun less than 10 ms after another. */
    uint64_t before; /* Begin of its newest. */
};

static struct rate rate;

static bool idle_card_was_asked_twice(const struct rig *rig)
{
    static unsigned seen;

    if (rig->counts[0] != seen && rig->counts[0] > rate.wanted_from) {
        rate.early += rig->last[0].begun_at_ms - rate.before < 10;
    }
    seen = rig->counts[0];
    rate.before = rig->last[0].begun_at_ms;
    return rig->counts[1] - rate.idle_from >= 2;
}

static bool first_was_asked_anew(const struct rig *rig)
{
    return rig->counts[0] > rate.wanted_from;
}

/* C1: every 10 to 20 ms where somebody waits for VRAM, about once a second
 * where nobody does: 50 to 100 samples for one.  A machine with other things
 * to do may be late. */
static void card_that_is_waited_for_is_asked_more_often(void **state)
{
    struct rig rig;
    unsigned count;

    (void)state;
    open_cards(&rig);
    rig_until(&rig, both_were_sampled);
    rate.wanted_from = rig.counts[0];
    device_want(rig.set, 0, true);
    rig_until(&rig, first_was_asked_anew); /* At once. */
    rate = (struct rate){.idle_from = rig.counts[1],
                         .wanted_from = rig.counts[0],
                         .before = rig.last[0].begun_at_ms};
    rig_until(&rig, idle_card_was_asked_twice);
    count = rig.counts[0] - rate.wanted_from;
    assert_in_range(count, 2 * 20, 2 * 100);
    assert_int_equal(rate.early, 0);
    device_want(rig.set, 0, false);
    rate =
        (struct rate){.idle_from = rig.counts[1], .wanted_from = rig.counts[0]};
    rig_until(&rig, idle_card_was_asked_twice);
    assert_in_range(rig.counts[0] - rate.wanted_from, 1, 4);
    rig_release(&rig);
}

static void directory_that_cannot_be_made_is_named(void **state)
{
    struct rig rig;
    char path[128];

    (void)state;
    rig_init(&rig);
    rig_write(&rig, "file", "");
    (void)snprintf(path, sizeof path, "%s/file/cards", rig.dir);
    assert_int_equal(rig_open(&rig,
                              (struct device_config){
                                  .kind = DEVICE_SIMULATED,
                                  .dir = path,
                                  .capacity_mib = capacities,
                                  .count = 1,
                              }),
                     E_IO);
    assert_non_null(strstr(buf_string(&rig.why), "Not a directory"));
    rig_release(&rig);
}

static void declared_cards_are_never_measured(void **state)
{
    struct rig rig;

    (void)state;
    rig_init(&rig);
    assert_int_equal(rig_open(&rig,
                              (struct device_config){
                                  .kind = DEVICE_DECLARED,
                                  .capacity_mib = capacities,
                                  .count = 2,
                              }),
                     E_OK);
    assert_int_equal(device_count(rig.set), 2);
    assert_int_equal(device_info(rig.set, 0)->total_mib, 24576);
    assert_string_equal(device_info(rig.set, 1)->uuid, "GPU-declared-1");
    assert_string_equal(device_kind_name(device_kind(rig.set)), "declared");
    device_want(rig.set, 1, true);
    device_sample_now(rig.set, 1);
    /* Nothing is in the loop: it ends at once. */
    assert_int_equal(event_base_loop(rig.base, 0), 1);
    assert_int_equal(rig.counts[0] + rig.counts[1], 0);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_described),
        cmocka_unit_test(files_of_living_processes_count),
        cmocka_unit_test(each_process_has_its_own_figure),
        cmocka_unit_test(dead_processes_count_nothing),
        cmocka_unit_test(unreadable_figures_are_no_figures),
        cmocka_unit_test(sample_asked_for_is_begun_afterwards),
        cmocka_unit_test(card_that_is_waited_for_is_asked_more_often),
        cmocka_unit_test(directory_that_cannot_be_made_is_named),
        cmocka_unit_test(declared_cards_are_never_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
