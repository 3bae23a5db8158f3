/* Sets of devices as CUDA_VISIBLE_DEVICES has them (C12). */
#include "cli/devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct api_devices devices;

static void indexes_and_uuids_are_read(void **state)
{
    (void)state;
    assert_int_equal(devices_parse("2,0,GPU-8932f937", &devices), E_OK);
    assert_int_equal(devices.count, 3);
    assert_int_equal(devices.items[0].index, 2);
    assert_string_equal(devices.items[0].uuid, "");
    assert_int_equal(devices.items[1].index, 0);
    assert_string_equal(devices.items[2].uuid, "GPU-8932f937");
}

/* As in CUDA: what follows an entry that is none is not visible. */
static void the_list_ends_at_what_is_no_device(void **state)
{
    (void)state;
    assert_int_equal(devices_parse("1,-1,2", &devices), E_OK);
    assert_int_equal(devices.count, 1);
    assert_int_equal(devices_parse("", &devices), E_OK);
    assert_int_equal(devices.count, 0);
    assert_int_equal(devices_parse("-1", &devices), E_OK);
    assert_int_equal(devices.count, 0);
    assert_int_equal(devices_parse("0,,1", &devices), E_OK);
    assert_int_equal(devices.count, 1);
    assert_int_equal(devices_parse("64", &devices), E_OK);
    assert_int_equal(devices.count, 0);
}

static void too_much_is_refused(void **state)
{
    char many[2 * CORE_DEVICES_MAX + 2];
    char name[API_UUID_MAX + 2];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof many - 1; i++) {
        many[i] = i % 2 == 0 ? '0' : ',';
    }
    many[sizeof many - 1] = '\0';
    assert_int_equal(devices_parse(many, &devices), E_TOO_BIG);
    many[2 * CORE_DEVICES_MAX - 1] = '\0';
    assert_int_equal(devices_parse(many, &devices), E_OK);
    assert_int_equal(devices.count, CORE_DEVICES_MAX);
    memset(name, 'G', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(devices_parse(name, &devices), E_TOO_BIG);
}

static void a_set_is_narrowed_by_name(void **state)
{
    struct api_devices among;

    (void)state;
    assert_int_equal(devices_parse("0,1,GPU-a,GPU-b", &devices), E_OK);
    assert_int_equal(devices_parse("GPU-b,1,3", &among), E_OK);
    devices_narrow(&devices, &among);
    assert_int_equal(devices.count, 2);
    assert_int_equal(devices.items[0].index, 1);
    assert_string_equal(devices.items[1].uuid, "GPU-b");
}

static void a_child_is_told_uuids(void **state)
{
    struct api_devices granted = {
        .count = 2,
        .items = {{.index = 0, .uuid = "GPU-a"}, {.index = 3, .uuid = "SIM-b"}},
    };
    struct buf list;

    (void)state;
    buf_init(&list, 0);
    devices_list(&granted, &list);
    assert_string_equal(buf_string(&list), "GPU-a,SIM-b");
    buf_release(&list);
}

/* C12: HIP programs read their own variable, and no UUID in CUDA's. */
static void each_make_has_its_variable(void **state)
{
    static const struct {
        const char *uuid;
        const char *variable;
    } cases[] = {
        {"GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "CUDA_VISIBLE_DEVICES"},
        {"GPU-sim-0011aabb-0", "CUDA_VISIBLE_DEVICES"},
        {"GPU-0123456789abcdef", "ROCR_VISIBLE_DEVICES"},
        {"GPU-pci-0000:03:00.0", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_devices granted = {.count = 1};
        const char *variable;

        (void)snprintf(granted.items[0].uuid, sizeof granted.items[0].uuid,
                       "%s", cases[i].uuid);
        variable = devices_variable(&granted);
        if (cases[i].variable == NULL) {
            assert_null(variable);
        } else {
            assert_non_null(variable);
            assert_string_equal(variable, cases[i].variable);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_and_uuids_are_read),
        cmocka_unit_test(the_list_ends_at_what_is_no_device),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(a_set_is_narrowed_by_name),
        cmocka_unit_test(a_child_is_told_uuids),
        cmocka_unit_test(each_make_has_its_variable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
