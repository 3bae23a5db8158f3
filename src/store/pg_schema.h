/* pg_schema.h - the tables and functions of the PostgreSQL store.
 *
 * A migration is a number and a list of statements, applied in one transaction
 * of its own under an advisory lock.  All names begin with gpu_ and lie in the
 * schema that search_path names first.
 *
 * What a coordinator calls:
 *
 *   gpu_commit        every change of the queue: one batch, all or none
 *   gpu_lead          become the leader of a cluster; gpu_lead_renew,
 *                     gpu_lead_resign
 *   gpu_lead_alone    have the store to oneself, without a cluster
 *   gpu_resume        go on after a lost connection
 *   gpu_reserve       reserve numbers; gpu_numbers_end says how far
 *   gpu_hold_ms       how long nothing may be granted after a fail-over
 *   gpu_member_seen   say that one lives; gpu_member_gone
 *
 * For people: the views gpu_queue and gpu_cluster.
 */
#ifndef GPUCOORD_STORE_PG_SCHEMA_H
#define GPUCOORD_STORE_PG_SCHEMA_H

#include "base/err.h"
#include "store/files.h"

#include <libpq-fe.h>

/* Raised by the functions, as SQLSTATE. */
#define PG_STATE_FENCED  "GC001" /* Another has led since: write no more. */
#define PG_STATE_GPUS    "GC002" /* Other GPUs than the cluster's. */
#define PG_STATE_BUSY    "GC003" /* Another coordinator has the store. */
#define PG_STATE_NUMBERS "GC004" /* The numbers are used up. */

struct pg_migration {
    const char *const *statements; /* Ends with NULL. */
};

/* The schema that this program reads and writes: the first makes version 1. */
extern const struct pg_migration pg_migrations[];
extern const int pg_schema_version;

/* Make the schema on @conn, or bring it to the present version, while nobody
 * else does.
 *
 * Errors (@msg says why; the version is what it was, or one in between):
 *   E_VERSION  a newer version of this program made it.
 *   E_BUSY     it is older, and a coordinator works with it.
 *   E_STORE    it cannot be read or made.
 *   E_NOMEM    no memory.
 */
MUST_USE int pg_schema_apply(PGconn *conn, struct store_message *msg);

#endif
