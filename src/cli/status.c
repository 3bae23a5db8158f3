/* status.c - `gpucoord status`: who holds and who waits. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/lookup.h"
#include "cli/say.h"
#include "cli/status_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct values {
    bool watch;
    bool json;
};

static const struct args_option options[] = {
    {"watch", ARGS_FLAG, offsetof(struct values, watch), NULL,
     "show it again every second", 0},
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "status",
    .about = "Show the gpus with their measured memory, who holds them, and "
             "who waits.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

static const char home_and_clear[] = "\033[H\033[2J";

static int show_json(void)
{
    struct client_answer answer;
    int status;

    client_answer_init(&answer);
    status = call_make(&(struct call){.path = "/gpu/status",
                                      .what = "cannot get the status",
                                      .prints_json = true},
                       &answer);
    client_answer_release(&answer);
    return status;
}

static int show_page(bool clears)
{
    bool has_colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
    struct buf page;
    json_t *all;
    int status = lookup_status(&all);

    if (status != 0) {
        return status;
    }
    buf_init(&page, 0);
    buf_text(&page, clears ? home_and_clear : "");
    status_text(all, has_colour, &page);
    (void)printf("%s", buf_string(&page));
    buf_release(&page);
    json_decref(all);
    return 0;
}

int status_main(int argc, char **argv)
{
    static const struct timespec second = {.tv_sec = 1};
    struct values values = {.json = false};
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    for (;;) {
        status = values.json
                     ? show_json()
                     : show_page(values.watch && isatty(STDOUT_FILENO) == 1);
        if (status != 0 || !values.watch) {
            return status;
        }
        if (fflush(stdout) != 0 || nanosleep(&second, NULL) != 0) {
            return 1; /* Nobody reads, or it was interrupted. */
        }
    }
}
