/* config.h - the configuration: one file, every key has a default.
 *
 * One table (config_keys.c) has every key with its type, range, default and
 * help; the file is checked against it, docs/config.md is printed from it.  A
 * file with mistakes yields all of them, each with its line and column, and
 * changes nothing.  What a later version will know is refused, never ignored.
 */
#ifndef GPUCOORD_DAEMON_CONFIG_H
#define GPUCOORD_DAEMON_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "control/owner.h"
#include "core/core.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_UNSET    UINT32_MAX /* A number that was not given. */
#define CONFIG_UNSET_64 UINT64_MAX

enum {
    CONFIG_ARGV_MAX = 32, /* Words of a command. */
    CONFIG_HOST_SIZE = 46 /* An IPv6 address in text, with its NUL. */
};

/* ---- What it says ----------------------------------------------------- */

enum config_gpus_kind {
    CONFIG_GPUS_AUTO,      /* NVML's cards; AMD's where there are none. */
    CONFIG_GPUS_NVML,      /* NVML or nothing. */
    CONFIG_GPUS_AMDGPU,    /* AMD's or nothing. */
    CONFIG_GPUS_SIMULATED, /* .dir and .capacity_mib. */
    CONFIG_GPUS_DECLARED   /* .capacity_mib; never measured. */
};

struct config_gpus {
    enum config_gpus_kind kind;
    uint32_t capacity_mib[CORE_DEVICES_MAX];
    uint32_t count;    /* 0 for AUTO, NVML and AMDGPU. */
    const char *dir;   /* Of SIMULATED, also where the file names none. */
    const char *sysfs; /* Of AMDGPU; NULL = "/sys". */
    const char *proc;  /* Of NVML and AMDGPU; NULL = "/proc". */
};

/* How VRAM of a device is accounted for. */
struct config_vram {
    uint32_t is_measured; /* 0 or 1; CONFIG_UNSET = as for all devices. */
    uint32_t settle_ms;   /* Likewise. */
    uint32_t residue_mib; /* Likewise. */
    uint32_t reserve_mib; /* Likewise. */
};

/* What `devices:` says about one of them. */
struct config_device {
    const char *name; /* An index in decimal, or a UUID. */
    struct config_vram vram;
};

struct config_class {
    const char *name;
    struct core_class_config core;
    uint32_t vram_mib;       /* 0 = the whole device; CONFIG_UNSET. */
    uint32_t pause_grace_ms; /* CONFIG_UNSET = defaults.pause_grace. */
    uint32_t preemptible;    /* 0 or 1. */
};

/* Signals that a service's process takes for commands; 0 = none. */
struct config_signals {
    int pause;
    int resume;
};

/* Redis channels of a service; NULL = as `redis` says. */
struct config_channels {
    const char *control;
    const char *ack;
};

struct config_service {
    const char *name;
    const char *class_name;    /* NULL = none; else one of .classes. */
    uint32_t vram_mib;         /* 0 = the whole device; CONFIG_UNSET. */
    uint32_t pause_grace_ms;   /* CONFIG_UNSET = its class's. */
    struct core_ladder ladder; /* .count 0 = the default. */
    uint8_t ladder_id;         /* Its number as in a request. */
    const char *restart[CONFIG_ARGV_MAX + 1]; /* An argv; [0] NULL = none. */
    struct config_signals signals;
    struct config_channels channels;
};

/* One pattern of `services.*.processes`. */
struct config_process {
    const char *service; /* By its service_id. */
    enum owner_kind kind;
    const char *pattern;
};

/* What stands for the service_id in the name of a channel. */
#define CONFIG_SERVICE_MARK    "{service}"
#define CONFIG_CONTROL_CHANNEL "channel:" CONFIG_SERVICE_MARK ":control"
#define CONFIG_ACK_CHANNEL     "channel:" CONFIG_SERVICE_MARK ":ack"

/* `redis`. */
struct config_redis {
    const char *url;             /* As in the file; NULL = there is no Redis. */
    const char *host;            /* An IP literal; NULL = .path. */
    const char *path;            /* Of a Unix socket. */
    const char *user;            /* NULL = the default user. */
    const char *password_file;   /* NULL = no password. */
    const char *control_channel; /* NULL = CONFIG_CONTROL_CHANNEL. */
    const char *ack_channel;     /* NULL = CONFIG_ACK_CHANNEL. */
    uint32_t port;
};

/* All strings are owned by the configuration. */
struct config {
    const char *listen_host; /* An IP literal; NULL = no TCP. */
    uint32_t listen_port;    /* 0 = any free one. */
    const char *socket;      /* Path of the Unix socket. */
    const char **hosts;      /* Further names accepted in Host. */
    size_t host_count;
    const char *store; /* Path of the SQLite file, or a database's URL. */
    struct config_redis redis;
    const char *cluster_name;      /* Of this member; NULL = no cluster. */
    const char *cluster_advertise; /* Where the others reach it; likewise. */
    struct config_gpus gpus;
    struct config_vram vram; /* For all devices; nothing is unset. */
    struct config_device *devices;
    size_t device_count;
    uint32_t resume_margin_percent;
    uint32_t ttl_ms; /* `defaults`. */
    uint32_t timeout_ms;
    uint32_t pause_grace_ms;
    uint32_t rung_grace_ms;
    uint32_t away_ms;
    uint32_t stream_grace_ms;
    uint32_t max_hold_ms; /* 0 = none. */
    bool is_observing;    /* `mode`. */
    uint32_t host_ram_reserve_mib;
    const char *notify[CONFIG_ARGV_MAX + 1]; /* An argv; [0] NULL = none. */
    /* Those of the services, each once; ladder i is CORE_LADDER(i). */
    struct core_ladder ladders[CORE_LADDERS_MAX];
    uint32_t ladder_count;
    uint32_t waiters_max; /* `limits`. */
    uint32_t service_waiters_max;
    uint32_t shutdown_ms;         /* The whole budget of a shutdown. */
    struct config_class *classes; /* Class i is CORE_CLASS(i). */
    size_t class_count;           /* At most CORE_CLASSES_MAX. */
    struct config_service *services;
    size_t service_count;
    struct config_process *processes; /* In the order of the file. */
    size_t process_count;
    struct config_text *texts; /* All strings; config_text.c. */
};

/* ---- What is wrong with it -------------------------------------------- */

struct config_note {
    uint32_t line;   /* From 1; 0 = about the whole file. */
    uint32_t column; /* From 1, in characters. */
    bool is_error;   /* Else a warning. */
    char *text;
};

/* All mistakes and warnings of one file, in the order of its lines. */
struct config_report {
    struct config_note *notes;
    size_t count;
    size_t error_count;
    bool is_cut; /* There were more than CONFIG_NOTES_MAX, or no memory. */
};

enum {
    CONFIG_NOTES_MAX = 200
};

/* Make @report empty. */
void config_report_init(struct config_report *report);

/* Free what @report owns. */
void config_report_release(struct config_report *report);

/* Append every note to @out as `NAME:LINE:COLUMN: text`, a line each; a
 * warning's text begins with "warning: ". */
void config_report_print(const struct config_report *report,
                         const char *name,
                         struct buf *out);

/* ---- Reading ---------------------------------------------------------- */

/* Read the file @path, or fill in all defaults where it is NULL.
 *
 * On success @out owns its strings until config_release(); @report, made empty
 * here and released by the caller in every case, may hold warnings.  On an
 * error @out needs no release.
 *
 * Errors:
 *   E_IO       the file cannot be read; the report says why.
 *   E_INVALID  it has mistakes; the report has them all.
 *   E_NOMEM    no memory.
 */
MUST_USE int
config_load(const char *path, struct config *out, struct config_report *report);

/* The same for @size bytes at @text, borrowed for the call.
 *
 * Errors: E_INVALID and E_NOMEM as for config_load().
 */
MUST_USE int config_load_text(const char *text,
                              size_t size,
                              struct config *out,
                              struct config_report *report);

/* Free what @config owns; it is all zero afterwards. */
void config_release(struct config *config);

/* Write the path of the file that is read when none is named to @out:
 * $XDG_CONFIG_HOME/gpucoord/gpucoord.yaml (~/.config where that is unset),
 * then /etc/gpucoord/gpucoord.yaml.
 *
 * Errors:
 *   E_NOT_FOUND  there is neither; @out is empty.
 *   E_NOMEM      no memory.
 */
MUST_USE int config_find_path(struct buf *out);

/* Cut @text, an address and port as 127.0.0.1:4780, [::1]:4780 or
 * localhost:4780, in two; *@host becomes "" for "null", which is no TCP.
 *
 * Errors:
 *   E_INVALID  it is something else, or beyond loopback, which needs the
 *              authentication that there is not yet; @why says which.
 */
MUST_USE int config_parse_listen(const char *text,
                                 char host[CONFIG_HOST_SIZE],
                                 uint32_t *port,
                                 struct buf *why);

/* Make @next, just loaded, the successor of @now, which is in force.
 *
 * Classes keep the numbers they have in @now; one that @next does not name
 * stays as it is.  What only a start can change (listen, socket, store,
 * cluster, gpus) is taken over from @now.  Each such case is a warning in
 * @report.
 *
 * Errors:
 *   E_INVALID  old and new classes together are more than CORE_CLASSES_MAX.
 *   E_NOMEM    no memory; @next is still to be released.
 */
MUST_USE int config_follow(struct config *next,
                           const struct config *now,
                           struct config_report *report);

/* ---- Asking ----------------------------------------------------------- */

/* Say whether @store, of the configuration or the command line, is the URL of a
 * database, not the path of a file. */
bool config_is_database(const char *store);

/* Append the directory in which a coordinator keeps what is of its machine
 * (what it has frozen): that of its queue, or where that is in a database, the
 * one where it would be.
 *
 * Errors:
 *   E_NOT_FOUND  a user without a home.
 *   E_NOMEM      no memory.
 */
MUST_USE int config_state_dir(const struct config *config, struct buf *out);

/* Return the index in .classes of the class @name; -1 where there is none. */
int config_class_find(const struct config *config, const char *name);

/* Return the name of the core's class @class_id; NULL for an implicit one. */
const char *config_class_name(const struct config *config, uint32_t class_id);

/* Return the settings of the service @name; NULL where it has none. */
const struct config_service *config_service_find(const struct config *config,
                                                 const char *name);

/* Fill @out for the device that has this index, UUID and capacity.
 *
 * @can_measure is false where nothing measures it (declared GPUs).
 *
 * Errors:
 *   E_INVALID  the reserve leaves nothing of it.
 */
MUST_USE int config_device_get(const struct config *config,
                               uint32_t index,
                               const char *uuid,
                               uint32_t capacity_mib,
                               bool can_measure,
                               struct core_device_config *out);

/* Fill @out: classes, limits, and times; .devices and .device_count, which the
 * caller fills with config_device_get(), stay as they are, and so do
 * .startup_hold_ms and .effects_max. */
void config_core_get(const struct config *config, struct core_config *out);

enum config_choice {
    CONFIG_CHOICE_UNSET,
    CONFIG_CHOICE_NO,
    CONFIG_CHOICE_YES
};

/* What a request says itself. */
struct config_request {
    const char *service_id;
    const char *class_name; /* NULL = none. */
    uint64_t timeout_ms;    /* CONFIG_UNSET_64. */
    uint32_t priority;      /* CONFIG_UNSET. */
    uint32_t ttl_ms;        /* CONFIG_UNSET. */
    uint32_t vram_mib;      /* CONFIG_UNSET; 0 = the whole device. */
    enum config_choice preemptible;
    bool is_durable; /* `wait: false`. */
};

/* Fill in what @request leaves open: from services.<id>, then its class, then
 * `defaults`.  Sets class_id, timeout_ms, ttl_ms, vram_mib, pause_grace_ms,
 * max_hold_ms, ladder, is_preemptible and is_durable of @out and leaves the
 * rest.
 *
 * A service's class counts where the request names neither class nor priority,
 * or the class's own priority.
 *
 * Errors:
 *   E_INVALID  *@field, static, names the field that is impossible: an unknown
 *              class, or a priority that is not the class's.
 */
MUST_USE int config_request_resolve(const struct config *config,
                                    const struct config_request *request,
                                    struct core_request *out,
                                    const char **field);

/* ---- Documentation ---------------------------------------------------- */

/* Append docs/config.md, printed from the table of keys. */
void config_print_docs(struct buf *out);

/* Append the source of gpucoord.yaml(5), in scdoc's form, likewise. */
void config_print_man(struct buf *out);

#endif
