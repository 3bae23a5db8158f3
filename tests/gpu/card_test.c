/* What is measured on an NVIDIA card: card_test HOLD [--standin].
 *
 * HOLD is the program of hold.c.  `script/test --gpu` runs this on a real card;
 * the unit tests run it on stand-ins for the driver's two libraries, so that it
 * is known to work where it is needed.  Exit status 77: there is no card.
 */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    EXIT_SKIPPED = 77,
    HOLD_MIB = 512
};

static const char *hold;    /* Path of the program. */
static bool is_standin;     /* Of no real card. */
static uint32_t before_mib; /* Used before the holder came. */
static uint32_t holder;     /* Its pid. */

struct pipes {
    FILE *in;  /* To the holder, */
    FILE *out; /* and from it. */
};

static int open_card(struct rig *rig)
{
    rig_init(rig);
    if (is_standin) {
        rig_namespace(rig, "pid:[4026531836]");
    }
    return rig_open(
        rig, (struct device_config){.kind = DEVICE_NVML,
                                    .proc = is_standin ? rig->dir : NULL});
}

static void expect(struct pipes *pipes, const char *text)
{
    char line[64] = "";

    (void)!fgets(line, sizeof line, pipes->out);
    assert_string_equal(line, text);
}

/* Start the holder on the first card and wait until it has its VRAM. */
static void start_holder(const struct rig *rig, struct pipes *pipes)
{
    char size[16];
    int to[2];
    int from[2];
    pid_t pid;

    (void)snprintf(size, sizeof size, "%d", HOLD_MIB);
    assert_int_equal(pipe(to) + pipe(from), 0);
    assert_int_equal(
        setenv("CUDA_VISIBLE_DEVICES", device_info(rig->set, 0)->uuid, 1), 0);
    pid = fork();
    if (pid == 0) {
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        (void)close(to[1]);
        (void)execl(hold, hold, size, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    holder = (uint32_t)pid;
    (void)close(to[0]);
    (void)close(from[1]);
    pipes->in = fdopen(to[1], "w");
    pipes->out = fdopen(from[0], "r");
    expect(pipes, "holding\n");
}

static void end_holder(struct pipes *pipes)
{
    (void)fclose(pipes->in);
    (void)fclose(pipes->out);
    assert_int_equal(waitpid((pid_t)holder, NULL, 0), (pid_t)holder);
}

/* What the holder uses; 0 where it is not listed. */
static uint32_t held_mib(const struct rig *rig)
{
    uint32_t i;

    for (i = 0; i < rig->last[0].process_count; i++) {
        if (rig->last[0].processes[i].pid == holder) {
            return rig->last[0].processes[i].used_mib;
        }
    }
    return 0;
}

static bool was_sampled(const struct rig *rig)
{
    return rig->counts[0] > 0;
}

static bool holder_is_seen(const struct rig *rig)
{
    return rig->last[0].used_mib >= before_mib + HOLD_MIB &&
           (!rig->last[0].processes_known || held_mib(rig) >= HOLD_MIB);
}

static bool vram_is_free(const struct rig *rig)
{
    return rig->last[0].used_mib < before_mib + HOLD_MIB &&
           held_mib(rig) < HOLD_MIB;
}

static bool holder_is_gone(const struct rig *rig)
{
    return vram_is_free(rig) && held_mib(rig) == 0;
}

/* Say what was found, for docs/gpu.md. */
static void describe(const struct rig *rig)
{
    const struct device_info *info = device_info(rig->set, 0);
    const struct device_sample *sample = &rig->last[0];

    print_message("%s, driver %s, %u MiB, %u used\n", info->name, info->driver,
                  info->total_mib, sample->used_mib);
    print_message("utilisation %d %%, temperature %d C, power %d mW\n",
                  (int)sample->utilisation_percent, (int)sample->temperature_c,
                  (int)sample->power_mw);
    if (sample->processes_known) {
        print_message("processes: %u\n", sample->process_count);
    } else {
        print_message("processes: %s\n", sample->processes_reason);
    }
}

/* B3, C12. */
static void card_is_described_and_measured(void **state)
{
    struct rig rig;

    (void)state;
    assert_int_equal(open_card(&rig), E_OK);
    rig_until(&rig, was_sampled);
    describe(&rig);
    assert_memory_equal(device_info(rig.set, 0)->uuid, "GPU-", 4);
    assert_in_range(rig.last[0].used_mib, 0,
                    device_info(rig.set, 0)->total_mib);
    rig_release(&rig);
}

/* C1: taken, kept, freed with the process alive, and gone with it. */
static void vram_is_seen_to_come_and_go(void **state)
{
    struct pipes pipes;
    struct rig rig;

    (void)state;
    assert_int_equal(open_card(&rig), E_OK);
    rig_until(&rig, was_sampled);
    before_mib = rig.last[0].used_mib;
    device_want(rig.set, 0, true);
    start_holder(&rig, &pipes);
    rig_until(&rig, holder_is_seen);
    if (rig.last[0].processes_known) {
        print_message("%d MiB held are shown as %u of the process\n", HOLD_MIB,
                      held_mib(&rig));
    }
    (void)fputs("free\n", pipes.in);
    (void)fflush(pipes.in);
    expect(&pipes, "freed\n");
    rig_until(&rig, vram_is_free);
    end_holder(&pipes);
    rig_until(&rig, holder_is_gone);
    rig_release(&rig);
}

/* C3: a holder that is killed frees what it had. */
static void vram_of_a_killed_holder_is_seen_to_go(void **state)
{
    struct pipes pipes;
    struct rig rig;

    (void)state;
    assert_int_equal(open_card(&rig), E_OK);
    rig_until(&rig, was_sampled);
    before_mib = rig.last[0].used_mib;
    device_want(rig.set, 0, true);
    start_holder(&rig, &pipes);
    rig_until(&rig, holder_is_seen);
    assert_int_equal(kill((pid_t)holder, SIGKILL), 0);
    rig_until(&rig, holder_is_gone);
    end_holder(&pipes);
    rig_release(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(card_is_described_and_measured),
        cmocka_unit_test(vram_is_seen_to_come_and_go),
        cmocka_unit_test(vram_of_a_killed_holder_is_seen_to_go),
    };
    struct rig rig;
    int rc;

    hold = argc > 1 ? argv[1] : "./hold";
    is_standin = argc > 2;
    (void)signal(SIGPIPE, SIG_IGN);
    rc = open_card(&rig);
    if (rc == E_NOT_FOUND) {
        (void)printf("no NVIDIA card: skipped (%s)\n", buf_string(&rig.why));
    }
    rig_release(&rig);
    return rc == E_NOT_FOUND ? EXIT_SKIPPED
                             : cmocka_run_group_tests(tests, NULL, NULL);
}
