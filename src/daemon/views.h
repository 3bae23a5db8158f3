/* views.h - the JSON in which the daemon shows its state.
 *
 * GET /gpu/leases/{lease}, and in the lists of /gpu/status, a lease is
 *
 *   {"lease":42,"token":1007|null,"state":"held","service_id":"x",
 *    "class":"chatbot"|null,"priority":0,"job_id":"j"|null,"metadata":{},
 *    "devices":[{"index":0,"uuid":"GPU-...","vram_mib":24320}],
 *    "vram_mib":4096|null,"measured_mib":3100|null,"gpus":1,
 *    "preemptible":true,"hears":true,
 *    "guarantee":"verified"|null,"submitted_at":ISO,"since":ISO,
 *    "state_ms":1200,"waited_ms":3,"held_ms":1200|null,
 *    "expires_in_ms":28800|null,"deadline_in_ms":9000|null,
 *    "requester":"gemma"|null,"release_mib":4096|null,"reason":"..."|null,
 *    "rung":"term"|null,"rung_ms":2000|null,"rung_left_ms":8000|null,
 *    "frozen":false,"checkpointed":false,"unchecked":false,
 *    "walk":[{"rung":"ask","undo":false,"outcome":"late","reason":"..."|null,
 *      "ago_ms":12000,"took_ms":10000|null}],
 *    "why":null|{why}}
 *
 * `vram_mib` null is the whole device; `measured_mib`, on all its devices, is
 * null where the driver does not tell processes apart.  `devices` are those
 * held, or left by a pause; empty before the first grant.  `why` is there while
 * it waits:
 *
 *   {"wait":"holder","position":1,"text":"'x' holds it (lease 41) ...",
 *    "blocker":null|{"lease":41,"service_id":"x","state":"pausing",
 *                    "rung":"ask"|null,"hears":true,"used_mib":3100,
 *                    "charged_mib":4096,"acknowledged_ms":1200|null,
 *                    "pids":[812]},
 *    "until_in_ms":8000|null,"unless_renewed":false,"device":0|null,
 *    "need_mib":4096|null,"free_mib":1000,"unleased_mib":0,"estimate_ms":900|null,
 *    "observations":12}
 *
 * `rung` is where on its ladder a lease is; `walk` has the newest eight rungs
 * begun, oldest first, each `running`, `ok`, `failed`, `skipped` or `late`.
 *
 * It ends in `until_in_ms` at the latest; with `unless_renewed` unless the
 * blocker, which holds, renews before that.
 * `rung` is where the blocker is on its ladder, "reclaim" past its end.  An
 * estimate that rests on fewer than five observed holds of the blocker's
 * service is null: unknown.
 *
 * GET /gpu/status is
 *
 *   {"version":"0.1.0","time":ISO,"uptime_ms":5,"scheduler_running":true,
 *    "draining":false,"stopping":false,"observing":false,"bypass":false,"bypass_ms":null,
 *    "store":"ok"|"store-full"|"store-failed"|"store-away"|"no-leader",
 *    "store_why":"connection refused", (only while there is more to say)
 *    "devices":[{"index":0,"uuid":"...","name":"...","source":"nvml",
 *      "state":"ok"|"stale"|"gone","age_ms":12|null,"capacity_mib":24576,
 *      "reserve_mib":256,"used_mib":900|null,"charged_mib":0,
 *      "resident_mib":0,"unleased_mib":900,"rogue_mib":900,
 *      "free_mib":23420,"measured":true,"attributed":true,"drained":false,
 *      "overcommitted":false,"linger":null|{"service_id":"x","ms":300},
 *      "driver":"570.124"|null,"utilisation_percent":3|null,
 *      "temperature_c":40|null,"power_mw":20000|null,
 *      "processes":null|[{"pid":812,"name":"python3"|null,
 *        "used_mib":900|null,"graphics":false,"service_id":"x"|null,
 *        "lease":42|null,"rogue":true}],
 *      "processes_reason":null|"..."}],
 *    "gpu_lock":{"is_locked":true,"current_holder":null|{"job_id":"j",
 *      "job_type":"chatbot","metadata":{},"since":ISO}},
 *    "holders":[lease],"paused":[lease],"waiters":[lease],
 *    "services":[{"service_id":"x","footprint_mib":7000|null,"holds":12,
 *      "hold_ms":900|null,"pauses":6,"pause_ms":800|null,"resumes":2,
 *      "resume_ms":null}],
 *    "waiting":3,"away":0,"queue_sizes":{"chatbot":0},
 *    "classes":[{"name":"chatbot","priority":0,"weight":50,
 *      "max_consecutive":0,"grants":7,"share":0.7,"consecutive":0,
 *      "waiting":0,"away":0,"held":1,"paused":0}],
 *    "stats":{"grants":{"chatbot":7},"consecutive":{"chatbot":0},
 *      "last_job_type":"chatbot"|null,"grants_total":7,"resumes":0,
 *      "pauses":0,"acks":0,"expiries":0,"revocations":0,"timeouts":0,
 *      "advisories":0,"offers":0,"unloads":0,"prevented":0,
 *      "prevented_by":{"holder":3}}}
 *
 * `services` has the first VIEWS_SERVICES of which something was seen: the most
 * that one was measured to use for a lease, and means, null where fewer than
 * five were seen: of the times it held, from a pause to free VRAM, and from a
 * resume to its word that it goes on.
 *
 * The implicit class of priority p is shown as "priority-p", and only where
 * something was ever asked there.  `waiters` has at most VIEWS_WAITERS a
 * class, in their order, and those of state "away" behind the others;
 * `waiting` and `away` count all of them, and `queue_sizes` both together.
 */
#ifndef GPUCOORD_DAEMON_VIEWS_H
#define GPUCOORD_DAEMON_VIEWS_H

#include "base/buf.h"
#include "core/core.h"

#include <stddef.h>
#include <stdint.h>

struct daemon;

enum {
    VIEWS_WAITERS = 100,
    VIEWS_SERVICES = 100
};

/* Append the lease of @view. */
void views_lease(struct daemon *daemon,
                 const struct core_lease_view *view,
                 struct buf *out);

/* Append why the lease of @view waits; null where it does not. */
void views_why(struct daemon *daemon,
               const struct core_lease_view *view,
               struct buf *out);

/* Append what was in the way of a request for one of @devices (0 = any): who
 * holds it and until when, or what else, as a sentence for people. */
void views_in_the_way(struct daemon *daemon, uint64_t devices, struct buf *out);

/* Append the member "services" of the status. */
void views_services(const struct daemon *daemon, struct buf *out);

/* Append the member "devices" of the status. */
void views_devices(const struct daemon *daemon, struct buf *out);

/* Append the members of @view that tell of its ladder. */
void views_walk(const struct daemon *daemon,
                const struct core_lease_view *view,
                struct buf *out);

/* Append how the ladder of @view was walked so far, and what comes next, for
 * people: ": asked to pause: no answer in 10 s, TERM sent 2 s ago, next: 'kill'
 * in 8 s"; nothing where it was not. */
void views_walk_text(const struct daemon *daemon,
                     const struct core_lease_view *view,
                     struct buf *out);

/* Append the whole status. */
void views_status(struct daemon *daemon, struct buf *out);

#endif
