/* paths.h - where things lie: of the system's service, of a user's.
 *
 * Root, and a service that systemd gave directories of its own
 * (RUNTIME_DIRECTORY, STATE_DIRECTORY), use the system's; everybody else what
 * the XDG base directories say.
 */
#ifndef GPUCOORD_BASE_PATHS_H
#define GPUCOORD_BASE_PATHS_H

#include "base/buf.h"
#include "base/err.h"

#define PATHS_SYSTEM_SOCKET "/run/gpucoord/gpucoord.sock"
#define PATHS_SYSTEM_CONFIG "/etc/gpucoord/gpucoord.yaml"
#define PATHS_SYSTEM_STATE  "/var/lib/gpucoord"

/* Append the directory of sockets and locks: /run/gpucoord, or
 * $XDG_RUNTIME_DIR/gpucoord, or, where a user has no such directory, that of
 * paths_state().
 *
 * Errors:
 *   E_NOT_FOUND  a user without XDG_RUNTIME_DIR, XDG_STATE_HOME and HOME.
 *   E_NOMEM      no memory.
 */
MUST_USE int paths_runtime(struct buf *out);

/* Append the directory of the store: /var/lib/gpucoord, or
 * $XDG_STATE_HOME/gpucoord (~/.local/state where that is unset).
 *
 * Errors:
 *   E_NOT_FOUND  a user without XDG_STATE_HOME and HOME.
 *   E_NOMEM      no memory.
 */
MUST_USE int paths_state(struct buf *out);

/* Append the path of this user's configuration file, whether or not it is
 * there: $XDG_CONFIG_HOME/gpucoord/gpucoord.yaml (~/.config where unset).
 *
 * Errors:
 *   E_NOT_FOUND  neither XDG_CONFIG_HOME nor HOME is set.
 *   E_NOMEM      no memory.
 */
MUST_USE int paths_user_config(struct buf *out);

/* Append the path of the Unix socket that this user's coordinator serves: in
 * paths_runtime(), gpucoord.sock.
 *
 * Errors: as paths_runtime().
 */
MUST_USE int paths_socket(struct buf *out);

/* Append the directory that the file @path lies in; "." where it names none. */
void paths_parent(const char *path, struct buf *out);

/* Make the directory @path and what is missing above it, 0755 less the umask.
 *
 * Errors:
 *   E_IO     a part of it cannot be made, or is no directory; errno says why.
 *   E_NOMEM  no memory.
 */
MUST_USE int paths_make(const char *path);

#endif
