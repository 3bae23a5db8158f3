#include "daemon/ladders.h"

#include "core/core.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "proto/api.h"

#include <stdio.h>

/* Unpack @rungs, each with @grace_ms. */
static struct core_ladder unpack(uint32_t rungs, uint32_t grace_ms)
{
    struct core_ladder ladder = {.count = 0};
    int rung;

    for (rung = RUNG_NONE + 1; rung < RUNGS; rung++) {
        if (ladder_has(rungs, (enum rung)rung)) {
            ladder.steps[ladder.count].rung = (enum rung)rung;
            ladder.steps[ladder.count].grace_ms = grace_ms;
            ladder.count++;
        }
    }
    return ladder;
}

/* Return the number of a ladder in force with @rungs; 0 = none. */
static uint8_t find(const struct core_config *config, uint32_t rungs)
{
    uint32_t i;

    for (i = 0; i < config->ladder_count; i++) {
        if (ladder_pack(&config->ladders[i]) == rungs) {
            return (uint8_t)CORE_LADDER(i);
        }
    }
    return 0;
}

/* Tell the core of one more. */
static int add(struct daemon *daemon, uint32_t rungs)
{
    struct core_config *config = &daemon->core_config;
    int rc;

    if (config->ladder_count == CORE_LADDERS_MAX) {
        return E_LIMIT;
    }
    config->ladders[config->ladder_count++] =
        unpack(rungs, daemon->config->rung_grace_ms);
    rc = driver_configure(daemon->driver, daemon->config, config);
    if (rc != E_OK) {
        config->ladder_count--;
    }
    return rc;
}

int ladders_number(struct daemon *daemon,
                   const char *service_id,
                   uint32_t rungs,
                   uint8_t *out,
                   struct api_error *error)
{
    const struct config_service *service =
        config_service_find(daemon->config, service_id);
    int rc = E_OK;

    if (ladder_has(rungs, RUNG_RESTART) &&
        (service == NULL || service->restart[0] == NULL)) {
        (void)snprintf(error->field, sizeof error->field, "ladder");
        (void)snprintf(error->detail, sizeof error->detail,
                       "no command to restart this service is configured");
        return E_INVALID;
    }
    *out = 0;
    if (rungs == LADDER_DEFAULT) {
        return E_OK;
    }
    if (service != NULL && service->ladder_id != 0 &&
        ladder_pack(&service->ladder) == rungs) {
        *out = service->ladder_id;
        return E_OK;
    }
    if (find(&daemon->core_config, rungs) == 0) {
        rc = add(daemon, rungs);
    }
    *out = find(&daemon->core_config, rungs);
    return rc;
}
