/* main.c - the program: a table of commands, one file each. */
#include "cli/check_config.h"
#include "cli/commands.h"
#include "cli/say.h"

#include <stdio.h>
#include <string.h>

static int version_main(int argc, char **argv);
static int help_main(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv); /* In the file named after it. */
    const char *help;
} commands[] = {
    {"serve", serve_main, "be the coordinator"},
    {"run", run_main, "run a program while holding the gpu"},
    {"request", request_main, "ask for the gpu, from a script"},
    {"release", release_main, "give a lease back"},
    {"renew", renew_main, "extend a lease, and hear a pending command"},
    {"ack", ack_main, "tell that a pause or a resume was carried out"},
    {"cancel", cancel_main, "withdraw a waiting request"},
    {"status", status_main, "show who holds and who waits"},
    {"why", why_main, "show why somebody waits"},
    {"cluster", cluster_main, "show the coordinators of a cluster"},
    {"pause", pause_main, "ask a holder to pause until 'resume'"},
    {"resume", resume_main, "let a paused holder go on"},
    {"drain", drain_main, "admit and grant nothing new"},
    {"undrain", undrain_main, "end a drain"},
    {"revoke", revoke_main, "take a lease back by force"},
    {"bypass", bypass_main, "grant everything at once, or stop doing so"},
    {"thaw", thaw_main, "let go on whatever is frozen or checkpointed"},
    {"check", check_main, "show what this machine has, and what works here"},
    {"check-config", check_config_main,
     "name every mistake in a configuration"},
    {"export", export_main, "write the queue out, while no coordinator runs"},
    {"import", import_main, "read a queue into an empty store"},
    {"simulate", simulate_main, "run a trace in virtual time"},
    {"replay", replay_main, "run a trace against a coordinator"},
    {"version", version_main, "print the version"},
    {"help", help_main, "print this"},
    {"cuda-call", cuda_call_main, NULL}, /* For ourselves. */
};

enum {
    COMMANDS = (int)(sizeof commands / sizeof commands[0])
};

static int version_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)printf("gpucoord %s\n", GPUCOORD_VERSION);
    return 0;
}

static int help_main(int argc, char **argv)
{
    int i;

    (void)argc;
    (void)argv;
    (void)printf("gpucoord decides who may use which gpu, and how much of its "
                 "memory\n\ncommands:\n");
    for (i = 0; i < COMMANDS; i++) {
        if (commands[i].help != NULL) {
            (void)printf("  %-13s %s\n", commands[i].name, commands[i].help);
        }
    }
    (void)printf("\n'gpucoord COMMAND --help' prints a command's options\n");
    return 0;
}

/* Find the command @name; the dashes of `--help` do not count. */
static const struct command *find(const char *name)
{
    int i;

    if (strncmp(name, "--", 2) == 0) {
        name += 2;
    }
    for (i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        say("a command is missing; see 'gpucoord help'");
        return 2;
    }
    command = find(argv[1]);
    if (command == NULL) {
        say("unknown command '%s'; see 'gpucoord help'", argv[1]);
        return 2;
    }
    return command->run(argc - 1, argv + 1);
}
