/* acting_parts.h - what acting consists of; private to acting*.c.
 *
 * acting.c answers messages, acting_order.c carries out what moves processes,
 * which acting_target.c finds, acting_journal.c looks at what is frozen,
 * acting_hooks.c runs the operator's programs and sends signals.
 */
#ifndef GPUCOORD_DAEMON_ACTING_PARTS_H
#define GPUCOORD_DAEMON_ACTING_PARTS_H

#include "base/list.h"
#include "control/hook.h"
#include "control/journal.h"
#include "control/notify.h"
#include "control/rung.h"
#include "daemon/acting.h"
#include "daemon/driver.h"
#include "daemon/walks.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct event;

struct acting {
    struct daemon *daemon;
    struct rungs *rungs;
    struct hooks *restarts;
    struct hooks *tellings; /* `notify`: apart, so that no crowd of causes keeps
                               a service from being restarted. */
    struct walks *walks;
    struct notify_limit notify;
    struct journal journal;
    struct list orders;  /* In the order of their messages. */
    struct event *timer; /* Armed while anything is under way or frozen. */
    struct stat journal_was;
};

/* One message that is carried out. */
struct order {
    struct driver_owed owed; /* First: the answer. */
    struct list link;
    struct acting *acting;
    uint64_t lease;
    uint64_t token;
    uint64_t until_ms; /* Of clock_mono_ms(). */
    uint64_t retry_ms; /* Likewise: not begun before. */
    uint64_t id;       /* Of the act; 0 = none is under way. */
    uint32_t need_mib; /* RESTORE: per device. */
    enum rung rung;
    enum rung_act act;
    bool is_undo;
    bool undoes_first; /* What an earlier run of ours began. */
    bool is_cancelled;
    bool may_restore; /* The act under way may take VRAM. */
    bool is_hook;     /* A restart. */
    bool is_silent;   /* No message asked for it: nobody is answered. */
    char service[JOURNAL_SERVICE_SIZE];
};

#define ACTING_UNSEEN ((ino_t)-1) /* Of a journal nobody has looked at. */

enum {
    ACTING_LOOK_MS = 250 /* For room, for threads, for hands. */
};

/* ---- acting.c ---------------------------------------------------------- */

/* Look after what is under way or frozen, until nothing is. */
void acting_arm(struct acting *acting);

/* Feed how @order, taken, ended. */
void acting_answer(struct order *order,
                   enum rung_result result,
                   const char *reason);

/* Note the step of @rung as ended. */
void acting_note(struct acting *acting,
                 uint64_t lease,
                 enum rung rung,
                 bool is_undo,
                 const struct outcome *outcome);

/* ---- acting_order.c ---------------------------------------------------- */

/* Carry out @order, taken, now or once the older ones of its lease are over. */
void acting_start(struct acting *acting, struct order *order);

/* Start what can be started by now. */
void acting_start_waiting(struct acting *acting);

/* @lease was taken back, or has ended: what of its VRAM is not on its way back
 * does not come back. */
void acting_keep_out(struct acting *acting, uint64_t lease);

/* ---- acting_target.c --------------------------------------------------- */

/* Fill @out with the processes of @lease: those that are watched, else those
 * that are known to be frozen, else those of its service.  NULL, or why there
 * are none; static. */
const char *acting_target(const struct acting *acting,
                          uint64_t lease,
                          struct tree_target *out);

/* ---- acting_journal.c -------------------------------------------------- */

/* Say how many entries the journal has for @lease of a kind; @target, unless
 * NULL, gets their processes as roots. */
size_t acting_listed(const struct acting *acting,
                     uint64_t lease,
                     bool is_checkpointed,
                     struct tree_target *target);

/* @lease has ended, or is not known: what is stopped goes on, what has gone is
 * dropped. */
void acting_clean(struct acting *acting, uint64_t lease);

/* Clean up after all leases that the journal should not list. */
void acting_clean_all(struct acting *acting);

/* Tell the core of what somebody else thawed; say whether a lease is frozen. */
bool acting_look(struct acting *acting);

/* ---- acting_hooks.c ---------------------------------------------------- */

/* Run the restart command that @order, taken, is for. */
void acting_restart(struct acting *acting, struct order *order);

/* Tell the operator of @message, a revocation or a restart. */
void acting_notify(struct acting *acting, const struct core_message *message);

/* Send the process of the lease the signal of its service to pause, or to
 * resume. */
void acting_signal(struct acting *acting, uint64_t lease, bool pauses);

#endif
