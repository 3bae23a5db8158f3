#include "cli/container.h"

#include <stdio.h>
#include <string.h>

/* What stands before a word: which options take a value of their own. */
struct syntax {
    const char *name;    /* The program. */
    const char *letters; /* Those short options. */
    const char *words;   /* Those long ones, with a blank around each. */
    size_t operands;     /* Words of its own before the command. */
};

/* Programs that run the command that follows. */
static const struct syntax wrappers[] = {
    {"sudo", "CDghpRrTtUu",
     " chdir chroot close-from command-timeout group host other-user prompt "
     "role type user ",
     0},
    {"doas", "Cu", " ", 0},
    {"env", "CSu", " chdir split-string unset ", 0},
    {"nice", "n", " adjustment ", 0},
    {"ionice", "cn", " class classdata ", 0},
    {"nohup", "", " ", 0},
    {"setsid", "", " ", 0},
    {"stdbuf", "eio", " error input output ", 0},
    {"time", "fo", " format output ", 0},
    {"timeout", "ks", " kill-after signal ", 1},
    {"taskset", "", " ", 1},
    {"chrt", "DPT", " sched-deadline sched-period sched-runtime ", 1},
    {"numactl", "CNimp",
     " cpunodebind interleave membind physcpubind preferred ", 0},
};

/* The clients, with the options that stand before their word. */
static const struct syntax runtimes[] = {
    {"docker", "Hcl",
     " config context host log-level tlscacert tlscert tlskey ", 0},
    {"podman", "c",
     " cdi-spec-dir cgroup-manager config conmon connection events-backend "
     "hooks-dir identity imagestore log-level module namespace "
     "network-cmd-path network-config-dir out root runroot runtime "
     "runtime-flag ssh storage-driver storage-opt tmpdir url volumepath ",
     0},
    {"nerdctl", "Han",
     " address bridge-ip cgroup-manager cni-netconfpath cni-path data-root "
     "host host-gateway-ip hosts-dir namespace snapshotter storage-driver ",
     0},
};

static const struct syntax compose = {
    "compose", "fp",
    " ansi env-file file parallel profile progress project-directory "
    "project-name ",
    0};

/* ---- Words --------------------------------------------------------------- */

/* Return what follows the last '/' of @path. */
static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static const struct syntax *
find(const struct syntax *list, size_t count, const char *name)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

#define FIND(list, name) find(list, sizeof(list) / sizeof((list)[0]), name)

/* Say whether the long option @word, after its "--", is in the list. */
static bool is_listed(const char *word, const char *list)
{
    size_t size = strlen(word);
    const char *at = list;

    while (size != 0 && (at = strstr(at, word)) != NULL) {
        if (at[-1] == ' ' && at[size] == ' ') {
            return true;
        }
        at++;
    }
    return false;
}

/* Say whether the value of the option @word is the word after it. */
static bool takes_next(const struct syntax *syntax, const char *word)
{
    if (word[1] == '-') {
        return is_listed(word + 2, syntax->words);
    }
    for (word++; *word != '\0'; word++) {
        if (strchr(syntax->letters, *word) != NULL) {
            return word[1] == '\0'; /* Else the rest of it is the value. */
        }
    }
    return false;
}

/* Return the index of the first word from @at on that is no option. */
static size_t
skip_options(const struct syntax *syntax, char *const *argv, size_t at)
{
    while (argv[at] != NULL && argv[at][0] == '-' && argv[at][1] != '\0') {
        if (strcmp(argv[at], "--") == 0) {
            return at + 1;
        }
        at += takes_next(syntax, argv[at]) && argv[at + 1] != NULL ? 2 : 1;
    }
    return at;
}

/* Return the index of the program that is run in the end. */
static size_t skip_wrappers(char *const *argv)
{
    const struct syntax *wrapper;
    size_t at = 0;
    size_t operands;

    while (argv[at] != NULL &&
           (wrapper = FIND(wrappers, base_name(argv[at]))) != NULL) {
        at = skip_options(wrapper, argv, at + 1);
        while (argv[at] != NULL && strchr(argv[at], '=') != NULL) {
            at++; /* NAME=VALUE of env and sudo. */
        }
        for (operands = wrapper->operands; operands > 0 && argv[at] != NULL;
             operands--) {
            at++;
        }
    }
    return at;
}

/* ---- Clients ------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *list)
{
    while (word != NULL && *list != NULL) {
        if (strcmp(word, *list++) == 0) {
            return true;
        }
    }
    return false;
}

/* Say whether a project of containers is started from word @at on. */
static bool is_compose(char *const *argv, size_t at)
{
    static const char *const starts[] = {"run",     "up",    "start",  "exec",
                                         "restart", "watch", "create", NULL};

    return is_one_of(argv[skip_options(&compose, argv, at)], starts);
}

bool container_is_client(char *const *argv)
{
    static const char *const starts[] = {"run", "start", "exec", "restart",
                                         NULL};
    static const char *const alone[] = {"docker-compose", "podman-compose",
                                        NULL};
    size_t at = skip_wrappers(argv);
    const struct syntax *runtime;
    const char *word;

    if (argv[at] == NULL) {
        return false;
    }
    if (is_one_of(base_name(argv[at]), alone)) {
        return is_compose(argv, at + 1);
    }
    runtime = FIND(runtimes, base_name(argv[at]));
    if (runtime == NULL) {
        return false;
    }
    at = skip_options(runtime, argv, at + 1);
    word = argv[at];
    if (word == NULL || is_one_of(word, starts)) {
        return word != NULL;
    }
    if (strcmp(word, "compose") == 0) {
        return is_compose(argv, at + 1);
    }
    if (strcmp(word, "kube") == 0 || strcmp(word, "play") == 0) {
        return argv[at + 1] != NULL; /* Of podman, in either order. */
    }
    return (strcmp(word, "container") == 0 || strcmp(word, "pod") == 0) &&
           is_one_of(argv[skip_options(runtime, argv, at + 1)], starts);
}

void container_wait_for(char *const *argv,
                        const char *name,
                        struct container_wait *out)
{
    static char docker[] = "docker";
    static char wait[] = "wait";
    size_t at = skip_wrappers(argv);
    size_t count = 0;
    size_t end;

    if (argv[at] != NULL && FIND(runtimes, base_name(argv[at])) != NULL) {
        end = skip_options(FIND(runtimes, base_name(argv[at])), argv, at + 1);
        while (count < end && count < CONTAINER_WORDS_MAX - 3) {
            out->argv[count] = argv[count];
            count++;
        }
    } else {
        out->argv[count++] = docker;
    }
    out->argv[count++] = wait;
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    out->argv[count++] = out->name;
    out->argv[count] = NULL;
}
