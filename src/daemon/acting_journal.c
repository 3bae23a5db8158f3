/* acting_journal.c - what the journal says beside what the core says. */
#include "daemon/acting_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/thaw.h"
#include "core/lease.h"
#include "daemon/daemon.h"
#include "daemon/driver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLEAN_MS = 10000,
    FOUND_MAX = 64 /* In one look; the others in the next. */
};

size_t acting_listed(const struct acting *acting,
                     uint64_t lease,
                     bool is_checkpointed,
                     struct tree_target *target)
{
    struct journal_list list;
    size_t count;
    size_t i;

    if (journal_read(&acting->journal, &list) != E_OK) {
        return 0;
    }
    count = thaw_select(&list, lease, is_checkpointed);
    for (i = 0; target != NULL && i < count; i++) {
        if (target->root_count < TREE_ROOTS_MAX) {
            target->roots[target->root_count++] = list.entries[i].id;
        }
        if (list.entries[i].kind == JOURNAL_CGROUP) {
            target->cgroup = list.entries[i].cgroup;
        }
    }
    journal_list_release(&list);
    return count;
}

/* ---- Cleaning up -------------------------------------------------------- */

/* Say whether a process of @entry lives. */
static bool is_alive(const struct journal_entry *entry)
{
    struct proc_stat stat;

    return proc_read_stat(PROC_ROOT, entry->id.pid, &stat) == E_OK &&
           proc_is_same(&stat.id, &entry->id) && !proc_has_died(&stat);
}

static bool has_order(const struct acting *acting, uint64_t lease)
{
    const struct list *at;

    for (at = acting->orders.next; at != &acting->orders; at = at->next) {
        if (CONTAINER_OF(at, struct order, link)->lease == lease) {
            return true;
        }
    }
    return false;
}

/* Have @act done for @lease, without an answer to anybody. */
static void do_silently(struct acting *acting,
                        const struct journal_entry *entry,
                        enum rung_act act)
{
    struct order *order = calloc(1, sizeof *order);

    if (order == NULL) {
        return; /* At the next start, or by hand. */
    }
    order->acting = acting;
    order->lease = entry->lease;
    order->act = act;
    order->is_undo = true;
    order->is_silent = true;
    order->until_ms = clock_mono_ms() + CLEAN_MS;
    memcpy(order->service, entry->service, sizeof order->service);
    acting_start(acting, order);
}

void acting_clean(struct acting *acting, uint64_t lease)
{
    struct journal_list list;
    size_t count;
    size_t alive = 0;
    size_t i;

    if (journal_read(&acting->journal, &list) != E_OK) {
        return;
    }
    count = thaw_select(&list, lease, false);
    if (count > 0) {
        do_silently(acting, &list.entries[0], RUNG_DO_THAW);
    }
    count = thaw_select(&list, lease, true);
    for (i = 0; i < count; i++) {
        alive += is_alive(&list.entries[i]) ? 1 : 0;
    }
    /* A restore could take the VRAM of somebody else; the dead need none. */
    if (count > 0 && alive == 0 && !has_order(acting, lease)) {
        do_silently(acting, &list.entries[0], RUNG_DO_RESTORE);
    }
    journal_list_release(&list);
}

/* Return which of CORE_ROW_FROZEN and CORE_ROW_CHECKPOINTED @lease has. */
static uint32_t flags_of(const struct acting *acting, uint64_t lease)
{
    struct core_lease_view view;

    if (core_lease_view(driver_core(acting->daemon->driver), lease, &view) !=
            E_OK ||
        view.row.state == LEASE_ENDED) {
        return 0;
    }
    return view.row.flags & (CORE_ROW_FROZEN | CORE_ROW_CHECKPOINTED);
}

void acting_clean_all(struct acting *acting)
{
    struct journal_list list;
    uint64_t last = 0;
    size_t i;

    if (journal_read(&acting->journal, &list) != E_OK) {
        log_warn("what is frozen is not known: 'gpucoord thaw' looks");
        return;
    }
    for (i = 0; i < list.count; i++) {
        uint64_t lease = list.entries[i].lease;

        if (lease != last && flags_of(acting, lease) == 0) {
            log_info("lease %" PRIu64 " of '%s' is not frozen any more: its "
                     "processes go on",
                     lease, list.entries[i].service);
            acting_clean(acting, lease);
        }
        last = lease;
    }
    journal_list_release(&list);
}

/* ---- By hand ------------------------------------------------------------ */

struct search {
    struct acting *acting;
    const struct journal_list *list; /* NULL = it has not changed. */
    uint64_t found[FOUND_MAX];       /* Are not listed. */
    uint32_t count;
    bool is_frozen;  /* Some lease is. */
    bool was_passed; /* Likewise, one whose order is not over. */
};

static bool is_listed(const struct journal_list *list, uint64_t lease)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        if (list->entries[i].lease == lease) {
            return true;
        }
    }
    return false;
}

/* Is @id frozen or checkpointed, and not listed any more? */
static bool search_each(void *arg, uint64_t id)
{
    struct search *search = arg;

    if (flags_of(search->acting, id) != 0) {
        search->is_frozen = true;
        if (has_order(search->acting, id)) {
            search->was_passed = true;
        } else if (search->list != NULL && !is_listed(search->list, id)) {
            search->found[search->count++] = id;
        }
    }
    return search->count < FOUND_MAX;
}

/* Say whether the journal is another file than when it was last read. */
static bool has_changed(struct acting *acting)
{
    char path[JOURNAL_DIR_SIZE + 32];
    struct stat now = {0};

    (void)snprintf(path, sizeof path, "%s/frozen.journal", acting->journal.dir);
    if (stat(path, &now) != 0) {
        now.st_ino = 0;
    }
    if (now.st_ino == acting->journal_was.st_ino &&
        now.st_mtim.tv_sec == acting->journal_was.st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == acting->journal_was.st_mtim.tv_nsec) {
        return false;
    }
    acting->journal_was = now;
    return true;
}

bool acting_look(struct acting *acting)
{
    struct search search = {.acting = acting};
    struct core_event event = {.type = CORE_ADMIN,
                               .admin = {.action = CORE_THAW}};
    struct journal_list list = {.count = 0};
    uint32_t i;

    if (has_changed(acting)) {
        if (journal_read(&acting->journal, &list) == E_OK) {
            search.list = &list;
        } else {
            acting->journal_was.st_ino = ACTING_UNSEEN;
        }
    }
    /* One that is PAUSING may be flagged before its order has come. */
    core_each_lease(driver_core(acting->daemon->driver),
                    1u << LEASE_HELD | 1u << LEASE_PAUSED |
                        1u << LEASE_CLEARING,
                    search_each, &search);
    journal_list_release(&list);
    for (i = 0; i < search.count; i++) {
        log_info("lease %" PRIu64 " was thawed by hand", search.found[i]);
        event.admin.lease = search.found[i];
        (void)driver_feed(acting->daemon->driver, &event, NULL);
    }
    if (search.count == FOUND_MAX ||
        (search.was_passed && search.list != NULL)) {
        acting->journal_was.st_ino = ACTING_UNSEEN; /* Again. */
    }
    return search.is_frozen;
}
