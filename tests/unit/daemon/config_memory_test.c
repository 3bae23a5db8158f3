/* Guarantee 16: whichever allocation fails while a configuration is read, it is
 * read whole or refused; half of one is never in force. */
#include "daemon/config.h"
#include "lib/fault_malloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libyaml itself forgets the pairs of a mapping for whose node there was no
 * memory; the leak checker asks here what to overlook. */
__attribute__((visibility("default"))) const char *
__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:yaml_parser_load\n";
}

/* Every kind of value; a bare time and shares out of reach, which warn. */
static char whole[] =
    "listen: '[::1]:5000'\n"
    "socket: /tmp/g/s.sock\n"
    "hosts: [gpu.example.org, other]\n"
    "store: sqlite:/tmp/g/q.db\n"
    "gpus: {simulated: [24576, 8GiB], dir: /tmp/g/sim}\n"
    "verify: off\n"
    "devices: {1: {verify: measured, reserve_mib: 512}, GPU-abc: {settle_ms: "
    "1s}}\n"
    "defaults: {ttl: 60000, timeout: 0, pause_grace: 2s, max_hold: 1h}\n"
    "limits: {waiters: 50, per_service: 5}\n"
    "classes: &a\n"
    "  images: {priority: 3, weight: 10, when_alone: wait}\n"
    "  transcription: {max_consecutive: 3, vram_mib: 2GiB, pause_grace: 5s}\n"
    "services:\n"
    "  painter: {class: images, vram_mib: 0, ladder: [ask], restart: null}\n";

static void print_number(struct buf *out, uint64_t number)
{
    buf_u64(out, number);
    buf_byte(out, ' ');
}

static void print_text(struct buf *out, const char *text)
{
    buf_json(out, text == NULL ? "" : text);
    buf_byte(out, ' ');
}

static void print_vram(struct buf *out, const struct config_vram *vram)
{
    print_number(out, vram->is_measured);
    print_number(out, vram->settle_ms);
    print_number(out, vram->residue_mib);
    print_number(out, vram->reserve_mib);
}

static void print_class(struct buf *out, const struct config_class *is)
{
    print_text(out, is->name);
    print_number(out, is->core.priority);
    print_number(out, is->core.weight);
    print_number(out, is->core.max_consecutive);
    print_number(out, is->core.waits_when_alone);
    print_number(out, is->vram_mib);
    print_number(out, is->pause_grace_ms);
    print_number(out, is->preemptible);
}

/* Append all that @config says. */
static void print(const struct config *config, struct buf *out)
{
    const uint32_t numbers[] = {
        config->listen_port,   config->gpus.kind,
        config->gpus.count,    config->gpus.capacity_mib[0],
        config->ttl_ms,        config->timeout_ms,
        config->away_ms,       config->pause_grace_ms,
        config->max_hold_ms,   config->stream_grace_ms,
        config->waiters_max,   config->service_waiters_max,
        config->shutdown_ms,   config->gpus.capacity_mib[1],
        config->vram.settle_ms};
    size_t i;

    print_text(out, config->listen_host);
    print_text(out, config->socket);
    print_text(out, config->store);
    print_text(out, config->gpus.dir);
    print_vram(out, &config->vram);
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        print_number(out, numbers[i]);
    }
    for (i = 0; i < config->host_count; i++) {
        print_text(out, config->hosts[i]);
    }
    for (i = 0; i < config->device_count; i++) {
        print_text(out, config->devices[i].name);
        print_vram(out, &config->devices[i].vram);
    }
    for (i = 0; i < config->class_count; i++) {
        print_class(out, &config->classes[i]);
    }
    for (i = 0; i < config->service_count; i++) {
        print_text(out, config->services[i].name);
        print_text(out, config->services[i].class_name);
        print_number(out, config->services[i].vram_mib);
        print_number(out, config->services[i].pause_grace_ms);
    }
    assert_int_equal(buf_error(out), E_OK);
}

/* Compare @config with @expected, which becomes it at first. */
static void expect(const struct config *config, struct buf *expected)
{
    struct buf text;

    if (expected->size == 0) {
        print(config, expected);
    }
    buf_init(&text, 0);
    print(config, &text);
    assert_string_equal(buf_string(&text), buf_string(expected));
    buf_release(&text);
}

typedef int (*reader)(void *arg,
                      struct config *out,
                      struct config_report *report);

/* Read with every n-th allocation failing: the same as without a failure, or
 * @refusal, or E_NOMEM. */
static void sweep(reader read, void *arg, int refusal)
{
    struct buf expected;
    bool was_reached = true;
    uint64_t n = 0;

    buf_init(&expected, 0);
    while (was_reached) {
        struct config_report report;
        struct config config;
        int rc;

        if (n != 0) {
            fault_malloc_arm(n, 1);
        }
        rc = read(arg, &config, &report);
        was_reached = fault_malloc_disarm() || n == 0;
        if (rc != refusal && (n == 0 || rc != E_NOMEM)) {
            fail_msg("allocation %d: %d %s", (int)n, rc,
                     report.count == 0 ? "" : report.notes[0].text);
        }
        if (rc == E_OK) {
            expect(&config, &expected);
            config_release(&config);
        }
        config_report_release(&report);
        n++;
    }
    assert_true(n > 5);
    buf_release(&expected);
}

static int
read_text(void *arg, struct config *out, struct config_report *report)
{
    return config_load_text(arg, strlen(arg), out, report);
}

static int
read_file(void *arg, struct config *out, struct config_report *report)
{
    return config_load(arg, out, report);
}

static void no_half_of_a_file_is_read(void **state)
{
    char path[] = "/tmp/gpucoord-config-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, whole, sizeof whole - 1), sizeof whole - 1);
    (void)close(fd);
    sweep(read_file, path, E_OK);
    (void)unlink(path);
}

static void defaults_are_all_there_or_none(void **state)
{
    (void)state;
    sweep(read_file, NULL, E_OK);
}

static void mistakes_are_refused_also_without_memory_to_name_them(void **state)
{
    static char wrong[] = "listen: 7\nnope: 1\nttl: 3\nclasses: {a: {x: 1}}\n"
                          "services: {b: {class: lost}}\ngpus: {declared: 3}\n"
                          "hosts: [1, {}]\n---\n";

    (void)state;
    sweep(read_text, wrong, E_INVALID);
}

/* A reload: what is in force stays, or all of the new one is. */
static void no_half_of_a_file_follows(void **state)
{
    static char text[] = "classes: {new: {}}";
    struct config_report report;
    struct config now;
    struct buf expected;
    bool was_reached = true;
    uint64_t n;

    (void)state;
    buf_init(&expected, 0);
    assert_int_equal(read_text(whole, &now, &report), E_OK);
    config_report_release(&report);
    for (n = 0; was_reached; n++) {
        struct config next;
        int rc;

        assert_int_equal(read_text(text, &next, &report), E_OK);
        if (n != 0) {
            fault_malloc_arm(n, 1);
        }
        rc = config_follow(&next, &now, &report);
        was_reached = fault_malloc_disarm() || n == 0;
        assert_true(rc == E_OK || (n > 0 && rc == E_NOMEM));
        if (rc == E_OK) {
            expect(&next, &expected);
        }
        config_release(&next);
        config_report_release(&report);
    }
    assert_true(n > 5);
    buf_release(&expected);
    config_release(&now);
}

/* More warnings than are kept end the list of them, not the reading. */
static void file_of_many_warnings_is_read_to_its_end(void **state)
{
    struct config_report report;
    struct config config;
    struct buf text;
    int i;

    (void)state;
    buf_init(&text, 0);
    buf_text(&text, "classes:\n");
    for (i = 0; i < CORE_CLASSES_MAX - 8; i++) {
        buf_printf(&text,
                   "  c%d: {linger: 1, min_run: 1, max_wait: 5, pause_grace: "
                   "1}\n",
                   i);
    }
    buf_text(&text, "limits: {waiters: 77}\n");
    assert_int_equal(
        config_load_text(buf_string(&text), text.size, &config, &report), E_OK);
    assert_true(report.is_cut);
    assert_int_equal(config.waiters_max, 77);
    config_report_release(&report);
    config_release(&config);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_half_of_a_file_is_read),
        cmocka_unit_test(defaults_are_all_there_or_none),
        cmocka_unit_test(mistakes_are_refused_also_without_memory_to_name_them),
        cmocka_unit_test(no_half_of_a_file_follows),
        cmocka_unit_test(file_of_many_warnings_is_read_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
