/* routes.h - the calls of the HTTP interface as a table.
 *
 * A call is a row here and a handler in the file named after it; dispatch,
 * 404, 405 and the OpenAPI description follow from the table.
 */
#ifndef GPUCOORD_DAEMON_ROUTES_H
#define GPUCOORD_DAEMON_ROUTES_H

#include <stddef.h>

struct body;
struct daemon;
struct http_request;

struct route {
    const char *method;
    /* A last segment in braces, "{lease}", takes any text without '/'. */
    const char *path;
    /* Answer @request, now or later.  @last is the text that the last segment
     * took; "" where the path has no such segment. */
    void (*handle)(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last);
    const char *summary;     /* For people: a sentence without full stop. */
    const char *answer_type; /* Content-Type of the answer 200. */
    const struct body *body; /* Fields of the body; NULL = none is read. */
    const char *query;       /* The parameter it looks at; NULL = none. */
};

/* Return the table; *@count becomes the number of its rows. */
const struct route *routes_table(size_t *count);

/* Answer @request by the handler of its method and path. */
void routes_dispatch(struct daemon *daemon, const struct http_request *request);

/* The handlers, by file: */

/* cluster.c */
void cluster_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);

/* request.c */
void request_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);

/* leases.c */
void release_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);
void renew_handle(struct daemon *daemon,
                  const struct http_request *request,
                  const char *last);
void ack_handle(struct daemon *daemon,
                const struct http_request *request,
                const char *last);
void cancel_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last);

/* look.c */
void look_handle(struct daemon *daemon,
                 const struct http_request *request,
                 const char *last);

/* control.c */
void control_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);

/* events.c */
void events_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last);

/* admin.c: over the Unix socket only. */
void admin_drain_handle(struct daemon *daemon,
                        const struct http_request *request,
                        const char *last);
void admin_undrain_handle(struct daemon *daemon,
                          const struct http_request *request,
                          const char *last);
void admin_revoke_handle(struct daemon *daemon,
                         const struct http_request *request,
                         const char *last);
void admin_pause_handle(struct daemon *daemon,
                        const struct http_request *request,
                        const char *last);
void admin_resume_handle(struct daemon *daemon,
                         const struct http_request *request,
                         const char *last);
void admin_bypass_handle(struct daemon *daemon,
                         const struct http_request *request,
                         const char *last);

/* status.c */
void status_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last);

/* metrics.c */
void metrics_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);

/* health.c */
void healthz_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);
void readyz_handle(struct daemon *daemon,
                   const struct http_request *request,
                   const char *last);
void version_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);

/* openapi.c */
void openapi_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last);

#endif
