/* Whose process it is: every way to claim one, and who wins. */
#include "control/owner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_ID \
    "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

/* ---- Rules --------------------------------------------------------------- */

struct rule_case {
    enum owner_kind kind;
    const char *pattern;
    const char *cgroup; /* Of version 2. */
    const char *exe;
    bool matches;
};

static const struct rule_case rule_cases[] = {
    {OWNER_UNIT, "ollama", "/system.slice/ollama.service", "", true},
    {OWNER_UNIT, "ollama.service", "/system.slice/ollama.service", "", true},
    {OWNER_UNIT, "ollama.service", "/system.slice/ollama.service/worker", "",
     true},
    {OWNER_UNIT, "ollama", "/system.slice/ollama2.service", "", false},
    {OWNER_UNIT, "llama", "/system.slice/ollama.service", "", false},
    {OWNER_UNIT, "ollama",
     "/user.slice/user-1000.slice/user@1000.service/app.slice/ollama.service",
     "", true},
    {OWNER_UNIT, "ollama", "", "/usr/bin/ollama", false},
    {OWNER_UNIT, "whisper@gpu0", "/system.slice/whisper@gpu0.service", "",
     true},
    {OWNER_UNIT, "whisper@gpu0",
     "/system.slice/system-whisper.slice/whisper@gpu1.service", "", false},
    {OWNER_UNIT, "whisper@.service",
     "/system.slice/system-whisper.slice/whisper@gpu1.service", "", true},
    {OWNER_UNIT, "whisper@*.service",
     "/system.slice/system-whisper.slice/whisper@gpu1.service", "", true},
    {OWNER_UNIT, "whisper@.service", "/system.slice/whisperer.service", "",
     false},
    {OWNER_UNIT, "batch.slice", "/batch.slice/a.service", "", true},
    {OWNER_UNIT, "cpu.service", "/system.slice/_cpu.service", "", true},
    {OWNER_CONTAINER, ID, "/system.slice/docker-" ID ".scope", "", true},
    {OWNER_CONTAINER, "0123456789ab", "/system.slice/docker-" ID ".scope", "",
     true},
    {OWNER_CONTAINER, "0123456789a", "/system.slice/docker-" ID ".scope", "",
     false},
    {OWNER_CONTAINER, "0123456789ab", "/system.slice/docker-" OTHER_ID ".scope",
     "", false},
    {OWNER_CONTAINER, "0123456789ab", "/docker/" ID, "", true},
    {OWNER_CONTAINER, "0123456789ab",
     "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
     ".scope/container",
     "", true},
    {OWNER_CONTAINER, "0123456789ab",
     "/machine.slice/libpod-conmon-" ID ".scope", "", false},
    {OWNER_CONTAINER, "0123456789ab",
     "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope", "",
     true},
    {OWNER_CONTAINER, "0123456789ab", "/docker/" ID "/docker/" OTHER_ID, "",
     true},
    {OWNER_CONTAINER, "whisper", "/system.slice/docker-" ID ".scope", "", true},
    {OWNER_CONTAINER, "whis*", "/system.slice/docker-" ID ".scope", "", true},
    {OWNER_CONTAINER, "whisper", "/system.slice/docker-" OTHER_ID ".scope", "",
     false},
    {OWNER_CONTAINER, "box", "/lxc.payload.box/init.scope", "", true},
    {OWNER_CONTAINER, "box", "/machine.slice/machine-box.scope/payload", "",
     true},
    {OWNER_CONTAINER, "whisper", "/system.slice/whisper.service", "", false},
    {OWNER_CGROUP, "/system.slice/a.service", "/system.slice/a.service", "",
     true},
    {OWNER_CGROUP, "/system.slice", "/system.slice/a.service", "", true},
    {OWNER_CGROUP, "/system.slice/a", "/system.slice/a.service", "", false},
    {OWNER_CGROUP, "/gpu/*", "/gpu/a/b", "", true},
    {OWNER_CGROUP, "/gpu/*", "/other/a", "", false},
    {OWNER_EXE, "/usr/bin/ollama", "", "/usr/bin/ollama", true},
    {OWNER_EXE, "/usr/bin/ollama", "", "/opt/ollama", false},
    {OWNER_EXE, "ollama", "", "/opt/bin/ollama", true},
    {OWNER_EXE, "python3*", "", "/usr/bin/python3.11", true},
    {OWNER_EXE, "python3", "", "/usr/bin/python3.11", false},
    {OWNER_EXE, "/opt/*/python3", "", "/opt/venv/bin/python3", true},
    {OWNER_EXE, "*", "", "", false},
};

static void every_rule_matches_what_it_names(void **state)
{
    const struct owner_container known = {ID, "whisper"};
    const struct owner_table table = {.containers = &known,
                                      .container_count = 1};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof rule_cases / sizeof rule_cases[0]; i++) {
        const struct rule_case *test = &rule_cases[i];
        struct owner_rule rule = {1, test->kind, test->pattern};
        struct proc_facts facts = {0};

        (void)snprintf(facts.cgroup, sizeof facts.cgroup, "%s", test->cgroup);
        (void)snprintf(facts.exe, sizeof facts.exe, "%s", test->exe);
        if (owner_matches(&table, &rule, &facts) != test->matches) {
            fail_msg("%s: %s, in '%s' as '%s'", owner_kind_name(test->kind),
                     test->pattern, test->cgroup, test->exe);
        }
    }
}

/* Hybrid machines tell of units in the hierarchy name=systemd only. */
static void cgroups_of_version_1_are_looked_at_too(void **state)
{
    const struct owner_table table = {0};
    struct proc_facts facts = {
        .cgroup = "/", .cgroups = "/system.slice/a.service\n/docker/" ID "\n"};
    char id[OWNER_CONTAINER_SIZE];

    (void)state;
    assert_true(owner_matches(&table, &(struct owner_rule){1, OWNER_UNIT, "a"},
                              &facts));
    assert_true(owner_matches(
        &table, &(struct owner_rule){1, OWNER_CGROUP, "/docker"}, &facts));
    assert_false(owner_matches(
        &table, &(struct owner_rule){1, OWNER_CGROUP, "/gpu"}, &facts));
    owner_container(&facts, id);
    assert_string_equal(id, ID);
}

static void the_innermost_container_is_told(void **state)
{
    struct proc_facts facts = {.cgroup = "/docker/" ID "/docker/" OTHER_ID};
    char id[OWNER_CONTAINER_SIZE];

    (void)state;
    owner_container(&facts, id);
    assert_string_equal(id, OTHER_ID);
    (void)snprintf(facts.cgroup, sizeof facts.cgroup,
                   "/system.slice/a.service");
    owner_container(&facts, id);
    assert_string_equal(id, "");
}

/* ---- Leases -------------------------------------------------------------- */

/* Process 50 is a child of 40, which is one of 30, all started at 100; it is
 * in the group and session of 30. */
static const struct owner_subject subject = {
    .facts = {.stat = {.id = {50, 100},
                       .parent = 40,
                       .pgid = 30,
                       .sid = 30,
                       .state = 'S'},
              .exe = "/usr/bin/train",
              .cgroup = "/user/gpucoord-run-1-1/inner"},
    .ancestors = {{40, 100}, {30, 100}},
    .ancestor_count = 2,
};

static const struct proc_set sets[] = {
    {.id = {50, 100}},                                  /* 0: itself. */
    {.id = {40, 100}},                                  /* 1: its parent. */
    {.id = {30, 100}, .pgid = 30, .sid = 30},           /* 2: a farther. */
    {.id = {50, 99}},                                   /* 3: reused. */
    {.id = {7, 7}, .cgroup = "/user/gpucoord-run-1-1"}, /* 4: its cgroup. */
    {.id = {8, 8}, .cgroup = "/user/gpucoord-run-1-1/inner"}, /* 5: inner. */
    {.id = {31, 90}, .pgid = 30, .sid = 30},          /* 6: its group. */
    {.id = {31, 90}, .pgid = 30, .sid = 29},          /* 7: reused. */
    {.id = {9, 9}, .cgroup = "/user/gpucoord-run-1"}, /* 8: a prefix. */
    {.id = {29, 90}, .pgid = 30, .sid = 30},          /* 9: as 6. */
};

struct lease_case {
    const char *what;
    struct owner_holder holders[3];
    struct owner expected;
};

static const struct lease_case lease_cases[] = {
    {"nobody", {{0}}, {OWNER_NOBODY, 0, 0}},
    {"itself", {{1, 7, &sets[0]}}, {OWNER_LEASE, 7, 1}},
    {"its parent", {{1, 7, &sets[1]}}, {OWNER_LEASE, 7, 1}},
    {"the nearest", {{1, 7, &sets[2]}, {2, 8, &sets[1]}}, {OWNER_LEASE, 8, 2}},
    {"itself first", {{1, 7, &sets[1]}, {2, 8, &sets[0]}}, {OWNER_LEASE, 8, 2}},
    {"a number used again", {{1, 7, &sets[3]}}, {OWNER_NOBODY, 0, 0}},
    {"its cgroup", {{1, 7, &sets[4]}}, {OWNER_LEASE, 7, 1}},
    {"the inner cgroup",
     {{1, 7, &sets[4]}, {2, 8, &sets[5]}},
     {OWNER_LEASE, 8, 2}},
    {"a name that begins alike", {{1, 7, &sets[8]}}, {OWNER_NOBODY, 0, 0}},
    {"its group", {{1, 7, &sets[6]}}, {OWNER_LEASE, 7, 1}},
    {"another session's group", {{1, 7, &sets[7]}}, {OWNER_NOBODY, 0, 0}},
    {"tree before cgroup",
     {{1, 7, &sets[5]}, {2, 8, &sets[1]}},
     {OWNER_LEASE, 8, 2}},
    {"cgroup before group",
     {{1, 7, &sets[6]}, {2, 8, &sets[4]}},
     {OWNER_LEASE, 8, 2}},
    {"leases of one service share it",
     {{2, 7, &sets[0]}, {1, 7, &sets[0]}},
     {OWNER_SERVICE, 7, 0}},
    {"leases of several services",
     {{3, 7, &sets[0]}, {2, 8, &sets[0]}},
     {OWNER_LEASE, 8, 2}},
    {"one lease that claims it twice",
     {{1, 7, &sets[6]}, {1, 7, &sets[9]}},
     {OWNER_LEASE, 7, 1}},
    {"two of one and one of another",
     {{3, 7, &sets[0]}, {2, 8, &sets[0]}, {4, 8, &sets[0]}},
     {OWNER_LEASE, 8, 2}},
};

static void expect_owner(const char *what,
                         const struct owner *found,
                         const struct owner *expected)
{
    if (found->type != expected->type || found->service != expected->service ||
        found->lease != expected->lease) {
        fail_msg("%s: type %d service %u lease %d", what, (int)found->type,
                 found->service, (int)found->lease);
    }
}

static void every_way_to_claim_a_process_has_its_rank(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof lease_cases / sizeof lease_cases[0]; i++) {
        const struct lease_case *test = &lease_cases[i];
        struct owner_table table = {.holders = test->holders};
        struct owner found;

        while (table.holder_count < 3 &&
               test->holders[table.holder_count].set != NULL) {
            table.holder_count++;
        }
        found = owner_find(&table, &subject);
        expect_owner(test->what, &found, &test->expected);
    }
}

static void rules_come_after_leases_and_before_peers(void **state)
{
    static const struct owner_rule rules[] = {
        {3, OWNER_EXE, "other"}, {4, OWNER_EXE, "train"}, {5, OWNER_EXE, "*"}};
    static const struct owner_peer peers[] = {
        {6, {30, 100}}, {7, {40, 100}}, {8, {50, 99}}};
    const struct owner_holder holder = {1, 9, &sets[6]};
    struct owner_table table = {.holders = &holder,
                                .holder_count = 1,
                                .rules = rules,
                                .rule_count = 3,
                                .peers = peers,
                                .peer_count = 3};
    struct owner found = owner_find(&table, &subject);

    (void)state;
    expect_owner("lease", &found, &(struct owner){OWNER_LEASE, 9, 1});
    table.holder_count = 0;
    found = owner_find(&table, &subject);
    expect_owner("rule", &found, &(struct owner){OWNER_SERVICE, 4, 0});
    table.rule_count = 1;
    found = owner_find(&table, &subject);
    expect_owner("peer", &found, &(struct owner){OWNER_SERVICE, 7, 0});
    table.peer_count = 0;
    found = owner_find(&table, &subject);
    expect_owner("rogue", &found, &(struct owner){OWNER_NOBODY, 0, 0});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_matches_what_it_names),
        cmocka_unit_test(cgroups_of_version_1_are_looked_at_too),
        cmocka_unit_test(the_innermost_container_is_told),
        cmocka_unit_test(every_way_to_claim_a_process_has_its_rank),
        cmocka_unit_test(rules_come_after_leases_and_before_peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
