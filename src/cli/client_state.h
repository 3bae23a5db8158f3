/* client_state.h - the inside of a client: for client*.c. */
#ifndef GPUCOORD_CLI_CLIENT_STATE_H
#define GPUCOORD_CLI_CLIENT_STATE_H

#include "base/buf.h"
#include "cli/endpoint.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLIENT_BODY_MAX = 64 << 20 /* More than any status can be. */
};

struct client_answer;

struct client {
    struct endpoints endpoints;
    size_t endpoint; /* That of the newest call. */
    size_t tried;    /* Endpoints in vain since the last pause of this call. */
    CURLM *multi;
    CURL *easy;  /* NULL = no try is under way. */
    CURL *probe; /* Asks whether the coordinator lives; NULL = it does not. */
    struct curl_slist *headers;
    char *path; /* Of the call in progress. */
    char *request;
    uint64_t limit_at_ms;   /* Monotonic, as all instants here. */
    uint64_t persist_at_ms; /* Nothing is tried again later than this. */
    uint64_t again_at_ms;   /* When to try again, while .easy is NULL. */
    uint64_t probe_at_ms;   /* When to ask next; UINT64_MAX = never. */
    struct buf body;
    bool is_busy;
    bool was_sent;   /* A coordinator took a connection of the call, */
    bool is_sent;    /*   or that of its newest try. */
    bool was_denied; /* One said that it did not carry it out. */
    char trouble[CURL_ERROR_SIZE]; /* Why the newest call did not arrive. */
};

/* ---- client_again.c: other coordinators, other times -------------------- */

/* Return how long the next try may take, at most @left_ms: a coordinator that
 * was stopped takes connections and never answers. */
uint64_t client_try_ms(const struct client *client, uint64_t left_ms);

/* Judge how the newest try of the call has ended, as @answer says: true where
 * it is worth another, of which .endpoint and .again_at_ms then tell. */
bool client_goes_on(struct client *client, const struct client_answer *answer);

/* A try that may take @left_ms begins: ask from time to time whether the
 * coordinator lives, where the try is long and there are others. */
void client_probe_begin(struct client *client, uint64_t left_ms);

/* Ask, if it is time. */
void client_probe(struct client *client);

/* Take the result of the probe: false where it says that nobody lives there. */
bool client_probe_end(struct client *client, CURLcode result);

/* End the probe, if there is one, without looking at what it says. */
void client_probe_drop(struct client *client);

#endif
