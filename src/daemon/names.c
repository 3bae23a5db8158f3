#include "daemon/names.h"

#include "base/alloc.h"
#include "base/idmap.h"
#include "base/list.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name in a map from hashes; those with the same hash are a chain. */
struct service {
    struct service *next;
    uint32_t number;
    char name[];
};

/* One allocation; the texts lie behind it. */
struct names_binding {
    struct names_lease is;
    struct names_binding *next; /* Jobs of one service with the same hash. */
    struct list all;            /* On names.bindings, or names.ended. */
    bool has_ended;             /* Its job is none any more. */
    char text[];
};

struct names {
    struct service **services; /* By number less one. */
    uint32_t service_count;
    uint32_t service_capacity;
    struct idmap services_by_name; /* (0, hash) -> struct service. */
    struct idmap jobs;    /* (service, hash) -> struct names_binding. */
    struct idmap leases;  /* (0, lease) -> struct names_binding. */
    struct list bindings; /* Of live leases. */
    struct list ended;    /* Of others, in the order in which they ended ... */
    size_t ended_bytes;   /* ... and their size. */
    uint64_t job_last;
};

/* FNV-1a.  Chains make a collision slow, never wrong. */
static uint64_t hash_text(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    for (; *text != '\0'; text++) {
        hash ^= (unsigned char)*text;
        hash *= UINT64_C(1099511628211);
    }
    return hash;
}

int names_create(struct names **out)
{
    struct names *names = calloc(1, sizeof(*names));

    if (names == NULL) {
        return E_NOMEM;
    }
    idmap_init(&names->services_by_name, &alloc_libc);
    idmap_init(&names->jobs, &alloc_libc);
    idmap_init(&names->leases, &alloc_libc);
    list_init(&names->bindings);
    list_init(&names->ended);
    *out = names;
    return E_OK;
}

void names_destroy(struct names *names)
{
    uint32_t i;

    if (names == NULL) {
        return;
    }
    names_forget_leases(names);
    for (i = 0; i < names->service_count; i++) {
        free(names->services[i]);
    }
    free(names->services);
    idmap_release(&names->services_by_name);
    idmap_release(&names->jobs);
    idmap_release(&names->leases);
    free(names);
}

/* ---- Services --------------------------------------------------------- */

static struct service *
service_find(const struct names *names, uint64_t hash, const char *name)
{
    struct service *service = idmap_find(&names->services_by_name, 0, hash);

    while (service != NULL && strcmp(service->name, name) != 0) {
        service = service->next;
    }
    return service;
}

static int services_grow(struct names *names)
{
    uint32_t capacity = names->service_capacity * 2 + 16;
    struct service **grown;

    if (names->service_count < names->service_capacity) {
        return E_OK;
    }
    grown = realloc(names->services, capacity * sizeof(*grown));
    if (grown == NULL) {
        return E_NOMEM;
    }
    names->services = grown;
    names->service_capacity = capacity;
    return E_OK;
}

int names_service(struct names *names, const char *name, uint32_t *out)
{
    uint64_t hash = hash_text(name);
    struct service *service = service_find(names, hash, name);
    size_t size = strlen(name) + 1;

    if (service != NULL) {
        *out = service->number;
        return E_OK;
    }
    if (names->service_count == NAMES_SERVICES_MAX) {
        return E_LIMIT;
    }
    if (services_grow(names) != E_OK ||
        idmap_reserve(&names->services_by_name) != E_OK) {
        return E_NOMEM;
    }
    service = malloc(sizeof(*service) + size);
    if (service == NULL) {
        return E_NOMEM;
    }
    memcpy(service->name, name, size);
    service->next = idmap_remove(&names->services_by_name, 0, hash);
    idmap_put(&names->services_by_name, 0, hash, service);
    names->services[names->service_count] = service;
    names->service_count++;
    service->number = names->service_count;
    *out = service->number;
    return E_OK;
}

uint32_t names_service_find(const struct names *names, const char *name)
{
    const struct service *service = service_find(names, hash_text(name), name);

    return service == NULL ? 0 : service->number;
}

const char *names_service_name(const struct names *names, uint32_t service)
{
    if (service == 0 || service > names->service_count) {
        return "";
    }
    return names->services[service - 1]->name;
}

uint32_t names_service_count(const struct names *names)
{
    return names->service_count;
}

/* ---- Jobs and leases -------------------------------------------------- */

uint64_t
names_job_find(const struct names *names, uint32_t service, const char *job_id)
{
    const struct names_binding *binding =
        idmap_find(&names->jobs, service, hash_text(job_id));

    while (binding != NULL && strcmp(binding->is.job_id, job_id) != 0) {
        binding = binding->next;
    }
    return binding == NULL ? 0 : binding->is.job;
}

uint64_t names_job_next(struct names *names)
{
    names->job_last++;
    return names->job_last;
}

/* Take @binding out of the chain of its job. */
static void job_remove(struct names *names, struct names_binding *binding)
{
    uint64_t hash = hash_text(binding->is.job_id);
    struct names_binding *first =
        idmap_remove(&names->jobs, binding->is.service, hash);
    struct names_binding **link = &first;

    while (*link != binding) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = binding->next;
    if (first != NULL) {
        idmap_put(&names->jobs, first->is.service, hash, first);
    }
}

static struct names_binding *binding_copy(const struct names_lease *entry)
{
    size_t job_size = strlen(entry->job_id) + 1;
    size_t metadata_size = strlen(entry->metadata) + 1;
    struct names_binding *binding =
        malloc(sizeof(*binding) + job_size + metadata_size);

    if (binding == NULL) {
        return NULL;
    }
    binding->is = *entry;
    binding->next = NULL;
    binding->has_ended = false;
    binding->all = (struct list){NULL, NULL};
    memcpy(binding->text, entry->job_id, job_size);
    memcpy(binding->text + job_size, entry->metadata, metadata_size);
    binding->is.job_id = binding->text;
    binding->is.metadata = binding->text + job_size;
    return binding;
}

static size_t binding_bytes(const struct names_binding *binding)
{
    return sizeof(*binding) + strlen(binding->is.job_id) +
           strlen(binding->is.metadata) + 2;
}

int names_prepare(struct names *names,
                  const struct names_lease *entry,
                  struct names_binding **out)
{
    if (idmap_reserve(&names->leases) != E_OK ||
        idmap_reserve(&names->jobs) != E_OK) {
        return E_NOMEM;
    }
    *out = binding_copy(entry);
    return *out == NULL ? E_NOMEM : E_OK;
}

void names_binding_destroy(struct names_binding *binding)
{
    free(binding);
}

void names_bind(struct names *names,
                struct names_binding *binding,
                uint64_t lease)
{
    struct names_lease *is = &binding->is;
    uint64_t hash = hash_text(is->job_id);

    names_forget(names, lease);
    is->lease = lease;
    idmap_put(&names->leases, 0, lease, binding);
    list_append(&names->bindings, &binding->all);
    if (is->job == 0) {
        return;
    }
    binding->next = idmap_remove(&names->jobs, is->service, hash);
    idmap_put(&names->jobs, is->service, hash, binding);
    if (names->job_last < is->job) {
        names->job_last = is->job;
    }
}

const struct names_lease *names_lease_find(const struct names *names,
                                           uint64_t lease)
{
    const struct names_binding *binding = idmap_find(&names->leases, 0, lease);

    return binding == NULL ? NULL : &binding->is;
}

int names_watch(struct names *names,
                uint64_t lease,
                uint32_t service,
                uint32_t pid,
                uint64_t started,
                const char *others)
{
    struct names_binding *binding = idmap_find(&names->leases, 0, lease);
    struct names_lease sent = {
        .service = service, .job_id = "", .metadata = "{}"};
    int rc = E_OK;

    if (binding == NULL) {
        rc = names_prepare(names, &sent, &binding);
        if (rc != E_OK) {
            return rc;
        }
        names_bind(names, binding, lease);
    }
    binding->is.watch_started = started;
    binding->is.watch_pid = pid;
    (void)snprintf(binding->is.watches, NAMES_WATCHES_SIZE, "%s", others);
    return rc;
}

void names_forget(struct names *names, uint64_t lease)
{
    struct names_binding *binding = idmap_remove(&names->leases, 0, lease);

    if (binding == NULL) {
        return;
    }
    list_remove(&binding->all);
    if (binding->has_ended) {
        names->ended_bytes -= binding_bytes(binding);
    } else if (binding->is.job != 0) {
        job_remove(names, binding);
    }
    free(binding);
}

/* Forget the lease that was first put on @bindings. */
static void forget_first(struct names *names, const struct list *bindings)
{
    const struct names_binding *binding =
        CONTAINER_OF(bindings->next, struct names_binding, all);

    names_forget(names, binding->is.lease);
}

void names_end(struct names *names, uint64_t lease)
{
    struct names_binding *binding = idmap_find(&names->leases, 0, lease);

    if (binding == NULL || binding->has_ended) {
        return;
    }
    if (binding->is.job != 0) {
        job_remove(names, binding);
    }
    binding->has_ended = true;
    list_remove(&binding->all);
    list_append(&names->ended, &binding->all);
    names->ended_bytes += binding_bytes(binding);
    while (names->ended_bytes > NAMES_ENDED_BYTES) {
        forget_first(names, &names->ended);
    }
}

void names_forget_leases(struct names *names)
{
    while (!list_is_empty(&names->bindings)) {
        forget_first(names, &names->bindings);
    }
    while (!list_is_empty(&names->ended)) {
        forget_first(names, &names->ended);
    }
}
