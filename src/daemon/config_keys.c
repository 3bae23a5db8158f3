/* The table of keys: the documentation, the defaults and the checks are all
 * read from here. */
#include "daemon/config_load.h"

#include <assert.h>
#include <string.h>

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    VRAM_MIB_MAX = 1 << 24, /* 16 TiB. */
};

#define ROOT(field)    offsetof(struct config, field)
#define CLASS(field)   offsetof(struct config_class, field)
#define SERVICE(field) offsetof(struct config_service, field)
#define DEVICE(field)  offsetof(struct config_device, field)

const struct config_key config_keys[] = {
    {.path = "listen",
     .type = CONFIG_SHAPE,
     .standard = "127.0.0.1:4780",
     .text = config_read_listen,
     .help = "TCP address and port, an IP literal or localhost; null: no TCP. "
             "Only loopback, because this version has no auth"},
    {.path = "socket",
     .type = CONFIG_SHAPE,
     .standard = "/run/gpucoord/gpucoord.sock",
     .text = config_read_socket,
     .help = "path of the Unix socket; a user's coordinator has "
             "$XDG_RUNTIME_DIR/gpucoord/gpucoord.sock"},
    {.path = "hosts",
     .type = CONFIG_SHAPE,
     .standard = "[]",
     .text = config_read_hosts,
     .node = config_read_hosts_node,
     .help = "further names accepted in the Host header, besides IP literals, "
             "names without a dot and host.docker.internal"},
    {.path = "auth",
     .type = CONFIG_LATER,
     .standard = "null",
     .help = "who may call from where"},
    {.path = "store",
     .type = CONFIG_SHAPE,
     .standard = "sqlite:/var/lib/gpucoord/queue.db",
     .text = config_read_store,
     .help = "where the queue is kept: sqlite: and an absolute path, or the "
             "postgresql: URL of a database (docs/store.md); a user's "
             "coordinator has $XDG_STATE_HOME/gpucoord/queue.db"},
    {.path = "redis",
     .type = CONFIG_NODE,
     .offset = ROOT(redis),
     .standard = "null",
     .read = config_read_redis,
     .help = "signals and the visible GPU key in Redis: "
             "redis://127.0.0.1:6379 or unix:///run/redis/redis-server.sock, "
             "or {url: "
             "URL, user: NAME, password_file: PATH, control_channel: "
             "'channel:{service}:control', ack_channel: "
             "'channel:{service}:ack'}"},
    {.path = "cluster",
     .type = CONFIG_GROUP,
     .help = "several coordinators of the GPUs of this host, of which one "
             "leads; needs a store in PostgreSQL"},
    {.path = "cluster.name",
     .type = CONFIG_SHAPE,
     .standard = "null",
     .text = config_read_member,
     .help = "name of this member, other than those of the others: 1 to 64 of "
             "A-Z a-z 0-9 . _ -; null: no cluster"},
    {.path = "cluster.advertise",
     .type = CONFIG_SHAPE,
     .standard = "null",
     .text = config_read_advertise,
     .help = "where the other members reach this one: unix:///path or "
             "http://127.0.0.1:port; null: its Unix socket"},
    {.path = "gpus",
     .type = CONFIG_SHAPE,
     .standard = "auto",
     .text = config_read_gpus,
     .node = config_read_gpus_node,
     .help = "auto (NVIDIA's where there are any, else AMD's), nvml, amdgpu, "
             "{simulated: [24576, 8192], dir: PATH} for cards that are files, "
             "or {declared: [24576]} for cards nobody can measure; sizes in "
             "MiB. {amdgpu: {sysfs: PATH, proc: PATH}} and {nvml: {proc: "
             "PATH}} where /sys and /proc are elsewhere"},
    {.path = "verify",
     .type = CONFIG_WORD,
     .offset = ROOT(vram.is_measured),
     .words = "off|measured",
     .standard = "measured",
     .help = "measured: a grant waits until the VRAM it needs was measured "
             "free; off: the word of the last holder is enough"},
    {.path = "settle_ms",
     .type = CONFIG_TIME,
     .offset = ROOT(vram.settle_ms),
     .max = 10 * MINUTE_MS,
     .standard = "5s",
     .help = "how long freed VRAM may take to be measured free"},
    {.path = "residue_mib",
     .type = CONFIG_SIZE,
     .offset = ROOT(vram.residue_mib),
     .max = VRAM_MIB_MAX,
     .standard = "600",
     .help = "what a paused holder may keep of each GPU (its CUDA context)"},
    {.path = "resume_margin",
     .type = CONFIG_NUMBER,
     .offset = ROOT(resume_margin_percent),
     .max = 100,
     .standard = "5",
     .help = "a resume needs what it used before its pause measured free, and "
             "so many percent more, at least 64 MiB; 0: no more"},
    {.path = "reserve_mib",
     .type = CONFIG_SIZE,
     .offset = ROOT(vram.reserve_mib),
     .max = VRAM_MIB_MAX,
     .standard = "256",
     .help = "what is never granted of each GPU"},
    {.path = "devices",
     .type = CONFIG_MAP,
     .help = "what is different for one GPU, by its index or UUID"},
    {.path = "devices.*.verify",
     .type = CONFIG_WORD,
     .offset = DEVICE(vram.is_measured),
     .words = "off|measured",
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "as verify above; null: the same"},
    {.path = "devices.*.settle_ms",
     .type = CONFIG_TIME,
     .offset = DEVICE(vram.settle_ms),
     .max = 10 * MINUTE_MS,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "as settle_ms above; null: the same"},
    {.path = "devices.*.residue_mib",
     .type = CONFIG_SIZE,
     .offset = DEVICE(vram.residue_mib),
     .max = VRAM_MIB_MAX,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "as residue_mib above; null: the same"},
    {.path = "devices.*.reserve_mib",
     .type = CONFIG_SIZE,
     .offset = DEVICE(vram.reserve_mib),
     .max = VRAM_MIB_MAX,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "as reserve_mib above; null: the same"},
    {.path = "mode",
     .type = CONFIG_FLAG,
     .offset = ROOT(is_observing),
     .words = "enforce|observe",
     .standard = "enforce",
     .help = "observe: grant everything at once, pause nobody, and report what "
             "would have been prevented"},
    {.path = "host_ram_reserve",
     .type = CONFIG_SIZE,
     .offset = ROOT(host_ram_reserve_mib),
     .max = VRAM_MIB_MAX,
     .standard = "2GiB",
     .help = "host memory that checkpoints leave free"},
    {.path = "notify",
     .type = CONFIG_NODE,
     .offset = ROOT(notify),
     .standard = "null",
     .read = config_read_argv,
     .help =
         "command that is told of revocations, of restarts, and of processes "
         "on a GPU that belong to no service, as [/usr/local/bin/tell]; no "
         "shell reads it; its last argument is "
         "a sentence; at most once an hour for each cause"},
    {.path = "defaults",
     .type = CONFIG_GROUP,
     .help = "for requests that say nothing else"},
    {.path = "defaults.ttl",
     .type = CONFIG_TIME,
     .offset = ROOT(ttl_ms),
     .min = SECOND_MS,
     .max = 10 * MINUTE_MS,
     .standard = "30s",
     .help = "a lease ends unless it is renewed within this time"},
    {.path = "defaults.timeout",
     .type = CONFIG_TIME,
     .offset = ROOT(timeout_ms),
     .max = 24 * HOUR_MS,
     .standard = "30s",
     .help = "longest wait; 0: now or not at all"},
    {.path = "defaults.pause_grace",
     .type = CONFIG_TIME,
     .offset = ROOT(pause_grace_ms),
     .min = 1,
     .max = 10 * MINUTE_MS,
     .standard = "10s",
     .help = "how long a holder that was asked to pause may take"},
    {.path = "defaults.rung_grace",
     .type = CONFIG_TIME,
     .offset = ROOT(rung_grace_ms),
     .min = 1,
     .max = 10 * MINUTE_MS,
     .standard = "10s",
     .help = "how long a rung of a ladder may take that names no deadline"},
    {.path = "defaults.away",
     .type = CONFIG_TIME,
     .offset = ROOT(away_ms),
     .max = 24 * HOUR_MS,
     .standard = "60s",
     .help = "how long a job whose connection went keeps its place"},
    {.path = "defaults.stream_grace",
     .type = CONFIG_TIME,
     .offset = ROOT(stream_grace_ms),
     .max = 10 * MINUTE_MS,
     .standard = "2s",
     .help = "what is left to the leases of a service whose last control "
             "stream closed"},
    {.path = "defaults.max_hold",
     .type = CONFIG_TIME,
     .offset = ROOT(max_hold_ms),
     .min = SECOND_MS,
     .max = 7 * 24 * HOUR_MS,
     .standard = "null",
     .help = "longest hold, whatever is renewed; null: no limit"},
    {.path = "limits", .type = CONFIG_GROUP, .help = "longest queues"},
    {.path = "limits.waiters",
     .type = CONFIG_NUMBER,
     .offset = ROOT(waiters_max),
     .min = 1,
     .max = 1000000,
     .standard = "10000",
     .help = "waiters in all"},
    {.path = "limits.per_service",
     .type = CONFIG_NUMBER,
     .offset = ROOT(service_waiters_max),
     .min = 1,
     .max = 1000000,
     .standard = "1000",
     .help = "waiters of one service"},
    {.path = "shutdown",
     .type = CONFIG_TIME,
     .offset = ROOT(shutdown_ms),
     .max = 10 * MINUTE_MS,
     .standard = "10s",
     .help = "budget of a drain that stops; holders have 30 % of it"},
    {.path = "classes",
     .type = CONFIG_MAP,
     .help = "kinds of jobs, added to chatbot, voice, transcription and "
             "summarization, which are always there"},
    {.path = "classes.*.priority",
     .type = CONFIG_NUMBER,
     .offset = CLASS(core.priority),
     .max = CORE_PRIORITIES - 1,
     .standard = "2",
     .help = "0 goes first"},
    {.path = "classes.*.weight",
     .type = CONFIG_NUMBER,
     .offset = CLASS(core.weight),
     .min = 1,
     .max = 10000,
     .standard = "50",
     .help = "share of the grants among the classes of this priority"},
    {.path = "classes.*.max_consecutive",
     .type = CONFIG_NUMBER,
     .offset = CLASS(core.max_consecutive),
     .max = 1000000,
     .standard = "0",
     .help = "grants in a row while another class of this priority waits; 0: "
             "no limit"},
    {.path = "classes.*.when_alone",
     .type = CONFIG_FLAG,
     .offset = CLASS(core.waits_when_alone),
     .words = "run|wait",
     .standard = "run",
     .help = "wait: the limit holds also where nobody else waits"},
    {.path = "classes.*.preemptible",
     .type = CONFIG_WORD,
     .offset = CLASS(preemptible),
     .words = "false|true",
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "may its holders be asked to pause; null: all but priority 0"},
    {.path = "classes.*.linger",
     .type = CONFIG_TIME,
     .offset = CLASS(core.linger_ms),
     .max = 10 * MINUTE_MS,
     .standard = "0",
     .help = "after a release the seat is kept so long for the next request"},
    {.path = "classes.*.min_run",
     .type = CONFIG_TIME,
     .offset = CLASS(core.min_run_ms),
     .max = 10 * MINUTE_MS,
     .standard = "0",
     .help = "so long after a grant only priority 0 preempts"},
    {.path = "classes.*.max_wait",
     .type = CONFIG_TIME,
     .offset = CLASS(core.max_wait_ms),
     .max = 24 * HOUR_MS,
     .standard = "0",
     .help = "who waits longer goes before all others, and is then preempted "
             "by nobody for min_run, at least 2 s; 0: never"},
    {.path = "classes.*.vram_mib",
     .type = CONFIG_SIZE,
     .offset = CLASS(vram_mib),
     .max = VRAM_MIB_MAX,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "VRAM of a request that names none; 0 and null: the whole GPU"},
    {.path = "classes.*.pause_grace",
     .type = CONFIG_TIME,
     .offset = CLASS(pause_grace_ms),
     .min = 1,
     .max = 10 * MINUTE_MS,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "as defaults.pause_grace; null: the same"},
    {.path = "services",
     .type = CONFIG_MAP,
     .help = "what is known of a service, by its service_id"},
    {.path = "services.*.class",
     .type = CONFIG_NAME,
     .offset = SERVICE(class_name),
     .standard = "null",
     .help = "class of its requests that name neither class nor priority"},
    {.path = "services.*.vram_mib",
     .type = CONFIG_SIZE,
     .offset = SERVICE(vram_mib),
     .max = VRAM_MIB_MAX,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "VRAM of its requests that name none; 0: the whole GPU; null: as "
             "its class"},
    {.path = "services.*.pause_grace",
     .type = CONFIG_TIME,
     .offset = SERVICE(pause_grace_ms),
     .min = 1,
     .max = 10 * MINUTE_MS,
     .absent = CONFIG_UNSET,
     .standard = "null",
     .help = "as its class's; null: the same"},
    {.path = "services.*.ladder",
     .type = CONFIG_NODE,
     .offset = SERVICE(ladder),
     .standard = "[ask]",
     .read = config_read_ladder,
     .help = "what is done, in this order, to have the GPU back: ask, unload, "
             "freeze, checkpoint, term, kill, restart; each at most once; "
             "{term: 20s} has a deadline of its own"},
    {.path = "services.*.restart",
     .type = CONFIG_NODE,
     .offset = SERVICE(restart),
     .standard = "null",
     .read = config_read_argv,
     .help = "command that restarts it, as [systemctl, restart, whisper]; no "
             "shell reads it; the rung restart runs it"},
    {.path = "services.*.signals",
     .type = CONFIG_NODE,
     .offset = SERVICE(signals),
     .standard = "null",
     .read = config_read_signals,
     .help = "signals that pause and resume its watched process, as {pause: "
             "USR1, resume: USR2}; it answers by gpucoord ack"},
    {.path = "services.*.engine",
     .type = CONFIG_LATER,
     .standard = "null",
     .help = "inference server whose routes load and unload its model"},
    {.path = "services.*.processes",
     .type = CONFIG_PROCESSES,
     .standard = "null",
     .help = "which processes are its own, beside those that hold its leases: "
             "{unit: ollama}, {container: whisper}, {cgroup: /gpu.slice} or "
             "{exe: /usr/bin/python3}; * and ? as for files, several keys and "
             "lists of names as well; a container by its name or id, a program "
             "by its path, or by its name alone"},
    {.path = "services.*.channels",
     .type = CONFIG_NODE,
     .offset = SERVICE(channels),
     .standard = "null",
     .read = config_read_channels,
     .help = "its Redis channels, where they are named otherwise than redis "
             "says: {control: NAME, ack: NAME}, one of them or both"},
};

const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];

const char *config_key_name(const struct config_key *key, const char *level)
{
    size_t size = strlen(level);
    const char *name = key->path;

    if (size != 0) {
        if (strncmp(name, level, size) != 0 || name[size] != '.') {
            return NULL;
        }
        name += size + 1;
    }
    return strchr(name, '.') == NULL ? name : NULL;
}

const struct config_key *config_key_find(const char *level, const char *name)
{
    size_t i;

    for (i = 0; i < config_key_count; i++) {
        const char *own = config_key_name(&config_keys[i], level);

        if (own != NULL && strcmp(own, name) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

size_t config_distance(const char *a, const char *b)
{
    enum {
        LETTERS_MAX = 64
    };
    size_t row[LETTERS_MAX + 1];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    size_t i;
    size_t j;

    if (a_size > LETTERS_MAX || b_size > LETTERS_MAX) {
        return SIZE_MAX;
    }
    for (j = 0; j <= b_size; j++) {
        row[j] = j;
    }
    for (i = 1; i <= a_size; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (j = 1; j <= b_size; j++) {
            size_t swap = corner + (a[i - 1] == b[j - 1] ? 0 : 1);

            corner = row[j];
            row[j] = least(row[j] + 1, row[j - 1] + 1, swap);
        }
    }
    return row[b_size];
}
