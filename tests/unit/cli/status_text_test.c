/* `gpucoord status`, from the coordinator's JSON to a page of text (A3, B3). */
#include "cli/status_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DEVICE                                                   \
    "{\"index\":0,\"name\":\"RTX 3090\",\"source\":\"nvml\","    \
    "\"state\":\"ok\",\"age_ms\":12,\"capacity_mib\":24576,"     \
    "\"used_mib\":900,\"charged_mib\":16384,\"resident_mib\":0," \
    "\"unleased_mib\":900,\"free_mib\":6900,\"measured\":true,"  \
    "\"drained\":false,\"overcommitted\":false,\"linger\":null}"

#define HOLDER                                                    \
    "{\"lease\":41,\"state\":\"held\",\"service_id\":\"asr\","    \
    "\"class\":\"transcription\",\"priority\":2,\"job_id\":null," \
    "\"devices\":[{\"index\":0}],\"vram_mib\":null,"              \
    "\"held_ms\":61000,\"expires_in_ms\":28000}"

#define WAITER                                                       \
    "{\"lease\":43,\"state\":\"queued\",\"service_id\":\"gemma\","   \
    "\"class\":null,\"priority\":0,\"job_id\":\"j\",\"devices\":[]," \
    "\"vram_mib\":4096,\"waited_ms\":3000,\"why\":{\"position\":1,"  \
    "\"text\":\"'asr' holds it\",\"until_in_ms\":28000}}"

static void
expect(const char *json, bool has_colour, const char *text, bool is_whole)
{
    json_t *status = json_loads(json, 0, NULL);
    struct buf out;

    assert_non_null(status);
    buf_init(&out, 0);
    status_text(status, has_colour, &out);
    if (is_whole) {
        assert_string_equal(buf_string(&out), text);
    } else if (strstr(buf_string(&out), text) == NULL) {
        fail_msg("'%s' is not in:\n%s", text, buf_string(&out));
    }
    buf_release(&out);
    json_decref(status);
}

static void a_busy_gpu_is_a_page(void **state)
{
    (void)state;
    expect("{\"store\":\"ok\",\"devices\":[" DEVICE "],\"holders\":[" HOLDER
           "],\"paused\":[],\"waiters\":[" WAITER "],\"waiting\":1,"
           "\"away\":0}",
           false,
           "'asr' has held gpu 0 for 1 min 1 s, 'gemma' waits\n"
           "\n"
           "  GPU  NAME      SIZE      USED     MEASURED         LEASED    "
           "RESIDENT  UNLEASED  FREE     NOTES\n"
           "  0    RTX 3090  24.0 GiB  900 MiB  nvml, 12 ms ago  16.0 GiB  "
           "0 MiB     900 MiB   6.7 GiB  -\n"
           "\n"
           "holding\n"
           "  LEASE  SERVICE  JOB  CLASS          PRIO  STATE  ON     VRAM  "
           "SINCE      UNTIL\n"
           "  41     asr      -    transcription  2     held   gpu 0  all   "
           "1 min 1 s  renews within 28 s\n"
           "\n"
           "waiting\n"
           "  PLACE  LEASE  SERVICE  JOB  CLASS  PRIO  STATE   VRAM     SINCE  "
           "ON WHOM         UNTIL\n"
           "  1      43     gemma    j    -      0     queued  4.0 GiB  3.0 s  "
           "'asr' holds it  28 s\n",
           true);
}

static void an_idle_one_says_so_first(void **state)
{
    (void)state;
    expect("{\"store\":\"ok\",\"devices\":[],\"holders\":[],\"paused\":[],"
           "\"waiters\":[],\"waiting\":0,\"away\":0}",
           false, "nobody holds a gpu, nobody waits\n", false);
    expect("{\"store\":\"ok\",\"holders\":[" HOLDER "," HOLDER
           "],\"paused\":[" HOLDER "],\"waiting\":7}",
           false, "2 leases hold gpus, 7 wait, 1 is paused\n", false);
}

static void what_is_unusual_is_red(void **state)
{
    (void)state;
    expect("{\"store\":\"ok\",\"bypass\":true,\"bypass_ms\":3600000}", true,
           "\033[1;31mbypass is on for 1 h 0 min: everything is granted at "
           "once, nobody is paused\033[0m\n",
           false);
    expect("{\"store\":\"ok\",\"bypass\":true,\"bypass_ms\":null}", false,
           "\nbypass is on: everything", false);
    expect("{\"store\":\"ok\",\"draining\":true}", false,
           "\ndraining: nothing new is granted\n", false);
    expect("{\"store\":\"ok\",\"draining\":true,\"stopping\":true}", false,
           "\nstopping: waits for the last holders\n", false);
    expect("{\"store\":\"store-full\"}", false,
           "\nthe store is full: nothing new is accepted\n", false);
    expect("{\"store\":\"store-failed\"}", false, "\nthe store has failed",
           false);
    expect("{\"store\":\"ok\",\"redis\":{\"state\":\"away\",\"why\":"
           "\"Connection refused\"}}",
           false, "\nredis is away, signals wait: Connection refused\n", false);
}

static void a_device_in_trouble_says_which(void **state)
{
    (void)state;
    expect("{\"store\":\"ok\",\"devices\":[{\"index\":1,\"state\":\"stale\","
           "\"drained\":true,\"foreign\":true,\"overcommitted\":true,"
           "\"linger\":"
           "{\"service_id\":\"x\",\"ms\":300},\"source\":\"declared\","
           "\"measured\":false}]}",
           false,
           "stale, drained, key held by another program, overcommitted, kept "
           "for 'x' for 300 ms\n",
           false);
}

static void a_long_queue_is_counted(void **state)
{
    (void)state;
    expect("{\"store\":\"ok\",\"waiters\":[" WAITER
           "],\"waiting\":300,\"away\":2}",
           false, "\n  and 301 more\n", false);
}

static void each_kind_of_holder_has_its_deadline(void **state)
{
    (void)state;
    expect("{\"store\":\"ok\",\"holders\":[{\"lease\":1,\"state\":\"pausing\","
           "\"service_id\":\"x\",\"deadline_in_ms\":9000,\"held_ms\":1,"
           "\"expires_in_ms\":5}]}",
           false, "pauses within 9.0 s\n", false);
    expect("{\"store\":\"ok\",\"holders\":[{\"lease\":1,\"state\":\"held\","
           "\"service_id\":\"x\",\"held_ms\":1,\"expires_in_ms\":null}]}",
           false, "1 ms   -\n", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_gpu_is_a_page),
        cmocka_unit_test(an_idle_one_says_so_first),
        cmocka_unit_test(what_is_unusual_is_red),
        cmocka_unit_test(a_device_in_trouble_says_which),
        cmocka_unit_test(a_long_queue_is_counted),
        cmocka_unit_test(each_kind_of_holder_has_its_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
