/* client_state.h - the inside of a client: for client.c and client_open.c. */
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

struct client {
    struct endpoints endpoints;
    size_t endpoint; /* That of the newest call. */
    size_t tried;    /* Endpoints that took no connection in this call. */
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    char *path; /* Of the call in progress. */
    char *request;
    uint64_t limit_at_ms; /* Monotonic. */
    struct buf body;
    bool is_busy;
    char trouble[CURL_ERROR_SIZE]; /* Why the newest call did not arrive. */
};

#endif
