/* sim_main.c - runs of the simulator, from the command line.
 *
 * Each run is a process of its own, because whatever is wrong ends it.  Of a
 * run that fails, steps are left out while it still fails; what is left is
 * printed with its seed.
 */
#include "sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SHORTEN_S = 30, /* Time for making a failing run shorter. */
    TRACE_MAX = 1 << 26
};

/* Shared with the process that runs. */
struct shared {
    struct sim_result result;
    uint64_t step;
    const char *failure; /* NULL: an assertion of the core. */
    bool skips[];
};

static struct buf trace;

static void print_trace(int signal_number)
{
    size_t at = 0;

    (void)signal_number;
    while (at < trace.size) {
        ssize_t n = write(STDERR_FILENO, trace.data + at, trace.size - at);

        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    (void)!write(STDERR_FILENO, "\n", 1);
}

/* Run in a child; false where it fails. */
static bool run(struct sim sim, struct shared *shared, bool is_loud)
{
    int status = 0;
    pid_t pid;

    (void)fflush(NULL);
    pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(EXIT_FAILURE);
    }
    if (pid == 0) {
        if (is_loud) {
            buf_init(&trace, TRACE_MAX);
            sim.trace = &trace;
            (void)signal(SIGABRT, print_trace);
            (void)signal(SIGSEGV, print_trace);
        } else if (freopen("/dev/null", "w", stderr) == NULL) {
            _exit(EXIT_FAILURE);
        }
        sim.skips = shared->skips;
        sim.step = &shared->step;
        sim.failure = &shared->failure;
        sim_run(&sim, &shared->result);
        _exit(EXIT_SUCCESS);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* Leave out runs of steps, shorter and shorter ones, while it still fails in
 * the same way. */
static void shorten(const struct sim *sim, struct shared *shared)
{
    const char *failure = shared->failure;
    time_t end_at = time(NULL) + SHORTEN_S;
    uint64_t size;

    for (size = sim->steps / 2; size > 0; size /= 2) {
        uint64_t at;

        for (at = 0; at < sim->steps && time(NULL) < end_at; at += size) {
            uint64_t end = at + size < sim->steps ? at + size : sim->steps;
            bool *part = shared->skips + at;
            bool *saved = malloc(size);

            if (saved == NULL) {
                exit(EXIT_FAILURE);
            }
            memcpy(saved, part, end - at);
            if (memchr(part, false, end - at) != NULL) {
                memset(part, true, end - at);
                shared->failure = NULL;
                if (run(*sim, shared, false) || shared->failure != failure) {
                    memcpy(part, saved, end - at);
                }
            }
            free(saved);
        }
    }
}

static void report(struct sim *sim, struct shared *shared, bool shortens)
{
    uint64_t kept = 0;
    uint64_t i;

    (void)printf("FAILED: --profile %s --seed %llu --events %llu, at step "
                 "%llu\n",
                 sim->profile->name, (unsigned long long)sim->seed,
                 (unsigned long long)sim->steps,
                 (unsigned long long)shared->step);
    if (!shortens) {
        return;
    }
    sim->steps = shared->step + 1;
    shorten(sim, shared);
    for (i = 0; i < sim->steps; i++) {
        kept += !shared->skips[i];
    }
    (void)printf("%llu of its steps are enough:\n", (unsigned long long)kept);
    (void)run(*sim, shared, true);
}

static struct shared *share(uint64_t steps)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared + steps, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED) {
        perror("mmap");
        exit(EXIT_FAILURE);
    }
    return shared;
}

static bool run_one(struct sim sim, bool shortens)
{
    struct shared *shared = share(sim.steps);
    const struct sim_result *result = &shared->result;
    bool passes = run(sim, shared, false);

    if (passes) {
        (void)printf("%-9s seed %llu: %llu events, %llu grants, %llu resumes, "
                     "%llu pauses, %llu restarts, hash %016llx\n",
                     sim.profile->name, (unsigned long long)sim.seed,
                     (unsigned long long)result->events,
                     (unsigned long long)result->grants,
                     (unsigned long long)result->resumes,
                     (unsigned long long)result->pauses,
                     (unsigned long long)result->restarts,
                     (unsigned long long)result->hash);
    } else {
        report(&sim, shared, shortens);
    }
    (void)munmap(shared, sizeof *shared + sim.steps);
    return passes;
}

static int usage(void)
{
    size_t i;

    (void)fputs("usage: sim_main [--profile NAME] [--seed N] [--seeds N] "
                "[--events N] [--seconds N] [--no-shorten] [--fail-at GRANTS]\n"
                "profiles:",
                stderr);
    for (i = 0; sim_profile_at(i) != NULL; i++) {
        (void)fprintf(stderr, " %s", sim_profile_at(i)->name);
    }
    (void)fputc('\n', stderr);
    return 2;
}

/* What to run: each profile, or one, from @seed on. */
struct plan {
    const struct world_profile *only;
    uint64_t seed;
    uint64_t seeds;
    uint64_t events;
    bool is_terse;    /* A failing run is not made shorter. */
    uint64_t seconds; /* More seeds until these are over; 0 = no. */
    uint64_t fails_at;
};

static bool read_options(int argc, char **argv, struct plan *plan)
{
    static const struct option options[] = {
        {"profile", required_argument, NULL, 'p'},
        {"seed", required_argument, NULL, 's'},
        {"seeds", required_argument, NULL, 'n'},
        {"events", required_argument, NULL, 'e'},
        {"seconds", required_argument, NULL, 't'},
        {"no-shorten", no_argument, NULL, 'x'},
        {"fail-at", required_argument, NULL, 'f'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            plan->only = sim_profile(optarg);
            if (plan->only == NULL) {
                return false;
            }
            break;
        case 's':
            plan->seed = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            plan->seeds = strtoull(optarg, NULL, 10);
            break;
        case 'e':
            plan->events = strtoull(optarg, NULL, 10);
            break;
        case 'x':
            plan->is_terse = true;
            break;
        case 'f':
            plan->fails_at = strtoull(optarg, NULL, 10);
            break;
        case 't':
            plan->seconds = strtoull(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    return optind == argc && plan->events > 0;
}

int main(int argc, char **argv)
{
    struct plan plan = {.seed = 1, .seeds = 1, .events = 20000};
    time_t start = time(NULL);
    uint64_t done;
    size_t i;

    if (!read_options(argc, argv, &plan)) {
        return usage();
    }
    for (done = 0;
         done < plan.seeds || time(NULL) - start < (time_t)plan.seconds;
         done++) {
        for (i = 0; sim_profile_at(i) != NULL; i++) {
            struct sim sim = {.profile = sim_profile_at(i),
                              .seed = plan.seed + done,
                              .steps = plan.events,
                              .fails_at = plan.fails_at};

            if ((plan.only == NULL || plan.only == sim.profile) &&
                !run_one(sim, !plan.is_terse)) {
                return EXIT_FAILURE;
            }
        }
    }
    return EXIT_SUCCESS;
}
