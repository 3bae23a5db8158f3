/* redis_parts.h - what the files of the coordinator in Redis share.
 *
 * redis.c         the two connections, time, status and metrics
 * redis_channel.c the names of channels
 * redis_tell.c    commands out, again until they are answered
 * redis_attend.c  which services listen
 * redis_take.c    answers in: they become calls
 * redis_keys.c    the visible key of each device
 * redis_script.c  the script that looks at keys and acts in one step
 */
#ifndef GPUCOORD_DAEMON_REDIS_PARTS_H
#define GPUCOORD_DAEMON_REDIS_PARTS_H

#include "base/idmap.h"
#include "base/list.h"
#include "cluster/redis_link.h"
#include "daemon/redis.h"

struct event; /* libevent's. */
struct pubsub_command;
struct redis_ask; /* Below. */

enum {
    REDIS_TICK_MS = 200,
    REDIS_AGAIN_MS = 1000, /* Between two times that something is said. */
    REDIS_SAYINGS_MAX = 20000,
    REDIS_CALLS_MAX = 1024,
    REDIS_ENDED = 1024 /* Tokens of ended leases that are remembered. */
};

/* The name of a channel without its service: what is before and behind. */
struct redis_channel {
    const char *before; /* Borrowed from the configuration. */
    size_t before_size;
    const char *behind;
};

/* The token of a lease that has ended, so that who releases it twice is
 * understood. */
struct redis_ended {
    uint64_t token;
    uint64_t lease;
};

/* What Redis may not let us do. */
enum redis_need {
    REDIS_NEED_KEYS = (1 << 0),
    REDIS_NEED_PUBLISH = (1 << 1),
    REDIS_NEED_CHANNELS = (1 << 2)
};

struct redis_stats {
    uint64_t published;
    uint64_t repeated;
    uint64_t answers;
    uint64_t refused;
    uint64_t dropped; /* Answers that nobody could read or keep. */
    uint64_t taken;   /* Grants that found a key taken. */
};

struct redis {
    struct daemon *daemon;
    struct redis_place place;
    struct redis_link *commands;
    struct redis_link *listener; /* A subscriber can do nothing else. */
    struct event *timer;
    struct redis_channel control;
    struct redis_channel ack;
    struct list sayings;  /* redis_tell.c */
    struct idmap by_what; /* The same, by lease or service. */
    struct list attended; /* redis_attend.c */
    struct idmap by_service;
    struct list keys; /* redis_keys.c */
    struct idmap by_lease;
    uint64_t foreign; /* Devices whose key is somebody else's. */
    uint64_t watch_at_ms;
    uint64_t keep_at_ms;
    char name[65];      /* Of this coordinator. */
    bool is_slow;       /* Grants do not wait for Redis. */
    uint32_t refused;   /* Bits of enum redis_need that the log knows. */
    bool is_closing;    /* Answers that come now are nobody's. */
    struct list takes;  /* redis_take.c */
    struct idmap calls; /* The same, by number. */
    uint64_t call_next;
    struct redis_ended ended[REDIS_ENDED];
    uint32_t ended_next;
    uint64_t look_at_ms; /* When to look next who listens. */
    struct redis_stats stats;
    struct buf text; /* Scratch. */
};

/* Return the instant of the loop's clock. */
uint64_t redis_now_ms(void);

/* Log once that Redis does not let us do what @need is, if that is what @value
 * says. */
void redis_complain(struct redis *redis,
                    enum redis_need need,
                    const struct redis_value *value);

/* ---- redis_channel.c ---------------------------------------------------- */

/* Cut @name, which has CONFIG_SERVICE_MARK in it, where its service stands;
 * borrowed. */
void redis_channel_init(struct redis_channel *channel, const char *name);

/* Append the pattern that @text alone matches. */
void redis_channel_literal(const char *text, struct buf *out);

/* Append the control channel of the service @name: its own, or as all have
 * it. */
void redis_control_name(const struct redis *redis,
                        const char *name,
                        struct buf *out);

/* Write the service whose answers come on @channel to @out, as large as a name
 * and a NUL.  False: none's do. */
bool redis_ack_service(const struct redis *redis,
                       const char *channel,
                       char *out);

/* Listen to all channels on which answers come. */
void redis_ack_listen(struct redis *redis);

/* Append the name of @channel of @service. */
void redis_channel_name(const struct redis_channel *channel,
                        const char *service,
                        struct buf *out);

/* Append the pattern of @channel of all services, as PSUBSCRIBE takes it. */
void redis_channel_pattern(const struct redis_channel *channel,
                           struct buf *out);

/* Write the service that @name, a channel like @channel, is of to @out, as
 * large as a name and a NUL.  False: it is of none. */
bool redis_channel_service(const struct redis_channel *channel,
                           const char *name,
                           char *out);

/* ---- redis_tell.c ------------------------------------------------------- */

/* Publish @command to @service, once. */
void redis_publish(struct redis *redis,
                   uint32_t service,
                   const struct pubsub_command *command);

/* Say what @lease is under now, if it is under a command. */
void redis_say_present(struct redis *redis, uint64_t lease);

/* The same for all leases of @service. */
void redis_say_all(struct redis *redis, uint32_t service);

/* Say again what is not answered. */
void redis_tell_tick(struct redis *redis);

/* Forget all that is to be said. */
void redis_tell_release(struct redis *redis);

/* ---- redis_attend.c ----------------------------------------------------- */

/* Ask Redis who listens. */
void redis_attend_look(struct redis *redis);

/* Redis has gone, and nobody can be told anything. */
void redis_attend_lost(struct redis *redis);

/* Take @service as attended for a while, or for as long as it listens. */
void redis_attend_claim(struct redis *redis, uint32_t service);

/* Let claims pass. */
void redis_attend_tick(struct redis *redis);

/* Free what is there. */
void redis_attend_release(struct redis *redis);

/* ---- redis_keys.c ------------------------------------------------------- */

/* Name this coordinator, and begin with the leases that are held. */
void redis_keys_init(struct redis *redis);

/* The core was built anew: it knows no foreign devices. */
void redis_keys_restore(struct redis *redis);

/* Take keys away whose leases have ended or sleep. */
void redis_keys_tell(struct redis *redis, const struct core_message *message);

/* Extend keys, look at those of others, let nobody wait too long. */
void redis_keys_tick(struct redis *redis);

/* Return how soon the next tick is wanted. */
uint32_t redis_keys_hurry_ms(const struct redis *redis);

/* Redis has gone: what others hold there is not known. */
void redis_keys_lost(struct redis *redis);

/* The script for @ask was answered: of its devices somebody else has @taken.
 * Without @is_known nothing is known about them. */
void redis_keys_answered(struct redis *redis,
                         const struct redis_ask *ask,
                         bool is_known,
                         uint64_t taken);

/* Free what is there; nothing is told any more. */
void redis_keys_release(struct redis *redis);

/* ---- redis_script.c ------------------------------------------------------ */

enum redis_mode {
    REDIS_SHOW, /* Set all keys, or, where one is somebody else's, none. */
    REDIS_KEEP, /* Set those that are not somebody else's, for longer. */
    REDIS_HIDE, /* Delete those of this token. */
    REDIS_LOOK  /* Delete those of ours that are older: left behind. */
};

/* What a script is run for. */
struct redis_ask {
    uint64_t devices;
    uint64_t lease; /* Whose grant waits for the answer; 0 = none does. */
    uint64_t token; /* Of that grant, or as the mode has it. */
};

/* Run the script in @mode for @ask, copied; @view, NULL = none, is what is
 * shown.  redis_keys_answered() follows.  False: it was not sent. */
bool redis_script_run(struct redis *redis,
                      enum redis_mode mode,
                      const struct redis_ask *ask,
                      const struct core_lease_view *view);

/* ---- redis_take.c ------------------------------------------------------- */

/* Something was published on @channel. */
void redis_take(struct redis *redis,
                const char *channel,
                const struct redis_value *data);

/* A lease with @token has ended. */
void redis_take_ended(struct redis *redis, uint64_t token, uint64_t lease);

/* Free the calls that are open. */
void redis_take_release(struct redis *redis);

#endif
