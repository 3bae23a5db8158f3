#include "contract/store_fixture.h"

#include "contract/pg_server.h"

#include <dirent.h>
#include <event2/event.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static bool uses_postgres;

void fixture_use_postgres(void)
{
    uses_postgres = true;
}

static void name_file(struct fixture *fx)
{
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(fx->directory, sizeof fx->directory,
                   "%s/gpucoord-store-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(fx->directory));
    (void)snprintf(fx->url, sizeof fx->url, "sqlite:%s/queue.db",
                   fx->directory);
    fx->path = strchr(fx->url, ':') + 1;
}

int fixture_setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);

    assert_non_null(fx);
    if (uses_postgres) {
        fx->numbers_first = UINT64_C(1) << 40; /* The first timeline's. */
#ifdef HAVE_POSTGRES
        pg_server_schema(fx->url, sizeof fx->url);
#endif
    } else {
        name_file(fx);
    }
    buf_init(&fx->text, 0);
    fx->loop = event_base_new();
    assert_non_null(fx->loop);
    assert_int_equal(fixture_open(fx, false), E_OK);
    *state = fx;
    return 0;
}

static void remove_files(const char *directory)
{
    char path[512];
    DIR *dir = opendir(directory);
    const struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        (void)unlink(path);
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(directory);
}

int fixture_teardown(void **state)
{
    struct fixture *fx = *state;

    store_close(fx->store);
    event_base_free(fx->loop);
    buf_release(&fx->text);
    if (!uses_postgres) {
        remove_files(fx->directory);
    }
    free(fx);
    return 0;
}

int fixture_open(struct fixture *fx, bool moves_aside)
{
    const struct store_options options = {
        .loop = fx->loop,
        .moves_aside = moves_aside,
    };

    fx->msg[0] = '\0';
    return store_open(fx->url, &options, &fx->store, fx->msg, sizeof fx->msg);
}

void fixture_reopen(struct fixture *fx)
{
    store_close(fx->store);
    fx->store = NULL;
    fx->number = 0;
    assert_int_equal(fixture_open(fx, false), E_OK);
}

void fixture_wait(struct fixture *fx, const int *rc)
{
    while (*rc == FIXTURE_WAITS) {
        assert_int_equal(event_base_loop(fx->loop, EVLOOP_ONCE), 0);
    }
}

void fixture_done(void *arg, int rc)
{
    int *result = arg;

    assert_int_equal(*result, FIXTURE_WAITS); /* Exactly once. */
    *result = rc;
}

int fixture_commit(struct fixture *fx, bool needs_fsync)
{
    int rc = FIXTURE_WAITS;

    store_commit(fx->store, ++fx->number, needs_fsync, fixture_done, &rc);
    fixture_wait(fx, &rc);
    return rc;
}

void fixture_lease(struct store_lease *lease, uint64_t id)
{
    static const char *const classes[] = {"chatbot", "transcription"};
    static const struct core_share gang[] = {
        {4096, 0}, {UINT32_MAX, 1}, {0, UINT32_MAX}};
    const uint32_t n = (uint32_t)id * 100;

    memset(lease, 0, sizeof *lease);
    lease->core = (struct core_lease_row){
        .id = id,
        .token = id * 10 + 1,
        .token_before = id * 10,
        .seq = id + 7,
        .devices = id % 2 == 0 ? 0 : UINT64_MAX, /* All 64 bits. */
        .granted = UINT64_C(1) << (id % 64),
        .submitted_at_ms = id * 1000,
        .granted_at_ms = id * 1000 + 2,
        .first_granted_at_ms = id * 1000 + 1,
        .timeout_ms = id % 3 == 0 ? CORE_FOREVER : id * 30000,
        .state = id % 7, /* Every state that is stored. */
        .class_id = id % 3 == 2 ? (uint32_t)(id % CORE_PRIORITIES) : 0,
        .vram_mib = n + 1,
        .gpus = n + 2,
        .ttl_ms = n + 3,
        .pause_grace_ms = n + 4,
        .max_hold_ms = UINT32_MAX - n,
        .charge_mib = n + 6,
        .footprint_mib = n + 7,
        .flags = (uint32_t)(id % 64),
        .rungs = n + 8,
        .rung = (uint8_t)(id % 9),
    };
    if (id % 6 == 1) {
        lease->core.gpus = 3;
        lease->core.shares = gang;
    }
    lease->watches = id % 4 == 3 ? "812/77,813/78" : NULL;
    lease->watch_pid = id % 2 == 0 ? 0 : n + 9;
    lease->watch_started = id % 2 == 0 ? 0 : UINT64_MAX - id;
    lease->service_id = id % 2 == 0 ? "gemma-service" : "asr";
    lease->job_id = id % 4 == 0 ? NULL
                                : "j\xc3\xb6"
                                  "b '42'; --";
    lease->class_name = id % 3 == 2 ? NULL : classes[id % 2];
    lease->metadata = id % 5 == 0 ? NULL : "{\"file\": \"\\u00e4 \\\"x\\\"\"}";
}

void fixture_put(struct fixture *fx, uint64_t id)
{
    struct store_lease lease;

    fixture_lease(&lease, id);
    store_put_lease(fx->store, &lease);
}

static int dump_lease(void *arg, const struct store_lease *lease)
{
    const struct core_lease_row *row = &lease->core;

    buf_printf(arg,
               "lease %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
               " %" PRIx64 " %" PRIx64 " at %" PRIu64 " %" PRIu64 " %" PRIu64
               " %" PRIu64,
               row->id, row->token, row->token_before, row->seq, row->job,
               row->devices, row->granted, row->submitted_at_ms,
               row->granted_at_ms, row->first_granted_at_ms, row->timeout_ms);
    uint32_t i;

    buf_printf(arg, " is %u %u %u %u %u %u %u %u %u %u %u", row->state,
               row->service, row->class_id, row->vram_mib, row->gpus,
               row->ttl_ms, row->pause_grace_ms, row->max_hold_ms,
               row->charge_mib, row->footprint_mib, row->flags);
    buf_printf(arg, " on %x %u %s %u %" PRIu64, row->rungs, row->rung,
               lease->watches == NULL ? "-" : lease->watches, lease->watch_pid,
               lease->watch_started);
    for (i = 0; row->shares != NULL && i < row->gpus; i++) {
        buf_printf(arg, " %u/%u", row->shares[i].charge_mib,
                   row->shares[i].footprint_mib);
    }
    buf_printf(arg, " %s %s %s %s\n", lease->service_id,
               lease->job_id == NULL ? "-" : lease->job_id,
               lease->class_name == NULL ? "-" : lease->class_name,
               lease->metadata == NULL ? "-" : lease->metadata);
    return E_OK;
}

static int dump_class(void *arg, const struct store_class *row)
{
    buf_printf(arg, "class %s %u %u %" PRId64 "\n", row->name,
               row->core.class_id, row->core.consecutive, row->core.credit);
    return E_OK;
}

static int dump_mode(void *arg, const struct core_mode_row *mode)
{
    buf_printf(arg, "mode %" PRIu64 " %" PRIx64 " %d\n", mode->bypass_until_ms,
               mode->drained, mode->is_draining);
    return E_OK;
}

int fixture_load(struct fixture *fx)
{
    const struct store_reader reader = {
        .lease = dump_lease,
        .class_row = dump_class,
        .mode = dump_mode,
        .arg = &fx->text,
    };
    int rc;

    buf_clear(&fx->text);
    rc = store_load(fx->store, &reader, &fx->time_max_ms);
    return rc != E_OK ? rc : buf_error(&fx->text);
}

const char *fixture_dump(struct fixture *fx)
{
    assert_int_equal(fixture_load(fx), E_OK);
    return buf_string(&fx->text);
}

static int note_id(void *arg, const struct store_lease *lease)
{
    struct buf *text = arg;

    buf_printf(text, "%s%" PRIu64, text->size == 0 ? "" : " ", lease->core.id);
    return E_OK;
}

const char *fixture_ids(struct fixture *fx)
{
    const struct store_reader reader = {
        .lease = note_id,
        .class_row = dump_class,
        .mode = dump_mode,
        .arg = &fx->text,
    };

    buf_clear(&fx->text);
    assert_int_equal(store_load(fx->store, &reader, &fx->time_max_ms), E_OK);
    return buf_string(&fx->text);
}

void fixture_in_child(struct fixture *fx, void (*body)(struct fixture *fx))
{
    int status = 0;
    pid_t child;

    store_close(fx->store);
    fx->store = NULL;
    fx->number = 0;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        assert_int_equal(event_reinit(fx->loop), 0);
        if (fixture_open(fx, false) == E_OK) {
            body(fx);
        }
        (void)raise(SIGKILL);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}
