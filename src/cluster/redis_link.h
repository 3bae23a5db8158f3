/* redis_link.h - one connection to Redis, kept up for as long as it is open.
 *
 * Asynchronous on the loop, through hiredis, which only this file's source
 * knows.  A connection that is refused, lost, or answers nothing for two
 * seconds is made again, after 100 ms at first and 5 s at most, with jitter.
 * Nothing is kept for a Redis that is away: a command needs a connection that
 * is up, and each gets exactly one answer, where the connection goes a lost
 * one.
 */
#ifndef GPUCOORD_CLUSTER_REDIS_LINK_H
#define GPUCOORD_CLUSTER_REDIS_LINK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base; /* libevent's. */
struct redis_link; /* Opaque; redis_link.c. */

enum {
    REDIS_WORDS_MAX = 160,  /* Of a command. */
    REDIS_FLIGHT_MAX = 4096 /* Commands without an answer. */
};

/* Where Redis is and who we are there; all texts are borrowed. */
struct redis_place {
    const char *host;          /* An IP literal; NULL = .path. */
    const char *path;          /* Of a Unix socket. */
    const char *user;          /* Of its ACL; NULL = the default user. */
    const char *password_file; /* Read at each connection; NULL = none. */
    uint16_t port;
};

enum redis_kind {
    REDIS_LOST,  /* The connection went before the answer came. */
    REDIS_ERROR, /* .text says which. */
    REDIS_NIL,
    REDIS_NUMBER, /* .number */
    REDIS_TEXT,   /* .text */
    REDIS_LIST    /* .count; redis_value_at() */
};

/* An answer, or a part of one; borrowed for the call that brings it. */
struct redis_value {
    enum redis_kind kind;
    int64_t number;
    const char *text; /* Followed by a NUL; may hold others. */
    size_t size;
    size_t count;
    const void *items;
};

/* A command as its words, all borrowed until it is sent. */
struct redis_command {
    const char *words[REDIS_WORDS_MAX];
    size_t sizes[REDIS_WORDS_MAX];
    int count;
};

/* What a link tells its owner; never from inside a call to it. */
struct redis_link_hooks {
    void (*on_up)(void *arg);   /* Connected, and let in. */
    void (*on_down)(void *arg); /* It was up and is not. */
    /* Something came for a subscription; the texts are borrowed. */
    void (*on_message)(void *arg,
                       const char *channel,
                       const struct redis_value *data);
};

typedef void (*redis_answer)(void *arg, const struct redis_value *value);

/* Open a link to @place; it connects in the loop.  @place, @hooks and @arg are
 * borrowed until redis_link_close().
 *
 * Errors:
 *   E_NOMEM        no memory.
 *   E_UNSUPPORTED  this program was built without Redis.
 */
MUST_USE int redis_link_open(struct event_base *base,
                             const struct redis_place *place,
                             const struct redis_link_hooks *hooks,
                             void *arg,
                             struct redis_link **out);

/* Close it; what is not answered is lost.  NULL is allowed. */
void redis_link_close(struct redis_link *link);

/* Say whether commands can be sent. */
bool redis_link_is_up(const struct redis_link *link);

/* Return why it is not up, for people; "" while it is.  Borrowed until the
 * next turn. */
const char *redis_link_why(const struct redis_link *link);

/* Return how often it has come up. */
uint64_t redis_link_count(const struct redis_link *link);

/* Begin @command with the word @name. */
void redis_command_init(struct redis_command *command, const char *name);

/* Append a word to @command, which has room for it. */
void redis_command_add(struct redis_command *command, const char *word);

/* Send @command; @answer, NULL = nobody cares, is called once, later.
 *
 * Errors:
 *   E_UNREACHABLE  the link is not up.
 *   E_LIMIT        too much is without an answer.
 *   E_NOMEM        no memory.
 */
MUST_USE int redis_link_send(struct redis_link *link,
                             const struct redis_command *command,
                             redis_answer answer,
                             void *arg);

/* Have on_message called for what is published to channels like @pattern.  A
 * link that is up listens until it is down, and takes no commands any more.
 *
 * Errors:
 *   E_UNREACHABLE  the link is not up, or has gone.
 */
MUST_USE int redis_link_listen(struct redis_link *link, const char *pattern);

/* Fill @out with item @index of @list, which has so many. */
void redis_value_at(const struct redis_value *list,
                    size_t index,
                    struct redis_value *out);

#endif
