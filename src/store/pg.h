/* pg.h - the store in a PostgreSQL database.
 *
 * One connection in pipeline mode on the loop.  Every commit is one call of
 * gpu_commit() under the fence of this coordinator and the batch's number: a
 * connection that is lost, also in mid-commit, is made again with a back-off,
 * and the same numbered batches are sent again in their order; what had been
 * stored by then is known by its number.  Whoever has been deposed writes no
 * more.  docs/store.md has the rest.
 */
#ifndef GPUCOORD_STORE_PG_H
#define GPUCOORD_STORE_PG_H

#include "store/store.h"

/* Open the database that @url names: store_open() for "postgresql://…".
 *
 * Errors: as store_open().
 */
MUST_USE int pg_open(const char *url,
                     const struct store_options *options,
                     struct store **out,
                     char *msg,
                     size_t msg_size);

#endif
