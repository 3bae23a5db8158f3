/* parts.h - what the files of the core do for each other; private to src/core.
 *
 * One section a file.  Only core_step() (core.c) runs them, one event at a
 * time; none keeps a pointer that is not stated.
 */
#ifndef GPUCOORD_CORE_PARTS_H
#define GPUCOORD_CORE_PARTS_H

#include "core/mib.h"
#include "core/state.h"

/* ---- lease.c: states, lists, timers ----------------------------------- */

/* Get everything a new lease of this kind needs that could fail, before
 * anything changes.  NULL where it cannot be had; then @rc says why:
 *   E_NOMEM  no memory.
 *   E_LIMIT  the class holds too many kinds of request. */
struct lease *
lease_prepare(struct core *core, const struct core_request *request, int *rc);

/* Give @lease, taken, back to the slabs. */
void lease_destroy(struct core *core, struct lease *lease);

/* Put a new lease on its lists and into its index; its state is set. */
void lease_enter(struct core *core, struct lease *lease);

/* Move @lease to @next: the only place where a state changes. */
void lease_move(struct core *core, struct lease *lease, enum lease_state next);

/* Set the deadline of the lease's state; CORE_FOREVER = none. */
void lease_deadline(struct core *core, struct lease *lease, uint64_t at_ms);

/* Remember that the row of @lease changed. */
void lease_touch(struct core *core, struct lease *lease);

/* End @lease, whatever it is: seats, lists, memory.  @lease is taken. */
void lease_end(struct core *core, struct lease *lease, enum core_reason reason);

/* Return the live lease @id; NULL where there is none. */
struct lease *lease_find(const struct core *core, uint64_t id);

/* Move the sleeper @lease to the list of @priority. */
void lease_resort(struct core *core, struct lease *lease, uint32_t priority);

/* Say whether @lease waits for its first grant. */
bool lease_is_waiter(const struct lease *lease);

/* Say whether somebody would receive a grant of the waiter @lease. */
bool lease_is_attended(const struct lease *lease);

/* Say whether @lease waits for its resume: PAUSED, or CLEARING after it. */
bool lease_is_sleeper(const struct lease *lease);

/* Say whether @lease is charged as a holder. */
bool lease_holds(const struct lease *lease);

/* Say whether a holder would be told to pause. */
bool lease_can_hear(const struct core *core, const struct lease *lease);

/* Say whether @lease wants whole devices. */
bool lease_is_exclusive(const struct lease *lease);

/* Return the priority of @lease, that of its class now. */
uint32_t lease_priority(const struct lease *lease);

/* ---- device.c: room --------------------------------------------------- */

/* Set up device @index from its configuration. */
void device_init(struct device *device,
                 uint32_t index,
                 const struct core_device_config *config);

/* Charge @lease on each device in @set: with its need, or, alone, with what is
 * left there. */
void device_charge(struct core *core, struct lease *lease, uint64_t set);

/* Nothing is taken away where a device has become smaller than its charges. */
void device_tolerate(struct device *device);
/* Tell the row of @lease what its seats are charged. */
void device_note_shares(struct lease *lease);

/* Charge @lease as its row says, after a restart. */
void device_charge_again(struct core *core, struct lease *lease);

/* Charge @lease, whose pause is verified, with what is still used: @kept_mib
 * or what is measured beyond it, at most a residue. */
void device_charge_residue(struct core *core,
                           struct lease *lease,
                           uint32_t kept_mib);

/* What @lease uses on @device: as measured, or what is used beyond the bookings
 * of all others; 0 where unmeasured. */
uint32_t device_used_by(const struct device *device, const struct lease *lease);

/* Take the charges of @lease away.  @becomes_resident: what it used stays
 * charged to its service until a sample shows less, else what it was measured
 * to use is unleased. */
void device_discharge(struct core *core,
                      struct lease *lease,
                      bool becomes_resident);

/* Something was given back on the devices of @lease: older samples tell
 * nothing about it. */
void device_soil(struct core *core, const struct lease *lease);

/* Say whether the newest sample was begun after the last thing given back. */
bool device_is_fresh(const struct device *device);

/* Room on the device once @more_mib of what is taken there is not: none of it
 * is room where more is taken than there is. */
uint32_t device_room_mib(const struct device *device, uint64_t more_mib);

/* What @need_mib lacks there, once @more_mib of what is taken is not. */
uint64_t device_lack_mib(const struct device *device,
                         uint64_t need_mib,
                         uint64_t more_mib);

/* Room a request could be granted, without warm room of its own. */
uint32_t device_free_mib(const struct device *device);

/* What the device has for leases: capacity less reserve. */
uint32_t device_size_mib(const struct device *device);

/* VRAM the warm models of @service use, or of all but @service where
 * @is_others, or of all with 0 and @is_others. */
uint32_t device_resident_mib(const struct device *device,
                             uint32_t service,
                             bool is_others);

/* VRAM that is being given back: what is taken by PAUSING and RECLAIMING leases
 * less what a paused one may keep. */
uint32_t device_freeing_mib(const struct device *device);

/* Return what @lease gives back on each device by pausing, at most. */
uint32_t device_release_mib(const struct core *core, const struct lease *lease);

/* Say whether an exclusive lease, or any with @is_any, holds @device, or
 * sleeps there with its VRAM; @but, NULL for none, does not count. */
bool device_is_held(const struct device *device,
                    const struct lease *but,
                    bool is_any);

/* Say whether @lease keeps the VRAM of @device although it sleeps: frozen. */
bool device_is_frozen(const struct device *device, const struct lease *lease);

/* Return the seat of @lease on @device; NULL where it has none there. */
struct seat *device_seat_of(const struct device *device,
                            const struct lease *lease);

/* Return what @lease takes on @device: what it is charged, or measured to use
 * where that is more; 0 where it has no seat there. */
uint32_t device_charge_of(const struct device *device,
                          const struct lease *lease);

/* Return what sharing @lease is to be charged on @device: what it asked for,
 * or, of a resume, what it used before its pause where that is more. */
uint32_t device_need_mib(const struct device *device,
                         const struct lease *lease);

/* Return what a resume of @lease needs measured free on @device: what it used
 * before its pause, and a margin as far as the device could ever give it. */
uint32_t device_resume_mib(const struct core *core,
                           const struct device *device,
                           const struct lease *lease);

/* Say whether @device has a warm model of another service than that of @lease,
 * larger than a residue, whose settle time is not over (@is_over: is over). */
bool device_is_warm(const struct core *core,
                    const struct device *device,
                    const struct lease *lease,
                    bool is_over);

/* Say whether what @lease used on its devices is measured to be gone but for
 * @kept_mib, from samples begun after @since_ms. */
bool device_is_clear_of(const struct core *core,
                        const struct lease *lease,
                        uint32_t kept_mib,
                        uint64_t since_ms);

/* Say whether all devices of @lease are measured. */
bool device_is_measured(const struct core *core, const struct lease *lease);

/* Say whether @lease may use @device at all now. */
bool device_is_usable(const struct core *core,
                      const struct device *device,
                      const struct lease *lease);

/* Say whether somebody waits for VRAM to be freed on @device. */
bool device_wants_samples(const struct device *device);

/* What an exclusive grant to @service would be charged; 0 = nothing left. */
uint32_t device_exclusive_mib(const struct device *device,
                              const struct lease *lease);

/* ---- account.c: whose VRAM it is -------------------------------------- */

/* Take in a sample. */
void account_report(struct core *core, const struct core_event *event);

/* Charge VRAM that nobody accounts for as unleased. */
void account_disown(struct device *device);

/* Return what @seat takes: its charge, or what is measured if that is more. */
static inline uint32_t account_taken_mib(const struct seat *seat)
{
    return seat->share.charge_mib > seat->measured_mib ? seat->share.charge_mib
                                                       : seat->measured_mib;
}

/* Change what @seat, which @device counts, takes. */
void account_set_seat(struct device *device,
                      struct seat *seat,
                      uint32_t charge_mib,
                      uint32_t measured_mib);

/* Lower the residents of @service, of all with 0, by up to @mib, oldest
 * first / raise that of @service, which then has to be told again. */
void account_lower_resident(struct device *device,
                            uint32_t service,
                            uint32_t mib);
void account_raise_resident(struct device *device,
                            uint32_t service,
                            uint32_t mib);

/* ---- queue.c: who waits, in order ------------------------------------- */

/* Make sure that a waiter of this kind finds a shape in its class.
 *
 * Errors:
 *   E_NOMEM  no memory.
 *   E_LIMIT  the class holds SHAPES_MAX kinds of request.
 */
MUST_USE int queue_prepare(struct core *core,
                           struct class *class,
                           const struct core_request *request);

/* Put the attended or away waiter @lease in its place / take it out. */
void queue_insert(struct lease *lease);
void queue_remove(struct lease *lease);

/* Return the attended waiter of @class with the lowest seq above the cursors
 * of its shapes, of blocked shapes only one that fits now; NULL where there
 * is none. */
struct lease *queue_next(struct core *core, struct class *class);

/* Return the first attended waiter of @class; NULL. */
struct lease *queue_first(const struct class *class);

/* Return the position of @lease among all candidates, from 1; of one that is
 * away, also among those of its class that are. */
uint64_t queue_position(const struct core *core, const struct lease *lease);

/* Return the lease whose place is @node; NULL for NULL. */
struct lease *queue_lease(struct rank_node *node);

/* ---- policy.c: shares and limits -------------------------------------- */

/* Set the scratch state of a pass from the committed one. */
void policy_begin(struct core *core);

/* Return the class whose turn it is at @priority in this pass; NULL. */
struct class *policy_choose(struct core *core, uint32_t priority);

/* Take a candidate of @class as served for the order of those behind it. */
void policy_pass_over(struct core *core, struct class *class);

/* Commit a first grant to @class. */
void policy_commit(struct core *core, struct class *class);

/* Keep the count in a row of @class within its limit, where that was lowered.
 */
void policy_bound(struct class *class);

/* Say whether @class is at its limit, so that it may be granted nothing. */
bool policy_is_limited(const struct core *core, const struct class *class);

/* ---- victim.c: who makes room ----------------------------------------- */

/* What it would take to bring a candidate onto a device. */
struct plan {
    bool is_feasible; /* Room comes without waiting for a release. */
    bool needs_victims;
    bool is_kept;         /* The candidate has it reserved already. */
    uint32_t worst_level; /* Lowest priority number among the victims. */
    uint32_t room_mib;    /* Free and being freed. */
};

/* Work out how @lease gets onto @device.  @may_preempt: victims and warm
 * models of others may be asked. */
void victim_plan(struct core *core,
                 struct device *device,
                 struct lease *lease,
                 bool may_preempt,
                 struct plan *plan);

/* Return until when @holder, HELD, is not asked to make room for a candidate of
 * @priority; an instant that may be past. */
uint64_t victim_safe_until(const struct lease *holder, uint32_t priority);

/* Ask the victims and warm models of the plan just made. */
void victim_ask(struct core *core, struct device *device, struct lease *lease);

/* Ask the holder @lease to pause for @requester, NULL = an operator. */
void victim_pause(struct core *core,
                  struct lease *lease,
                  const struct lease *requester);

/* ---- pass.c: grants --------------------------------------------------- */

/* Grant, resume, reserve and ask until nothing more can be done. */
void pass_run(struct core *core);

/* A pass has to run at @at_ms, when time alone changes its outcome. */
void pass_wake(struct core *core, uint64_t at_ms);

/* Say whether there is room for the effects of one more grant, and a token. */
bool pass_may_grant(struct core *core);

/* ---- fit.c: what fits now --------------------------------------------- */

/* Return the devices on which @lease fits now, most free first; 0. */
uint64_t fit_find(const struct core *core, const struct lease *lease);

/* Return how large a request of @shape may be to fit now; 0 = none does. */
uint32_t fit_room(struct core *core,
                  const struct class *class,
                  const struct shape *shape);

/* ---- reserve.c: what will fit ----------------------------------------- */

/* Reserve devices for @lease, which does not fit now, and ask for room there.
 * False: there is nothing it could reserve in this pass. */
bool reserve_devices(struct core *core, struct lease *lease, bool overdue);

/* ---- grant.c ---------------------------------------------------------- */

/* Give @lease the devices in @set, with a new token.  @prevented: why the
 * rules would have it wait, where we only observe; else CORE_WAIT_NOTHING. */
void grant_devices(struct core *core,
                   struct lease *lease,
                   uint64_t set,
                   bool overdue,
                   enum core_wait prevented);

/* ---- bypass.c: without the rules -------------------------------------- */

/* Say whether nobody is to be paused or revoked: bypass, or we observe. */
bool bypass_is_lenient(const struct core *core);

/* Grant everything that waits. */
void bypass_run(struct core *core);

/* Likewise, but by the rules as far as they give it, and counted where not. */
void bypass_observe(struct core *core);

/* ---- holder.c: what holders do and what is done to them --------------- */

/* Apply the events of holders.  Errors: as core_step(), nothing has changed. */
MUST_USE int holder_release(struct core *core, const struct core_event *event);
MUST_USE int holder_renew(struct core *core, const struct core_event *event);
MUST_USE int holder_ack(struct core *core, const struct core_event *event);
MUST_USE int holder_process_gone(struct core *core,
                                 const struct core_event *event);

/* Take @lease, HELD or PAUSING, back: it is told, its VRAM stays charged. */
void holder_reclaim(struct core *core,
                    struct lease *lease,
                    enum core_reason reason);

/* Take back a lease in whatever state after its first grant. */
void holder_take_back(struct core *core,
                      struct lease *lease,
                      enum core_reason reason);

/* The connection that was the lease has closed. */
void holder_leave(struct core *core, struct lease *lease);

/* End a sleeper that is not to be resumed. */
void holder_cancel(struct core *core, struct lease *lease);

/* Find the granted lease @id for an answer with its newest token.
 *
 * Errors:
 *   E_NOT_FOUND  no such lease, also not among the ended ones.
 *   E_STALE      the token is not its newest.
 *   E_REVOKED    it ended by force.
 *   E_ENDED      it ended in another way.
 *   E_STATE      it waits.
 */
MUST_USE int
holder_find(struct core *core, uint64_t id, uint64_t token, struct lease **out);

/* The pause of @lease, PAUSING, is done but for @kept MiB a device: that is to
 * be measured. */
void holder_acked(struct core *core, struct lease *lease, uint32_t kept);

/* The time of @lease, RECLAIMING, is over: what is still used is nobody's. */
void holder_reclaimed(struct core *core, struct lease *lease);

/* How long VRAM freed on the devices of @lease may take to be measured. */
uint32_t holder_settle_ms(const struct core *core, const struct lease *lease);

/* See which acks and revocations the newest samples settle. */
void holder_settle(struct core *core);

/* The deadline of @lease's state has come. */
void holder_due(struct core *core, struct lease *lease);

/* Set when a grant of @lease ends unless renewed, and its deadline. */
void holder_extend(struct core *core, struct lease *lease);

/* ---- walk.c: a lease on its ladder ------------------------------------ */

/* Pack ladder @ladder, 0 or CORE_LADDER(i), for a row. */
uint32_t walk_pack(const struct core *core, uint32_t ladder);

/* Say whether @lease can be paused at all; @makes_room: for somebody who needs
 * its room. */
bool walk_can_pause(const struct lease *lease, bool makes_room);

/* Say whether @lease can be taken back by more than words. */
bool walk_has_force(const struct lease *lease);

/* Say whether the coordinator keeps the processes of @lease from running: its
 * TTL stands still. */
bool walk_stands_still(const struct lease *lease);

/* Say whether @lease, HELD, only waits for that to be undone. */
bool walk_is_undoing(const struct lease *lease);

/* Say whether nothing more is done to @lease, RECLAIMING: only its VRAM is
 * waited for. */
bool walk_is_over(const struct lease *lease);

/* Let @lease, HELD, make room for @requester, NULL = an operator: it becomes
 * PAUSING on its first rung, or, where that is force, RECLAIMING or ended. */
void walk_pause(struct core *core,
                struct lease *lease,
                const struct lease *requester);

/* The present rung of @lease, PAUSING, came to nothing, for @reason: begin the
 * next, or, after the last, take it back. */
void walk_pause_next(struct core *core,
                     struct lease *lease,
                     enum core_reason reason);

/* @lease was resumed: have undone what was done to its processes. */
void walk_undo(struct core *core, struct lease *lease);

/* @lease ends in peace: let its processes run, where that takes no VRAM that
 * it has not. */
void walk_let_go(struct core *core, struct lease *lease);

/* The rung @lease is on, or is being brought back from; RUNG_NONE. */
enum rung walk_rung(const struct lease *lease);

/* The rung that stays undone when @lease ends now; RUNG_NONE. */
enum rung walk_left(const struct lease *lease);

/* @lease has become RECLAIMING: begin the first rung of force above @after. */
void walk_force(struct core *core, struct lease *lease, enum rung after);

/* @lease has become RECLAIMING because its processes have gone. */
void walk_end(struct core *core, struct lease *lease);

/* The processes of @lease, RECLAIMING, have gone meanwhile. */
void walk_gone(struct core *core, struct lease *lease);

/* End @lease, RECLAIMING, if its VRAM is measured free; says whether. */
bool walk_settle(struct core *core, struct lease *lease);

/* The deadline of @lease has come; false: it was none of its ladder. */
bool walk_due(struct core *core, struct lease *lease);

/* @lease came back from the store: set what is left of its rung. */
void walk_restore(struct core *core, struct lease *lease);

/* ---- answer.c: what came of rungs, and of processes --------------------- */

/* An operator let the processes of @lease run.
 *
 * Errors:
 *   E_STATE  they were not kept from it.
 */
MUST_USE int answer_thaw(struct core *core, struct lease *lease);

/* Apply CORE_RUNG and CORE_WATCH.  Errors: as core_step(), nothing has changed.
 */
MUST_USE int answer_rung(struct core *core, const struct core_event *event);
MUST_USE int answer_watch(struct core *core, const struct core_event *event);

/* ---- foreign.c --------------------------------------------------------- */

/* Apply CORE_FOREIGN.  Errors: as core_step(), nothing has changed. */
MUST_USE int foreign_step(struct core *core, const struct core_event *event);

/* ---- waiter.c --------------------------------------------------------- */

/* Apply the events of waiters and connections.  Errors: as core_step(), nothing
 * has changed. */
MUST_USE int waiter_submit(struct core *core, const struct core_event *event);
MUST_USE int waiter_attach(struct core *core, const struct core_event *event);
MUST_USE int waiter_detach(struct core *core, const struct core_event *event);
MUST_USE int waiter_cancel(struct core *core, const struct core_event *event);

/* End the wait of @lease without a grant: it is told @error, keeps its place
 * AWAY where it has a job and @keeps_place, else ends. */
void waiter_refuse(struct core *core,
                   struct lease *lease,
                   int error,
                   enum core_reason reason,
                   bool keeps_place);

/* The wait of @lease timed out, or it was away for too long. */
void waiter_due(struct core *core, struct lease *lease);

/* Set the deadline of a waiter by its state. */
void waiter_deadline(struct core *core, struct lease *lease);

/* ---- admin.c ---------------------------------------------------------- */

/* Apply CORE_ADMIN.  Errors: as core_step(), nothing has changed. */
MUST_USE int admin_step(struct core *core, const struct core_event *event);

/* End a bypass that is over. */
void admin_tick(struct core *core);

/* Go on with a shutdown: end the waits, and say when no holder is left. */
void admin_stop(struct core *core);

/* Copy @config into @core.
 *
 * Errors:
 *   E_INVALID  a range is broken, or it removes classes.
 */
MUST_USE int admin_configure(struct core *core,
                             const struct core_config *config);

/* ---- replay.c --------------------------------------------------------- */

/* Apply CORE_RESTORE.  Errors: as core_step(), nothing has changed. */
MUST_USE int replay_restore(struct core *core, const struct core_event *event);

/* Return the modes as they are stored. */
struct core_mode_row replay_mode(const struct core *core);

/* ---- effects.c: what a step tells ------------------------------------- */

/* Set the four arrays of effects to hold @count each.
 *
 * Errors:
 *   E_NOMEM  the arrays are at least as large as before.
 */
MUST_USE int effects_resize(struct core *core, uint32_t count);

/* Turn what changed in this step into records / moves into messages. */
void effects_record(struct core *core);
void effects_say_moved(struct core *core);

/* Add a message to the effects; there is room. */
struct core_message *
core_say(struct core *core, enum core_message_type type, struct lease *lease);

/* Say whether the effects have room for one more unit of work; where not, the
 * next TICK is due at once. */
bool core_has_room(struct core *core);

/* Make room for the effects of work on @count leases.
 *
 * Errors:
 *   E_NOMEM  nothing has changed.
 */
MUST_USE int core_reserve_effects(struct core *core, uint32_t count);

/* ---- core.c ----------------------------------------------------------- */

/* Return the service @id, made if it is new; NULL where there is no memory. */
struct service *core_service(struct core *core, uint32_t id);

/* Return the set of all devices. */
uint64_t core_all_devices(const struct core *core);

/* Return the service @id; NULL where it was never seen. */
struct service *core_service_find(const struct core *core, uint32_t id);

/* ---- ended.c ---------------------------------------------------------- */

/* Remember how @lease ended. */
void core_remember(struct core *core,
                   const struct lease *lease,
                   enum core_reason reason);

/* Return what is remembered of the ended lease @id; NULL. */
const struct ended *core_ended(const struct core *core, uint64_t id);

#endif
