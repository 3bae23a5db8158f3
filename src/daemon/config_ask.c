#include "daemon/config.h"

#include "base/paths.h"

#include <string.h>

bool config_is_database(const char *store)
{
    return strncmp(store, "postgresql:", sizeof "postgresql:" - 1) == 0 ||
           strncmp(store, "postgres:", sizeof "postgres:" - 1) == 0;
}

int config_state_dir(const struct config *config, struct buf *out)
{
    if (config_is_database(config->store)) {
        return paths_state(out);
    }
    paths_parent(config->store, out);
    return buf_error(out);
}

int config_class_find(const struct config *config, const char *name)
{
    size_t i;

    for (i = 0; i < config->class_count; i++) {
        if (strcmp(config->classes[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *config_class_name(const struct config *config, uint32_t class_id)
{
    size_t index = class_id - (size_t)CORE_CLASS(0);

    return class_id >= CORE_CLASS(0) && index < config->class_count
               ? config->classes[index].name
               : NULL;
}

const struct config_service *config_service_find(const struct config *config,
                                                 const char *name)
{
    size_t i;

    for (i = 0; i < config->service_count; i++) {
        if (strcmp(config->services[i].name, name) == 0) {
            return &config->services[i];
        }
    }
    return NULL;
}

/* ---- devices ------------------------------------------------------------ */

/* Lay what is set in @over upon @vram. */
static void overlay(struct config_vram *vram, const struct config_vram *over)
{
    if (over->is_measured != CONFIG_UNSET) {
        vram->is_measured = over->is_measured;
    }
    if (over->settle_ms != CONFIG_UNSET) {
        vram->settle_ms = over->settle_ms;
    }
    if (over->residue_mib != CONFIG_UNSET) {
        vram->residue_mib = over->residue_mib;
    }
    if (over->reserve_mib != CONFIG_UNSET) {
        vram->reserve_mib = over->reserve_mib;
    }
}

static void overlay_named(struct config_vram *vram,
                          const struct config *config,
                          const char *name)
{
    size_t i;

    for (i = 0; i < config->device_count; i++) {
        if (strcmp(config->devices[i].name, name) == 0) {
            overlay(vram, &config->devices[i].vram);
        }
    }
}

int config_device_get(const struct config *config,
                      uint32_t index,
                      const char *uuid,
                      uint32_t capacity_mib,
                      bool can_measure,
                      struct core_device_config *out)
{
    struct config_vram vram = config->vram;
    char text[16];

    (void)snprintf(text, sizeof text, "%u", index);
    overlay_named(&vram, config, text);
    overlay_named(&vram, config, uuid);
    *out = (struct core_device_config){
        .capacity_mib = capacity_mib,
        .reserve_mib = vram.reserve_mib,
        .residue_mib = vram.residue_mib,
        .settle_ms = vram.settle_ms,
        .is_measured = can_measure && vram.is_measured == 1,
    };
    return vram.reserve_mib < capacity_mib ? E_OK : E_INVALID;
}

void config_core_get(const struct config *config, struct core_config *out)
{
    size_t i;

    out->class_count = (uint32_t)config->class_count;
    for (i = 0; i < config->class_count; i++) {
        out->classes[i] = config->classes[i].core;
    }
    out->ladder_count = config->ladder_count;
    out->rung_grace_ms = config->rung_grace_ms;
    memcpy(out->ladders, config->ladders, sizeof out->ladders);
    out->is_observing = config->is_observing;
    out->waiters_max = config->waiters_max;
    out->service_waiters_max = config->service_waiters_max;
    out->stream_grace_ms = config->stream_grace_ms;
    out->away_ms = config->away_ms;
    out->resume_margin_percent = config->resume_margin_percent;
}

/* ---- requests ----------------------------------------------------------- */

enum {
    PRIORITY_STANDARD = 2 /* Of a request that says nothing of the kind. */
};

/* Find the class of a request: its own, or its service's where the request
 * does not speak against it. */
static int find_class(const struct config *config,
                      const struct config_request *request,
                      const struct config_service *service,
                      const struct config_class **out)
{
    const char *name = request->class_name;
    int index;

    *out = NULL;
    if (name == NULL && service != NULL) {
        name = service->class_name;
    }
    if (name == NULL) {
        return E_OK;
    }
    index = config_class_find(config, name);
    if (index < 0) {
        return E_INVALID;
    }
    if (request->class_name == NULL && request->priority != CONFIG_UNSET &&
        request->priority != config->classes[index].core.priority) {
        return E_OK;
    }
    *out = &config->classes[index];
    return E_OK;
}

/* The first number that is set. */
static uint32_t first_set(uint32_t a, uint32_t b, uint32_t c, uint32_t last)
{
    return a != CONFIG_UNSET   ? a
           : b != CONFIG_UNSET ? b
           : c != CONFIG_UNSET ? c
                               : last;
}

static uint64_t timeout_of(const struct config *config,
                           const struct config_request *request)
{
    if (request->timeout_ms != CONFIG_UNSET_64) {
        return request->timeout_ms;
    }
    return request->is_durable ? CORE_FOREVER : config->timeout_ms;
}

int config_request_resolve(const struct config *config,
                           const struct config_request *request,
                           struct core_request *out,
                           const char **field)
{
    const struct config_service *service =
        config_service_find(config, request->service_id);
    const struct config_class *class;
    uint32_t priority;

    if (find_class(config, request, service, &class) != E_OK) {
        *field = "class";
        return E_INVALID;
    }
    priority = first_set(request->priority,
                         class != NULL ? class->core.priority : CONFIG_UNSET,
                         CONFIG_UNSET, PRIORITY_STANDARD);
    if (class != NULL && priority != class->core.priority) {
        *field = "priority";
        return E_INVALID;
    }
    out->class_id = class == NULL
                        ? priority
                        : (uint32_t)CORE_CLASS(class - config->classes);
    out->timeout_ms = timeout_of(config, request);
    out->ttl_ms =
        first_set(request->ttl_ms, CONFIG_UNSET, CONFIG_UNSET, config->ttl_ms);
    out->vram_mib = first_set(
        request->vram_mib, service != NULL ? service->vram_mib : CONFIG_UNSET,
        class != NULL ? class->vram_mib : CONFIG_UNSET, 0);
    out->pause_grace_ms =
        first_set(service != NULL ? service->pause_grace_ms : CONFIG_UNSET,
                  class != NULL ? class->pause_grace_ms : CONFIG_UNSET,
                  CONFIG_UNSET, config->pause_grace_ms);
    out->max_hold_ms = config->max_hold_ms;
    out->ladder = service != NULL ? service->ladder_id : 0;
    out->is_durable = request->is_durable;
    out->is_preemptible =
        request->preemptible == CONFIG_CHOICE_UNSET
            ? (class != NULL ? class->preemptible == 1 : priority > 0)
            : request->preemptible == CONFIG_CHOICE_YES;
    return E_OK;
}
