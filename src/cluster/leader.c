#include "cluster/leader.h"

#include "cluster/leader_link.h"

#include "base/clock.h"
#include "base/log.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    SEEN_EACH_MS = 2000,  /* Say that this member lives. */
    EXPIRED_LATE_MS = 20, /* Try so long after the leader's end. */
    TRY_JITTER_MS = 100   /* Followers do not all try at once. */
};

/* What is asked of the database now; each turn of the timer goes through these
 * in their order, as far as they are due. */
enum step {
    STEP_NONE,
    STEP_SEEN,  /* Say that this member lives. */
    STEP_LEAD,  /* Follower: try to win. */
    STEP_RENEW, /* Leader: go on leading. */
    STEP_LOOK   /* See who leads, and who is there. */
};

struct leader {
    char *name;
    char *advertise;
    char *gpus;
    struct link *link;
    struct event *timer; /* Of the next turn; NULL while detached. */
    struct event *lapse; /* When the leadership ends by itself. */
    const struct leader_handler *handler;
    void *arg;
    enum step step;
    uint64_t sent_at_ms; /* The query under way; of clock_boot_ms(), as all. */
    uint64_t valid_ms;   /* Until then nobody else leads; while LEADING. */
    uint64_t seen_at_ms; /* When this member last said that it lives. */
    uint64_t expires_in_ms; /* What the last look says; UINT64_MAX: unknown. */
    uint64_t try_at_ms;     /* It does not try to lead before. */
    bool is_refused;        /* Its GPUs are not the cluster's. */
    struct leader_view view;
};

/* ---- Telling ------------------------------------------------------------ */

/* Tell the owner, if @before differs in what it looks at. */
static void tell(struct leader *leader, const struct leader_view *before)
{
    const struct leader_view *view = &leader->view;

    if (leader->handler != NULL &&
        (before->role != view->role || before->epoch != view->epoch ||
         before->is_connected != view->is_connected ||
         strcmp(before->name, view->name) != 0 ||
         strcmp(before->advertise, view->advertise) != 0 ||
         strcmp(before->trouble, view->trouble) != 0)) {
        leader->handler->on_change(leader->arg);
    }
}

static void set_trouble(struct leader *leader, const char *text)
{
    (void)snprintf(leader->view.trouble, sizeof leader->view.trouble, "%s",
                   text);
}

/* In a build for bench/chaos-cluster, and only there: go on as if nothing had
 * been, so that its checker has something to find. */
static bool is_unfenced(void)
{
#ifdef GPUCOORD_TEST_HOOKS
    return getenv("GPUCOORD_UNFENCED") != NULL;
#else
    return false;
#endif
}

static void lose(struct leader *leader, const char *why)
{
    if (is_unfenced()) {
        return;
    }
    log_warn("leadership in epoch %llu is over: %s",
             (unsigned long long)leader->view.epoch, why);
    leader->view.role = LEADER_LOST;
    leader->view.name[0] = '\0';
    leader->view.advertise[0] = '\0';
    if (leader->lapse != NULL) {
        (void)evtimer_del(leader->lapse);
    }
}

/* ---- Time --------------------------------------------------------------- */

static void arm(struct event *timer, uint64_t wait_ms)
{
    struct timeval wait = {.tv_sec = (time_t)(wait_ms / 1000),
                           .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000)};

    if (timer != NULL) {
        (void)evtimer_add(timer, &wait);
    }
}

/* The leadership is good for its time from when its renewal was sent. */
static void extend(struct leader *leader, uint64_t ttl_ms)
{
    uint64_t now_ms = clock_boot_ms();

    leader->valid_ms = leader->sent_at_ms + ttl_ms;
    arm(leader->lapse,
        leader->valid_ms > now_ms ? leader->valid_ms - now_ms : 0);
}

bool leader_is_valid(const struct leader *leader)
{
    return leader->view.role == LEADER_LEADING &&
           (clock_boot_ms() < leader->valid_ms || is_unfenced());
}

static void on_lapse(evutil_socket_t fd, short what, void *arg)
{
    struct leader *leader = arg;
    struct leader_view before = leader->view;

    (void)fd;
    (void)what;
    if (leader->view.role == LEADER_LEADING && !leader_is_valid(leader)) {
        lose(leader, leader->view.trouble[0] != '\0'
                         ? leader->view.trouble
                         : "the database was not asked in time");
        tell(leader, &before);
    } else if (leader->view.role == LEADER_LEADING) {
        arm(leader->lapse, 1); /* The two clocks are not one. */
    }
}

/* Return when to turn again. */
static uint64_t wait_ms(const struct leader *leader)
{
    uint64_t now_ms = clock_boot_ms();
    uint32_t chance = 0;
    uint64_t wait = LEADER_TRY_MS;

    if (leader->view.role == LEADER_LEADING) {
        uint64_t at_ms = leader->valid_ms - LEADER_TTL_MS + LEADER_RENEW_MS;

        return leader->valid_ms < LEADER_TTL_MS || at_ms <= now_ms
                   ? LEADER_RENEW_MS / 4
                   : at_ms - now_ms;
    }
    (void)!getrandom(&chance, sizeof chance, GRND_NONBLOCK);
    chance %= TRY_JITTER_MS;
    if (leader->expires_in_ms < wait) {
        wait = leader->expires_in_ms + EXPIRED_LATE_MS;
        chance /= 4;
    }
    return wait + chance;
}

/* ---- Asking ------------------------------------------------------------- */

static const char sql_seen[] = "SELECT gpu_member_seen($1, $2, $3::text[])";
static const char sql_lead[] =
    "SELECT epoch, timeline FROM gpu_lead($1, $2, $3::text[], $4::bigint)";
static const char sql_renew[] =
    "SELECT gpu_lead_renew($1::bigint, $2::bigint, $3::bigint)";
static const char sql_look[] =
    "SELECT name, advertise, leads, epoch, timeline,"
    " array_to_string(gpus, ','),"
    " (1000 * extract(epoch FROM clock_timestamp() - seen))::bigint,"
    " (SELECT CASE WHEN isfinite(expires) THEN greatest(0, (1000 *"
    "  extract(epoch FROM expires - clock_timestamp()))::bigint) ELSE 0 END"
    "  FROM gpu_leader)"
    " FROM gpu_cluster ORDER BY leads DESC, seen DESC NULLS LAST LIMIT 16";

/* Send the query of leader->step. */
static void ask(struct leader *leader)
{
    char epoch[24];
    char timeline[24];
    char ttl[24];
    const char *self[] = {leader->name, leader->advertise, leader->gpus, ttl};
    const char *term[] = {epoch, timeline, ttl};
    bool leads = leader->step == STEP_LEAD;

    (void)snprintf(epoch, sizeof epoch, "%llu",
                   (unsigned long long)leader->view.epoch);
    (void)snprintf(timeline, sizeof timeline, "%u", leader->view.timeline);
    (void)snprintf(ttl, sizeof ttl, "%d",
                   leads ? LEADER_START_TTL_MS : LEADER_TTL_MS);
    leader->sent_at_ms = clock_boot_ms();
    switch (leader->step) {
    case STEP_SEEN:
        link_ask(leader->link, sql_seen, 3, self);
        return;
    case STEP_LEAD:
        link_ask(leader->link, sql_lead, 4, self);
        return;
    case STEP_RENEW:
        link_ask(leader->link, sql_renew, 3, term);
        return;
    case STEP_LOOK:
        link_ask(leader->link, sql_look, 0, NULL);
        return;
    case STEP_NONE:
        return;
    }
}

/* Return what to ask after leader->step, or first. */
static enum step next_step(const struct leader *leader)
{
    bool is_due = clock_boot_ms() - leader->seen_at_ms >= SEEN_EACH_MS ||
                  leader->seen_at_ms == 0;
    bool leads = leader->view.role == LEADER_LEADING;
    bool tries = !leads && clock_boot_ms() >= leader->try_at_ms;

    switch (leader->step) {
    case STEP_NONE:
        if (leads) {
            return STEP_RENEW; /* Before all else. */
        }
        if (is_due) {
            return STEP_SEEN;
        }
        return tries ? STEP_LEAD : STEP_LOOK;
    case STEP_SEEN:
        return tries ? STEP_LEAD : STEP_LOOK;
    case STEP_LEAD:
        return STEP_LOOK;
    case STEP_RENEW:
        return is_due ? STEP_SEEN : STEP_LOOK;
    case STEP_LOOK:
        return STEP_NONE;
    }
    return STEP_NONE;
}

/* Ask what is next, or wait for the next turn. */
static void go_on(struct leader *leader)
{
    leader->step =
        leader->view.role == LEADER_LOST ? STEP_NONE : next_step(leader);
    if (leader->step == STEP_NONE) {
        arm(leader->timer, wait_ms(leader));
    } else {
        ask(leader);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct leader *leader = arg;

    (void)fd;
    (void)what;
    if (leader->step == STEP_NONE && link_is_up(leader->link)) {
        go_on(leader);
    } else {
        arm(leader->timer, LEADER_RENEW_MS / 4);
    }
}

/* ---- Answers ------------------------------------------------------------ */

static uint64_t number(const struct link *link, int row, int column)
{
    return strtoull(link_value(link, row, column), NULL, 10);
}

/* A row says that this one leads from now on. */
static void take_lead(struct leader *leader)
{
    leader->is_refused = false;
    if (link_rows(leader->link) == 0) {
        return; /* Another does. */
    }
    leader->view.epoch = number(leader->link, 0, 0);
    leader->view.timeline = (uint32_t)number(leader->link, 0, 1);
    leader->view.role = LEADER_LEADING;
    (void)snprintf(leader->view.name, sizeof leader->view.name, "%s",
                   leader->name);
    (void)snprintf(leader->view.advertise, sizeof leader->view.advertise, "%s",
                   leader->advertise);
    extend(leader, LEADER_START_TTL_MS);
    log_info("'%s' leads, in epoch %llu of timeline %u", leader->name,
             (unsigned long long)leader->view.epoch, leader->view.timeline);
}

static void take_renewal(struct leader *leader)
{
    if (leader->view.role != LEADER_LEADING) {
        return; /* It came too late. */
    }
    if (link_value(leader->link, 0, 0)[0] == 't') {
        extend(leader, LEADER_TTL_MS);
    } else {
        lose(leader, "another has been elected");
    }
}

static void take_member(struct leader *leader, int row)
{
    struct leader_view *view = &leader->view;
    struct leader_member *member = &view->members[view->member_count++];
    const struct link *link = leader->link;

    (void)snprintf(member->name, sizeof member->name, "%s",
                   link_value(link, row, 0));
    (void)snprintf(member->advertise, sizeof member->advertise, "%s",
                   link_value(link, row, 1));
    (void)snprintf(member->gpus, sizeof member->gpus, "%s",
                   link_value(link, row, 5));
    member->leads = link_value(link, row, 2)[0] == 't';
    member->seen_ms = number(link, row, 6);
}

static void take_look(struct leader *leader)
{
    struct leader_view *view = &leader->view;
    const struct link *link = leader->link;
    const struct leader_member *first = &view->members[0];
    int row;

    view->member_count = 0;
    view->looked_at_ms = clock_boot_ms();
    for (row = 0; row < link_rows(link) && row < LEADER_MEMBERS_MAX; row++) {
        take_member(leader, row);
    }
    leader->expires_in_ms =
        link_rows(link) == 0 ? UINT64_MAX : number(link, 0, 7);
    if (view->role != LEADER_FOLLOWING) {
        return;
    }
    view->name[0] = '\0';
    view->advertise[0] = '\0';
    if (view->member_count > 0 && first->leads) {
        (void)snprintf(view->name, sizeof view->name, "%s", first->name);
        (void)snprintf(view->advertise, sizeof view->advertise, "%s",
                       first->advertise);
        view->epoch = number(link, 0, 3);
        view->timeline = (uint32_t)number(link, 0, 4);
    }
}

/* The database refuses: its own words say why. */
static void take_error(struct leader *leader)
{
    const char *text = link_trouble(leader->link);

    if (leader->step == STEP_LEAD && link_has_state(leader->link, "GC002")) {
        if (!leader->is_refused) {
            log_error("may not lead: %s", text);
        }
        leader->is_refused = true;
    }
    set_trouble(leader, text);
}

static void on_answer(void *arg)
{
    struct leader *leader = arg;
    struct leader_view before = leader->view;

    if (!link_has_failed(leader->link)) {
        switch (leader->step) {
        case STEP_SEEN:
            leader->seen_at_ms = clock_boot_ms();
            break;
        case STEP_LEAD:
            take_lead(leader);
            break;
        case STEP_RENEW:
            take_renewal(leader);
            break;
        case STEP_LOOK:
            take_look(leader);
            break;
        case STEP_NONE:
            break;
        }
        if (!leader->is_refused) {
            leader->view.trouble[0] = '\0';
        }
    } else {
        take_error(leader);
    }
    go_on(leader);
    tell(leader, &before);
}

/* The connection came, or went with what it was asked. */
static void on_link(void *arg)
{
    struct leader *leader = arg;
    struct leader_view before = leader->view;

    leader->step = STEP_NONE;
    leader->view.is_connected = link_is_up(leader->link);
    if (leader->view.is_connected) {
        leader->view.trouble[0] = '\0';
        go_on(leader);
    } else {
        leader->expires_in_ms = UINT64_MAX;
        set_trouble(leader, link_trouble(leader->link));
    }
    tell(leader, &before);
}

static const struct link_handler link_handler = {on_link, on_answer};

/* ---- Life --------------------------------------------------------------- */

int leader_open(const struct leader_options *options, struct leader **out)
{
    struct leader *leader = calloc(1, sizeof *leader);
    int rc;

    if (leader == NULL) {
        return E_NOMEM;
    }
    leader->name = strdup(options->name);
    leader->advertise = strdup(options->advertise);
    leader->gpus = strdup(options->gpus);
    leader->expires_in_ms = UINT64_MAX;
    rc = leader->name == NULL || leader->advertise == NULL ||
                 leader->gpus == NULL
             ? E_NOMEM
             : link_open(options->url, &leader->link);
    if (rc != E_OK) {
        leader_close(leader);
        return rc;
    }
    *out = leader;
    return E_OK;
}

void leader_close(struct leader *leader)
{
    if (leader == NULL) {
        return;
    }
    leader_detach(leader);
    link_close(leader->link);
    free(leader->name);
    free(leader->advertise);
    free(leader->gpus);
    free(leader);
}

int leader_attach(struct leader *leader,
                  struct event_base *base,
                  const struct leader_handler *handler,
                  void *arg)
{
    leader->timer = evtimer_new(base, on_timer, leader);
    leader->lapse = evtimer_new(base, on_lapse, leader);
    if (leader->timer == NULL || leader->lapse == NULL ||
        link_attach(leader->link, base, &link_handler, leader) != E_OK) {
        leader_detach(leader);
        return E_NOMEM;
    }
    leader->handler = handler;
    leader->arg = arg;
    link_make_schema(leader->link, leader->view.role == LEADER_FOLLOWING);
    arm(leader->timer, 0);
    if (leader->view.role == LEADER_LEADING) {
        arm(leader->lapse, 0); /* It looks at the clock, and arms itself. */
    }
    return E_OK;
}

void leader_detach(struct leader *leader)
{
    link_detach(leader->link);
    leader->handler = NULL;
    if (leader->timer != NULL) {
        event_free(leader->timer);
        leader->timer = NULL;
    }
    if (leader->lapse != NULL) {
        event_free(leader->lapse);
        leader->lapse = NULL;
    }
}

void leader_follow(struct leader *leader, uint64_t pause_ms)
{
    leader->view.role = LEADER_FOLLOWING;
    leader->try_at_ms = pause_ms == 0 ? 0 : clock_boot_ms() + pause_ms;
    leader->expires_in_ms = UINT64_MAX;
}

const struct leader_view *leader_look(const struct leader *leader)
{
    return &leader->view;
}

void leader_doubt(struct leader *leader)
{
    if (leader->view.role == LEADER_LEADING) {
        lose(leader, "the store says that another leads");
    }
}

/* ---- Without a loop ----------------------------------------------------- */

int leader_renew_now(struct leader *leader)
{
    if (!leader_is_valid(leader)) {
        lose(leader, "its time is over");
        return E_NO_LEADER;
    }
    if (!link_rest(leader->link, LEADER_QUERY_MS)) {
        return E_STORE;
    }
    leader->step = STEP_RENEW;
    ask(leader);
    if (!link_rest(leader->link, LEADER_QUERY_MS) ||
        link_has_failed(leader->link)) {
        leader->step = STEP_NONE;
        return E_STORE;
    }
    leader->step = STEP_NONE;
    take_renewal(leader);
    return leader->view.role == LEADER_LEADING ? E_OK : E_NO_LEADER;
}

void leader_resign(struct leader *leader)
{
    static const char sql[] = "SELECT gpu_member_gone($3),"
                              " gpu_lead_resign($1::bigint, $2::bigint)";
    static const char sql_gone[] = "SELECT gpu_member_gone($1)";
    char epoch[24];
    char timeline[24];
    const char *values[] = {epoch, timeline, leader->name};
    bool leads = leader->view.role == LEADER_LEADING;

    if (!link_rest(leader->link, LEADER_QUERY_MS)) {
        return;
    }
    (void)snprintf(epoch, sizeof epoch, "%llu",
                   (unsigned long long)leader->view.epoch);
    (void)snprintf(timeline, sizeof timeline, "%u", leader->view.timeline);
    if (leads) {
        link_ask(leader->link, sql, 3, values);
    } else {
        link_ask(leader->link, sql_gone, 1, values + 2);
    }
    (void)!link_rest(leader->link, LEADER_QUERY_MS);
    leader->step = STEP_NONE;
    leader->view.role = leads ? LEADER_LOST : leader->view.role;
}
