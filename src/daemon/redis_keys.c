/* redis_keys.c - the visible key of a device, gpu:lock:<uuid>.
 *
 * It stands while an exclusive lease is held or pausing.  A grant that is
 * stored goes to take it before anybody is told; where somebody outside has it
 * the grant goes back where it came from, and the device waits until it is
 * free.  A sharing grant only looks.  Keys are said again each second, which
 * extends them, and sets those that a Redis has lost.
 *
 * Redis away, or slower than half a second: what is granted is told, and its
 * key comes later.
 */
#include "base/log.h"
#include "core/lease.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/parked.h"
#include "daemon/redis_parts.h"
#include "daemon/tell.h"
#include "daemon/waiters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ASK_MS = 500,   /* So long a grant waits for Redis. */
    KEEP_MS = 1000, /* Between two times that a key is extended. */
    WATCH_MS = 100, /* Where somebody waits for a key that others have ... */
    IDLE_MS = 1000  /* ... and where nobody does. */
};

enum state {
    STATE_ASKING, /* Nobody is told of the grant yet. */
    STATE_TOLD
};

/* A grant with its key. */
struct key {
    struct list link;
    uint64_t lease;
    uint64_t token;
    uint64_t devices;
    uint64_t asked_at_ms;
    enum state state;
    bool is_exclusive; /* Else it only looks. */
    struct list held;  /* ASKING: what is to be told. */
};

/* A message that waits for the answer about the key. */
struct held {
    struct list link;
    struct core_message message;
};

static struct key *find(const struct redis *redis, uint64_t lease)
{
    return idmap_find(&redis->by_lease, 0, lease);
}

/* Take the first of @held off it. */
static struct held *pop(struct list *held)
{
    struct held *first = CONTAINER_OF(held->next, struct held, link);

    list_remove(&first->link);
    return first;
}

static void free_held(struct key *key)
{
    while (!list_is_empty(&key->held)) {
        free(pop(&key->held));
    }
}

static void forget(struct redis *redis, struct key *key)
{
    free_held(key);
    (void)idmap_remove(&redis->by_lease, 0, key->lease);
    list_remove(&key->link);
    free(key);
}

static struct key *create(struct redis *redis,
                          const struct core_lease_view *view)
{
    struct key *key;

    if (idmap_reserve(&redis->by_lease) != E_OK) {
        return NULL;
    }
    key = calloc(1, sizeof(*key));
    if (key == NULL) {
        return NULL;
    }
    key->lease = view->row.id;
    key->token = view->row.token;
    key->devices = view->row.granted;
    key->is_exclusive = view->row.vram_mib == 0;
    key->state = STATE_TOLD;
    list_init(&key->held);
    list_append(&redis->keys, &key->link);
    idmap_put(&redis->by_lease, 0, key->lease, key);
    return key;
}

/* ---- What others hold --------------------------------------------------- */

/* Of @devices those in @taken are somebody else's. */
static void note_foreign(struct redis *redis, uint64_t devices, uint64_t taken)
{
    uint64_t foreign = (redis->foreign & ~devices) | taken;
    struct core_event event = {.type = CORE_FOREIGN,
                               .foreign = {.devices = foreign}};

    if (foreign != redis->foreign &&
        driver_feed(redis->daemon->driver, &event, NULL) == E_OK) {
        log_info("redis: other programs hold the keys of %d gpus",
                 __builtin_popcountll(foreign));
        redis->foreign = foreign;
    }
}

/* ---- What waits for the answer ------------------------------------------ */

/* Tell everybody what was held back.  The end of the lease may be among it, and
 * its next grant, which asks anew and holds back what follows: @key may be
 * gone afterwards. */
static void tell_all(struct redis *redis, struct key *key)
{
    struct list rest;

    list_init(&rest);
    while (!list_is_empty(&key->held)) {
        list_append(&rest, &pop(&key->held)->link);
    }
    key->state = STATE_TOLD;
    while (!list_is_empty(&rest)) {
        struct held *held = pop(&rest);

        tell_message(redis->daemon, &held->message);
        free(held);
    }
}

/* Return the connection that still waits for the grant of @key; 0.  One that
 * an answer to another was meant for is told that it is superseded. */
static uint64_t waiting_ref(struct redis *redis, const struct key *key)
{
    struct core_message superseded = {.type = CORE_MSG_SUPERSEDED,
                                      .lease = key->lease};
    const struct list *at;
    uint64_t ref = 0;

    LIST_EACH (at, &key->held) {
        const struct core_message *message =
            &CONTAINER_OF(at, struct held, link)->message;

        if (message->type != CORE_MSG_GRANT || message->ref == 0 ||
            parked_find_kind(redis->daemon, message->ref, PARKED_WAITER) ==
                NULL) {
            continue;
        }
        if (ref != 0) {
            superseded.ref = ref;
            waiters_tell(redis->daemon, &superseded);
        }
        ref = message->ref;
    }
    return ref;
}

/* The grant of @key, told to nobody, found @taken: it goes back. */
static void take_back(struct redis *redis, struct key *key, uint64_t taken)
{
    struct core_event event = {.type = CORE_FOREIGN,
                               .foreign = {.devices = redis->foreign | taken,
                                           .lease = key->lease,
                                           .token = key->token,
                                           .ref = waiting_ref(redis, key)}};
    int rc = driver_feed(redis->daemon->driver, &event, NULL);

    if (rc == E_OK) {
        log_info("redis: lease %" PRIu64 " waits: another program has the key",
                 key->lease);
        redis->foreign |= taken;
        redis->stats.taken++;
        forget(redis, key);
        return;
    }
    /* It has ended meanwhile, mostly, and who waits is told that. */
    note_foreign(redis, taken, taken);
    tell_all(redis, key);
}

void redis_keys_answered(struct redis *redis,
                         const struct redis_ask *ask,
                         bool is_known,
                         uint64_t taken)
{
    struct key *key = ask->lease == 0 ? NULL : find(redis, ask->lease);

    if (key == NULL || key->token != ask->token || key->state != STATE_ASKING) {
        if (is_known) {
            note_foreign(redis, ask->devices, taken);
        }
    } else if (taken != 0) {
        take_back(redis, key, taken);
    } else {
        tell_all(redis, key);
    }
}

/* ---- Grants ------------------------------------------------------------- */

/* Say whether @message is the first that is told of a grant which has to ask,
 * and fill @view. */
static bool begins(const struct redis *redis,
                   const struct core_message *message,
                   struct core_lease_view *view)
{
    const struct key *key = find(redis, message->lease);

    return (message->type == CORE_MSG_GRANT ||
            message->type == CORE_MSG_RESUME) &&
           (key == NULL || key->token != message->token) &&
           core_lease_view(driver_core(redis->daemon->driver), message->lease,
                           view) == E_OK &&
           view->row.token == message->token &&
           lease_state_holds((enum lease_state)view->row.state);
}

static bool hold(struct key *key, const struct core_message *message)
{
    struct held *held = calloc(1, sizeof(*held));

    if (held == NULL) {
        return false;
    }
    held->message = *message;
    list_append(&key->held, &held->link);
    return true;
}

/* Ask for the keys of a grant.  False: it need not, or cannot, wait. */
static bool ask_for(struct redis *redis,
                    struct key *key,
                    const struct core_lease_view *view)
{
    const struct redis_ask ask = {key->devices, key->lease, key->token};
    uint32_t anyhow = CORE_ROW_BYPASSED | CORE_ROW_UNCHECKED;

    if (redis->is_slow || (view->row.flags & anyhow) != 0) {
        return false;
    }
    key->asked_at_ms = redis_now_ms();
    return key->is_exclusive ? redis_script_run(redis, REDIS_SHOW, &ask, view)
                             : redis_script_run(redis, REDIS_LOOK, &ask, NULL);
}

bool redis_hold(struct daemon *daemon, const struct core_message *message)
{
    struct redis *redis = daemon->redis;
    struct core_lease_view view;
    struct key *key;

    if (redis == NULL || message->lease == 0) {
        return false;
    }
    key = find(redis, message->lease);
    if (key != NULL && key->state == STATE_ASKING) {
        if (hold(key, message)) {
            return true;
        }
        tell_all(redis, key);
        return false;
    }
    if (!begins(redis, message, &view)) {
        return false;
    }
    if (key != NULL) {
        forget(redis, key); /* Of a grant before. */
    }
    key = create(redis, &view);
    if (key != NULL && hold(key, message)) {
        if (ask_for(redis, key, &view)) {
            key->state = STATE_ASKING;
            return true;
        }
        free_held(key);
    }
    return false;
}

bool redis_is_asking(const struct daemon *daemon, uint64_t lease)
{
    const struct key *key =
        daemon->redis == NULL ? NULL : find(daemon->redis, lease);

    return key != NULL && key->state == STATE_ASKING;
}

/* Say whether @view still is the grant of @key. */
static bool is_shown(const struct key *key, const struct core_lease_view *view)
{
    return view->row.token == key->token &&
           (view->row.state == LEASE_HELD || view->row.state == LEASE_PAUSING);
}

/* The grant of @key is over. */
static void hide(struct redis *redis, struct key *key)
{
    struct redis_ask ask = {key->devices, 0, key->token};

    if (key->is_exclusive) {
        (void)redis_script_run(redis, REDIS_HIDE, &ask, NULL);
    }
    forget(redis, key);
}

void redis_keys_tell(struct redis *redis, const struct core_message *message)
{
    struct key *key = find(redis, message->lease);

    if (key != NULL && message->type == CORE_MSG_STATE &&
        message->state != LEASE_HELD && message->state != LEASE_PAUSING) {
        hide(redis, key);
    }
}

/* ---- Time --------------------------------------------------------------- */

static void keep(struct redis *redis, struct key *key)
{
    const struct redis_ask ask = {key->devices, 0, key->token};
    struct core_lease_view view;

    if (core_lease_view(driver_core(redis->daemon->driver), key->lease,
                        &view) != E_OK ||
        !is_shown(key, &view)) {
        hide(redis, key);
    } else if (key->is_exclusive) {
        (void)redis_script_run(redis, REDIS_KEEP, &ask, &view);
    }
}

/* Look at the keys of the devices that nobody holds alone. */
static void look(struct redis *redis)
{
    const struct core *core = driver_core(redis->daemon->driver);
    uint32_t count = redis->daemon->core_config.device_count;
    struct redis_ask ask = {.token = core_number_next(core)};
    const struct list *at;

    ask.devices =
        count == CORE_DEVICES_MAX ? UINT64_MAX : (UINT64_C(1) << count) - 1;
    LIST_EACH (at, &redis->keys) {
        const struct key *key = CONTAINER_OF(at, struct key, link);

        ask.devices &= key->is_exclusive ? ~key->devices : UINT64_MAX;
    }
    if (ask.devices != 0) {
        (void)redis_script_run(redis, REDIS_LOOK, &ask, NULL);
    }
}

/* Say whether anybody waits for a device. */
static bool is_wanted(const struct redis *redis)
{
    struct core_stats stats;

    core_stats(driver_core(redis->daemon->driver), &stats);
    return stats.leases[LEASE_AWAY] + stats.leases[LEASE_QUEUED] +
               stats.leases[LEASE_CLEARING] + stats.leases[LEASE_PAUSED] >
           0;
}

/* Grants that Redis lets wait too long are told. */
static void give_up_late(struct redis *redis, uint64_t now_ms)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &redis->keys) {
        struct key *key = CONTAINER_OF(at, struct key, link);

        if (key->state == STATE_ASKING && now_ms - key->asked_at_ms > ASK_MS) {
            redis->is_slow = true;
            tell_all(redis, key);
            return; /* The list may be another by now; the rest next time. */
        }
    }
}

void redis_keys_tick(struct redis *redis)
{
    uint64_t now_ms = redis_now_ms();
    struct list *at;
    struct list *after;

    give_up_late(redis, now_ms);
    if (now_ms >= redis->watch_at_ms) {
        redis->watch_at_ms =
            now_ms +
            (redis->foreign != 0 && is_wanted(redis) ? WATCH_MS : IDLE_MS);
        look(redis);
    }
    if (now_ms < redis->keep_at_ms) {
        return;
    }
    redis->keep_at_ms = now_ms + KEEP_MS;
    LIST_EACH_SAFE (at, after, &redis->keys) {
        struct key *key = CONTAINER_OF(at, struct key, link);

        if (key->state == STATE_TOLD) {
            keep(redis, key);
        }
    }
}

uint32_t redis_keys_hurry_ms(const struct redis *redis)
{
    return redis->foreign != 0 ? WATCH_MS : REDIS_TICK_MS;
}

void redis_keys_lost(struct redis *redis)
{
    note_foreign(redis, UINT64_MAX, 0);
}

/* ---- Life --------------------------------------------------------------- */

static bool restore_key(void *arg, uint64_t id)
{
    struct redis *redis = arg;
    struct core_lease_view view;

    if (core_lease_view(driver_core(redis->daemon->driver), id, &view) ==
            E_OK &&
        find(redis, id) == NULL && view.row.vram_mib == 0) {
        (void)create(redis, &view);
    }
    return true;
}

void redis_keys_restore(struct redis *redis)
{
    struct core_event event = {.type = CORE_FOREIGN,
                               .foreign = {.devices = redis->foreign}};

    core_each_lease(driver_core(redis->daemon->driver),
                    1u << LEASE_HELD | 1u << LEASE_PAUSING, restore_key, redis);
    if (redis->foreign != 0) {
        (void)driver_feed(redis->daemon->driver, &event, NULL);
    }
}

void redis_keys_init(struct redis *redis)
{
    const char *member = redis->daemon->config->cluster_name;

    if (member != NULL) {
        (void)snprintf(redis->name, sizeof(redis->name), "%s", member);
    } else if (gethostname(redis->name, sizeof(redis->name)) != 0) {
        (void)snprintf(redis->name, sizeof(redis->name), "gpucoord");
    }
    redis->name[sizeof(redis->name) - 1] = '\0';
    redis_keys_restore(redis);
}

void redis_keys_release(struct redis *redis)
{
    while (!list_is_empty(&redis->keys)) {
        forget(redis, CONTAINER_OF(redis->keys.next, struct key, link));
    }
    idmap_release(&redis->by_lease);
}
