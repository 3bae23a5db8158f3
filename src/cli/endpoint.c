#include "cli/endpoint.h"

#include "base/buf.h"
#include "base/paths.h"
#include "cli/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIX_PREFIX "unix://"
#define HTTP_PREFIX "http://"

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int parse_one(const char *url, size_t size, struct endpoint *out)
{
    const char *rest;

    if (size > ENDPOINT_TEXT_MAX) {
        say("GPUCOORD_URL: a URL is longer than %d bytes", ENDPOINT_TEXT_MAX);
        return E_INVALID;
    }
    *out = (struct endpoint){.text = ""};
    memcpy(out->text, url, size);
    if (has_prefix(out->text, UNIX_PREFIX)) {
        rest = out->text + strlen(UNIX_PREFIX);
        if (rest[0] != '/' || strlen(rest) > ENDPOINT_SOCKET_MAX) {
            say("GPUCOORD_URL: '%s' is not the absolute path of a socket, at "
                "most %d bytes",
                out->text, ENDPOINT_SOCKET_MAX);
            return E_INVALID;
        }
        memcpy(out->socket, rest, strlen(rest) + 1);
        (void)snprintf(out->base, sizeof out->base, "http://localhost");
        return E_OK;
    }
    rest = out->text + strlen(HTTP_PREFIX);
    if (!has_prefix(out->text, HTTP_PREFIX) || rest[0] == '\0') {
        say("GPUCOORD_URL: '%s' is neither 'unix:///PATH' nor "
            "'http://HOST:PORT' nor 'off'",
            out->text);
        return E_INVALID;
    }
    memcpy(out->base, out->text, size + 1);
    while (out->base[size - 1] == '/') {
        out->base[--size] = '\0';
    }
    return E_OK;
}

int endpoints_parse(const char *urls, struct endpoints *out)
{
    const char *url = urls;

    out->count = 0;
    out->is_cluster = false;
    if (strcmp(urls, "off") == 0) {
        return E_OK;
    }
    for (;;) {
        size_t size = strcspn(url, ",");
        int rc;

        if (out->count == ENDPOINTS_MAX) {
            say("GPUCOORD_URL: more than %d URLs", ENDPOINTS_MAX);
            return E_INVALID;
        }
        rc = parse_one(url, size, &out->items[out->count]);
        if (rc != E_OK) {
            return rc;
        }
        out->count++;
        if (url[size] == '\0') {
            return E_OK;
        }
        url += size + 1;
    }
}

/* Append the socket of this user's own coordinator, if there can be one.
 *
 * Not paths_socket() alone: a service's RUNTIME_DIRECTORY is its own, not
 * that of the coordinator it calls. */
static int add_user_socket(struct buf *out)
{
    const char *run_dir = getenv("XDG_RUNTIME_DIR");
    size_t before = out->size;
    int rc = E_OK;

    if (run_dir != NULL && run_dir[0] == '/') {
        buf_printf(out, "%s/gpucoord/gpucoord.sock", run_dir);
    } else {
        rc = paths_socket(out);
    }
    if (rc == E_OK &&
        strcmp(buf_string(out) + before, PATHS_SYSTEM_SOCKET) == 0) {
        rc = E_NOT_FOUND; /* This user's is the system's. */
    }
    return rc;
}

int endpoints_find(struct endpoints *out)
{
    const char *urls = getenv("GPUCOORD_URL");
    struct buf places;
    int rc;

    if (urls != NULL && urls[0] != '\0') {
        rc = endpoints_parse(urls, out);
        out->is_cluster = rc == E_OK && out->count > 1;
        return rc;
    }
    buf_init(&places, 0);
    buf_text(&places, UNIX_PREFIX);
    if (add_user_socket(&places) == E_OK) {
        buf_text(&places, "," UNIX_PREFIX);
    } else {
        buf_clear(&places);
        buf_text(&places, UNIX_PREFIX);
    }
    buf_text(&places, PATHS_SYSTEM_SOCKET);
    rc = buf_error(&places);
    if (rc == E_OK) {
        rc = endpoints_parse(buf_string(&places), out);
    }
    buf_release(&places);
    return rc;
}

bool endpoints_are_off(void)
{
    const char *urls = getenv("GPUCOORD_URL");

    return urls != NULL && strcmp(urls, "off") == 0;
}

bool endpoints_are_several(void)
{
    const char *urls = getenv("GPUCOORD_URL");

    return urls != NULL && strchr(urls, ',') != NULL;
}
