#include "daemon/answer.h"

#include "daemon/advice.h"
#include "daemon/daemon.h"
#include "daemon/redis.h"
#include "http/http.h"
#include "http/problem.h"
#include "proto/api.h"

#include <stdio.h>

enum {
    RETRY_AFTER_MS = 1000 /* Where nothing says more about a 503. */
};

int answer_json(struct daemon *daemon,
                uint64_t conn,
                int status,
                const struct buf *body,
                uint64_t tag)
{
    struct http_response response = {.status = status,
                                     .content_type = "application/json",
                                     .body = body->data,
                                     .body_size = body->size,
                                     .tag = tag};

    if (buf_error(body) != E_OK) {
        answer_problem(daemon, conn, E_NOMEM, NULL, NULL);
        return E_NOMEM;
    }
    if (redis_is_call(conn)) {
        redis_answered(daemon, conn);
        return E_OK;
    }
    return http_reply(daemon->http, conn, &response);
}

void answer_text(struct daemon *daemon,
                 uint64_t conn,
                 const char *type,
                 const struct buf *body)
{
    struct http_response response = {.status = 200,
                                     .content_type = type,
                                     .body = body->data,
                                     .body_size = body->size};
    int rc = buf_error(body);

    if (rc != E_OK) {
        answer_problem(daemon, conn, rc, NULL, NULL);
        return;
    }
    (void)!http_reply(daemon->http, conn, &response);
}

void answer_event(struct daemon *daemon, uint64_t conn, const struct buf *text)
{
    if (buf_error(text) != E_OK) {
        http_stream_drop(daemon->http, conn);
    } else if (text->size > 0) {
        (void)!http_stream_send(daemon->http, conn, text->data, text->size);
    }
}

/* Send @problem; it always says more than its title where more is known, and a
 * 503 when to come again. */
static void send_problem(struct daemon *daemon,
                         uint64_t conn,
                         const struct http_problem *problem)
{
    struct http_problem sent = *problem;

    if (err_http(sent.code) == 503 && sent.retry_after_ms == 0) {
        sent.retry_after_ms = RETRY_AFTER_MS;
    }
    if (sent.detail == NULL) {
        sent.detail = advice_detail(sent.code);
    }
    if (redis_is_call(conn)) {
        redis_refused(daemon, conn, &sent);
        return;
    }
    (void)!http_reply_problem(daemon->http, conn, &sent, 0);
}

void answer_problem(struct daemon *daemon,
                    uint64_t conn,
                    int code,
                    const char *detail,
                    const char *field)
{
    struct http_problem problem = {
        .code = code, .detail = detail, .field = field};

    send_problem(daemon, conn, &problem);
}

void answer_method(struct daemon *daemon, uint64_t conn, const char *allow)
{
    struct http_problem problem = {.code = E_METHOD, .allow = allow};
    char detail[64];

    (void)snprintf(detail, sizeof(detail), "this path takes %s", allow);
    problem.detail = detail;
    send_problem(daemon, conn, &problem);
}

void answer_bad_body(struct daemon *daemon,
                     uint64_t conn,
                     const struct api_error *error)
{
    answer_problem(daemon, conn, error->code,
                   error->detail[0] == '\0' ? NULL : error->detail,
                   error->field[0] == '\0' ? NULL : error->field);
}

void answer_later(struct daemon *daemon,
                  uint64_t conn,
                  int code,
                  const char *detail,
                  uint64_t retry_after_ms)
{
    struct http_problem problem = {
        .code = code, .detail = detail, .retry_after_ms = retry_after_ms};

    send_problem(daemon, conn, &problem);
}

struct buf *answer_buf(struct daemon *daemon)
{
    buf_clear(&daemon->text);
    return &daemon->text;
}
