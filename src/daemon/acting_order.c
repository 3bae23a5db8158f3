/* acting_order.c - orders that act on processes. */
#include "daemon/acting_parts.h"

#include "base/clock.h"
#include "core/lease.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"

#include <stdlib.h>
#include <string.h>

/* ---- How much VRAM ------------------------------------------------------ */

/* What the lease uses in all, and on which devices. */
static uint32_t
used_mib(const struct acting *acting, uint64_t lease, struct buf *gpus)
{
    const struct daemon *daemon = acting->daemon;
    struct core_lease_view view;
    uint32_t charged = 0;
    uint32_t i;

    if (core_lease_view(driver_core(daemon->driver), lease, &view) != E_OK) {
        return 0;
    }
    for (i = 0; i < daemon->core_config.device_count; i++) {
        if ((view.row.granted >> i & 1) != 0) {
            charged += core_row_share(&view.row, i).charge_mib;
            buf_text(gpus, gpus->size == 0 ? "" : ",");
            buf_text(gpus, gpus_uuid(daemon, i));
        }
    }
    return view.is_measured && view.measured_mib > 0 ? view.measured_mib
                                                     : charged;
}

/* What is free on the fullest device of the lease, as far as that is
 * measured. */
static uint32_t free_mib(const struct acting *acting, uint64_t lease)
{
    const struct core *core = driver_core(acting->daemon->driver);
    struct core_lease_view view;
    uint32_t least = UINT32_MAX;
    uint32_t i;

    if (core_lease_view(core, lease, &view) != E_OK) {
        return least;
    }
    for (i = 0; i < acting->daemon->core_config.device_count; i++) {
        struct core_device_view device;
        uint32_t left;

        core_device_view(core, i, &device);
        if ((view.row.granted >> i & 1) == 0 || !device.is_measured) {
            continue;
        }
        left = device.capacity_mib > device.used_mib
                   ? device.capacity_mib - device.used_mib
                   : 0;
        least = left < least ? left : least;
    }
    return least;
}

/* ---- Acts --------------------------------------------------------------- */

static bool moves(const struct order *order)
{
    return order->act != RUNG_DO_TERM && order->act != RUNG_DO_KILL;
}

static bool is_over(const struct order *order)
{
    return clock_mono_ms() >= order->until_ms;
}

/* Say whether the VRAM of what @order restores is charged to its lease: by a
 * resume, or since the checkpoint that is to be made anew. */
static bool may_restore(const struct acting *acting, const struct order *order)
{
    enum lease_state charged =
        order->act == RUNG_DO_RESTORE ? LEASE_HELD : LEASE_PAUSING;
    struct core_lease_view view;

    return core_lease_view(driver_core(acting->daemon->driver), order->lease,
                           &view) == E_OK &&
           view.row.state == charged;
}

/* A restore that found too little room waits for more. */
static bool waits_for_room(const struct order *order,
                           const struct outcome *outcome)
{
    return order->act == RUNG_DO_RESTORE && outcome->kind == OUTCOME_SKIPPED &&
           may_restore(order->acting, order) &&
           acting_listed(order->acting, order->lease, true, NULL) > 0;
}

static void on_done(void *arg, const struct outcome *outcome)
{
    struct order *order = arg;
    struct acting *acting = order->acting;
    enum rung_result result = outcome->kind == OUTCOME_OK       ? RUNG_OK
                              : outcome->kind == OUTCOME_FAILED ? RUNG_FAILED
                                                                : RUNG_SKIPPED;

    order->id = 0;
    if (order->is_cancelled && order->undoes_first) {
        acting_answer(order, RUNG_SKIPPED, "a later rung took its place");
    } else if (order->undoes_first) {
        order->undoes_first = false; /* Now for itself. */
    } else if (!order->is_cancelled && waits_for_room(order, outcome)) {
        order->retry_ms = clock_mono_ms() + ACTING_LOOK_MS;
        if (order->retry_ms >= order->until_ms) {
            acting_answer(order, RUNG_FAILED, outcome->reason);
        }
    } else {
        acting_answer(order, result, outcome->reason);
    }
    acting_start_waiting(acting);
}

static enum rung_act undo_of(enum rung_act act)
{
    return act == RUNG_DO_CHECKPOINT ? RUNG_DO_RESTORE : RUNG_DO_THAW;
}

/* Begin the act of @order; it is answered where that cannot be. */
static void begin(struct acting *acting, struct order *order)
{
    uint64_t now_ms = clock_mono_ms();
    struct rung_order act = {.act = order->undoes_first ? undo_of(order->act)
                                                        : order->act,
                             .lease = order->lease,
                             .service = order->service};
    bool is_undo = act.act == RUNG_DO_THAW || act.act == RUNG_DO_RESTORE;
    const char *why;
    struct buf gpus;
    int rc;

    if (is_over(order)) {
        acting_answer(order, RUNG_FAILED, "its time is over");
        return;
    }
    why = is_undo ? NULL : acting_target(acting, order->lease, &act.target);
    if (why != NULL) {
        acting_answer(order, RUNG_SKIPPED, why);
        return;
    }
    buf_init(&gpus, JOURNAL_GPUS_SIZE);
    act.deadline_ms = (uint32_t)(order->until_ms - now_ms);
    if (act.act == RUNG_DO_CHECKPOINT) {
        act.vram_mib = used_mib(acting, order->lease, &gpus);
    } else if (act.act == RUNG_DO_RESTORE) {
        order->may_restore = may_restore(acting, order);
        act.may_restore = order->may_restore;
        act.vram_mib = order->need_mib;
        act.free_mib = free_mib(acting, order->lease);
    }
    act.gpus = buf_error(&gpus) == E_OK ? buf_string(&gpus) : "";
    rc = rung_start(acting->rungs, &act, on_done, order, &order->id);
    buf_release(&gpus);
    if (rc != E_OK && rc != E_LIMIT) {
        acting_answer(order, RUNG_FAILED, err_text(rc));
    }
}

/* Say whether @order has to wait for an older one of its lease.  A signal waits
 * for nobody: a checkpoint that hangs would use its time up. */
static bool is_behind(const struct acting *acting, const struct order *order)
{
    const struct list *at;

    if (!moves(order)) {
        return false;
    }
    for (at = acting->orders.next; at != &order->link; at = at->next) {
        const struct order *older = CONTAINER_OF(at, struct order, link);

        if (older->lease == order->lease && !older->is_hook && moves(older)) {
            return true;
        }
    }
    return false;
}

/* Return an order that can begin; NULL. */
static struct order *find_ready(struct acting *acting)
{
    uint64_t now_ms = clock_mono_ms();
    struct list *at;

    for (at = acting->orders.next; at != &acting->orders; at = at->next) {
        struct order *order = CONTAINER_OF(at, struct order, link);

        if (order->id == 0 && !order->is_hook && order->retry_ms <= now_ms &&
            !is_behind(acting, order)) {
            return order;
        }
    }
    return NULL;
}

void acting_start_waiting(struct acting *acting)
{
    struct order *order = find_ready(acting);
    uint32_t tries = RUNG_ORDERS_MAX;

    /* One that begins is answered in a later turn, or at once and is gone. */
    while (order != NULL && tries-- > 0) {
        begin(acting, order);
        order = find_ready(acting);
    }
}

/* What the older orders of the lease still do is not wanted any more. */
static void cancel_older(struct acting *acting, const struct order *order)
{
    struct list *at;
    struct list *after;

    LIST_EACH_SAFE (at, after, &acting->orders) {
        struct order *older = CONTAINER_OF(at, struct order, link);

        if (older->lease != order->lease || older->is_hook ||
            (older->is_undo && order->is_undo)) {
            continue;
        }
        if (older->id == 0 && !older->is_undo) {
            acting_answer(older, RUNG_SKIPPED, "a later rung took its place");
        } else if (older->id != 0 && (moves(older) || !order->is_undo)) {
            older->is_cancelled = true;
            rung_cancel(acting->rungs, older->id);
        }
    }
}

void acting_keep_out(struct acting *acting, uint64_t lease)
{
    struct list *at;

    LIST_EACH (at, &acting->orders) {
        struct order *order = CONTAINER_OF(at, struct order, link);

        if (order->lease == lease && order->id != 0 &&
            (order->act == RUNG_DO_CHECKPOINT || order->may_restore)) {
            order->is_cancelled = true;
            rung_cancel(acting->rungs, order->id);
        }
    }
}

void acting_start(struct acting *acting, struct order *order)
{
    cancel_older(acting, order);
    /* What is listed before it is done was begun by an earlier run of ours. */
    order->undoes_first =
        (order->act == RUNG_DO_CHECKPOINT &&
         acting_listed(acting, order->lease, true, NULL) > 0) ||
        (order->act == RUNG_DO_FREEZE &&
         acting_listed(acting, order->lease, false, NULL) > 0);
    list_append(&acting->orders, &order->link);
    acting_arm(acting);
    acting_start_waiting(acting);
}
