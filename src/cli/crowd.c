#include "cli/crowd.h"

#include "base/list.h"
#include "cli/endpoint.h"
#include "cli/say.h"

#include <assert.h>
#include <curl/curl.h>
#include <limits.h>

enum {
    CONNECT_MS = 5000,
    STREAM_OPEN_MS = 5000,
    BODY_MAX = 1 << 20,
    CONNECTIONS_MAX = 1024 /* Kept open for later calls. */
};

/* A call or a stream. */
struct member {
    struct list link; /* In .calls or .streams. */
    struct crowd *crowd;
    CURL *easy;
    struct buf body; /* What came and was not handed over. */
    uint64_t tag;
    bool is_stream;
};

struct crowd {
    struct crowd_handler handler;
    struct endpoints endpoints;
    const struct endpoint *endpoint; /* In use. */
    struct curl_slist *headers;
    CURLM *multi;
    struct list calls;
    struct list streams;
    size_t call_count;
};

/* ---- Members ---------------------------------------------------------- */

static size_t take_bytes(char *data, size_t one, size_t size, void *arg)
{
    struct member *member = arg;

    buf_add(&member->body, data, one * size);
    return buf_error(&member->body) == E_OK ? one * size : 0;
}

static void member_destroy(struct member *member)
{
    if (list_is_linked(&member->link)) {
        list_remove(&member->link);
    }
    if (!member->is_stream) {
        member->crowd->call_count--;
    }
    (void)curl_multi_remove_handle(member->crowd->multi, member->easy);
    curl_easy_cleanup(member->easy);
    buf_release(&member->body);
    free(member);
}

#define SET(ok, easy, option, value) \
    ((ok) = (ok) && curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

/* Say where a transfer goes. */
static bool set_target(const struct crowd *crowd, CURL *easy, const char *path)
{
    char url[2 * ENDPOINT_TEXT_MAX];
    bool ok = true;

    (void)snprintf(url, sizeof url, "%s%s", crowd->endpoint->base, path);
    SET(ok, easy, CURLOPT_URL, url);
    if (crowd->endpoint->socket[0] != '\0') {
        SET(ok, easy, CURLOPT_UNIX_SOCKET_PATH, crowd->endpoint->socket);
    }
    SET(ok, easy, CURLOPT_HTTPHEADER, crowd->headers);
    SET(ok, easy, CURLOPT_NOSIGNAL, 1L);
    SET(ok, easy, CURLOPT_PROXY, "");
    SET(ok, easy, CURLOPT_TCP_NODELAY, 1L);
    SET(ok, easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    return ok;
}

/* Start a transfer; @body NULL makes it a GET. */
static int start(struct crowd *crowd,
                 const char *path,
                 const char *body,
                 struct member **out)
{
    struct member *member = calloc(1, sizeof *member);
    bool ok;

    if (member == NULL) {
        return E_NOMEM;
    }
    member->crowd = crowd;
    member->is_stream = body == NULL;
    crowd->call_count += body != NULL;
    buf_init(&member->body, BODY_MAX);
    member->easy = curl_easy_init();
    ok = member->easy != NULL && set_target(crowd, member->easy, path);
    if (ok && body != NULL) {
        SET(ok, member->easy, CURLOPT_COPYPOSTFIELDS, body);
    }
    SET(ok, member->easy, CURLOPT_WRITEFUNCTION, take_bytes);
    SET(ok, member->easy, CURLOPT_WRITEDATA, member);
    SET(ok, member->easy, CURLOPT_PRIVATE, member);
    if (!ok || curl_multi_add_handle(crowd->multi, member->easy) != CURLM_OK) {
        member_destroy(member);
        return E_NOMEM;
    }
    list_append(member->is_stream ? &crowd->streams : &crowd->calls,
                &member->link);
    *out = member;
    return E_OK;
}

static unsigned status_of(const struct member *member)
{
    long status = 0;

    (void)curl_easy_getinfo(member->easy, CURLINFO_RESPONSE_CODE, &status);
    return status < 0 ? 0 : (unsigned)status;
}

/* ---- Handing over ----------------------------------------------------- */

static int hand_over_answer(struct member *member)
{
    const struct crowd_handler *handler = &member->crowd->handler;
    unsigned status = status_of(member);
    uint64_t tag = member->tag;
    struct api_answer answer;

    /* What is not JSON leaves the answer empty: the status says enough. */
    if (api_parse_answer(buf_string(&member->body), member->body.size,
                         &answer) != E_OK) {
        answer = (struct api_answer){0};
    }
    member_destroy(member);
    return handler->answered(handler->arg, tag, status, &answer);
}

/* Copy the value of the first line in @event that begins with @key. */
static void field_of(const char *event, const char *key, char *out, size_t size)
{
    const char *line = event;

    out[0] = '\0';
    while (line != NULL && strncmp(line, key, strlen(key)) != 0) {
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (line != NULL) {
        line += strlen(key);
        line += *line == ' ';
        (void)snprintf(out, size, "%.*s", (int)strcspn(line, "\r\n"), line);
    }
}

/* Hand over the whole events of a stream, each ended by an empty line. */
static int hand_over_events(struct member *member)
{
    const struct crowd_handler *handler = &member->crowd->handler;
    const char *end;
    int rc = E_OK;

    while (rc == E_OK &&
           (end = strstr(buf_string(&member->body), "\n\n")) != NULL) {
        static char data[BODY_MAX];
        char name[32];
        struct api_answer answer;

        member->body.data[end - member->body.data] = '\0';
        field_of(member->body.data, "event:", name, sizeof name);
        field_of(member->body.data, "data:", data, sizeof data);
        buf_drop(&member->body, (size_t)(end - member->body.data) + 2);
        if (name[0] != '\0' &&
            api_parse_answer(data, strlen(data), &answer) == E_OK) {
            rc = handler->event(handler->arg, name, &answer);
        }
    }
    return rc;
}

/* Hand over the calls that are over, then what the streams brought: a grant
 * was answered before its pause was sent. */
static int hand_over(struct crowd *crowd)
{
    CURLMsg *message;
    struct list *link;
    int left;
    int rc = E_OK;

    while (rc == E_OK &&
           (message = curl_multi_info_read(crowd->multi, &left)) != NULL) {
        struct member *member = NULL;

        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
                                (char **)&member);
        assert(member != NULL && message->msg == CURLMSG_DONE);
        if (member->is_stream) {
            say("the coordinator closed a control stream");
            return E_UNREACHABLE;
        }
        rc = hand_over_answer(member);
    }
    for (link = crowd->streams.next; rc == E_OK && link != &crowd->streams;
         link = link->next) {
        rc = hand_over_events(CONTAINER_OF(link, struct member, link));
    }
    return rc;
}

int crowd_turn(struct crowd *crowd, uint64_t wait_ms)
{
    int running;

    if (curl_multi_poll(crowd->multi, NULL, 0,
                        wait_ms > INT_MAX ? INT_MAX : (int)wait_ms,
                        NULL) != CURLM_OK ||
        curl_multi_perform(crowd->multi, &running) != CURLM_OK) {
        return E_NOMEM;
    }
    return hand_over(crowd);
}

/* ---- The crowd -------------------------------------------------------- */

/* Say whether a coordinator answers at the endpoint in use. */
static bool is_there(struct crowd *crowd)
{
    CURL *easy = curl_easy_init();
    bool ok = easy != NULL && set_target(crowd, easy, "/healthz");

    SET(ok, easy, CURLOPT_NOBODY, 1L);
    SET(ok, easy, CURLOPT_TIMEOUT_MS, (long)CONNECT_MS);
    ok = ok && curl_easy_perform(easy) == CURLE_OK;
    curl_easy_cleanup(easy);
    return ok;
}

static int find_endpoint(struct crowd *crowd)
{
    int rc = endpoints_find(&crowd->endpoints);

    if (rc != E_OK) {
        return rc;
    }
    for (size_t i = 0; i < crowd->endpoints.count; i++) {
        crowd->endpoint = &crowd->endpoints.items[i];
        if (is_there(crowd)) {
            return E_OK;
        }
        say("no coordinator at %s", crowd->endpoint->text);
    }
    say("start one with 'gpucoord serve', or set GPUCOORD_URL");
    return E_UNREACHABLE;
}

int crowd_open(const struct crowd_handler *handler, struct crowd **out)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    int rc = E_NOMEM;

    if (crowd == NULL) {
        return E_NOMEM;
    }
    crowd->handler = *handler;
    list_init(&crowd->calls);
    list_init(&crowd->streams);
    crowd->multi = curl_multi_init();
    crowd->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (crowd->multi != NULL && crowd->headers != NULL &&
        curl_multi_setopt(crowd->multi, CURLMOPT_MAXCONNECTS,
                          (long)CONNECTIONS_MAX) == CURLM_OK) {
        rc = find_endpoint(crowd);
    }
    if (rc != E_OK) {
        crowd_close(crowd);
        return rc;
    }
    *out = crowd;
    return E_OK;
}

void crowd_drop(struct crowd *crowd)
{
    while (!list_is_empty(&crowd->calls)) {
        member_destroy(CONTAINER_OF(crowd->calls.next, struct member, link));
    }
}

void crowd_close(struct crowd *crowd)
{
    if (crowd == NULL) {
        return;
    }
    crowd_drop(crowd);
    while (!list_is_empty(&crowd->streams)) {
        member_destroy(CONTAINER_OF(crowd->streams.next, struct member, link));
    }
    if (crowd->multi != NULL) {
        (void)curl_multi_cleanup(crowd->multi);
    }
    curl_slist_free_all(crowd->headers);
    free(crowd);
}

int crowd_post(struct crowd *crowd,
               const char *path,
               const char *body,
               uint64_t tag)
{
    struct member *member;
    int rc = start(crowd, path, body, &member);

    if (rc == E_OK) {
        member->tag = tag;
    }
    return rc;
}

int crowd_listen(struct crowd *crowd, const char *service)
{
    char path[sizeof "/gpu/control/" + API_NAME_MAX];
    struct member *member;
    int waited_ms = 0;
    int rc;

    (void)snprintf(path, sizeof path, "/gpu/control/%s", service);
    rc = start(crowd, path, NULL, &member);
    while (rc == E_OK && status_of(member) == 0 && waited_ms < STREAM_OPEN_MS) {
        rc = crowd_turn(crowd, 10);
        waited_ms += 10;
    }
    if (rc == E_OK && status_of(member) != 200) {
        say("cannot open the control stream of %s: status %u", service,
            status_of(member));
        rc = E_UNREACHABLE;
    }
    return rc;
}

size_t crowd_count(const struct crowd *crowd)
{
    return crowd->call_count;
}
