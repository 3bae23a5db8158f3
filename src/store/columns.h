/* columns.h - the columns of a lease's row, for every backend.
 *
 * One table says where each number of a lease lives; statements, binding and
 * reading follow it.  Before the numbers come, in this order: service_id,
 * job_id, class, priority, metadata, watches, watch_pid, watch_started, shares.
 */
#ifndef GPUCOORD_STORE_COLUMNS_H
#define GPUCOORD_STORE_COLUMNS_H

#include "base/buf.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

/* Places of the columns that are no numbers of the core; the numbers follow. */
enum column {
    COLUMN_SERVICE,
    COLUMN_JOB,
    COLUMN_CLASS,
    COLUMN_PRIORITY,
    COLUMN_METADATA,
    COLUMN_WATCHES,
    COLUMN_WATCH_PID,
    COLUMN_WATCH_STARTED,
    COLUMN_SHARES,
    COLUMN_NUMBERS,
    COLUMN_COUNT = COLUMN_NUMBERS + 21
};

/* What of a row read is neither a string nor a number of the core. */
struct column_others {
    const char *shares; /* NULL = none. */
    int64_t priority;   /* Where there is no class. */
    int64_t watch_pid;
    int64_t watch_started;
};

/* Append the names of all columns, with commas between. */
void columns_names(struct buf *sql);

/* Return the name of the column @place. */
const char *columns_name(int place);

/* Return the number in the column @place (from COLUMN_NUMBERS on) of @row. */
uint64_t columns_get(const struct core_lease_row *row, int place);

/* Set it; false where @value does not fit. */
bool columns_set(struct core_lease_row *row, int place, uint64_t value);

/* Complete @lease, whose strings and numbers are set, with @others.  @shares
 * is filled for a gang, and pointed to.
 *
 * Errors:
 *   E_CORRUPT  a value is none that we write.
 */
MUST_USE int columns_finish(struct store_lease *lease,
                            const struct column_others *others,
                            struct core_share shares[CORE_DEVICES_MAX]);

#endif
