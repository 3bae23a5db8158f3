#include "daemon/records.h"

#include "base/log.h"
#include "daemon/config.h"
#include "daemon/ladders.h"
#include "daemon/names.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CLASS_NAME_SIZE = 65,
    CLASS_LOST = 2, /* Where leases of a vanished class go on. */
};

void records_class_name(const struct config *config,
                        uint32_t class_id,
                        char text[CLASS_NAME_SIZE])
{
    const char *name = config_class_name(config, class_id);

    if (name != NULL) {
        (void)snprintf(text, CLASS_NAME_SIZE, "%s", name);
    } else {
        (void)snprintf(text, CLASS_NAME_SIZE, "priority-%" PRIu32, class_id);
    }
}

/* ---- Out -------------------------------------------------------------- */

static void put_lease(struct store *store,
                      const struct names *names,
                      const struct config *config,
                      const struct core_lease_row *row)
{
    const struct names_lease *sent = names_lease_find(names, row->id);
    struct store_lease lease = {
        .core = *row,
        .service_id = names_service_name(names, row->service),
        .class_name = config_class_name(config, row->class_id),
    };

    if (sent != NULL) {
        lease.job_id = sent->job == 0 ? NULL : sent->job_id;
        lease.metadata = sent->metadata;
        lease.watch_pid = sent->watch_pid;
        lease.watch_started = sent->watch_started;
        lease.watches = sent->watches[0] == '\0' ? NULL : sent->watches;
    }
    store_put_lease(store, &lease);
}

static void put_class(struct store *store,
                      const struct config *config,
                      const struct core_class_row *row)
{
    char name[CLASS_NAME_SIZE];
    struct store_class class_row = {.core = *row, .name = name};

    records_class_name(config, row->class_id, name);
    store_put_class(store, &class_row);
}

void records_put(struct store *store,
                 const struct names *names,
                 const struct config *config,
                 const struct core_record *record)
{
    switch (record->type) {
    case CORE_RECORD_LEASE:
        put_lease(store, names, config, &record->lease);
        return;
    case CORE_RECORD_LEASE_END:
        store_end_lease(store, record->lease.id);
        return;
    case CORE_RECORD_CLASS:
        put_class(store, config, &record->class_row);
        return;
    case CORE_RECORD_MODE:
        store_put_mode(store, &record->mode);
        return;
    case CORE_RECORDS:
        return; /* Not a type: their number. */
    }
}

/* ---- Back ------------------------------------------------------------- */

struct restorer {
    struct names *names;
    const struct config *config;
    struct core *core;
    uint64_t at_ms;
};

static int restore(struct restorer *restorer, const struct core_record *record)
{
    struct core_event event = {
        .type = CORE_RESTORE, .at_ms = restorer->at_ms, .restore = *record};
    struct core_effects effects;
    int rc = core_step(restorer->core, &event, &effects);

    return rc == E_OK || rc == E_NOMEM ? rc : E_CORRUPT;
}

/* Give the names of @lease their numbers, in @row. */
static int bind_names(struct names *names,
                      const struct store_lease *lease,
                      struct core_lease_row *row)
{
    struct names_lease sent = {
        .job_id = lease->job_id == NULL ? "" : lease->job_id,
        .metadata = lease->metadata == NULL ? "{}" : lease->metadata,
        .watch_started = lease->watch_started,
        .watch_pid = lease->watch_pid,
    };
    struct names_binding *binding;
    int rc = names_service(names, lease->service_id, &row->service);

    if (rc != E_OK || (lease->job_id == NULL && lease->metadata == NULL &&
                       lease->watch_pid == 0)) {
        return rc;
    }
    if (lease->job_id != NULL) {
        row->job = names_job_find(names, row->service, lease->job_id);
        row->job = row->job == 0 ? names_job_next(names) : row->job;
    }
    if (lease->watches != NULL) {
        (void)snprintf(sent.watches, sizeof sent.watches, "%s", lease->watches);
    }
    sent.service = row->service;
    sent.job = row->job;
    rc = names_prepare(names, &sent, &binding);
    if (rc == E_OK) {
        names_bind(names, binding, row->id);
    }
    return rc;
}

static int restore_lease(void *arg, const struct store_lease *lease)
{
    struct restorer *restorer = arg;
    struct core_record record = {.type = CORE_RECORD_LEASE,
                                 .lease = lease->core};
    int rc = bind_names(restorer->names, lease, &record.lease);
    int index;

    if (rc != E_OK) {
        return rc;
    }
    if (lease->class_name != NULL) {
        index = config_class_find(restorer->config, lease->class_name);
        if (index < 0) {
            log_warn("lease %" PRIu64 ": class '%s' is no longer configured",
                     lease->core.id, lease->class_name);
            record.lease.class_id = CLASS_LOST;
        } else {
            record.lease.class_id = CORE_CLASS((uint32_t)index);
        }
    }
    /* The core keeps its rungs; the deadlines are those of its service now, if
     * that has these rungs. */
    record.lease.ladder =
        ladders_find(restorer->config, lease->service_id, lease->core.rungs);
    return restore(restorer, &record);
}

/* A class that is gone has no place to restore. */
static int restore_class(void *arg, const struct store_class *row)
{
    struct restorer *restorer = arg;
    struct core_record record = {.type = CORE_RECORD_CLASS,
                                 .class_row = row->core};
    int index = config_class_find(restorer->config, row->name);
    uint32_t priority;

    if (index >= 0) {
        record.class_row.class_id = CORE_CLASS((uint32_t)index);
        return restore(restorer, &record);
    }
    for (priority = 0; priority < CORE_PRIORITIES; priority++) {
        char name[sizeof("priority-9")];

        (void)snprintf(name, sizeof(name), "priority-%u", priority);
        if (strcmp(row->name, name) == 0) {
            record.class_row.class_id = priority;
            return restore(restorer, &record);
        }
    }
    return E_OK;
}

static int restore_mode(void *arg, const struct core_mode_row *mode)
{
    struct core_record record = {.type = CORE_RECORD_MODE, .mode = *mode};

    return restore(arg, &record);
}

int records_restore(struct store *store,
                    struct names *names,
                    const struct config *config,
                    struct core *core,
                    uint64_t at_ms)
{
    struct restorer restorer = {names, config, core, at_ms};
    struct store_reader reader = {restore_lease, restore_class, restore_mode,
                                  &restorer};
    uint64_t time_max_ms;

    return store_load(store, &reader, &time_max_ms);
}

static int count_lease(void *arg, const struct store_lease *lease)
{
    uint64_t *count = arg;

    (void)lease;
    (*count)++;
    return E_OK;
}

static int skip_class(void *arg, const struct store_class *row)
{
    (void)arg;
    (void)row;
    return E_OK;
}

static int skip_mode(void *arg, const struct core_mode_row *mode)
{
    (void)arg;
    (void)mode;
    return E_OK;
}

int records_survey(struct store *store,
                   uint64_t *time_max_ms,
                   uint64_t *lease_count)
{
    struct store_reader reader = {count_lease, skip_class, skip_mode,
                                  lease_count};

    *lease_count = 0;
    return store_load(store, &reader, time_max_ms);
}
