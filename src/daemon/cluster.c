/* cluster.c - GET /gpu/cluster: members, leader, epoch. */
#include "daemon/cluster.h"

#include "base/clock.h"
#include "cluster/leader.h"
#include "daemon/answer.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/members.h"
#include "daemon/routes.h"
#include "http/http.h"

#include <inttypes.h>
#include <string.h>

/* Append UUIDs that have commas between them as an array. */
static void write_gpus(const char *gpus, struct buf *out)
{
    char text[LEADER_GPUS_SIZE];
    char *rest = text;
    const char *before = ",\"gpus\":[";

    (void)snprintf(text, sizeof text, "%s", gpus);
    if (text[0] == '\0') {
        buf_text(out, ",\"gpus\":[]");
        return;
    }
    while (rest != NULL) {
        buf_text(out, before);
        buf_json(out, strsep(&rest, ","));
        before = ",";
    }
    buf_byte(out, ']');
}

static void write_member(const struct leader_member *member,
                         uint64_t since_look_ms,
                         struct buf *out)
{
    buf_text(out, "{\"name\":");
    buf_json(out, member->name);
    member_text(out, "advertise", member->advertise);
    member_bool(out, "leads", member->leads);
    member_u64(out, "seen_ms", member->seen_ms + since_look_ms);
    write_gpus(member->gpus, out);
    buf_byte(out, '}');
}

static void write_leader(const struct leader_view *view, struct buf *out)
{
    if (view->name[0] == '\0') {
        buf_text(out, ",\"leader\":null");
        return;
    }
    buf_text(out, ",\"leader\":{\"name\":");
    buf_json(out, view->name);
    member_text(out, "advertise", view->advertise);
    buf_byte(out, '}');
}

void cluster_write(const struct leader_view *view,
                   const char *self,
                   struct buf *out)
{
    uint64_t since_ms =
        view->looked_at_ms == 0 ? 0 : clock_boot_ms() - view->looked_at_ms;
    size_t i;

    buf_text(out, "{\"name\":");
    buf_json(out, self);
    member_text(out, "role",
                view->role == LEADER_LEADING ? "leader" : "follower");
    write_leader(view, out);
    member_u64(out, "epoch", view->epoch);
    member_u64(out, "timeline", view->timeline);
    member_bool(out, "database", view->is_connected);
    member_text(out, "trouble",
                view->trouble[0] == '\0' ? NULL : view->trouble);
    buf_text(out, ",\"members\":[");
    for (i = 0; i < view->member_count; i++) {
        buf_text(out, i == 0 ? "" : ",");
        write_member(&view->members[i], since_ms, out);
    }
    buf_text(out, "]}");
}

void cluster_write_metrics(const struct leader_view *view, struct buf *out)
{
    buf_printf(out,
               "# HELP gpucoord_leads Whether this coordinator leads.\n"
               "# TYPE gpucoord_leads gauge\n"
               "gpucoord_leads %d\n"
               "# HELP gpucoord_epoch Of the newest leadership that is "
               "known.\n"
               "# TYPE gpucoord_epoch gauge\n"
               "gpucoord_epoch %" PRIu64 "\n"
               "# HELP gpucoord_database_up Whether the database answers "
               "the member.\n"
               "# TYPE gpucoord_database_up gauge\n"
               "gpucoord_database_up %d\n",
               view->role == LEADER_LEADING ? 1 : 0, view->epoch,
               view->is_connected ? 1 : 0);
}

void cluster_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct buf *body = answer_buf(daemon);

    (void)last;
    if (daemon->leader == NULL) {
        answer_problem(daemon, request->conn, E_NOT_FOUND,
                       "this coordinator is in no cluster", NULL);
        return;
    }
    cluster_write(leader_look(daemon->leader), daemon->config->cluster_name,
                  body);
    (void)answer_json(daemon, request->conn, 200, body, 0);
}
