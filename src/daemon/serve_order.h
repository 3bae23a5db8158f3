/* serve_order.h - what the command line and the configuration file order. */
#ifndef GPUCOORD_DAEMON_SERVE_ORDER_H
#define GPUCOORD_DAEMON_SERVE_ORDER_H

#include "base/buf.h"
#include "daemon/serve_options.h"

struct config;

struct serve_order {
    struct serve_options options;
    struct buf path; /* Of the file; empty = there is none. */
    struct buf good; /* What the file said when it was last right. */
};

/* Find the file that is meant and read it; its mistakes are said to the user.
 * @out is returned to the caller, for config_destroy(); it borrows from
 * @order.
 *
 * Errors:
 *   E_INVALID, E_IO  as config_load().
 *   E_NOMEM          no memory.
 */
MUST_USE int serve_order_read(struct serve_order *order, struct config **out);

/* Read it again, for a coordinator that was started with @first: what only a
 * start changes stays as it was.  A file that is wrong by now counts as what
 * it was when it was right, which the log says.
 *
 * Errors:
 *   E_INVALID  even that does not do.
 *   E_NOMEM    no memory.
 */
MUST_USE int serve_order_again(struct serve_order *order,
                               const struct config *first,
                               struct config **out);

/* Free what @order owns. */
void serve_order_release(struct serve_order *order);

#endif
