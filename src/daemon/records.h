/* records.h - the core's records as the store's rows, and back.
 *
 * The core has numbers for services, jobs and configured classes; the store
 * has names, because numbers last only as long as a process.
 */
#ifndef GPUCOORD_DAEMON_RECORDS_H
#define GPUCOORD_DAEMON_RECORDS_H

#include "base/err.h"
#include "core/core.h"

#include <stdint.h>

struct config;
struct names;
struct store;

/* Put @record into the store's current batch.  All are borrowed for the
 * call. */
void records_put(struct store *store,
                 const struct names *names,
                 const struct config *config,
                 const struct core_record *record);

/* Feed every row of @store to @core as CORE_RESTORE at @at_ms.  The names of
 * services, and what leases were sent with, are put into @names.  A lease of a
 * class that is no longer configured goes on in the implicit class of the
 * least important default, and the log says so.
 *
 * Errors:
 *   E_STORE, E_CORRUPT  as store_load(); a row the core refuses is corrupt.
 *   E_LIMIT             too many services.
 *   E_NOMEM             no memory.
 */
MUST_USE int records_restore(struct store *store,
                             struct names *names,
                             const struct config *config,
                             struct core *core,
                             uint64_t at_ms);

/* Find the highest instant of core time in @store, 0 where there is none, and
 * count its leases.
 *
 * Errors: as store_load().
 */
MUST_USE int records_survey(struct store *store,
                            uint64_t *time_max_ms,
                            uint64_t *lease_count);

/* Write the name of the class @class_id to @text: the configured one, or
 * "priority-2" for the implicit class of priority 2. */
void records_class_name(const struct config *config,
                        uint32_t class_id,
                        char text[65]);

#endif
