/* Which runtime is asked for the name of a container, and what it answers. */
#include "control/runtime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void the_runtime_is_told_by_the_cgroup(void **state)
{
    static const struct {
        const char *cgroup;
        const char *program; /* NULL = nobody is asked. */
    } cases[] = {
        {"/system.slice/docker-" ID ".scope", "docker"},
        {"/docker/" ID, "docker"},
        {"/gpu.slice/docker-" ID ".scope/inner", "docker"},
        {"/user.slice/user-1000.slice/libpod-" ID ".scope/container", "podman"},
        {"/machine.slice/libpod-" ID ".scope", "podman"},
        {"/system.slice/nerdctl-" ID ".scope", "nerdctl"},
        {"/default/" ID, "nerdctl"},
        {"/kubepods/besteffort/pod1/" ID, NULL},
        {"/kubepods.slice/cri-containerd-" ID ".scope", NULL},
        {"/system.slice/ollama.service", NULL},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct proc_facts facts = {.uid = 0};
        char id[OWNER_CONTAINER_SIZE];
        const char *argv[RUNTIME_WORDS] = {NULL};
        bool is_asked;

        (void)snprintf(facts.cgroup, sizeof facts.cgroup, "%s",
                       cases[i].cgroup);
        owner_container(&facts, id);
        is_asked = runtime_command(&facts, id, argv);
        if (is_asked != (cases[i].program != NULL) ||
            (is_asked && (strcmp(argv[0], cases[i].program) != 0 ||
                          strcmp(argv[5], ID) != 0 || argv[6] != NULL))) {
            fail_msg("%s: %s", cases[i].cgroup, is_asked ? argv[0] : "-");
        }
    }
}

static void a_name_is_a_name_and_a_complaint_is_none(void **state)
{
    char name[RUNTIME_NAME_SIZE];

    (void)state;
    assert_true(runtime_read_name("/whisper-1\n", name));
    assert_string_equal(name, "whisper-1");
    assert_true(runtime_read_name("whisper_2.x", name));
    assert_string_equal(name, "whisper_2.x");
    assert_false(runtime_read_name("Error: No such container", name));
    assert_false(runtime_read_name("", name));
    assert_false(runtime_read_name("/", name));
}

/* Else every container on a GPU would be asked for. */
static void only_rules_with_names_need_one(void **state)
{
    (void)state;
    assert_true(runtime_is_named(
        &(struct owner_rule){.kind = OWNER_CONTAINER, .pattern = "whisper"}));
    assert_true(runtime_is_named(
        &(struct owner_rule){.kind = OWNER_CONTAINER, .pattern = "cafe"}));
    assert_false(runtime_is_named(&(struct owner_rule){
        .kind = OWNER_CONTAINER, .pattern = "0123456789ab"}));
    assert_false(runtime_is_named(
        &(struct owner_rule){.kind = OWNER_UNIT, .pattern = "whisper"}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_runtime_is_told_by_the_cgroup),
        cmocka_unit_test(a_name_is_a_name_and_a_complaint_is_none),
        cmocka_unit_test(only_rules_with_names_need_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
