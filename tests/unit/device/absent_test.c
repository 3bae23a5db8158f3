/* The same program runs where there is no NVIDIA driver, and says so. */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <string.h>

static void missing_driver_is_not_found(void **state)
{
    struct rig rig;
    void *driver = dlopen("libnvidia-ml.so.1", RTLD_LAZY);

    (void)state;
    if (driver != NULL) {
        (void)dlclose(driver);
        skip(); /* This machine has one. */
    }
    rig_init(&rig);
    assert_int_equal(
        rig_open(&rig, (struct device_config){.kind = DEVICE_NVML}),
        E_NOT_FOUND);
    assert_non_null(strstr(buf_string(&rig.why), "no NVIDIA driver"));
    rig_release(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_driver_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
