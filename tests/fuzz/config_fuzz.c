/* Any bytes as a configuration file: nothing crashes, every refusal says why,
 * and what is accepted keeps the ranges that the core relies on. */
#include "daemon/config.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every mistake is one printable line. */
static void check_report(const struct config_report *report)
{
    size_t i;

    for (i = 0; i < report->count; i++) {
        const char *at = report->notes[i].text;

        assert(*at != '\0');
        for (; *at != '\0'; at++) {
            assert((unsigned char)*at >= ' ' && *at != 127);
        }
    }
}

static void check_classes(const struct config *config)
{
    size_t i;

    assert(config->class_count >= 4);
    assert(config->class_count <= CORE_CLASSES_MAX);
    for (i = 0; i < config->class_count; i++) {
        const struct config_class *class = &config->classes[i];

        assert(config_class_find(config, class->name) == (int)i);
        assert(class->core.priority < CORE_PRIORITIES);
        assert(class->core.weight >= 1 && class->core.weight <= 10000);
        assert(class->preemptible <= 1);
    }
    for (i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];

        assert(config_service_find(config, service->name) == service);
        assert(service->class_name == NULL ||
               config_class_find(config, service->class_name) >= 0);
    }
}

static void check_devices(const struct config *config)
{
    struct core_device_config device;
    uint32_t i;

    assert(config->gpus.count <= CORE_DEVICES_MAX);
    for (i = 0; i < config->gpus.count; i++) {
        assert(config_device_get(config, i, "", config->gpus.capacity_mib[i],
                                 true, &device) == E_OK);
        assert(device.reserve_mib < device.capacity_mib);
    }
    assert(config->gpus.kind != CONFIG_GPUS_SIMULATED ||
           config->gpus.dir[0] == '/');
}

/* A file that did not change changes nothing. */
static void check_reload(struct config *config, const char *text, size_t size)
{
    struct config next;
    struct config_report report;

    assert(config_load_text(text, size, &next, &report) == E_OK);
    config_report_release(&report);
    assert(config_follow(&next, config, &report) == E_OK);
    assert(report.count == 0);
    config_release(&next);
    config_report_release(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct config_report report;
    const char *text = (const char *)data;
    int rc = config_load_text(text, size, &config, &report);

    check_report(&report);
    if (rc == E_OK) {
        assert(report.error_count == 0);
        check_classes(&config);
        check_devices(&config);
        check_reload(&config, text, size);
        config_release(&config);
    } else {
        assert(rc == E_INVALID && report.error_count > 0);
    }
    config_report_release(&report);
    return 0;
}
