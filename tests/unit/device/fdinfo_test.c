/* What the kernel says of an open AMD card. */
#include "device/fdinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* As amdgpu_show_fdinfo() in drivers/gpu/drm/amd/amdgpu/amdgpu_fdinfo.c of
 * Linux 6.1 prints it. */
static const char of_6_1[] = "pos:\t0\n"
                             "flags:\t02100002\n"
                             "mnt_id:\t26\n"
                             "pasid:\t32771\n"
                             "drm-driver:\tamdgpu\n"
                             "drm-pdev:\t0000:03:00.0\n"
                             "drm-client-id:\t17\n"
                             "drm-memory-vram:\t524288 KiB\n"
                             "drm-memory-gtt: \t2048 KiB\n"
                             "drm-memory-cpu: \t0 KiB\n"
                             "drm-engine-gfx:\t1000 ns\n";

/* As drm_print_memory_stats() of Linux 6.13 does, for all drivers. */
static const char of_6_13[] = "drm-driver:\tamdgpu\n"
                              "drm-client-id:\t18\n"
                              "drm-pdev:\t0000:03:00.0\n"
                              "drm-total-vram:\t900 MiB\n"
                              "drm-shared-vram:\t0\n"
                              "drm-resident-vram:\t700 MiB\n"
                              "drm-memory-vram:\t716800 KiB\n";

/* As amdgpu's first version, of Linux 5.14, did. */
static const char of_5_14[] = "pdev:\t0000:03:00.0\n"
                              "pasid:\t32770\n"
                              "vram mem:\t1024 kB\n"
                              "gtt mem:\t4 kB\n";

static void each_generation_of_kernels_is_understood(void **state)
{
    struct fdinfo fdinfo;

    (void)state;
    assert_true(fdinfo_parse(of_6_1, &fdinfo));
    assert_string_equal(fdinfo.pdev, "0000:03:00.0");
    assert_int_equal(fdinfo.client, 17);
    assert_int_equal(fdinfo.vram_bytes, UINT64_C(512) << 20);
    assert_true(fdinfo_parse(of_6_13, &fdinfo));
    assert_int_equal(fdinfo.client, 18);
    assert_int_equal(fdinfo.vram_bytes, UINT64_C(700) << 20);
    assert_true(fdinfo_parse(of_5_14, &fdinfo));
    assert_int_equal(fdinfo.client, 32770);
    assert_int_equal(fdinfo.vram_bytes, 1 << 20);
}

/* A figure without a unit is in bytes; the key that tells less gives way,
 * wherever it stands. */
static void units_and_order_do_not_matter(void **state)
{
    struct fdinfo fdinfo;

    (void)state;
    assert_true(fdinfo_parse("drm-resident-vram: 5 GiB\n"
                             "drm-total-vram: 9 GiB\n"
                             "drm-pdev: 0000:03:00.0",
                             &fdinfo));
    assert_int_equal(fdinfo.vram_bytes, UINT64_C(5) << 30);
    assert_true(fdinfo_parse("drm-pdev: 0000:03:00.0\n"
                             "drm-total-vram:\t4096",
                             &fdinfo));
    assert_int_equal(fdinfo.vram_bytes, 4096);
}

static void what_is_no_amd_card_is_passed_over(void **state)
{
    static const char *const others[] = {
        "",
        "pos:\t0\nflags:\t02\n",
        "drm-driver:\ti915\ndrm-pdev:\t0000:00:02.0\ndrm-total-vram:\t4\n",
        "drm-driver:\tamdgpu\ndrm-pdev:\t0000:03:00.0\n",
        "drm-driver:\tamdgpu\ndrm-memory-vram:\t4 KiB\n",
        "drm-pdev:\t0000:03:00.0\ndrm-memory-vram:\tmany\n",
        "drm-pdev:\t0000:03:00.0\ndrm-memory-vram:\t4 pages\n",
    };
    struct fdinfo fdinfo;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(fdinfo_parse(others[i], &fdinfo));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_generation_of_kernels_is_understood),
        cmocka_unit_test(units_and_order_do_not_matter),
        cmocka_unit_test(what_is_no_amd_card_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
