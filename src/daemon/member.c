#include "daemon/member.h"

#include "base/buf.h"
#include "base/log.h"
#include "cluster/leader.h"
#include "core/core.h"
#include "daemon/config.h"
#include "daemon/gpus.h"
#include "daemon/gpus_lock.h"
#include "device/device.h"
#include "device/gpulock.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct gpulock *lock; /* NULL = declared GPUs. */
    struct leader *leader;
};

static int compare(const void *a, const void *b)
{
    const char *const *first = a;
    const char *const *second = b;

    return strcmp(*first, *second);
}

/* Append the UUIDs of @devices to @out, sorted, as an array of SQL. */
static void write_gpus(const struct device_set *devices, struct buf *out)
{
    const char *uuids[CORE_DEVICES_MAX];
    uint32_t count = device_count(devices);
    uint32_t i;

    for (i = 0; i < count; i++) {
        uuids[i] = device_info(devices, i)->uuid;
    }
    qsort(uuids, count, sizeof uuids[0], compare);
    buf_byte(out, '{');
    for (i = 0; i < count; i++) {
        buf_printf(out, "%s\"%s\"", i == 0 ? "" : ",", uuids[i]);
    }
    buf_byte(out, '}');
}

/* Nobody is told of samples before this one leads. */
static void on_sample(void *arg, const struct device_sample *sample)
{
    (void)arg;
    (void)sample;
}

/* Lock the GPUs, and write which they are to @gpus. */
static int
take_gpus(const struct config *config, struct gpulock **lock, struct buf *gpus)
{
    const struct device_config how = {.on_sample = on_sample};
    struct event_base *base = event_base_new();
    struct device_set *devices = NULL;
    struct buf why;
    int rc;

    if (base == NULL) {
        return E_NOMEM;
    }
    buf_init(&why, 0);
    rc = gpus_open_set(&config->gpus, &how, base, &devices, &why);
    if (rc == E_OK) {
        buf_clear(&why);
        write_gpus(devices, gpus);
        rc = gpus_lock(config, devices, lock, &why);
    }
    if (rc != E_OK) {
        log_error("no gpu to coordinate: %s", buf_string(&why));
    }
    device_set_close(devices);
    event_base_free(base);
    buf_release(&why);
    return rc;
}

int member_open(const struct config *config, struct member **out)
{
    struct member *member = calloc(1, sizeof *member);
    struct leader_options options = {.url = config->store,
                                     .name = config->cluster_name,
                                     .advertise = config->cluster_advertise};
    struct buf gpus;
    int rc;

    if (member == NULL) {
        return E_NOMEM;
    }
    buf_init(&gpus, 0);
    rc = take_gpus(config, &member->lock, &gpus);
    rc = rc != E_OK ? rc : buf_error(&gpus);
    if (rc == E_OK) {
        options.gpus = buf_string(&gpus);
        rc = leader_open(&options, &member->leader);
    }
    buf_release(&gpus);
    if (rc == E_UNSUPPORTED) {
        log_error("'cluster' needs PostgreSQL, without which this program was "
                  "built");
    }
    if (rc != E_OK) {
        member_close(member);
        return rc;
    }
    *out = member;
    return E_OK;
}

void member_close(struct member *member)
{
    if (member == NULL) {
        return;
    }
    if (member->leader != NULL) {
        leader_resign(member->leader);
    }
    leader_close(member->leader);
    gpulock_release(member->lock);
    free(member);
}

struct leader *member_leader(const struct member *member)
{
    return member->leader;
}
