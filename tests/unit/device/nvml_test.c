/* NVIDIA's cards, on a stand-in for the driver's library. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file drives the stand-in in all tests: threads that are left behind by
 * one test go on reading the environment in the next. */
static char drive_path[] = "/tmp/gpucoord-standin-XXXXXX";

/* Tell the stand-in what to do from now on. */
static void drive(const struct rig *rig, const char *text)
{
    char path[128];

    rig_write(rig, "drive", text);
    (void)snprintf(path, sizeof path, "%s/drive", rig->dir);
    assert_int_equal(rename(path, drive_path), 0);
}

/* Make a rig whose stand-in is driven by @text, with a FIFO in its directory
 * and the first pid namespace, wherever the test runs. */
static void prepare(struct rig *rig, const char *text)
{
    char path[128];

    rig_init(rig);
    rig_namespace(rig, "pid:[4026531836]");
    drive(rig, text);
    (void)snprintf(path, sizeof path, "%s/fifo", rig->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static int open_nvml(struct rig *rig)
{
    return rig_open(rig, (struct device_config){.kind = DEVICE_NVML,
                                                .proc = rig->dir,
                                                .stale_ms = 100,
                                                .open_ms = 2000});
}

/* Make the calls named by @key hang. */
static void let_hang(const struct rig *rig, const char *key)
{
    char text[128];

    (void)snprintf(text, sizeof text, "%s %s/fifo\n", key, rig->dir);
    drive(rig, text);
}

/* End all hangs: wait for a reader of the FIFO, which is the hung call. */
static void let_go(const struct rig *rig, const char *text)
{
    char path[128];
    int fd;

    drive(rig, text);
    (void)snprintf(path, sizeof path, "%s/fifo", rig->dir);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    (void)close(fd);
}

static bool first_is_ok(const struct rig *rig)
{
    return rig->counts[0] > 0 && rig->last[0].state == DEVICE_OK;
}

static bool second_uses_700(const struct rig *rig)
{
    return rig->last[1].used_mib == 700;
}

static bool both_are_stale(const struct rig *rig)
{
    return rig->last[0].state == DEVICE_STALE &&
           rig->last[1].state == DEVICE_STALE;
}

static bool first_is_stale(const struct rig *rig)
{
    return rig->last[0].state == DEVICE_STALE;
}

static bool first_is_gone(const struct rig *rig)
{
    return rig->last[0].state == DEVICE_GONE;
}

/* C12, B3: what the driver keeps for itself is nobody's, so it is neither
 * capacity nor use. */
static void cards_are_found_and_measured(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "gpus 2\nused1 700\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    assert_int_equal(device_count(rig.set), 2);
    assert_string_equal(device_info(rig.set, 1)->uuid, "GPU-standin-1");
    assert_string_equal(device_info(rig.set, 1)->name, "Stand-in 3090");
    assert_int_equal(device_info(rig.set, 0)->total_mib, 24200);
    assert_string_equal(device_kind_name(device_kind(rig.set)), "nvml");
    rig_until(&rig, second_uses_700);
    rig_release(&rig);
}

/* Drivers before 510 have the old function only, or refuse the new one. */
static void older_drivers_are_measured_too(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "gpus 2\nused1 324\nsecond 13\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    assert_int_equal(device_info(rig.set, 0)->total_mib, 24576);
    rig_until(&rig, second_uses_700);
    rig_release(&rig);
}

static void refused_start_is_explained(void **state)
{
    static const struct {
        const char *drive;
        int error;
        const char *why;
    } cases[] = {
        {"init 9\n", E_NOT_FOUND,
         "the NVIDIA driver does not start: Driver Not Loaded"},
        {"init 999\n", E_IO, "the NVIDIA driver does not start: Some Error"},
        {"gpus 0\n", E_NOT_FOUND, "the NVIDIA driver has no GPU"},
        {"memory 999\n", E_IO,
         "the NVIDIA driver does not describe a GPU: Some Error"},
    };
    struct rig rig;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        prepare(&rig, cases[i].drive);
        assert_int_equal(open_nvml(&rig), cases[i].error);
        assert_string_equal(buf_string(&rig.why), cases[i].why);
        rig_release(&rig);
    }
}

static void hung_start_does_not_hang_us(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "");
    let_hang(&rig, "inithang");
    assert_int_equal(rig_open(&rig, (struct device_config){.kind = DEVICE_NVML,
                                                           .open_ms = 50}),
                     E_IO);
    assert_string_equal(buf_string(&rig.why),
                        "the driver did not answer for 50 ms");
    let_go(&rig, "");
    rig_release(&rig);
}

/* The loop goes on while the driver hangs, says so once, and takes up again
 * what comes back. */
static void hung_driver_makes_devices_stale(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "gpus 2\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    let_hang(&rig, "hang");
    device_sample_now(rig.set, 0);
    rig_until(&rig, both_are_stale);
    assert_int_equal(rig.news[DEVICE_STALE], 2);
    let_go(&rig, "gpus 2\nused1 700\n");
    rig_until(&rig, first_is_ok);
    device_sample_now(rig.set, 1);
    rig_until(&rig, second_uses_700);
    assert_int_equal(rig.last[1].state, DEVICE_OK);
    rig_release(&rig);
}

static void closing_does_not_wait_for_a_hung_driver(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "gpus 2\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    let_hang(&rig, "hang");
    device_sample_now(rig.set, 0);
    rig_until(&rig, both_are_stale);
    device_set_close(rig.set);
    rig.set = NULL;
    let_go(&rig, "");
    rig_release(&rig);
}

static void lost_card_is_gone_and_may_come_back(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    drive(&rig, "memory 15\n");
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_gone);
    drive(&rig, "");
    rig_until(&rig, first_is_ok);
    assert_int_equal(rig.news[DEVICE_GONE], 1);
    rig_release(&rig);
}

static void lasting_errors_make_a_device_stale_once(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    drive(&rig, "memory 999\n");
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_stale);
    drive(&rig, "init 999\n");
    device_sample_now(rig.set, 0);
    drive(&rig, "");
    rig_until(&rig, first_is_ok);
    assert_int_equal(rig.news[DEVICE_STALE], 1);
    rig_release(&rig);
}

/* The first line that says "KEY LIST" with @count processes of 10 MiB. */
static void list_many(char *out, size_t size, const char *key, unsigned count)
{
    size_t used = (size_t)snprintf(out, size, "%s ", key);
    unsigned i;

    for (i = 0; i < count; i++) {
        used += (size_t)snprintf(out + used, size - used, "%s%u:10",
                                 i == 0 ? "" : ",", 1000 + i);
    }
    (void)snprintf(out + used, size - used, "\n");
}

static const struct device_process *process_of(const struct rig *rig,
                                               uint32_t pid)
{
    static const struct device_process none = {.used_mib = 0};
    uint32_t i;

    for (i = 0; i < rig->last[0].process_count; i++) {
        if (rig->last[0].processes[i].pid == pid) {
            return &rig->last[0].processes[i];
        }
    }
    return &none;
}

/* C1, C8: who computes, draws, or does so through the Multi-Process Service;
 * one who is in several lists has its VRAM once. */
static void each_process_has_its_own_figure(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "used0 3000\n"
                  "compute0 41:1000,42:500,41:24\n"
                  "graphics0 43:300,42:500\n"
                  "mps0 44:700\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    assert_true(rig.last[0].processes_known);
    assert_null(rig.last[0].processes_reason);
    assert_int_equal(rig.last[0].process_count, 4);
    assert_int_equal(process_of(&rig, 41)->used_mib, 1024);
    assert_int_equal(process_of(&rig, 41)->use, DEVICE_COMPUTE);
    assert_int_equal(process_of(&rig, 42)->used_mib, 500);
    assert_int_equal(process_of(&rig, 42)->use,
                     DEVICE_COMPUTE | DEVICE_GRAPHICS);
    assert_int_equal(process_of(&rig, 43)->use, DEVICE_GRAPHICS);
    assert_int_equal(process_of(&rig, 44)->used_mib, 700);
    rig_release(&rig);
}

/* Three layouts were seen behind one name: a wrong one shows VRAM as pids. */
static void records_of_every_size_are_understood(void **state)
{
    static const unsigned sizes[] = {16, 24, 32};
    char text[128];
    struct rig rig;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        (void)snprintf(text, sizeof text,
                       "record %u\ncompute0 41:1,42:200,43:na\n", sizes[i]);
        prepare(&rig, text);
        assert_int_equal(open_nvml(&rig), E_OK);
        rig_until(&rig, first_is_ok);
        assert_int_equal(rig.last[0].process_count, 3);
        assert_int_equal(process_of(&rig, 41)->used_mib, 1);
        assert_int_equal(process_of(&rig, 42)->used_mib, 200);
        assert_true(process_of(&rig, 43)->used_mib == DEVICE_UNKNOWN);
        rig_release(&rig);
    }
    prepare(&rig, "record 40\ncompute0 41:1,42:200,43:300,44:1,45:1\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    assert_false(rig.last[0].processes_known);
    assert_string_equal(rig.last[0].processes_reason,
                        "the driver lists its processes in an unknown way");
    rig_release(&rig);
}

/* In containers, WSL 2 and for users without the right, there is no list or no
 * figure: a case, and the card is measured as ever. */
static void a_missing_list_is_no_error(void **state)
{
    static const struct {
        const char *drive;
        bool is_known;
        const char *reason;
    } cases[] = {
        {"compute0 41:na\nused0 700\n", true, NULL},
        {"lists 3\nused0 700\n", false, "the driver has no list of processes"},
        {"lists 4\nused0 700\n", false,
         "the driver shows its processes to root only"},
        {"lists 999\nused0 700\n", false,
         "the driver fails to list its processes"},
    };
    struct rig rig;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        prepare(&rig, cases[i].drive);
        assert_int_equal(open_nvml(&rig), E_OK);
        rig_until(&rig, first_is_ok);
        assert_int_equal(rig.last[0].used_mib, 700);
        assert_int_equal(rig.last[0].processes_known, cases[i].is_known);
        if (cases[i].is_known) {
            assert_true(process_of(&rig, 41)->used_mib == DEVICE_UNKNOWN);
        } else {
            assert_string_equal(rig.last[0].processes_reason, cases[i].reason);
            assert_int_equal(rig.last[0].process_count, 0);
        }
        rig_release(&rig);
    }
}

/* In a pid namespace of our own the driver's pid is another process's here:
 * whoever acts on it may kill somebody who has nothing to do with the GPU. */
static void pids_of_another_namespace_are_not_ours(void **state)
{
    static const char *const links[] = {"pid:[4026532281]", NULL};
    struct rig rig;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        prepare(&rig, "used0 700\ncompute0 41:700\n");
        rig_namespace(&rig, links[i]);
        assert_int_equal(open_nvml(&rig), E_OK);
        rig_until(&rig, first_is_ok);
        assert_int_equal(rig.last[0].used_mib, 700);
        assert_false(rig.last[0].processes_known);
        assert_int_equal(rig.last[0].process_count, 0);
        assert_non_null(strstr(rig.last[0].processes_reason, "pid namespace"));
        rig_release(&rig);
    }
}

/* The list grows while it is read: a driver may say how far, or only that. */
static void long_lists_are_read_whole(void **state)
{
    static char text[32768];
    struct rig rig;
    size_t size;
    int is_vague;

    (void)state;
    for (is_vague = 0; is_vague < 2; is_vague++) {
        list_many(text, sizeof text - 64, "compute0", 300);
        size = strlen(text);
        (void)snprintf(text + size, 64, "vague %d\n", is_vague);
        prepare(&rig, text);
        assert_int_equal(open_nvml(&rig), E_OK);
        rig_until(&rig, first_is_ok);
        assert_true(rig.last[0].processes_known);
        assert_int_equal(rig.last[0].process_count, DEVICE_PROCESSES_MAX);
        assert_int_equal(rig.last[0].rest_count, 300 - DEVICE_PROCESSES_MAX);
        assert_int_equal(rig.last[0].rest_mib,
                         10 * (300 - DEVICE_PROCESSES_MAX));
        rig_release(&rig);
    }
    list_many(text, sizeof text - 64, "compute0", 1500);
    size = strlen(text);
    (void)snprintf(text + size, 64, "vague 1\n");
    prepare(&rig, text);
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    assert_false(rig.last[0].processes_known);
    rig_release(&rig);
}

/* The newest call may be there and refuse: the older one is asked, for good. */
static void refused_call_gives_way_to_the_older_one(void **state)
{
    static const char *const drives[] = {"newest 13\ncompute0 41:7,42:8\n",
                                         "newest 25\ncompute0 41:7,42:8\n"};
    struct rig rig;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        prepare(&rig, drives[i]);
        assert_int_equal(open_nvml(&rig), E_OK);
        rig_until(&rig, first_is_ok);
        assert_true(rig.last[0].processes_known);
        assert_int_equal(process_of(&rig, 42)->used_mib, 8);
        rig_release(&rig);
    }
}

/* B3: what the card says about itself, as far as it does. */
static void vitals_are_measured_where_they_are(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "util 97\ntemp 71\npower 312500\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    assert_int_equal(rig.last[0].utilisation_percent, 97);
    assert_int_equal(rig.last[0].temperature_c, 71);
    assert_int_equal(rig.last[0].power_mw, 312500);
    assert_string_equal(device_info(rig.set, 0)->driver, "570.86.15");
    rig_release(&rig);
    prepare(&rig, "temp 40\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    assert_true(rig.last[0].utilisation_percent == DEVICE_UNKNOWN);
    assert_int_equal(rig.last[0].temperature_c, 40);
    assert_true(rig.last[0].power_mw == DEVICE_UNKNOWN);
    rig_release(&rig);
}

/* Each way in which a card leaves, and what is said about it; afterwards it is
 * the same card again, by its UUID, though the driver numbers them anew. */
static void a_card_that_leaves_says_why_and_returns(void **state)
{
    static const struct {
        const char *drive;
        const char *reason;
    } cases[] = {
        {"memory0 1\n", "the NVIDIA driver is gone"},
        {"memory0 6\n", "the NVIDIA driver does not find the card"},
        {"memory0 9\n", "the NVIDIA driver is not loaded"},
        {"memory0 15\n", "the card is off the bus"},
        {"memory0 16\n", "the card needs a reset"},
        {"memory0 18\n", "the NVIDIA driver was replaced by another version: "
                         "restart gpucoord"},
    };
    char text[64];
    struct rig rig;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        prepare(&rig, "gpus 2\nused0 100\nused1 700\n");
        assert_int_equal(open_nvml(&rig), E_OK);
        rig_until(&rig, second_uses_700);
        (void)snprintf(text, sizeof text, "gpus 2\nused1 700\n%s",
                       cases[i].drive);
        drive(&rig, text);
        device_sample_now(rig.set, 0);
        rig_until(&rig, first_is_gone);
        assert_string_equal(rig.last[0].reason, cases[i].reason);
        drive(&rig, "gpus 2\nswap 1\nused0 100\nused1 700\n");
        device_sample_now(rig.set, 0);
        rig_until(&rig, first_is_ok);
        assert_null(rig.last[0].reason);
        assert_int_equal(rig.last[0].used_mib, 100);
        rig_until(&rig, second_uses_700);
        rig_release(&rig);
    }
}

/* Twenty samples of the second card, before each of which the first, which is
 * lost, is asked for, too. */
static bool second_is_ok_again(const struct rig *rig)
{
    device_sample_now(rig->set, 0);
    return rig->counts[1] >= 20 && rig->last[1].state == DEVICE_OK;
}

/* One card of several is lost: the others are measured on, and the library is
 * not started anew for each of their samples. */
static void a_lost_card_does_not_take_the_others_along(void **state)
{
    struct rig rig;
    struct stat starts;
    char text[256];
    char path[128];

    (void)state;
    prepare(&rig, "");
    (void)snprintf(path, sizeof path, "%s/starts", rig.dir);
    (void)snprintf(text, sizeof text, "gpus 2\nused1 700\nmemory0 15\nlog %s\n",
                   path);
    drive(&rig, "gpus 2\nused1 700\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    rig_until(&rig, first_is_ok);
    drive(&rig, text);
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_gone);
    rig.counts[1] = 0;
    device_want(rig.set, 1, true);
    rig_until(&rig, second_is_ok_again);
    assert_int_equal(rig.last[1].used_mib, 700);
    assert_int_equal(rig.last[0].state, DEVICE_GONE);
    assert_int_equal(rig.news[DEVICE_STALE], 0);
    assert_int_equal(stat(path, &starts), 0);
    assert_in_range(starts.st_size, 1, 6);
    rig_release(&rig);
}

/* A machine with one broken card of eight serves the seven. */
static void a_card_that_is_lost_at_the_start_is_left_out(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "gpus 3\nmemory1 15\nused2 700\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    assert_int_equal(device_count(rig.set), 2);
    assert_string_equal(device_info(rig.set, 1)->uuid, "GPU-standin-2");
    assert_int_equal(device_info(rig.set, 1)->index, 1);
    assert_string_equal(
        buf_string(&rig.why),
        "GPU 1 is left out: the NVIDIA driver says: GPU is lost");
    rig_until(&rig, second_uses_700);
    rig_release(&rig);
}

/* Drivers before 510 have neither the second memory call nor _v3, those before
 * MIG no _v2 either. */
static void old_driver_tells_what_it_knows(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig, "used0 700\ncompute0 41:300,42:400\ngraphics0 43:9\n");
    assert_int_equal(open_nvml(&rig), E_OK);
    assert_int_equal(device_info(rig.set, 0)->total_mib, 24576);
    rig_until(&rig, first_is_ok);
    assert_int_equal(rig.last[0].used_mib, 700 + 376);
    assert_true(rig.last[0].processes_known);
    assert_int_equal(rig.last[0].process_count, 3);
    assert_int_equal(process_of(&rig, 42)->used_mib, 400);
    assert_int_equal(process_of(&rig, 43)->use, DEVICE_GRAPHICS);
    rig_release(&rig);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_found_and_measured),
        cmocka_unit_test(older_drivers_are_measured_too),
        cmocka_unit_test(refused_start_is_explained),
        cmocka_unit_test(hung_start_does_not_hang_us),
        cmocka_unit_test(hung_driver_makes_devices_stale),
        cmocka_unit_test(closing_does_not_wait_for_a_hung_driver),
        cmocka_unit_test(lost_card_is_gone_and_may_come_back),
        cmocka_unit_test(lasting_errors_make_a_device_stale_once),
        cmocka_unit_test(each_process_has_its_own_figure),
        cmocka_unit_test(records_of_every_size_are_understood),
        cmocka_unit_test(a_missing_list_is_no_error),
        cmocka_unit_test(pids_of_another_namespace_are_not_ours),
        cmocka_unit_test(long_lists_are_read_whole),
        cmocka_unit_test(refused_call_gives_way_to_the_older_one),
        cmocka_unit_test(vitals_are_measured_where_they_are),
        cmocka_unit_test(a_card_that_leaves_says_why_and_returns),
        cmocka_unit_test(a_lost_card_does_not_take_the_others_along),
        cmocka_unit_test(a_card_that_is_lost_at_the_start_is_left_out),
    };

    const struct CMUnitTest old_tests[] = {
        cmocka_unit_test(old_driver_tells_what_it_knows),
    };
    int fd = mkstemp(drive_path);
    int failed;

    (void)argv; /* Any argument: the library is that of an older driver. */

    if (fd < 0 || setenv("STANDIN_NVML", drive_path, 1) != 0) {
        return 1;
    }
    (void)close(fd);
    failed = argc > 1 ? cmocka_run_group_tests(old_tests, NULL, NULL)
                      : cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(drive_path);
    return failed;
}
