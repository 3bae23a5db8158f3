#include "control/runtime.h"

#include "base/buf.h"
#include "control/launch.h"

#include <stdio.h>
#include <string.h>

/* How the part of a path before an id begins, or the path above it. */
static const struct {
    const char *before;
    const char *program;
} runtimes[] = {
    {"libpod-", "podman"}, {"nerdctl-", "nerdctl"}, {"default/", "nerdctl"},
    {"docker-", "docker"}, {"docker/", "docker"},
};

/* Return the program of the runtime that made the cgroup @path of @id; NULL
 * where @id is not in it, or its runtime has no names (Kubernetes'). */
static const char *find_program(const char *path, const char *id)
{
    const char *at = strstr(path, id);
    size_t i;

    if (at == NULL || strstr(path, "kubepods") != NULL) {
        return NULL;
    }
    for (i = 0; i < sizeof runtimes / sizeof runtimes[0]; i++) {
        size_t size = strlen(runtimes[i].before);

        if ((size_t)(at - path) >= size &&
            strncmp(at - size, runtimes[i].before, size) == 0) {
            return runtimes[i].program;
        }
    }
    return NULL;
}

bool runtime_command(const struct proc_facts *facts,
                     const char id[OWNER_CONTAINER_SIZE],
                     const char *argv[RUNTIME_WORDS])
{
    const char *program = find_program(facts->cgroup, id);

    if (program == NULL) {
        program = find_program(facts->cgroups, id);
    }
    if (id[0] == '\0' || program == NULL) {
        return false;
    }
    argv[0] = program;
    argv[1] = "container";
    argv[2] = "inspect";
    argv[3] = "--format";
    argv[4] = "{{.Name}}";
    argv[5] = id;
    argv[6] = NULL;
    return true;
}

bool runtime_read_name(const char *line, char name[RUNTIME_NAME_SIZE])
{
    size_t size;

    line += line[0] == '/' ? 1 : 0; /* As Docker writes it. */
    size = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                        "0123456789_.-");
    if (size == 0 || size >= RUNTIME_NAME_SIZE ||
        (line[size] != '\0' && line[size] != '\n')) {
        return false; /* It says what is wrong. */
    }
    memcpy(name, line, size);
    name[size] = '\0';
    return true;
}

bool runtime_is_named(const struct owner_rule *rule)
{
    size_t size = strspn(rule->pattern, "0123456789abcdef");

    return rule->kind == OWNER_CONTAINER &&
           (rule->pattern[size] != '\0' || size < 12);
}

bool runtime_ask(const struct proc_facts *facts,
                 const struct patience *patience,
                 char id[OWNER_CONTAINER_SIZE],
                 char name[RUNTIME_NAME_SIZE])
{
    const char *argv[RUNTIME_WORDS];
    bool has_name = false;
    struct buf printed;
    struct buf why;
    int status = 0;

    owner_container(facts, id);
    if (!runtime_command(facts, id, argv)) {
        return false;
    }
    buf_init(&printed, 1000);
    buf_init(&why, 1000);
    if (launch_run(argv, patience, &printed, &status, &why) == E_OK &&
        status == 0) {
        has_name = runtime_read_name(buf_string(&printed), name);
    }
    buf_release(&printed);
    buf_release(&why);
    return has_name;
}
