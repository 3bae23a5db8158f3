/* The configuration: what a file says, and every way in which it is wrong. */
#include "daemon/config.h"

#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Load @text, which is right, and return the warnings as text. */
static void load(const char *text, struct config *config, struct buf *notes)
{
    struct config_report report;
    int rc = config_load_text(text, strlen(text), config, &report);

    buf_init(notes, 0);
    config_report_print(&report, "f", notes);
    if (rc != E_OK) {
        print_error("%s", buf_string(notes));
    }
    assert_int_equal(rc, E_OK);
    config_report_release(&report);
}

/* Load @text and forget the warnings. */
static void load_quiet(const char *text, struct config *config)
{
    struct buf notes;

    load(text, config, &notes);
    buf_release(&notes);
}

/* Load @text, which is wrong, and compare the report. */
static void refuse(const char *text, const char *expected)
{
    struct config config;
    struct config_report report;
    struct buf notes;

    buf_init(&notes, 0);
    assert_int_equal(config_load_text(text, strlen(text), &config, &report),
                     E_INVALID);
    config_report_print(&report, "f", &notes);
    assert_string_equal(buf_string(&notes), expected);
    buf_release(&notes);
    config_report_release(&report);
}

static const struct config_class *class_of(const struct config *config,
                                           const char *name)
{
    int index = config_class_find(config, name);

    assert_true(index >= 0);
    return &config->classes[index];
}

/* Without a file the classes of A4 and A6 are there, and all defaults hold. */
static void defaults_hold_without_a_file(void **state)
{
    struct config config;
    struct config_report report;

    (void)state;
    assert_int_equal(config_load(NULL, &config, &report), E_OK);
    assert_int_equal(report.count, 0);
    assert_string_equal(config.listen_host, "127.0.0.1");
    assert_int_equal(config.listen_port, 4780);
    assert_int_equal(config.gpus.kind, CONFIG_GPUS_AUTO);
    assert_int_equal(config.vram.is_measured, 1);
    assert_int_equal(config.vram.settle_ms, 5000);
    assert_int_equal(config.vram.residue_mib, 600);
    assert_int_equal(config.vram.reserve_mib, 256);
    assert_int_equal(config.resume_margin_percent, 5);
    assert_int_equal(config.ttl_ms, 30000);
    assert_int_equal(config.timeout_ms, 30000);
    assert_int_equal(config.pause_grace_ms, 10000);
    assert_int_equal(config.away_ms, 60000);
    assert_int_equal(config.stream_grace_ms, 2000);
    assert_int_equal(config.max_hold_ms, 0);
    assert_int_equal(config.waiters_max, 10000);
    assert_int_equal(config.service_waiters_max, 1000);
    assert_int_equal(config.shutdown_ms, 10000);
    assert_int_equal(config.class_count, 4);
    assert_int_equal(class_of(&config, "chatbot")->core.priority, 0);
    assert_int_equal(class_of(&config, "chatbot")->preemptible, 0);
    assert_int_equal(class_of(&config, "voice")->core.priority, 1);
    assert_int_equal(class_of(&config, "voice")->preemptible, 1);
    assert_int_equal(class_of(&config, "transcription")->core.weight, 70);
    assert_int_equal(class_of(&config, "transcription")->core.max_consecutive,
                     2);
    assert_int_equal(class_of(&config, "summarization")->core.weight, 30);
    assert_int_equal(class_of(&config, "summarization")->core.max_consecutive,
                     1);
    config_report_release(&report);
    config_release(&config);
}

static void every_key_is_read(void **state)
{
    static const char text[] =
        "listen: '[::1]:5000'\n"
        "socket: /tmp/g/s.sock\n"
        "hosts: [gpu.example.org, other]\n"
        "store: sqlite:/tmp/g/q.db\n"
        "redis: null\n"
        "cluster: ~\n"
        "gpus: {simulated: [24576, 8GiB], dir: /tmp/g/sim}\n"
        "verify: off\n"
        "settle_ms: 250\n"
        "residue_mib: 1GiB\n"
        "reserve_mib: 0\n"
        "devices: {1: {verify: measured, reserve_mib: 512}}\n"
        "mode: enforce\n"
        "defaults: {ttl: 1m, timeout: 0, pause_grace: 2s, away: 1h,\n"
        "           stream_grace: 500ms, max_hold: 1h}\n"
        "limits: {waiters: 50, per_service: 5}\n"
        "shutdown: 20s\n"
        "classes:\n"
        "  images: {priority: 3, weight: 10, max_consecutive: 0,\n"
        "           when_alone: wait, preemptible: false, linger: 2s,\n"
        "           min_run: 3s, max_wait: 4s, vram_mib: 2GiB,\n"
        "           pause_grace: 5s}\n"
        "  transcription: {max_consecutive: 3}\n"
        "services:\n"
        "  painter: {class: images, vram_mib: 0, pause_grace: 7s,\n"
        "            ladder: [ask], restart: null}\n"
        "  empty:\n";
    struct config config;
    const struct config_class *images;
    const struct config_service *painter;

    (void)state;
    load_quiet(text, &config);
    assert_string_equal(config.listen_host, "::1");
    assert_int_equal(config.listen_port, 5000);
    assert_string_equal(config.socket, "/tmp/g/s.sock");
    assert_int_equal(config.host_count, 2);
    assert_string_equal(config.hosts[0], "gpu.example.org");
    assert_string_equal(config.store, "/tmp/g/q.db");
    assert_int_equal(config.gpus.kind, CONFIG_GPUS_SIMULATED);
    assert_int_equal(config.gpus.count, 2);
    assert_int_equal(config.gpus.capacity_mib[1], 8192);
    assert_string_equal(config.gpus.dir, "/tmp/g/sim");
    assert_int_equal(config.vram.is_measured, 0);
    assert_int_equal(config.vram.settle_ms, 250);
    assert_int_equal(config.vram.residue_mib, 1024);
    assert_int_equal(config.ttl_ms, 60000);
    assert_int_equal(config.timeout_ms, 0);
    assert_int_equal(config.away_ms, 3600000);
    assert_int_equal(config.stream_grace_ms, 500);
    assert_int_equal(config.max_hold_ms, 3600000);
    assert_int_equal(config.waiters_max, 50);
    assert_int_equal(config.shutdown_ms, 20000);
    images = class_of(&config, "images");
    assert_int_equal(images->core.priority, 3);
    assert_int_equal(images->core.weight, 10);
    assert_true(images->core.waits_when_alone);
    assert_int_equal(images->preemptible, 0);
    assert_int_equal(images->core.linger_ms, 2000);
    assert_int_equal(images->core.min_run_ms, 3000);
    assert_int_equal(images->core.max_wait_ms, 4000);
    assert_int_equal(images->vram_mib, 2048);
    assert_int_equal(images->pause_grace_ms, 5000);
    assert_int_equal(class_of(&config, "transcription")->core.max_consecutive,
                     3);
    assert_int_equal(class_of(&config, "transcription")->core.weight, 70);
    painter = config_service_find(&config, "painter");
    assert_string_equal(painter->class_name, "images");
    assert_int_equal(painter->vram_mib, 0);
    assert_int_equal(painter->pause_grace_ms, 7000);
    assert_int_equal(config_service_find(&config, "empty")->vram_mib,
                     CONFIG_UNSET);
    assert_null(config_service_find(&config, "nobody"));
    config_release(&config);
}

/* Whoever repairs a file wants to see all of it, not the first line. */
static void all_mistakes_are_named_at_once_with_their_places(void **state)
{
    (void)state;
    refuse("listen: 0.0.0.0:4780\n"
           "hostz: []\n"
           "verify: sometimes\n"
           "defaults: {ttl: 10, timeout: 3 parsecs, tttl: 5s}\n"
           "ttl: 5s\n"
           "limits: 7\n"
           "verify: off\n"
           "shutdown: 24GB\n"
           "classes:\n"
           "  chatbot: {priority: 10, weight: 0}\n"
           "  bad name: {}\n"
           "services:\n"
           "  a: {class: chatbott}\n"
           "  b: {class: nothing-like-it, ladder: [ask, restart]}\n",
           "f:1:9: 'listen': 0.0.0.0 is beyond loopback, which needs 'auth', "
           "which this version does not have\n"
           "f:2:1: unknown key 'hostz': did you mean 'hosts'?\n"
           "f:3:9: 'verify': 'sometimes' is not off or measured\n"
           "f:4:17: 'defaults.ttl': '10' is out of range: 1s to 10m\n"
           "f:4:30: 'defaults.timeout': '3 parsecs' is not a time as 500ms, "
           "30s, 5m or 1h\n"
           "f:4:41: unknown key 'tttl' in defaults: did you mean 'ttl'?\n"
           "f:5:1: unknown key 'ttl': did you mean 'defaults.ttl'?\n"
           "f:6:9: 'limits' is a map of keys, as {key: value}\n"
           "f:7:1: 'verify' is set twice, first in line 3\n"
           "f:8:11: 'shutdown': '24GB' is not a time as 500ms, 30s, 5m or 1h\n"
           "f:10:23: 'classes.chatbot.priority': '10' is out of range: 0 to "
           "9\n"
           "f:10:35: 'classes.chatbot.weight': '0' is out of range: 1 to "
           "10000\n"
           "f:11:3: 'bad name' is no name: 1 to 64 of A-Z a-z 0-9 . _ -\n"
           "f:13:14: unknown class 'chatbott': did you mean 'chatbot'?\n"
           "f:14:14: unknown class 'nothing-like-it'\n"
           "f:14:39: 'services.b.ladder' has 'restart', but "
           "'services.b.restart' names no command\n");
}

/* C12: by a word, or with the place where a container has the host's files. */
static void amd_cards_are_named_in_two_ways(void **state)
{
    struct config config;

    (void)state;
    load_quiet("gpus: amdgpu\n", &config);
    assert_int_equal(config.gpus.kind, CONFIG_GPUS_AMDGPU);
    assert_null(config.gpus.sysfs);
    config_release(&config);
    load_quiet("gpus: {amdgpu: {sysfs: /host/sys, proc: /host/proc}}\n",
               &config);
    assert_int_equal(config.gpus.kind, CONFIG_GPUS_AMDGPU);
    assert_string_equal(config.gpus.sysfs, "/host/sys");
    assert_string_equal(config.gpus.proc, "/host/proc");
    config_release(&config);
    load_quiet("gpus: {nvml: {proc: /host/proc}}\n", &config);
    assert_int_equal(config.gpus.kind, CONFIG_GPUS_NVML);
    assert_string_equal(config.gpus.proc, "/host/proc");
    config_release(&config);
}

/* Nobody is to believe that a later version's key is obeyed. */
static void keys_of_later_versions_are_refused(void **state)
{
    (void)state;
    refuse("mode: dream\n"
           "auth: {token: x}\n"
           "services:\n"
           "  s: {restart: [a, b], signals: null, engine: x}\n",
           "f:1:7: 'mode': 'dream' is not enforce or observe\n"
           "f:2:7: 'auth' is not supported by this version\n"
           "f:4:47: 'services.s.engine' is not supported by this version\n");
}

static void
a_member_is_reached_at_its_socket_unless_it_says_otherwise(void **state)
{
    struct config config;

    (void)state;
    load_quiet("store: postgresql:///gpus\nsocket: /run/a/a.sock\n"
               "cluster: {name: a}\n",
               &config);
    assert_string_equal(config.cluster_name, "a");
    assert_string_equal(config.cluster_advertise, "unix:///run/a/a.sock");
    config_release(&config);
    load_quiet("store: postgresql:///gpus\n"
               "cluster: {name: b, advertise: 'http://127.0.0.1:4781'}\n",
               &config);
    assert_string_equal(config.cluster_advertise, "http://127.0.0.1:4781");
    config_release(&config);
    load_quiet("cluster: null\n", &config);
    assert_null(config.cluster_name);
    assert_null(config.cluster_advertise);
    config_release(&config);
}

/* What was frozen has to be found again, also by `gpucoord thaw`. */
static void what_is_of_the_machine_stays_there(void **state)
{
    struct config config;
    struct buf dir;

    (void)state;
    buf_init(&dir, 0);
    load_quiet("store: sqlite:/srv/gpu/queue.db\n", &config);
    assert_int_equal(config_state_dir(&config, &dir), E_OK);
    assert_string_equal(buf_string(&dir), "/srv/gpu");
    config_release(&config);
    buf_clear(&dir);
    assert_int_equal(setenv("STATE_DIRECTORY", "/srv/state", 1), 0);
    load_quiet("store: postgresql:///gpus?host=/run/pg\n", &config);
    assert_int_equal(config_state_dir(&config, &dir), E_OK);
    assert_string_equal(buf_string(&dir), "/srv/state");
    config_release(&config);
    assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
    buf_release(&dir);
}

/* Beyond this host what is relayed could be read and forged by anybody. */
static void a_cluster_is_one_of_this_host(void **state)
{
    (void)state;
    refuse("cluster: {name: a b, advertise: http://10.0.0.1:4780}\n",
           "f:1:17: 'cluster.name': 'a b' is not a name of 1 to 64 of A-Z a-z "
           "0-9 . _ -\n"
           "f:1:33: 'cluster.advertise': 10.0.0.1 is beyond loopback, which "
           "needs 'auth', which this version does not have\n");
    refuse("cluster: {advertise: unix:///run/a.sock}\n",
           "f:1:10: 'cluster' needs a 'name' for this member\n");
    refuse("store: sqlite:/tmp/q.db\ncluster: {name: a}\n",
           "f:2:10: 'cluster' needs a 'store' in PostgreSQL, which all of its "
           "members share\n");
}

/* B8: what is done to have the GPU back is read as it is written. */
static void a_ladder_is_read_with_its_deadlines(void **state)
{
    struct config config;
    const struct config_service *a;
    const struct config_service *b;
    struct core_config core = {.device_count = 1};

    (void)state;
    load_quiet("mode: observe\n"
               "host_ram_reserve: 8GiB\n"
               "notify: [/bin/tell, it]\n"
               "defaults: {rung_grace: 3s}\n"
               "services:\n"
               "  a: {ladder: [ask, {term: 20s}, kill, restart],\n"
               "      restart: [systemctl, restart, a],\n"
               "      signals: {pause: USR1, resume: SIGUSR2}}\n"
               "  b: {ladder: checkpoint}\n"
               "  c: {ladder: [checkpoint]}\n",
               &config);
    assert_true(config.is_observing);
    assert_int_equal(config.host_ram_reserve_mib, 8192);
    assert_string_equal(config.notify[1], "it");
    assert_null(config.notify[2]);
    a = config_service_find(&config, "a");
    b = config_service_find(&config, "b");
    assert_int_equal(a->ladder.count, 4);
    assert_int_equal(a->ladder.steps[1].rung, RUNG_TERM);
    assert_int_equal(a->ladder.steps[1].grace_ms, 20000);
    assert_int_equal(a->ladder.steps[2].grace_ms, 3000);
    assert_string_equal(a->restart[2], "a");
    assert_null(a->restart[3]);
    assert_int_equal(a->signals.pause, SIGUSR1);
    assert_int_equal(a->signals.resume, SIGUSR2);
    assert_int_equal(b->ladder.steps[0].rung, RUNG_CHECKPOINT);
    assert_int_equal(a->ladder_id, CORE_LADDER(0));
    assert_int_equal(b->ladder_id, CORE_LADDER(1));
    assert_int_equal(config_service_find(&config, "c")->ladder_id,
                     b->ladder_id);
    config_core_get(&config, &core);
    assert_int_equal(core.ladder_count, 2);
    assert_true(core.is_observing);
    config_release(&config);
}

/* A ladder that cannot be walked is told with its place, not when it is. */
static void what_no_ladder_can_mean_is_refused(void **state)
{
    (void)state;
    refuse("notify: mail root\n"
           "services:\n"
           "  a: {ladder: [ask, pause]}\n"
           "  b: {ladder: [term, ask]}\n"
           "  c: {ladder: [{ask: 3s}, {term: 0}, {kill: 1, term: 2}]}\n"
           "  d: {ladder: []}\n"
           "  e: {ladder: [ask, restart]}\n"
           "  f: {signals: {pause: KILL}}\n"
           "  g: {signals: {resume: USR1, both: USR2}}\n"
           "  h: {restart: []}\n",
           "f:1:9: 'notify' is a list of a program and its arguments, as "
           "[systemctl, restart, whisper]: no shell reads it\n"
           "f:3:21: 'services.a.ladder': 'pause' is not ask, unload, freeze, "
           "checkpoint, term, kill or restart\n"
           "f:4:22: 'services.b.ladder': 'ask' comes after 'term': each at "
           "most once, in the order ask, unload, freeze, checkpoint, term, "
           "kill or restart\n"
           "f:5:22: 'services.c.ladder': the deadline of 'ask' is "
           "'pause_grace'\n"
           "f:5:34: 'services.c.ladder': the deadline of 'term' is a time from "
           "1ms to 10m\n"
           "f:5:38: 'services.c.ladder' is a list of rungs as [ask, {term: "
           "10s}, kill]\n"
           "f:6:15: 'services.d.ladder' has at least one rung: to be left "
           "alone, a request says \"preemptible\": false\n"
           "f:7:15: 'services.e.ladder' has 'restart', but "
           "'services.e.restart' names no command\n"
           "f:8:24: 'services.f.signals': a signal is USR1, USR2, HUP, INT or "
           "WINCH\n"
           "f:9:16: 'services.g.signals' is a map as {pause: USR1, resume: "
           "USR2}\n"
           "f:9:31: 'services.g.signals' has the keys pause and resume\n"
           "f:10:16: 'services.h.restart' is a list of a program and its "
           "arguments, as [systemctl, restart, whisper]: no shell reads it\n");
}

static void expect_process(const struct config_process *process,
                           const char *service,
                           enum owner_kind kind,
                           const char *pattern)
{
    assert_string_equal(process->service, service);
    assert_int_equal(process->kind, kind);
    assert_string_equal(process->pattern, pattern);
}

/* C1: by these the coordinator knows whose VRAM it sees. */
static void processes_of_services_are_read_in_their_order(void **state)
{
    struct config config;

    (void)state;
    load_quiet("services:\n"
               "  a: {processes: {unit: ollama, exe: [python3, /opt/*/x]}}\n"
               "  b: {processes: null}\n"
               "  c:\n"
               "    processes:\n"
               "      container: whisper\n"
               "      cgroup: /gpu.slice\n",
               &config);
    assert_int_equal(config.process_count, 5);
    expect_process(&config.processes[0], "a", OWNER_UNIT, "ollama");
    expect_process(&config.processes[1], "a", OWNER_EXE, "python3");
    expect_process(&config.processes[2], "a", OWNER_EXE, "/opt/*/x");
    expect_process(&config.processes[3], "c", OWNER_CONTAINER, "whisper");
    expect_process(&config.processes[4], "c", OWNER_CGROUP, "/gpu.slice");
    config_release(&config);
}

static void processes_that_say_nothing_are_refused(void **state)
{
    (void)state;
    refuse("services:\n"
           "  a: {processes: ollama}\n"
           "  b: {processes: {pid: 7, unit: [], exe: ''}}\n"
           "  c: {processes: {cgroup: gpu.slice, unit: {a: b}}}\n",
           "f:2:18: 'services.a.processes' is a map as {unit: ollama} or "
           "{exe: [a, b]}\n"
           "f:3:19: 'services.b.processes': a process is named by unit, "
           "container, cgroup or exe\n"
           "f:3:42: 'exe' is a name, or a list of names\n"
           "f:4:27: 'cgroup' is the path of a cgroup, as /gpu.slice\n"
           "f:4:44: 'unit' is a name, or a list of names\n");
}

static void shapes_say_what_they_accept(void **state)
{
    (void)state;
    refuse("listen: example.org:80\n",
           "f:1:9: 'listen': 'example.org' is neither an IP address nor "
           "localhost\n");
    refuse("listen: 4780\n", "f:1:9: 'listen': '4780' is no address and port "
                             "as 127.0.0.1:4780\n");
    refuse("listen: 127.0.0.1:65536\n",
           "f:1:9: 'listen': '127.0.0.1:65536' is no address and port as "
           "127.0.0.1:4780\n");
    refuse("listen: [127.0.0.1]\n",
           "f:1:9: 'listen' is a text as 127.0.0.1:4780\n");
    refuse("socket: s.sock\n",
           "f:1:9: 'socket': 's.sock' is not an absolute path\n");
    refuse("store: postgresql://u:secret@db/x\n",
           "f:1:8: 'store': a password belongs into a file, as ~/.pgpass, not "
           "into the URL\n");
    refuse("store: postgresql://db/x?password=secret\n",
           "f:1:8: 'store': a password belongs into a file, as ~/.pgpass, not "
           "into the URL\n");
    refuse("store: /x.db\n", "f:1:8: 'store': '/x.db' is not sqlite: and an "
                             "absolute path, and no postgresql: URL\n");
    refuse("hosts: a\n", "f:1:8: 'hosts': 'a' is not a list of names as "
                         "[gpu.example.org]\n");
    refuse("hosts: [a/b, [c]]\n",
           "f:1:9: 'hosts': 'a/b' is not a host name, without port\n"
           "f:1:14: 'hosts': this is not a host name, without port\n");
    refuse("gpus: cuda\n",
           "f:1:7: 'gpus': 'cuda' is not auto, nvml, amdgpu, {simulated: "
           "[24576]} or {declared: [24576]}\n");
    refuse("gpus: {simulated: [0], declared: [1], dir: x, x: y}\n",
           "f:1:20: 'gpus': a size is 1 MiB to 16 TiB, as 24576 or 24GiB\n"
           "f:1:24: 'gpus' has one of simulated, declared, nvml and amdgpu, "
           "once\n"
           "f:1:44: 'gpus': 'dir' is an absolute path\n"
           "f:1:47: 'gpus' has one of simulated, declared, nvml and amdgpu, "
           "and dir\n");
    refuse("gpus: {amdgpu: all}\n",
           "f:1:16: 'gpus' is a word as amdgpu, or {amdgpu: {sysfs: PATH, "
           "proc: PATH}}\n");
    refuse("gpus: {amdgpu: {sysfs: x, dir: /x}}\n",
           "f:1:24: 'gpus': 'sysfs' is an absolute path\n"
           "f:1:27: 'gpus.amdgpu' has sysfs and proc\n");
    refuse("gpus: {nvml: {sysfs: /x}, dir: /x}\n",
           "f:1:7: 'gpus': only simulated GPUs have a 'dir'\n"
           "f:1:15: 'gpus.nvml' has proc\n");
    refuse("gpus: {declared: []}\n",
           "f:1:18: 'gpus' needs a list of sizes in MiB as [24576, 8192]\n");
    refuse("gpus: {dir: /x}\n",
           "f:1:7: 'gpus' has one of simulated, declared, nvml and amdgpu\n");
    refuse("gpus: [1]\n",
           "f:1:7: 'gpus' is auto, nvml, amdgpu, {simulated: [24576]} or "
           "{declared: [24576]}\n");
    refuse("verify: null\n", "f:1:9: 'verify' is off or measured\n");
    refuse("shutdown: [1s]\n",
           "f:1:11: 'shutdown' is a time as 500ms, 30s, 5m or 1h\n");
}

static void keys_are_judged_together(void **state)
{
    (void)state;
    refuse("gpus: {simulated: [1024]}\n"
           "reserve_mib: 1GiB\n",
           "f:1:7: the reserve of 1024 MiB leaves nothing of GPU 0, which has "
           "1024 MiB\n");
    refuse("gpus: {simulated: [8192]}\n"
           "devices: {1: {}, x: {}, GPU-abc: {}}\n"
           "classes: {chatbot: {vram_mib: 8GiB}}\n"
           "services: {a: {vram_mib: 7937}, b: {vram_mib: 7936}}\n",
           "f:2:11: there is no GPU 1: the last is 0\n"
           "f:2:18: 'x' is neither the index nor the UUID of a GPU\n"
           "f:3:31: 8192 MiB are more than any GPU can grant: 7936 MiB\n"
           "f:4:26: 7937 MiB are more than any GPU can grant: 7936 MiB\n");
    refuse("gpus: {declared: [8192]}\n"
           "verify: measured\n"
           "devices: {0: {verify: measured}}\n",
           "f:2:9: declared GPUs cannot be measured: verify is off\n"
           "f:3:23: declared GPUs cannot be measured: verify is off\n");
}

/* A5 and A6 contradict each other; the warning has both numbers. */
static void unreachable_shares_are_warned_of(void **state)
{
    struct config config;
    struct buf notes;

    (void)state;
    load("classes: {transcription: {weight: 70}}\n", &config, &notes);
    assert_string_equal(
        buf_string(&notes),
        "f:1:35: warning: class 'transcription' has a share of 70.0 % among "
        "priority 2, but with at most 2 in a row it reaches 66.7 %\n");
    buf_release(&notes);
    config_release(&config);

    load("classes: {transcription: {max_consecutive: 3}}\n", &config, &notes);
    assert_string_equal(buf_string(&notes), "");
    buf_release(&notes);
    config_release(&config);

    /* Who wrote nothing of it did not choose the numbers. */
    load("listen: null\nclasses: {chatbot: {weight: 60}}\n", &config, &notes);
    assert_string_equal(buf_string(&notes), "");
    buf_release(&notes);
    config_release(&config);

    load("classes:\n"
         "  transcription: {max_consecutive: 3}\n"
         "  summarization: {weight: 80}\n",
         &config, &notes);
    assert_string_equal(
        buf_string(&notes),
        "f:3:27: warning: class 'summarization' has a share of 53.3 % among "
        "priority 2, but with at most 1 in a row it reaches 50.0 %\n");
    buf_release(&notes);
    config_release(&config);
}

static void doubtful_values_are_warned_of(void **state)
{
    struct config config;
    struct buf notes;

    (void)state;
    load("defaults: {timeout: 30}\n"
         "settle_ms: 30\n"
         "limits: {waiters: 5}\n"
         "classes: {transcription: {max_consecutive: 3}}\n",
         &config, &notes);
    assert_string_equal(buf_string(&notes),
                        "f: warning: 'limits.per_service' is above "
                        "'limits.waiters', which is reached first\n"
                        "f:1:21: warning: 'defaults.timeout' is 30 "
                        "milliseconds: write 30ms or 30s\n");
    buf_release(&notes);
    config_release(&config);
}

static void what_is_no_yaml_is_named_with_its_place(void **state)
{
    (void)state;
    refuse("a: [1\n", "f:2:1: did not find expected ',' or ']' while parsing "
                      "a flow sequence in line 1\n");
    refuse("- a\n", "f:1:1: the file is a map of keys, as key: value\n");
    refuse("verify: off\n---\nverify: off\n",
           "f:3:1: a second document in the same file\n");
    refuse("verify: \"o\\0ff\"\n", "f:1:9: 'verify' is off or measured\n");
    refuse("? [a]\n: b\n", "f:1:3: a key is a plain text\n");
    refuse("hosts: &a [*a]\n",
           "f:1:8: 'hosts': this is not a host name, without port\n");
    refuse("? \"a\\e[31m\"\n: x\n", "f:1:3: unknown key 'a?[31m'\n");
}

/* A file of nothing but mistakes does not fill the memory. */
static void number_of_notes_is_bounded(void **state)
{
    struct config config;
    struct config_report report;
    struct buf text;
    int i;

    (void)state;
    buf_init(&text, 0);
    for (i = 0; i < 2 * CONFIG_NOTES_MAX; i++) {
        buf_printf(&text, "unknown%d: 1\n", i);
    }
    assert_int_equal(config_load_text(text.data, text.size, &config, &report),
                     E_INVALID);
    assert_int_equal(report.count, CONFIG_NOTES_MAX);
    assert_true(report.is_cut);
    config_report_release(&report);
    buf_release(&text);
}

static void files_are_read_or_the_reason_is_said(void **state)
{
    char path[] = "/tmp/gpucoord-config-XXXXXX";
    struct config config;
    struct config_report report;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "shutdown: 3s\n", 13), 13);
    assert_int_equal(config_load(path, &config, &report), E_OK);
    assert_int_equal(config.shutdown_ms, 3000);
    config_release(&config);
    config_report_release(&report);
    assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
    assert_int_equal(config_load(path, &config, &report), E_INVALID);
    assert_string_equal(report.notes[0].text, "larger than 256 KiB");
    config_report_release(&report);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(config_load(path, &config, &report), E_IO);
    assert_non_null(strstr(report.notes[0].text, "No such file"));
    config_report_release(&report);
}

static void requests_are_filled_from_service_class_and_defaults(void **state)
{
    static const char text[] =
        "classes: {images: {priority: 3, vram_mib: 2GiB, pause_grace: 5s}}\n"
        "services:\n"
        "  painter: {class: images}\n"
        "  hungry: {class: images, vram_mib: 0, pause_grace: 7s}\n";
    struct config config;
    struct config_request ask = {.service_id = "painter",
                                 .timeout_ms = CONFIG_UNSET_64,
                                 .priority = CONFIG_UNSET,
                                 .ttl_ms = CONFIG_UNSET,
                                 .vram_mib = CONFIG_UNSET};
    struct core_request out = {0};
    const char *field = NULL;

    (void)state;
    load_quiet(text, &config);
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field), E_OK);
    assert_int_equal(out.class_id, CORE_CLASS(4));
    assert_string_equal(config_class_name(&config, out.class_id), "images");
    assert_int_equal(out.vram_mib, 2048);
    assert_int_equal(out.pause_grace_ms, 5000);
    assert_int_equal(out.ttl_ms, 30000);
    assert_int_equal(out.timeout_ms, 30000);
    assert_true(out.is_preemptible);

    ask.service_id = "hungry";
    ask.is_durable = true;
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field), E_OK);
    assert_int_equal(out.vram_mib, 0);
    assert_int_equal(out.pause_grace_ms, 7000);
    assert_true(out.timeout_ms == CORE_FOREVER);
    assert_true(out.is_durable);

    /* A request's own word counts, and its priority against the class of its
     * service too. */
    ask.is_durable = false;
    ask.vram_mib = 100;
    ask.ttl_ms = 5000;
    ask.timeout_ms = 0;
    ask.priority = 0;
    ask.preemptible = CONFIG_CHOICE_YES;
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field), E_OK);
    assert_int_equal(out.class_id, 0);
    assert_null(config_class_name(&config, out.class_id));
    assert_int_equal(out.vram_mib, 100);
    assert_int_equal(out.ttl_ms, 5000);
    assert_int_equal(out.timeout_ms, 0);
    assert_true(out.is_preemptible);

    ask.class_name = "images";
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field),
                     E_INVALID);
    assert_string_equal(field, "priority");
    ask.class_name = "imagery";
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field),
                     E_INVALID);
    assert_string_equal(field, "class");
    config_release(&config);
}

/* B1: these exact three fields are enough. */
static void three_fields_are_enough(void **state)
{
    struct config config;
    struct config_request ask = {.service_id = "gemma-service",
                                 .timeout_ms = 5000,
                                 .priority = 0,
                                 .ttl_ms = CONFIG_UNSET,
                                 .vram_mib = CONFIG_UNSET};
    struct core_request out = {0};
    const char *field;

    (void)state;
    load_quiet("", &config);
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field), E_OK);
    assert_int_equal(out.class_id, 0);
    assert_int_equal(out.vram_mib, 0);
    assert_false(out.is_preemptible);
    ask.priority = CONFIG_UNSET;
    assert_int_equal(config_request_resolve(&config, &ask, &out, &field), E_OK);
    assert_int_equal(out.class_id, 2);
    assert_true(out.is_preemptible);
    config_release(&config);
}

static void devices_have_settings_of_their_own(void **state)
{
    struct config config;
    struct core_device_config device;

    (void)state;
    load_quiet("devices:\n"
               "  0: {verify: off, settle_ms: 1s}\n"
               "  GPU-abc: {reserve_mib: 1GiB, residue_mib: 1}\n",
               &config);
    assert_int_equal(
        config_device_get(&config, 0, "GPU-abc", 8192, true, &device), E_OK);
    assert_false(device.is_measured);
    assert_int_equal(device.settle_ms, 1000);
    assert_int_equal(device.reserve_mib, 1024);
    assert_int_equal(device.residue_mib, 1);
    assert_int_equal(
        config_device_get(&config, 1, "GPU-x", 8192, true, &device), E_OK);
    assert_true(device.is_measured);
    assert_int_equal(device.reserve_mib, 256);
    assert_int_equal(
        config_device_get(&config, 1, "GPU-x", 8192, false, &device), E_OK);
    assert_false(device.is_measured);
    assert_int_equal(config_device_get(&config, 1, "GPU-x", 256, true, &device),
                     E_INVALID);
    config_release(&config);
}

static void core_is_given_classes_and_limits(void **state)
{
    struct config config;
    struct core_config core = {.device_count = 3};

    (void)state;
    load_quiet("{limits: {waiters: 7000}, resume_margin: 7}\n", &config);
    config_core_get(&config, &core);
    assert_int_equal(core.resume_margin_percent, 7);
    assert_int_equal(core.device_count, 3);
    assert_int_equal(core.class_count, 4);
    assert_int_equal(core.classes[2].weight, 70);
    assert_int_equal(core.waiters_max, 7000);
    assert_int_equal(core.stream_grace_ms, 2000);
    config_release(&config);
}

/* A reload must not give a class another's number: leases have them. */
static void reload_keeps_numbers_and_what_only_a_start_changes(void **state)
{
    struct config now;
    struct config next;
    struct config_report report;
    struct buf notes;

    (void)state;
    load_quiet("listen: 127.0.0.1:1000\n"
               "gpus: {declared: [1024]}\n"
               "classes: {a: {weight: 1}, b: {weight: 2}}\n",
               &now);
    load_quiet("listen: 127.0.0.2:2000\n"
               "shutdown: 3s\n"
               "classes: {c: {weight: 4}, b: {weight: 3}}\n",
               &next);
    config_report_init(&report);
    assert_int_equal(config_follow(&next, &now, &report), E_OK);
    assert_int_equal(next.shutdown_ms, 3000);
    assert_string_equal(next.listen_host, "127.0.0.1");
    assert_int_equal(next.listen_port, 1000);
    assert_int_equal(next.gpus.kind, CONFIG_GPUS_DECLARED);
    assert_int_equal(next.class_count, 7);
    assert_int_equal(config_class_find(&next, "a"), 4);
    assert_int_equal(next.classes[4].core.weight, 1);
    assert_int_equal(config_class_find(&next, "b"), 5);
    assert_int_equal(next.classes[5].core.weight, 3);
    assert_int_equal(config_class_find(&next, "c"), 6);
    buf_init(&notes, 0);
    config_report_print(&report, "f", &notes);
    assert_string_equal(
        buf_string(&notes),
        "f: warning: 'listen' changes at the next start: it stays "
        "'127.0.0.1'\n"
        "f: warning: the port of 'listen' changes at the next start: it stays "
        "1000\n"
        "f: warning: 'gpus' changes at the next start: it stays as it is\n"
        "f: warning: class 'a' goes at the next start: it stays as it is\n");
    buf_release(&notes);
    config_report_release(&report);
    config_release(&now);
    config_release(&next);
}

static void reload_refuses_more_classes_than_there_is_room_for(void **state)
{
    struct config now;
    struct config next;
    struct config_report report;
    struct buf text;
    int i;

    (void)state;
    buf_init(&text, 0);
    buf_text(&text, "classes:\n");
    for (i = 0; i < CORE_CLASSES_MAX - 4; i++) {
        buf_printf(&text, "  c%d: {priority: 5}\n", i);
    }
    load_quiet(buf_string(&text), &now);
    load_quiet("classes: {another: {}}\n", &next);
    config_report_init(&report);
    assert_int_equal(config_follow(&next, &now, &report), E_INVALID);
    config_report_release(&report);
    config_release(&next);
    buf_text(&text, "  another: {}\n");
    refuse(buf_string(&text), "f:2:3: 65 classes, with those that are always "
                              "there, are more than 64\n");
    buf_release(&text);
    config_release(&now);
}

static void places_follow_the_environment(void **state)
{
    struct config config;
    struct buf path;
    char dir[] = "/tmp/gpucoord-config-XXXXXX";
    char file[128];

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)setenv("RUNTIME_DIRECTORY", "/run/x:/run/y", 1);
    (void)setenv("STATE_DIRECTORY", "/var/x", 1);
    load_quiet("gpus: {simulated: [1024]}\n", &config);
    assert_string_equal(config.socket, "/run/x/gpucoord.sock");
    assert_string_equal(config.store, "/var/x/queue.db");
    assert_string_equal(config.gpus.dir, "/run/x/simulated");
    config_release(&config);
    (void)unsetenv("RUNTIME_DIRECTORY");
    (void)unsetenv("STATE_DIRECTORY");

    (void)setenv("XDG_CONFIG_HOME", dir, 1);
    (void)snprintf(file, sizeof file, "%s/gpucoord", dir);
    assert_int_equal(mkdir(file, 0700), 0);
    (void)snprintf(file, sizeof file, "%s/gpucoord/gpucoord.yaml", dir);
    (void)fclose(fopen(file, "w"));
    buf_init(&path, 0);
    assert_int_equal(config_find_path(&path), E_OK);
    assert_string_equal(buf_string(&path), file);
    buf_release(&path);
    (void)unlink(file);
    (void)snprintf(file, sizeof file, "%s/gpucoord", dir);
    (void)rmdir(file);
    (void)rmdir(dir);
}

/* Compare what @print appends with the file @path. */
static void compare(void (*print)(struct buf *out), const char *path)
{
    struct buf printed;
    struct buf written;
    FILE *file = fopen(path, "r");
    size_t size = 1;

    assert_non_null(file);
    buf_init(&printed, 0);
    buf_init(&written, 0);
    print(&printed);
    while (size > 0) {
        char *room = buf_room(&written, 4096);

        size = fread(room, 1, 4096, file);
        buf_grown(&written, size);
    }
    (void)fclose(file);
    assert_string_equal(buf_string(&written), buf_string(&printed));
    buf_release(&printed);
    buf_release(&written);
}

/* The book and the program are one: the files are what is printed. */
static void printed_keys_are_the_documented_ones(void **state)
{
    (void)state;
    compare(config_print_docs, DOCS "/config.md");
    compare(config_print_man, DOCS "/gpucoord.yaml.5.scd");
}

static void units_are_read_and_printed(void **state)
{
    uint64_t number = 7;
    struct buf text;

    (void)state;
    assert_int_equal(units_parse_time("2min", &number), E_OK);
    assert_int_equal(number, 120000);
    assert_int_equal(units_parse_time("1d", &number), E_OK);
    assert_int_equal(number, 86400000);
    assert_int_equal(units_parse_size("2TiB", &number), E_OK);
    assert_int_equal(number, 2097152);
    number = 7;
    assert_int_equal(units_parse_count("5s", &number), E_INVALID);
    assert_int_equal(units_parse_time("", &number), E_INVALID);
    assert_int_equal(units_parse_time("s", &number), E_INVALID);
    assert_int_equal(units_parse_time("-1s", &number), E_INVALID);
    assert_int_equal(units_parse_time("1.5s", &number), E_INVALID);
    assert_int_equal(units_parse_time("1 s", &number), E_INVALID);
    assert_int_equal(units_parse_size("24GB", &number), E_INVALID);
    assert_int_equal(units_parse_time("18446744073709551617", &number),
                     E_INVALID);
    assert_int_equal(units_parse_time("9007199254740992d", &number), E_INVALID);
    assert_int_equal(number, 7);
    buf_init(&text, 0);
    units_print_time(&text, 90000);
    units_print_time(&text, 0);
    units_print_time(&text, 1500);
    units_print_size(&text, 4096);
    assert_string_equal(buf_string(&text), "90s0ms1500ms4GiB");
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_without_a_file),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(all_mistakes_are_named_at_once_with_their_places),
        cmocka_unit_test(amd_cards_are_named_in_two_ways),
        cmocka_unit_test(
            a_member_is_reached_at_its_socket_unless_it_says_otherwise),
        cmocka_unit_test(what_is_of_the_machine_stays_there),
        cmocka_unit_test(a_cluster_is_one_of_this_host),
        cmocka_unit_test(keys_of_later_versions_are_refused),
        cmocka_unit_test(a_ladder_is_read_with_its_deadlines),
        cmocka_unit_test(what_no_ladder_can_mean_is_refused),
        cmocka_unit_test(processes_of_services_are_read_in_their_order),
        cmocka_unit_test(processes_that_say_nothing_are_refused),
        cmocka_unit_test(shapes_say_what_they_accept),
        cmocka_unit_test(keys_are_judged_together),
        cmocka_unit_test(unreachable_shares_are_warned_of),
        cmocka_unit_test(doubtful_values_are_warned_of),
        cmocka_unit_test(what_is_no_yaml_is_named_with_its_place),
        cmocka_unit_test(number_of_notes_is_bounded),
        cmocka_unit_test(files_are_read_or_the_reason_is_said),
        cmocka_unit_test(requests_are_filled_from_service_class_and_defaults),
        cmocka_unit_test(three_fields_are_enough),
        cmocka_unit_test(devices_have_settings_of_their_own),
        cmocka_unit_test(core_is_given_classes_and_limits),
        cmocka_unit_test(reload_keeps_numbers_and_what_only_a_start_changes),
        cmocka_unit_test(reload_refuses_more_classes_than_there_is_room_for),
        cmocka_unit_test(places_follow_the_environment),
        cmocka_unit_test(printed_keys_are_the_documented_ones),
        cmocka_unit_test(units_are_read_and_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
