/* Programs of the operator's: run on the loop, one per key. */
#include "act_rig.h"

#include "control/hook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct hooking {
    struct act_rig rig;
    struct event_base *base;
    struct hooks *hooks;
    struct outcome last;
    int done;
};

static void begin(struct hooking *hooking)
{
    *hooking = (struct hooking){.done = 0};
    act_rig_init(&hooking->rig);
    hooking->base = event_base_new();
    assert_non_null(hooking->base);
    assert_int_equal(hooks_open(hooking->base, &hooking->hooks), E_OK);
}

static void end(struct hooking *hooking)
{
    hooks_close(hooking->hooks);
    event_base_free(hooking->base);
    act_rig_release(&hooking->rig);
}

static void on_done(void *arg, const struct outcome *outcome)
{
    struct hooking *hooking = arg;

    hooking->last = *outcome;
    hooking->done++;
}

/* Run the shell's @script as @key; the rig's directory is $DIR. */
static void call(struct hooking *hooking,
                 const char *key,
                 const char *script,
                 uint32_t timeout_ms)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    char dir[128];
    const char *more[] = {dir, NULL};

    (void)snprintf(dir, sizeof dir, "DIR=%s", hooking->rig.dir);
    assert_int_equal(
        hook_run(hooking->hooks, &(struct hook_call){.key = key,
                                                     .argv = argv,
                                                     .more = more,
                                                     .timeout_ms = timeout_ms,
                                                     .done = on_done,
                                                     .arg = hooking}),
        E_OK);
}

static void until(struct hooking *hooking, int done)
{
    while (hooking->done < done) {
        assert_int_equal(event_base_loop(hooking->base, EVLOOP_ONCE), 0);
    }
}

/* B8: no shell of ours, no descriptor of ours, a session of its own. */
static void a_hook_runs_with_nothing_of_ours(void **state)
{
    struct hooking hooking;
    char text[256];
    char self[32];

    (void)state;
    begin(&hooking);
    call(&hooking, "k",
         "ls /proc/self/fd | tr '\\n' ' ' >$DIR/fds;"
         "cut -d' ' -f6 /proc/$$/stat >$DIR/sid; echo $$ >$DIR/pid",
         0);
    assert_int_equal(hooking.done, 0); /* Never within the call. */
    until(&hooking, 1);
    assert_int_equal(hooking.last.kind, OUTCOME_OK);
    act_rig_read(&hooking.rig, "fds", text, sizeof text);
    assert_string_equal(text, "0 1 2 3 "); /* 3 is the listing's own. */
    act_rig_read(&hooking.rig, "sid", text, sizeof text);
    act_rig_read(&hooking.rig, "pid", self, sizeof self);
    assert_string_equal(text, self);
    end(&hooking);
}

static void how_it_ended_is_told(void **state)
{
    static const char *const none[] = {"/nonexistent/hook", NULL};
    struct hooking hooking;

    (void)state;
    begin(&hooking);
    call(&hooking, "a", "exit 3", 0);
    until(&hooking, 1);
    assert_string_equal(hooking.last.reason, "exit status 3");
    call(&hooking, "b", "kill -9 $$", 0);
    until(&hooking, 2);
    assert_string_equal(hooking.last.reason, "ended by signal 9");
    call(&hooking, "c", "sleep 1000 & echo $! >$DIR/child; wait", 50);
    until(&hooking, 3);
    assert_string_equal(hooking.last.reason, "killed after 50 ms");
    assert_int_equal(
        hook_run(hooking.hooks, &(struct hook_call){.key = "d",
                                                    .argv = none,
                                                    .done = on_done,
                                                    .arg = &hooking}),
        E_OK);
    until(&hooking, 4);
    assert_non_null(strstr(hooking.last.reason, "cannot run '/nonexistent/"));
    end(&hooking);
}

/* Restarting twice in a row helps nobody: of those that wait, the last stays.
 */
static void one_runs_per_key_and_the_last_waits(void **state)
{
    struct hooking hooking;
    char text[64];

    (void)state;
    begin(&hooking);
    call(&hooking, "k", "echo first >>$DIR/log", 0);
    until(&hooking, 1);
    call(&hooking, "k", "echo second >>$DIR/log", 0);
    call(&hooking, "k", "echo third >>$DIR/log", 0);
    assert_int_equal(hooking.done, 2);
    assert_int_equal(hooking.last.kind, OUTCOME_SKIPPED);
    until(&hooking, 3); /* After its back-off of a second. */
    act_rig_read(&hooking.rig, "log", text, sizeof text);
    assert_string_equal(text, "first\nthird\n");
    end(&hooking);
}

/* Who prints without end is heard for a while, and killed in time. */
static void who_prints_without_end_is_bounded(void **state)
{
    struct hooking hooking;

    (void)state;
    begin(&hooking);
    call(&hooking, "k", "exec yes", 200);
    until(&hooking, 1);
    assert_string_equal(hooking.last.reason, "killed after 200 ms");
    end(&hooking);
}

static void keys_are_bounded(void **state)
{
    static const char *const argv[] = {"/bin/true", NULL};
    struct hooking hooking;
    struct hook_call one = {.argv = argv};
    char key[32];
    int i;

    (void)state;
    begin(&hooking);
    for (i = 0; i < HOOK_KEYS_MAX; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        one.key = key;
        assert_int_equal(hook_run(hooking.hooks, &one), E_OK);
    }
    one.key = "one more";
    assert_int_equal(hook_run(hooking.hooks, &one), E_LIMIT);
    end(&hooking);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hook_runs_with_nothing_of_ours),
        cmocka_unit_test(how_it_ended_is_told),
        cmocka_unit_test(one_runs_per_key_and_the_last_waits),
        cmocka_unit_test(who_prints_without_end_is_bounded),
        cmocka_unit_test(keys_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
