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

/* Make a rig whose stand-in is driven by @text, and a FIFO in its directory. */
static void prepare(struct rig *rig, const char *text)
{
    char path[128];

    rig_init(rig);
    drive(rig, text);
    (void)snprintf(path, sizeof path, "%s/fifo", rig->dir);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static int open_nvml(struct rig *rig)
{
    return rig_open(rig, (struct device_config){.kind = DEVICE_NVML,
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

int main(void)
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
    };

    int fd = mkstemp(drive_path);
    int failed;

    if (fd < 0 || setenv("STANDIN_NVML", drive_path, 1) != 0) {
        return 1;
    }
    (void)close(fd);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(drive_path);
    return failed;
}
