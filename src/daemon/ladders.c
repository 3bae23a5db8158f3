#include "daemon/ladders.h"

#include "core/core.h"
#include "daemon/config.h"
#include "proto/api.h"

#include <stdio.h>

uint8_t ladders_find(const struct config *config,
                     const char *service_id,
                     uint32_t rungs)
{
    const struct config_service *service =
        config_service_find(config, service_id);

    return service != NULL && service->ladder_id != 0 &&
                   ladder_pack(&service->ladder) == rungs
               ? service->ladder_id
               : 0;
}

int ladders_take(const struct config *config,
                 const char *service_id,
                 uint32_t rungs,
                 struct core_request *request,
                 struct api_error *error)
{
    const struct config_service *service =
        config_service_find(config, service_id);

    if (ladder_has(rungs, RUNG_RESTART) &&
        (service == NULL || service->restart[0] == NULL)) {
        (void)snprintf(error->field, sizeof error->field, "ladder");
        (void)snprintf(error->detail, sizeof error->detail,
                       "no command to restart this service is configured");
        return E_INVALID;
    }
    request->ladder = ladders_find(config, service_id, rungs);
    request->rungs = request->ladder == 0 ? rungs : 0;
    return E_OK;
}
