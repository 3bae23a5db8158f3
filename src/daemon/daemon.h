/* daemon.h - the parts of a running coordinator, as its handlers see them.
 *
 * One of it exists, made by serve.c.  Each file of handlers keeps its own
 * state behind a pointer here; what they share are the driver (facts), the
 * names, and who waits on which connection (parked.h).
 */
#ifndef GPUCOORD_DAEMON_DAEMON_H
#define GPUCOORD_DAEMON_DAEMON_H

#include "base/buf.h"
#include "base/idmap.h"
#include "base/list.h"
#include "core/core.h"
#include "daemon/prevented.h"

#include <stdbool.h>
#include <stdint.h>

struct acting;
struct census;
struct config;
struct device_set;
struct driver;
struct event;
struct events;
struct http_server;
struct leader;
struct loop;
struct names;
struct observed;
struct redis;
struct store;
struct watch;

enum daemon_phase {
    DAEMON_SERVING,
    DAEMON_LEAVING /* Handing over to the next process: nothing is taken. */
};

struct daemon {
    struct config *config;   /* The server borrows its hosts. */
    const char *config_path; /* NULL = there is no file. */
    /* Put what the command line says over a configuration just read. */
    void (*override)(void *arg, struct config *config);
    void *override_arg;
    struct leader *leader; /* Borrowed; NULL = it is in no cluster. */
    struct loop *loop;
    struct store *store;
    struct names *names;
    struct driver *driver;
    struct http_server *http;
    struct device_set *devices;
    struct core_config core_config; /* As last given to the core. */
    struct events *events;          /* The ring of /gpu/events. */
    struct observed *observed;      /* How long services hold. */
    struct watch *watch;            /* Processes of holders. */
    struct census *census;          /* Who uses the VRAM. */
    struct acting *acting;          /* Carries out the rungs. */
    struct prevented prevented;     /* While only observing. */
    struct redis *redis;            /* NULL = none is configured. */
    struct idmap parked;            /* By connection; parked.h. */
    struct list waiters;            /* Parked requests; waiters.c. */
    struct idmap holders;           /* By lease: held by connection. */
    struct list listeners;          /* Services with streams; control.c. */
    struct idmap services;          /* The same, by number. */
    struct list readers;            /* Of /gpu/events; event_stream.c. */
    struct list looking;            /* Looks that wait; look.c. */
    struct idmap looks;             /* The same, by lease. */
    struct buf text;                /* Scratch, for one answer at a time. */
    uint64_t started_mono_ms;
    enum daemon_phase phase;
    struct event *leave_timer; /* NULL while serving. */
    bool has_failed;
};

/* Create a daemon with its loop, without driver, server and devices.
 *
 * @config is taken, also on an error: it came from calloc().
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int daemon_create(struct config *config, struct daemon **out);

/* Close and free everything that is there; NULL is allowed. */
void daemon_destroy(struct daemon *daemon);

/* Open the driver, from the store and for the devices that are open.
 *
 * Errors: as driver_open().
 */
MUST_USE int daemon_open_driver(struct daemon *daemon);

/* Create the server; it listens nowhere yet.
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int daemon_open_server(struct daemon *daemon);

/* In a cluster: serve as long as this one leads, and no longer.  The daemon's
 * leader is let go of by daemon_destroy().
 *
 * Errors:
 *   E_NOMEM  no memory.
 */
MUST_USE int daemon_watch_leader(struct daemon *daemon);

/* Return the wall time of an instant of core time, for display. */
uint64_t daemon_wall_ms(const struct daemon *daemon, uint64_t at_ms);

/* Hand over: answer all waiters with /restarting, end the streams, leave the
 * loop when that is written. */
void daemon_leave(struct daemon *daemon);

/* Read the configuration again; the old one stays where the new is wrong. */
void daemon_reload(struct daemon *daemon);

#endif
