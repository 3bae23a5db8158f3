/* AMD's cards, on directories that imitate /sys and /proc.
 *
 * The files are those of the kernel's driver: Documentation/gpu/amdgpu/
 * driver-misc.rst (unique_id, product_name, mem_info_vram_*) and thermal.rst
 * (hwmon, gpu_busy_percent); fdinfo as Documentation/gpu/drm-usage-stats.rst;
 * /sys/class/kfd as drivers/gpu/drm/amd/amdkfd/kfd_process.c and
 * kfd_topology.c.
 */
#include "rig.h"

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
    PATH_SIZE = 256,
    GIB = 1024 /* MiB. */
};

/* Make the directories above the file @name in the rig's. */
static void make_dirs(const struct rig *rig, const char *name)
{
    char path[2 * PATH_SIZE];
    char *c;

    (void)snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    for (c = path + strlen(rig->dir) + 1; *c != '\0'; c++) {
        if (*c == '/') {
            *c = '\0';
            (void)mkdir(path, 0700);
            *c = '/';
        }
    }
}

static void put(const struct rig *rig, const char *name, const char *text)
{
    make_dirs(rig, name);
    rig_write(rig, name, text);
}

/* Write a file of the card @number. */
static void
put_card(const struct rig *rig, int number, const char *name, const char *text)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof path, "class/drm/card%d/device/%s", number,
                   name);
    put(rig, path, text);
}

static void
put_mib(const struct rig *rig, int number, const char *name, int mib)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)mib << 20);
    put_card(rig, number, name, text);
}

/* Make a card; @serial "" = it shows none. */
static void make_card(const struct rig *rig,
                      int number,
                      const char *pdev,
                      const char *serial,
                      int total_mib)
{
    char text[128];

    (void)snprintf(text, sizeof text,
                   "DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:744C\n"
                   "PCI_SLOT_NAME=%s\n",
                   pdev);
    put_card(rig, number, "uevent", text);
    if (serial[0] != '\0') {
        put_card(rig, number, "unique_id", serial);
    }
    put_mib(rig, number, "mem_info_vram_total", total_mib);
    put_mib(rig, number, "mem_info_vram_used", 0);
}

/* Let @pid have the descriptor @fd of a card open: the client @client of the
 * card at @pdev, which uses @mib. */
static void make_client(const struct rig *rig,
                        int pid,
                        int fd,
                        const char *pdev,
                        int client,
                        int mib)
{
    char path[PATH_SIZE];
    char text[256];

    (void)snprintf(path, sizeof path, "%d/fdinfo/%d", pid, fd);
    (void)snprintf(text, sizeof text,
                   "pos:\t0\ndrm-driver:\tamdgpu\ndrm-pdev:\t%s\n"
                   "drm-client-id:\t%d\ndrm-memory-vram:\t%d KiB\n",
                   pdev, client, mib * 1024);
    put(rig, path, text);
    (void)snprintf(path, sizeof path, "%d/fd/%d", pid, fd);
    make_dirs(rig, path);
    (void)snprintf(path, sizeof path, "%s/%d/fd/%d", rig->dir, pid, fd);
    assert_int_equal(symlink("/dev/dri/renderD128", path), 0);
}

/* Let KFD know the card of PCI bus 3 as 40001, and a processor as its first
 * node; let @pid compute there with @mib. */
static void make_compute(const struct rig *rig, int pid, int mib)
{
    char path[PATH_SIZE];
    char text[64];

    put(rig, "class/kfd/kfd/topology/nodes/0/gpu_id", "0\n");
    put(rig, "class/kfd/kfd/topology/nodes/0/properties",
        "cpu_cores_count 16\nlocation_id 0\ndomain 0\n");
    put(rig, "class/kfd/kfd/topology/nodes/1/gpu_id", "40001\n");
    put(rig, "class/kfd/kfd/topology/nodes/1/properties",
        "cpu_cores_count 0\nlocation_id 768\ndomain 0\n");
    (void)snprintf(path, sizeof path, "class/kfd/kfd/proc/%d/vram_40001", pid);
    (void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)mib << 20);
    put(rig, path, text);
}

/* Make a rig that is /sys and /proc in one, with its first process. */
static void prepare(struct rig *rig)
{
    rig_init(rig);
    rig_namespace(rig, "pid:[4026531836]");
    make_dirs(rig, "1/fd/");
    make_dirs(rig, "class/drm/");
}

static int open_cards(struct rig *rig)
{
    return rig_open(rig, (struct device_config){.kind = DEVICE_AMDGPU,
                                                .sysfs = rig->dir,
                                                .proc = rig->dir,
                                                .stale_ms = 100});
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

static bool first_was_sampled(const struct rig *rig)
{
    return rig->counts[0] > 0;
}

static bool first_is_ok(const struct rig *rig)
{
    return rig->counts[0] > 0 && rig->last[0].state == DEVICE_OK;
}

static bool first_is_gone(const struct rig *rig)
{
    return rig->last[0].state == DEVICE_GONE;
}

static bool first_is_stale(const struct rig *rig)
{
    return rig->last[0].state == DEVICE_STALE;
}

static bool first_uses_3000(const struct rig *rig)
{
    return rig->last[0].used_mib == 3000;
}

static bool first_uses_1000(const struct rig *rig)
{
    return rig->last[0].used_mib == 1000;
}

/* C12: in the order of the bus, whatever the kernel numbers first, and under
 * the names that ROCm takes. */
static void cards_are_found_and_described(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:0a:00.0", "", 24 * GIB);
    make_card(&rig, 1, "0000:03:00.0", "0123456789abcdef", 24560);
    put_card(&rig, 1, "product_name", "AMD Radeon PRO W7900\n");
    put(&rig, "class/drm/card1-DP-1/status", "connected\n");
    put(&rig, "class/drm/renderD128/dev", "226:128\n");
    put_card(&rig, 2, "uevent", "DRIVER=i915\nPCI_SLOT_NAME=0000:00:02.0\n");
    assert_int_equal(open_cards(&rig), E_OK);
    assert_int_equal(device_count(rig.set), 2);
    assert_string_equal(device_kind_name(device_kind(rig.set)), "amdgpu");
    assert_string_equal(device_info(rig.set, 0)->uuid, "GPU-0123456789abcdef");
    assert_string_equal(device_info(rig.set, 0)->name, "AMD Radeon PRO W7900");
    assert_int_equal(device_info(rig.set, 0)->total_mib, 24560);
    assert_string_equal(device_info(rig.set, 1)->uuid, "GPU-pci-0000:0a:00.0");
    assert_string_equal(device_info(rig.set, 1)->name, "AMD GPU 1002:744C");
    assert_int_equal(device_info(rig.set, 1)->index, 1);
    rig_release(&rig);
}

static void a_machine_without_cards_is_said_to_be_one(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    assert_int_equal(open_cards(&rig), E_NOT_FOUND);
    assert_non_null(strstr(buf_string(&rig.why), "no AMD GPU in '"));
    rig_release(&rig);
}

/* A request that names no device must not land on the processor's graphics. */
static void graphics_of_the_processor_are_left_out_beside_a_card(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:0a:00.0", "", 512);
    make_card(&rig, 1, "0000:03:00.0", "", 16 * GIB);
    assert_int_equal(open_cards(&rig), E_OK);
    assert_int_equal(device_count(rig.set), 1);
    assert_int_equal(device_info(rig.set, 0)->total_mib, 16 * GIB);
    assert_non_null(strstr(buf_string(&rig.why), "GPU-pci-0000:0a:00.0"));
    rig_release(&rig);
    prepare(&rig);
    make_card(&rig, 0, "0000:0a:00.0", "", 512);
    assert_int_equal(open_cards(&rig), E_OK);
    assert_int_equal(device_count(rig.set), 1);
    rig_release(&rig);
}

/* B3. */
static void vram_and_vitals_are_measured(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    put_mib(&rig, 0, "mem_info_vram_used", 3000);
    put_card(&rig, 0, "gpu_busy_percent", "97\n");
    put_card(&rig, 0, "hwmon/hwmon4/temp1_input", "71000\n");
    put_card(&rig, 0, "hwmon/hwmon4/power1_average", "312500000\n");
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    assert_int_equal(rig.last[0].used_mib, 3000);
    assert_int_equal(rig.last[0].utilisation_percent, 97);
    assert_int_equal(rig.last[0].temperature_c, 71);
    assert_int_equal(rig.last[0].power_mw, 312500);
    rig_release(&rig);
}

/* To ask a laptop's card how it is would wake it, every second, for ever. */
static void a_card_that_sleeps_is_not_woken(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    put_card(&rig, 0, "gpu_busy_percent", "97\n");
    put_card(&rig, 0, "hwmon/hwmon4/power1_input", "5000000\n");
    put_card(&rig, 0, "power/runtime_status", "suspended\n");
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    assert_true(rig.last[0].utilisation_percent == DEVICE_UNKNOWN);
    assert_true(rig.last[0].power_mw == DEVICE_UNKNOWN);
    rig_release(&rig);
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    put_card(&rig, 0, "hwmon/hwmon4/power1_input", "5000000\n");
    put_card(&rig, 0, "power/runtime_status", "active\n");
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    assert_int_equal(rig.last[0].power_mw, 5000);
    rig_release(&rig);
}

/* C1, C8: clients count once, however many descriptors and processes share
 * them; on each card what is used there. */
static void each_process_has_its_own_figure(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    make_card(&rig, 1, "0000:0a:00.0", "", 16 * GIB);
    put_mib(&rig, 0, "mem_info_vram_used", 3000);
    make_client(&rig, 41, 7, "0000:03:00.0", 9, 1000);
    make_client(&rig, 41, 8, "0000:03:00.0", 9, 1000);
    make_client(&rig, 41, 9, "0000:03:00.0", 10, 500);
    make_client(&rig, 41, 10, "0000:0a:00.0", 11, 70);
    make_client(&rig, 42, 3, "0000:03:00.0", 12, 0);
    make_compute(&rig, 43, 1400);
    make_client(&rig, 43, 3, "0000:03:00.0", 13, 1200);
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    assert_true(rig.last[0].processes_known);
    assert_int_equal(rig.last[0].process_count, 2);
    assert_int_equal(process_of(&rig, 41)->used_mib, 1500);
    assert_int_equal(process_of(&rig, 41)->use, DEVICE_GRAPHICS);
    assert_int_equal(process_of(&rig, 43)->used_mib, 1400);
    assert_true((process_of(&rig, 43)->use & DEVICE_COMPUTE) != 0);
    rig_release(&rig);
}

/* Between two looks through all of /proc VRAM may be taken by somebody new, or
 * freed: either is seen with the next sample. */
static void newcomers_are_seen_with_the_next_sample(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    put_mib(&rig, 0, "mem_info_vram_used", 1000);
    make_client(&rig, 41, 7, "0000:03:00.0", 9, 1000);
    assert_int_equal(open_cards(&rig), E_OK);
    device_want(rig.set, 0, true);
    rig_until(&rig, first_uses_1000);
    make_client(&rig, 42, 7, "0000:03:00.0", 10, 2000);
    put_mib(&rig, 0, "mem_info_vram_used", 3000);
    rig_until(&rig, first_uses_3000);
    assert_int_equal(process_of(&rig, 41)->used_mib, 1000);
    assert_int_equal(process_of(&rig, 42)->used_mib, 2000);
    rig_release(&rig);
}

/* Without the right to look into others' processes their VRAM is known to
 * be somebody's, but not whose; who computes is seen all the same. */
static void what_cannot_be_seen_is_not_attributed(void **state)
{
    struct rig rig;
    char path[PATH_SIZE];

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    put_mib(&rig, 0, "mem_info_vram_used", 3000);
    make_client(&rig, 41, 7, "0000:03:00.0", 9, 1000);
    make_dirs(&rig, "42/");
    (void)snprintf(path, sizeof path, "%s/42/fd", rig.dir);
    /* Not ENOENT: what root, too, may not look into. */
    assert_int_equal(symlink("fd", path), 0);
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_uses_3000);
    assert_false(rig.last[0].processes_known);
    assert_int_equal(rig.last[0].process_count, 0);
    assert_string_equal(rig.last[0].processes_reason,
                        "the processes of other users cannot be seen");
    device_set_close(rig.set);
    rig.counts[0] = 0;
    make_compute(&rig, 42, 1900);
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    assert_true(rig.last[0].processes_known);
    assert_int_equal(process_of(&rig, 42)->used_mib, 1900);
    assert_int_equal(process_of(&rig, 41)->used_mib, 1000);
    rig_release(&rig);
}

/* Mounted with hidepid=2, /proc does not list what may not be seen. */
static void a_proc_that_hides_processes_is_noticed(void **state)
{
    struct rig rig;
    char path[PATH_SIZE];

    (void)state;
    prepare(&rig);
    (void)snprintf(path, sizeof path, "%s/1/fd", rig.dir);
    assert_int_equal(rmdir(path), 0);
    (void)snprintf(path, sizeof path, "%s/1", rig.dir);
    assert_int_equal(rmdir(path), 0);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    put_mib(&rig, 0, "mem_info_vram_used", 3000);
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_uses_3000);
    assert_false(rig.last[0].processes_known);
    rig_release(&rig);
}

/* Unplugged, or its driver unloaded; it comes back under another number. */
static void a_card_that_leaves_is_gone_and_returns(void **state)
{
    struct rig rig;
    char from[PATH_SIZE];
    char to[PATH_SIZE];

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "0123456789abcdef", 16 * GIB);
    make_card(&rig, 1, "0000:0a:00.0", "fedcba9876543210", 16 * GIB);
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    (void)snprintf(from, sizeof from, "%s/class/drm/card0", rig.dir);
    (void)snprintf(to, sizeof to, "%s/unplugged", rig.dir);
    assert_int_equal(rename(from, to), 0);
    put(&rig, "unplugged/device/mem_info_vram_used", "");
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_gone);
    assert_string_equal(rig.last[0].reason,
                        "the kernel no longer shows the card");
    make_card(&rig, 2, "0000:0b:00.0", "0123456789abcdef", 16 * GIB);
    put_mib(&rig, 2, "mem_info_vram_used", 1000);
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_ok);
    assert_int_equal(rig.last[0].used_mib, 1000);
    assert_int_equal(rig.news[DEVICE_GONE], 1);
    rig_release(&rig);
}

static void a_card_that_says_nothing_is_stale(void **state)
{
    struct rig rig;

    (void)state;
    prepare(&rig);
    make_card(&rig, 0, "0000:03:00.0", "", 16 * GIB);
    assert_int_equal(open_cards(&rig), E_OK);
    rig_until(&rig, first_was_sampled);
    put_card(&rig, 0, "mem_info_vram_used", "");
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_stale);
    assert_string_equal(rig.last[0].reason,
                        "the kernel does not say how much VRAM is used");
    put_mib(&rig, 0, "mem_info_vram_used", 1000);
    device_sample_now(rig.set, 0);
    rig_until(&rig, first_is_ok);
    assert_int_equal(rig.news[DEVICE_STALE], 1);
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_are_found_and_described),
        cmocka_unit_test(a_machine_without_cards_is_said_to_be_one),
        cmocka_unit_test(graphics_of_the_processor_are_left_out_beside_a_card),
        cmocka_unit_test(vram_and_vitals_are_measured),
        cmocka_unit_test(a_card_that_sleeps_is_not_woken),
        cmocka_unit_test(each_process_has_its_own_figure),
        cmocka_unit_test(newcomers_are_seen_with_the_next_sample),
        cmocka_unit_test(what_cannot_be_seen_is_not_attributed),
        cmocka_unit_test(a_proc_that_hides_processes_is_noticed),
        cmocka_unit_test(a_card_that_leaves_is_gone_and_returns),
        cmocka_unit_test(a_card_that_says_nothing_is_stale),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
