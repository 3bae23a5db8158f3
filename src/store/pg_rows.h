/* pg_rows.h - rows of the PostgreSQL store to parameters, and results back.
 *
 * A batch is one call of gpu_commit() (pg_schema.c).  Its rows go as arrays of
 * the tables' own types in PostgreSQL's binary format, which costs the server
 * no parsing.
 */
#ifndef GPUCOORD_STORE_PG_ROWS_H
#define GPUCOORD_STORE_PG_ROWS_H

#include "base/buf.h"
#include "store/batch.h"
#include "store/store.h"

#include <libpq-fe.h>
#include <stdint.h>

enum {
    PG_COMMIT_PARAMS = 7 /* Of gpu_commit(). */
};

/* The numbers by which the server knows the types of the tables. */
struct pg_types {
    uint32_t lease;
    uint32_t class_row;
    uint32_t mode;
};

/* Parameters of a statement, in binary. */
struct pg_params {
    struct buf data; /* What .values point into. */
    size_t places[PG_COMMIT_PARAMS];
    const char *values[PG_COMMIT_PARAMS];
    int lengths[PG_COMMIT_PARAMS];
    int formats[PG_COMMIT_PARAMS];
    int count;
};

/* Make @params empty, and free what it owns. */
void pg_params_init(struct pg_params *params);
void pg_params_release(struct pg_params *params);

/* Begin anew with the fence, which every call of ours begins with. */
void pg_params_begin(struct pg_params *params, const struct store_fence *fence);

/* Add a number, or the rows of @batch as the last four parameters. */
void pg_params_add_number(struct pg_params *params, uint64_t number);
void pg_params_add_batch(struct pg_params *params,
                         const struct batch *batch,
                         const struct pg_types *types);

/* Point .values into .data: call it last.
 *
 * Errors:
 *   E_NOMEM  a parameter could not be kept.
 */
MUST_USE int pg_params_end(struct pg_params *params);

/* Read the row @row of @result, whose columns are those of columns.h, in text;
 * the strings of @lease are valid as long as @result.  @shares is filled for a
 * gang, and pointed to.
 *
 * Errors:
 *   E_CORRUPT  a value is none that we write.
 */
MUST_USE int pg_rows_read_lease(const PGresult *result,
                                int row,
                                struct core_share shares[CORE_DEVICES_MAX],
                                struct store_lease *lease);

/* Return the number in a column, 0 for NULL; two's complement. */
int64_t pg_rows_number(const PGresult *result, int row, int column);

/* Return the text in a column, NULL for NULL. */
const char *pg_rows_text(const PGresult *result, int row, int column);

#endif
