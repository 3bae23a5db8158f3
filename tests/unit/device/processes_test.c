/* The list of processes in a sample. */
#include "device/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void nothing_is_known_of_a_clear_sample(void **state)
{
    struct device_sample sample;

    (void)state;
    probe_clear(&sample, 3);
    assert_int_equal(sample.device, 3);
    assert_int_equal(sample.state, DEVICE_OK);
    assert_true(sample.utilisation_percent == DEVICE_UNKNOWN);
    assert_true(sample.temperature_c == DEVICE_UNKNOWN);
    assert_true(sample.power_mw == DEVICE_UNKNOWN);
    assert_false(sample.processes_known);
    assert_int_equal(sample.process_count, 0);
}

static void a_process_is_listed_once(void **state)
{
    struct device_sample sample;

    (void)state;
    probe_clear(&sample, 0);
    probe_add(&sample, 7, 100, DEVICE_COMPUTE);
    probe_add(&sample, 8, 50, DEVICE_GRAPHICS);
    probe_add(&sample, 7, 20, DEVICE_GRAPHICS);
    assert_int_equal(sample.process_count, 2);
    assert_int_equal(sample.processes[0].used_mib, 120);
    assert_int_equal(sample.processes[0].use, DEVICE_COMPUTE | DEVICE_GRAPHICS);
    assert_int_equal(sample.processes[1].used_mib, 50);
}

/* A sum of which a part is unknown is not the part that is known. */
static void unknown_and_known_are_unknown(void **state)
{
    struct device_sample sample;

    (void)state;
    probe_clear(&sample, 0);
    probe_add(&sample, 7, 100, DEVICE_COMPUTE);
    probe_add(&sample, 7, DEVICE_UNKNOWN, DEVICE_COMPUTE);
    probe_add(&sample, 7, 100, DEVICE_COMPUTE);
    probe_add(&sample, 8, DEVICE_UNKNOWN - 1, DEVICE_COMPUTE);
    probe_add(&sample, 8, 100, DEVICE_COMPUTE);
    assert_true(sample.processes[0].used_mib == DEVICE_UNKNOWN);
    assert_true(sample.processes[1].used_mib == DEVICE_UNKNOWN - 1);
}

static void what_does_not_fit_is_counted(void **state)
{
    struct device_sample sample;
    uint32_t i;

    (void)state;
    probe_clear(&sample, 0);
    for (i = 0; i < DEVICE_PROCESSES_MAX + 3; i++) {
        probe_add(&sample, i + 1, 10, DEVICE_COMPUTE);
    }
    probe_add(&sample, i + 1, DEVICE_UNKNOWN, DEVICE_COMPUTE);
    probe_add(&sample, 1, 5, DEVICE_COMPUTE);
    assert_int_equal(sample.process_count, DEVICE_PROCESSES_MAX);
    assert_int_equal(sample.processes[0].used_mib, 15);
    assert_int_equal(sample.rest_count, 4);
    assert_int_equal(sample.rest_mib, 30);
    probe_forget(&sample, "no");
    assert_string_equal(sample.processes_reason, "no");
    assert_int_equal(sample.process_count + sample.rest_count, 0);
    assert_int_equal(sample.rest_mib, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_of_a_clear_sample),
        cmocka_unit_test(a_process_is_listed_once),
        cmocka_unit_test(unknown_and_known_are_unknown),
        cmocka_unit_test(what_does_not_fit_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
