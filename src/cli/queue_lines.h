/* queue_lines.h - the queue as lines of JSON, and back.
 *
 *   {"gpucoord":"queue","version":1,"numbers":1000000}
 *   {"mode":{"bypass_until_ms":0,"drained":0,"is_draining":false}}
 *   {"class":{"name":"chatbot","consecutive":1,"credit":-5}}
 *   {"lease":{"service_id":"asr","id":7,…}}       as the table of the store
 *   {"end":3}                                     lines between; a file that
 *                                                 was cut is refused
 *
 * Numbers of 64 bits are written as two's complement, as in the tables.
 */
#ifndef GPUCOORD_CLI_QUEUE_LINES_H
#define GPUCOORD_CLI_QUEUE_LINES_H

#include "base/err.h"

#include <stdio.h>

struct store;

/* Write all rows of @store to @out.
 *
 * Errors:
 *   E_IO      @out takes no more.
 *   others    as store_load().
 */
MUST_USE int queue_lines_write(struct store *store, FILE *out);

/* Put the rows in @in into the current batch of @store, and have its numbers
 * lie above those of @in.
 *
 * Errors (said to the user; the batch may hold some of the rows):
 *   E_INVALID  a line is none of ours; its number and what is wrong are said.
 *   E_VERSION  a newer version of this program wrote it.
 *   E_IO       it cannot be read.
 *   E_NOMEM    no memory.
 *   others     as store_raise_numbers().
 */
MUST_USE int queue_lines_read(struct store *store, FILE *in);

#endif
