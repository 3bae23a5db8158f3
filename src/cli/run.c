/* run.c - `gpucoord run`: run a program while holding the GPU.
 *
 * Asks (await.c), starts the program (child.c) and keeps the lease while it
 * lives (keep.c).  With GPUCOORD_URL=off it becomes the program at once.
 */
#include "base/clock.h"
#include "cli/args.h"
#include "cli/ask.h"
#include "cli/await.h"
#include "cli/commands.h"
#include "cli/confine.h"
#include "cli/container.h"
#include "cli/devices.h"
#include "cli/endpoint.h"
#include "cli/keep.h"
#include "cli/on_pause.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

struct values {
    struct ask ask;
    const char *on_lost;
    const char *container;
    const char *on_pause;
};

/* What is run, and how. */
struct job {
    char *const *program;
    const struct container_wait *then; /* NULL = nothing. */
    enum on_lost on_lost;
};

static const struct args_option options[] = {
    ASK_OPTIONS(values),
    {"on-lost", ARGS_TEXT, offsetof(struct values, on_lost), "WHAT",
     "continue, stop or term, if the lease is lost; continue is the default "
     "with one coordinator, term with several",
     0},
    {"on-pause", ARGS_TEXT, offsetof(struct values, on_pause), "RUNGS",
     "how COMMAND gives way: checkpoint,term or other rungs; never (default)",
     0},
    {"container", ARGS_TEXT, offsetof(struct values, container), "NAME",
     "COMMAND starts this container, which is the holder", 0},
};

static const struct args_spec spec = {
    .usage = "run [OPTION...] -- COMMAND [ARGUMENT...]",
    .about =
        "Wait for the GPU, then run COMMAND with it: CUDA_VISIBLE_DEVICES, "
        "GPUCOORD_LEASE\nand GPUCOORD_TOKEN are set.  The lease is renewed "
        "until COMMAND ends; its exit\nstatus is kept.  Without --timeout "
        "it waits as long as it takes.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_min = 1,
    .operands_max = -1,
    .keeps_rest = true,
};

/* ---- What is asked for --------------------------------------------------- */

static int read_on_lost(const char *text, enum on_lost *out)
{
    static const char *const names[] = {
        [ON_LOST_CONTINUE] = "continue",
        [ON_LOST_STOP] = "stop",
        [ON_LOST_TERM] = "term",
    };
    size_t i;

    /* While the only coordinator is away nobody else is granted the GPU. */
    *out = endpoints_are_several() ? ON_LOST_TERM : ON_LOST_CONTINUE;
    for (i = 0; text != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum on_lost)i;
            return E_OK;
        }
    }
    if (text != NULL) {
        say("--on-lost: '%s' is not continue, stop or term", text);
        return E_INVALID;
    }
    return E_OK;
}

/* Name the service after the program, where no name was given. */
static void name_service(const char *program, struct api_request *request)
{
    const char *base = strrchr(program, '/');
    size_t i;

    base = base == NULL ? program : base + 1;
    (void)snprintf(request->service_id, sizeof request->service_id, "%s",
                   base[0] != '\0' ? base : "run");
    for (i = 0; request->service_id[i] != '\0'; i++) {
        if (!api_is_name(&request->service_id[i], 1)) {
            request->service_id[i] = '_';
        }
    }
}

/* Give the job a name that no other has. */
static int name_job(struct api_request *request)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number) {
        say("cannot name the job: no random numbers");
        return E_IO;
    }
    (void)snprintf(request->job_id, sizeof request->job_id,
                   "run-%ld-%016" PRIx64, (long)getpid(), number);
    request->fields |= API_HAS_JOB;
    return E_OK;
}

/* Ask for no other devices than those an inherited CUDA_VISIBLE_DEVICES
 * shows. */
static int narrow(struct api_request *request)
{
    const char *inherited = getenv("CUDA_VISIBLE_DEVICES");
    struct api_devices visible;

    if (inherited == NULL) {
        return E_OK;
    }
    if (devices_parse(inherited, &visible) != E_OK) {
        say("CUDA_VISIBLE_DEVICES: '%s' is too long", inherited);
        return E_INVALID;
    }
    if ((request->fields & API_HAS_DEVICE) != 0) {
        devices_narrow(&request->devices, &visible);
    } else {
        request->devices = visible;
    }
    if (request->devices.count == 0) {
        say("CUDA_VISIBLE_DEVICES='%s' leaves no gpu to ask for", inherited);
        return E_INVALID;
    }
    request->fields |= API_HAS_DEVICE;
    return E_OK;
}

/* Refuse a client of containers where nobody says which container holds. */
static int check_container(const char *container, char *const *program)
{
    if (container == NULL && container_is_client(program)) {
        say("'%s' starts a container and is not itself the holder of the gpu: "
            "name the container with --container NAME",
            program[0]);
        return E_INVALID;
    }
    if (container != NULL && (container[0] == '\0' || container[0] == '-' ||
                              strlen(container) >= CONTAINER_NAME_SIZE)) {
        say("--container: '%s' is no name of a container", container);
        return E_INVALID;
    }
    return E_OK;
}

static int describe(const struct values *values,
                    const char *program,
                    struct api_request *out)
{
    int rc = ask_fill(&values->ask, out);

    if (rc == E_OK) {
        rc = narrow(out);
    }
    if (rc == E_OK && values->ask.job == NULL) {
        rc = name_job(out);
    }
    if (values->ask.service == NULL) {
        name_service(program, out);
    }
    out->waits = true;
    return rc == E_OK ? on_pause_read(values->on_pause, out) : rc;
}

/* ---- The program's environment ------------------------------------------- */

/* Set the number @value. */
static bool set_number(const char *name, uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return setenv(name, text, 1) == 0;
}

/* Tell the program, whose environment this process's becomes, of its grant. */
static int set_environment(const struct api_answer *said)
{
    const char *variable = devices_variable(&said->devices);
    struct buf list;
    bool ok;

    buf_init(&list, 0);
    devices_list(&said->devices, &list);
    if (variable == NULL) {
        say("%s has no serial number: the program chooses its gpu itself",
            buf_string(&list));
    }
    ok = buf_error(&list) == E_OK &&
         (variable == NULL || setenv(variable, buf_string(&list), 1) == 0) &&
         set_number("GPUCOORD_LEASE", said->lease) &&
         set_number("GPUCOORD_TOKEN", said->token);
    buf_release(&list);
    if (!ok) {
        say("%s", err_text(E_NOMEM));
        return E_NOMEM;
    }
    return E_OK;
}

/* ---- The run ------------------------------------------------------------- */

/* Start the program under the grant in @said and keep its lease. */
static int hold(struct keep *keep,
                const struct api_answer *said,
                uint64_t sent_ms,
                char *const *program,
                const struct child_files *files)
{
    struct confine *confine;
    int rc;
    int status = keep_begin(keep, said, sent_ms);

    if (status != 0) {
        return status;
    }
    child_adopt_orphans();
    rc = set_environment(said);
    confine = rc == E_OK && keep->then == NULL ? confine_open() : NULL;
    if (rc == E_OK) {
        rc = child_start(&keep->child, program, files, &keep->wake->mask_before,
                         confine);
    }
    if (rc == E_OK) {
        keep_watch_child(keep);
        status = keep_run(keep);
    } else {
        keep_release(keep);
        status = err_exit(rc);
    }
    confine_close(confine);
    return status;
}

/* Wait for the grant of @request, then run the program. */
static int wait_and_hold(struct api_request *request,
                         uint64_t timeout_ms,
                         const struct job *job)
{
    struct keep keep = {
        .request = request, .on_lost = job->on_lost, .then = job->then};
    struct client_answer answer;
    struct child_files files;
    uint64_t sent_ms;
    struct wake wake;
    int status;
    int rc;

    child_note_files(&files);
    rc = client_open(&keep.client);
    if (rc != E_OK) {
        return err_exit(rc);
    }
    rc = wake_open(&wake);
    if (rc != E_OK) {
        client_close(keep.client);
        return err_exit(rc);
    }
    keep.wake = &wake;
    client_answer_init(&answer);
    status =
        await_grant(keep.client, &wake, request, timeout_ms, &answer, &sent_ms);
    if (status == 0) {
        status = hold(&keep, &answer.said, sent_ms, job->program, &files);
    }
    client_answer_release(&answer);
    wake_close(&wake);
    client_close(keep.client);
    return status;
}

int run_main(int argc, char **argv)
{
    struct values values = {.ask = ASK_NONE};
    struct api_request request;
    struct container_wait then;
    struct job job = {.then = NULL};
    int rc;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    job.program = argv + first;
    rc = read_on_lost(values.on_lost, &job.on_lost);
    if (rc == E_OK) {
        rc = check_container(values.container, job.program);
    }
    if (rc == E_OK) {
        rc = describe(&values, argv[first], &request);
    }
    if (rc != E_OK) {
        return err_exit(rc);
    }
    if (values.container != NULL) {
        container_wait_for(job.program, values.container, &then);
        job.then = &then;
    }
    if (endpoints_are_off()) {
        return child_become(job.program);
    }
    return wait_and_hold(&request,
                         values.ask.timeout_ms == ARGS_UNSET
                             ? AWAIT_FOREVER
                             : values.ask.timeout_ms,
                         &job);
}
