/* owner_rule.c - does a rule of `processes:` name a process? */
#include "control/owner.h"

#include <assert.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define HEX_DIGITS "0123456789abcdef"

/* ---- Paths of cgroups ---------------------------------------------------- */

enum {
    NAME_SIZE = 256, /* Of a part of a path; Linux has no longer ones. */
    ID_DIGITS = OWNER_CONTAINER_SIZE - 1,
    ID_DIGITS_MIN = 12 /* As runtimes shorten them. */
};

/* Copy the next part of *@path to @part and step over it; false at the end. */
static bool next_part(const char **path, char part[NAME_SIZE])
{
    const char *from = *path + strspn(*path, "/\n");
    size_t size = strcspn(from, "/\n");

    *path = from + size;
    if (size >= NAME_SIZE) {
        size = NAME_SIZE - 1;
    }
    memcpy(part, from, size);
    part[size] = '\0';
    return size != 0;
}

/* Called with each part of a path; true ends the walk. */
typedef bool (*part_test)(void *arg, const char *part);

/* Say whether @test is true of a part of any of the process's cgroups. */
static bool has_part(const struct proc_facts *facts, part_test test, void *arg)
{
    const char *paths[] = {facts->cgroup, facts->cgroups};
    char part[NAME_SIZE];
    size_t i;

    for (i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *path = paths[i];

        while (next_part(&path, part)) {
            if (test(arg, part)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- Units --------------------------------------------------------------- */

static bool ends_with(const char *text, const char *tail)
{
    size_t size = strlen(text);
    size_t tail_size = strlen(tail);

    return size > tail_size && strcmp(text + size - tail_size, tail) == 0;
}

struct unit_test {
    const char *pattern;
};

/* Complete the name of a unit: "ollama" is "ollama.service", "worker@.service"
 * is every instance of it. */
static void complete_unit(const char *pattern, char full[NAME_SIZE])
{
    static const char *const kinds[] = {".service", ".scope", ".slice"};
    const char *instances = strstr(pattern, "@.");
    bool has_kind = false;
    size_t i;

    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        has_kind = has_kind || ends_with(pattern, kinds[i]);
    }
    if (instances != NULL) {
        (void)snprintf(full, NAME_SIZE, "%.*s@*%s", (int)(instances - pattern),
                       pattern, instances + 1);
    } else {
        (void)snprintf(full, NAME_SIZE, "%s%s", pattern,
                       has_kind ? "" : kinds[0]);
    }
}

/* Say whether @part is the unit. */
static bool is_unit(void *arg, const char *part)
{
    const struct unit_test *test = arg;
    char full[NAME_SIZE];

    complete_unit(test->pattern, full);
    /* systemd puts a '_' before names that cgroupfs has for itself. */
    return fnmatch(full, part, 0) == 0 ||
           (part[0] == '_' && fnmatch(full, part + 1, 0) == 0);
}

/* ---- Containers ---------------------------------------------------------- */

/* Copy the id in a part as "docker-ID.scope", "libpod-ID" or "ID" to @out;
 * false where there is none. */
static bool find_id(const char *part, char out[OWNER_CONTAINER_SIZE])
{
    const char *id = strrchr(part, '-');
    size_t size;

    id = id == NULL ? part : id + 1;
    size = strspn(id, HEX_DIGITS);
    if (size != ID_DIGITS ||
        (id[size] != '\0' && strcmp(id + size, ".scope") != 0) ||
        strncmp(part, "libpod-conmon-", 14) == 0) { /* Its monitor. */
        return false;
    }
    memcpy(out, id, ID_DIGITS);
    out[ID_DIGITS] = '\0';
    return true;
}

static bool take_id(void *arg, const char *part)
{
    (void)find_id(part, arg);
    return false; /* One further inside may follow. */
}

void owner_container(const struct proc_facts *facts,
                     char out[OWNER_CONTAINER_SIZE])
{
    out[0] = '\0';
    (void)has_part(facts, take_id, out);
}

/* Say whether @pattern is the id @id, or the beginning of it. */
static bool is_id(const char *pattern, const char *id)
{
    size_t size = strspn(pattern, HEX_DIGITS);

    return size >= ID_DIGITS_MIN && pattern[size] == '\0' &&
           strncmp(pattern, id, size) == 0;
}

struct container_test {
    const struct owner_table *table;
    const char *pattern;
};

/* Say whether the part is that of the container: by its id, by what its
 * runtime calls it, or by its name, where the cgroup has that itself. */
static bool is_container(void *arg, const char *part)
{
    const struct container_test *test = arg;
    char id[OWNER_CONTAINER_SIZE];
    char full[NAME_SIZE];
    size_t i;

    if (find_id(part, id)) {
        if (is_id(test->pattern, id)) {
            return true;
        }
        for (i = 0; i < test->table->container_count; i++) {
            const struct owner_container *known = &test->table->containers[i];

            if (strcmp(known->id, id) == 0 &&
                fnmatch(test->pattern, known->name, 0) == 0) {
                return true;
            }
        }
    }
    (void)snprintf(full, sizeof full, "lxc.payload.%s", test->pattern);
    if (fnmatch(full, part, 0) == 0) {
        return true;
    }
    (void)snprintf(full, sizeof full, "machine-%s.scope", test->pattern);
    return fnmatch(full, part, 0) == 0;
}

/* ---- Cgroups and programs ------------------------------------------------ */

/* Say whether the path @path, of @size bytes, is @pattern or lies below it. */
static bool is_below(const char *pattern, const char *path, size_t size)
{
    char full[PROC_PATH_SIZE];

    if (size >= sizeof full) {
        return false;
    }
    memcpy(full, path, size);
    full[size] = '\0';
    return fnmatch(pattern, full, FNM_PATHNAME | FNM_LEADING_DIR) == 0;
}

static bool is_cgroup(const char *pattern, const struct proc_facts *facts)
{
    const char *line = facts->cgroups;

    if (facts->cgroup[0] != '\0' &&
        is_below(pattern, facts->cgroup, strlen(facts->cgroup))) {
        return true;
    }
    while (line[0] != '\0') {
        size_t size = strcspn(line, "\n");

        if (is_below(pattern, line, size)) {
            return true;
        }
        line += size + (line[size] == '\n' ? 1 : 0);
    }
    return false;
}

static bool is_program(const char *pattern, const char *exe)
{
    const char *name = strrchr(exe, '/');

    if (name == NULL) {
        return false; /* Not known. */
    }
    return strchr(pattern, '/') != NULL ? fnmatch(pattern, exe, 0) == 0
                                        : fnmatch(pattern, name + 1, 0) == 0;
}

/* ---- Rules --------------------------------------------------------------- */

const char *owner_kind_name(enum owner_kind kind)
{
    static const char *const names[OWNER_KINDS] = {
        [OWNER_UNIT] = "unit",
        [OWNER_CONTAINER] = "container",
        [OWNER_CGROUP] = "cgroup",
        [OWNER_EXE] = "exe",
    };

    assert(kind < OWNER_KINDS);
    return names[kind];
}

bool owner_matches(const struct owner_table *table,
                   const struct owner_rule *rule,
                   const struct proc_facts *facts)
{
    struct container_test container = {table, rule->pattern};
    struct unit_test unit = {rule->pattern};

    switch (rule->kind) {
    case OWNER_UNIT:
        return has_part(facts, is_unit, &unit);
    case OWNER_CONTAINER:
        return has_part(facts, is_container, &container);
    case OWNER_CGROUP:
        return is_cgroup(rule->pattern, facts);
    case OWNER_EXE:
        return is_program(rule->pattern, facts->exe);
    case OWNER_KINDS:
        break;
    }
    return false;
}
