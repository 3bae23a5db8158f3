#include "daemon/follow.h"

#include "base/buf.h"
#include "base/log.h"
#include "cluster/address.h"
#include "cluster/leader.h"
#include "cluster/relay.h"
#include "daemon/cluster.h"
#include "daemon/config.h"
#include "daemon/follow_request.h"
#include "daemon/loop.h"
#include "daemon/serve_listen.h"
#include "http/http.h"
#include "http/problem.h"
#include "store/store.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRY_AFTER_MS = 1000
};

struct follow {
    const struct config *config;
    struct leader *leader;
    struct loop *loop;
    struct http_server *http;
    struct relays *relays;
    struct address to; /* The leader's; .size 0 = there is none. */
    uint64_t epoch;    /* Of that leader. */
    struct buf text;   /* Scratch, for one answer at a time. */
    struct buf refusal;
    char said[LEADER_TEXT_SIZE]; /* What was logged last of the trouble. */
    enum follow_end end;
};

/* ---- Own answers -------------------------------------------------------- */

static void answer(struct follow *follow,
                   uint64_t conn,
                   const char *type,
                   const struct buf *body)
{
    const struct http_response response = {.status = 200,
                                           .content_type = type,
                                           .body = body->data,
                                           .body_size = body->size};

    (void)!http_reply(follow->http, conn, &response);
}

/* Write why nobody answers here to @out. */
static void explain(const struct follow *follow, struct buf *out)
{
    const struct leader_view *view = leader_look(follow->leader);

    if (follow->to.size != 0) {
        buf_printf(out, "this coordinator follows: '%s' leads, at %s",
                   view->name, view->advertise);
    } else if (view->trouble[0] != '\0') {
        buf_printf(out, "nobody is known to lead: %s", view->trouble);
    } else {
        buf_text(out, "nobody leads yet");
    }
}

static void refuse(struct follow *follow, uint64_t conn)
{
    struct http_problem problem = {.code = E_NO_LEADER,
                                   .retry_after_ms = RETRY_AFTER_MS};

    buf_clear(&follow->text);
    explain(follow, &follow->text);
    problem.detail = buf_string(&follow->text);
    (void)!http_reply_problem(follow->http, conn, &problem, 0);
}

static void healthz(struct follow *follow, uint64_t conn)
{
    buf_text(&follow->text, "{\"status\":\"ok\"}");
    answer(follow, conn, "application/json", &follow->text);
}

static void metrics(struct follow *follow, uint64_t conn)
{
    struct buf *out = &follow->text;

    cluster_write_metrics(leader_look(follow->leader), out);
    buf_printf(out,
               "# HELP gpucoord_relays Calls that are relayed now.\n"
               "# TYPE gpucoord_relays gauge\n"
               "gpucoord_relays %zu\n"
               "# HELP gpucoord_relays_total Calls that were relayed to the "
               "leader.\n"
               "# TYPE gpucoord_relays_total counter\n"
               "gpucoord_relays_total %" PRIu64 "\n",
               relays_count(follow->relays), relays_total(follow->relays));
    answer(follow, conn, "text/plain; version=0.0.4", out);
}

static void cluster(struct follow *follow, uint64_t conn)
{
    cluster_write(leader_look(follow->leader), follow->config->cluster_name,
                  &follow->text);
    answer(follow, conn, "application/json", &follow->text);
}

static const struct {
    const char *path;
    void (*handle)(struct follow *follow, uint64_t conn);
} own[] = {
    {"/healthz", healthz},
    {"/readyz", refuse},
    {"/metrics", metrics},
    {"/gpu/cluster", cluster},
};

/* ---- Relaying ----------------------------------------------------------- */

static void relay(struct follow *follow, const struct http_request *request)
{
    struct buf bytes;
    int fd;

    buf_init(&bytes, 0);
    follow_request_write(request, &bytes);
    if (buf_error(&bytes) != E_OK ||
        http_take(follow->http, request->conn, &fd) != E_OK) {
        buf_release(&bytes);
        refuse(follow, request->conn);
        return;
    }
    /* Where it fails the client has been told. */
    (void)!relays_open(follow->relays, &follow->to, fd, &bytes);
}

static void on_request(void *arg, const struct http_request *request)
{
    struct follow *follow = arg;
    bool is_look = strcmp(request->method, "GET") == 0 ||
                   strcmp(request->method, "HEAD") == 0;
    size_t i;

    buf_clear(&follow->text);
    for (i = 0; is_look && i < sizeof own / sizeof own[0]; i++) {
        if (strcmp(request->path, own[i].path) == 0) {
            own[i].handle(follow, request->conn);
            return;
        }
    }
    /* What was relayed to one that does not lead goes no further: two could
     * take each other for the leader. */
    if (follow->to.size == 0 ||
        http_header_find(request, HTTP_PEER_HEADER) != NULL) {
        refuse(follow, request->conn);
    } else {
        relay(follow, request);
    }
}

static const struct http_handler http_handler = {.on_request = on_request};

/* Have clients whose leader is lost told so. */
static void set_refusal(struct follow *follow, int code, const char *detail)
{
    const struct http_problem problem = {
        .code = code, .detail = detail, .retry_after_ms = RETRY_AFTER_MS};
    struct buf *out = &follow->refusal;

    buf_clear(&follow->text);
    http_problem_write(&problem, &follow->text);
    buf_clear(out);
    buf_printf(out,
               "HTTP/1.1 503 Service Unavailable\r\n"
               "Content-Type: " HTTP_PROBLEM_TYPE "\r\n"
               "Content-Length: %zu\r\nRetry-After: %d\r\n"
               "Connection: close\r\n\r\n",
               follow->text.size, RETRY_AFTER_MS / 1000);
    buf_add(out, follow->text.data, follow->text.size);
    relays_refuse_with(follow->relays, out->data,
                       buf_error(out) == E_OK ? out->size : 0);
}

/* ---- Who leads ---------------------------------------------------------- */

/* Log the trouble where it is another than before. */
static void say_trouble(struct follow *follow)
{
    const char *trouble = leader_look(follow->leader)->trouble;

    if (strcmp(follow->said, trouble) == 0) {
        return;
    }
    (void)snprintf(follow->said, sizeof follow->said, "%s", trouble);
    if (trouble[0] != '\0') {
        log_warn("who leads is not known: %s", trouble);
    } else {
        log_info("the database answers again");
    }
}

/* Look who leads now; those whose calls another was to answer are told. */
static void find_leader(struct follow *follow)
{
    const struct leader_view *view = leader_look(follow->leader);
    struct address to = {.size = 0};
    struct buf why;

    buf_init(&why, 0);
    if (view->advertise[0] != '\0' &&
        strcmp(view->advertise, follow->config->cluster_advertise) != 0 &&
        address_parse(view->advertise, &to, &why) != E_OK) {
        log_error("'%s' leads, but cannot be reached: %s", view->name,
                  buf_string(&why));
        to.size = 0;
    }
    buf_release(&why);
    if (to.size == follow->to.size && view->epoch == follow->epoch) {
        return;
    }
    if (to.size != 0) {
        log_info("follows '%s', which leads at %s in epoch %" PRIu64,
                 view->name, view->advertise, view->epoch);
    }
    follow->to = to;
    follow->epoch = view->epoch;
    relays_end(follow->relays);
}

static void on_change(void *arg)
{
    struct follow *follow = arg;

    if (leader_look(follow->leader)->role == LEADER_LEADING) {
        follow->end = FOLLOW_LEADS;
        loop_stop(follow->loop);
        return;
    }
    say_trouble(follow);
    find_leader(follow);
}

static const struct leader_handler leader_handler = {on_change};

/* ---- The loop ----------------------------------------------------------- */

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_signal(void *arg, int number)
{
    struct follow *follow = arg;

    if (number == SIGHUP) {
        log_info("the configuration is read again when this one leads");
        return;
    }
    set_refusal(follow, E_RESTARTING, "this coordinator is leaving");
    follow->end = FOLLOW_LEAVES;
    loop_stop(follow->loop);
}

static const struct loop_handler loop_handler = {on_nothing, on_nothing,
                                                 on_signal};

static int open_all(struct follow *follow)
{
    const struct http_config http = {
        .hosts = (const char *const *)follow->config->hosts,
        .host_count = follow->config->host_count,
        .handler = &http_handler,
        .arg = follow};
    struct event_base *base;
    uint16_t ignored;
    int rc = loop_create(&loop_handler, follow, &follow->loop);

    if (rc != E_OK) {
        return rc;
    }
    base = loop_base(follow->loop);
    rc = relays_create(base, &follow->relays);
    rc = rc != E_OK ? rc : http_server_create(base, &http, &follow->http);
    rc = rc != E_OK ? rc : serve_listen(follow->config, follow->http, &ignored);
    return rc != E_OK
               ? rc
               : leader_attach(follow->leader, base, &leader_handler, follow);
}

int follow_run(const struct config *config,
               struct leader *leader,
               enum follow_end *end)
{
    struct follow follow = {
        .config = config, .leader = leader, .end = FOLLOW_LEAVES};
    int rc;

    buf_init(&follow.text, 0);
    buf_init(&follow.refusal, 0);
    rc = open_all(&follow);
    if (rc == E_OK) {
        set_refusal(&follow, E_NO_LEADER,
                    "the leader was lost before it answered: ask again");
        loop_run(follow.loop);
        *end = follow.end;
    }
    leader_detach(leader);
    if (follow.relays != NULL) {
        relays_end(follow.relays);
    }
    relays_destroy(follow.relays);
    http_server_destroy(follow.http);
    loop_destroy(follow.loop);
    buf_release(&follow.text);
    buf_release(&follow.refusal);
    return rc;
}
