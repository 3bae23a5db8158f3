/* pg_server.h - a PostgreSQL server of its own, for tests.
 *
 * From Debian's binaries, in a private directory with a private Unix socket and
 * no TCP.  As root it runs as the user `postgres`.  It ends with
 * pg_server_end(), and when this program does, however that is.
 */
#ifndef GPUCOORD_TESTS_CONTRACT_PG_SERVER_H
#define GPUCOORD_TESTS_CONTRACT_PG_SERVER_H

#include <stdbool.h>
#include <stddef.h>

/* Say whether there are binaries to start. */
bool pg_server_is_installed(void);

/* Make and start the server. */
void pg_server_begin(void);

/* Stop it, whatever it does, and remove its directory. */
void pg_server_end(void);

/* Stop it as an administrator would, sessions ended; or as a power loss. */
void pg_server_stop(void);
void pg_server_kill(void);

/* Start it again. */
void pg_server_start(void);

/* Let it not run for a while: SIGSTOP for all of it, then SIGCONT. */
void pg_server_freeze(bool is_frozen);

/* Make a schema that nobody has used; write the URL that names it to @url. */
void pg_server_schema(char *url, size_t size);

/* Run SQL as the server's owner in the newest schema; the first value of the
 * first row goes to @out ("" = none), where that is not NULL. */
void pg_server_run(const char *sql, char *out, size_t size);

#endif
