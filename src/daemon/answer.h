/* answer.h - how handlers answer: a JSON body, or a problem.
 *
 * A client that has gone meanwhile is nobody's problem here.  Only a grant
 * must know whether it was delivered: request.c.
 */
#ifndef GPUCOORD_DAEMON_ANSWER_H
#define GPUCOORD_DAEMON_ANSWER_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct api_error;
struct daemon;

/* Answer @conn with the JSON in @body.  @tag is what a loss is reported
 * with; 0 = of no consequence.
 *
 * Errors: as http_reply(), and E_NOMEM where @body is broken; the client then
 * has a problem document instead.
 */
int answer_json(struct daemon *daemon,
                uint64_t conn,
                int status,
                const struct buf *body,
                uint64_t tag);

/* Answer @conn with a body of another type. */
void answer_text(struct daemon *daemon,
                 uint64_t conn,
                 const char *type,
                 const struct buf *body);

/* Send the event in @text down the stream @conn.  Where that fails, or @text is
 * broken, the stream is dropped: half an event would be misread, and who comes
 * back is told where things stand. */
void answer_event(struct daemon *daemon, uint64_t conn, const struct buf *text);

/* Answer @conn with the problem @code; @detail and @field may be NULL. */
void answer_problem(struct daemon *daemon,
                    uint64_t conn,
                    int code,
                    const char *detail,
                    const char *field);

/* Answer @conn that its path takes only the methods @allow, "GET, HEAD". */
void answer_method(struct daemon *daemon, uint64_t conn, const char *allow);

/* Answer @conn with what is wrong with its body. */
void answer_bad_body(struct daemon *daemon,
                     uint64_t conn,
                     const struct api_error *error);

/* Answer @conn with the problem @code, to be tried again in @retry_after_ms
 * (0 = not said); @detail may be NULL. */
void answer_later(struct daemon *daemon,
                  uint64_t conn,
                  int code,
                  const char *detail,
                  uint64_t retry_after_ms);

/* Empty the daemon's scratch buffer and return it. */
struct buf *answer_buf(struct daemon *daemon);

#endif
