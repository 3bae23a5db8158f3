/* queue_move.c - `gpucoord export` and `import`: a queue from one store to
 * another, SQLite or PostgreSQL, while no coordinator runs.
 */
#include "base/buf.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/queue_lines.h"
#include "cli/say.h"
#include "daemon/config.h"
#include "store/store.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_USAGE = 2
};

struct values {
    const char *config;
    const char *store;
};

static const struct args_option options[] = {
    {"config", ARGS_TEXT, offsetof(struct values, config), "FILE",
     "the configuration, if not the one that 'serve' would read", 0},
    {"store", ARGS_TEXT, offsetof(struct values, store), "STORE",
     "a file, or the postgresql: URL of a database; else the "
     "configuration's",
     0},
};

static const struct args_spec export_spec = {
    .usage = "export",
    .about = "Write the queue to standard output, one row a line, while no "
             "coordinator runs.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

static const struct args_spec import_spec = {
    .usage = "import [FILE]",
    .about = "Read a queue that 'export' has written into an empty store, all "
             "of it or nothing;\nfrom standard input without FILE.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 1,
};

/* ---- The store ---------------------------------------------------------- */

/* Append the URL of the store that is meant. */
static int find_store(const struct values *values, struct buf *url)
{
    struct config_report report;
    struct config config;
    struct buf text;
    int rc = E_OK;

    buf_init(&text, 0);
    if (values->config != NULL) {
        buf_text(&text, values->config);
    } else {
        rc = config_find_path(&text);
        rc = rc == E_NOT_FOUND ? E_OK : rc;
    }
    rc = rc != E_OK ? rc : buf_error(&text);
    if (rc == E_OK) {
        rc = config_load(text.size == 0 ? NULL : buf_string(&text), &config,
                         &report);
        if (rc != E_OK) {
            say("the configuration '%s' has mistakes: see 'gpucoord "
                "check-config'",
                buf_string(&text));
        }
        config_report_release(&report);
    }
    if (rc == E_OK) {
        const char *store =
            values->store != NULL ? values->store : config.store;

        if (!config_is_database(store)) {
            buf_text(url, "sqlite:");
        }
        buf_text(url, store);
        config_release(&config);
    }
    buf_release(&text);
    return rc == E_OK ? buf_error(url) : rc;
}

/* A file that is not there would be made, and be empty. */
static int check_there(const char *url)
{
    const char *path = strchr(url, ':') + 1;

    if (!config_is_database(url) && access(path, F_OK) != 0) {
        say("there is no store '%s': %s", path, strerror(errno));
        return E_NOT_FOUND;
    }
    return E_OK;
}

static int
open_store(const char *url, struct event_base *loop, struct store **out)
{
    const struct store_options how = {.loop = loop};
    char message[STORE_MESSAGE_SIZE];
    int rc = store_open(url, &how, out, message, sizeof message);

    if (rc != E_OK) {
        say("%s", message);
    }
    return rc;
}

static int count_lease(void *arg, const struct store_lease *lease)
{
    (void)lease;
    (*(size_t *)arg)++;
    return E_OK;
}

static int count_class(void *arg, const struct store_class *row)
{
    (void)row;
    (*(size_t *)arg)++;
    return E_OK;
}

static int count_mode(void *arg, const struct core_mode_row *mode)
{
    (void)mode;
    (*(size_t *)arg)++;
    return E_OK;
}

static int check_empty(struct store *store)
{
    size_t rows = 0;
    const struct store_reader reader = {.lease = count_lease,
                                        .class_row = count_class,
                                        .mode = count_mode,
                                        .arg = &rows};
    uint64_t time_max_ms;
    int rc = store_load(store, &reader, &time_max_ms);

    if (rc == E_OK && rows > 0) {
        say("the store is not empty: %zu rows are in it", rows);
        rc = E_STATE;
    }
    return rc;
}

static void note_done(void *arg, int rc)
{
    *(int *)arg = rc;
}

/* Commit all that was put, as one batch, and wait for it. */
static int commit(struct store *store, struct event_base *loop)
{
    enum {
        WAITS = 1
    };
    int rc = WAITS;

    store_commit(store, 1, true, note_done, &rc);
    while (rc == WAITS) {
        if (event_base_loop(loop, EVLOOP_ONCE) != 0) {
            return E_STORE;
        }
    }
    if (rc != E_OK) {
        say("nothing was imported: %s", err_text(rc));
    }
    return rc;
}

/* ---- The commands ------------------------------------------------------- */

static int export_to(struct store *store, struct event_base *loop, FILE *file)
{
    int rc = queue_lines_write(store, file);

    (void)loop;
    if (rc != E_OK) {
        say("cannot write the queue: %s", err_text(rc));
    }
    return rc;
}

static int import_from(struct store *store, struct event_base *loop, FILE *file)
{
    int rc = check_empty(store);

    rc = rc != E_OK ? rc : queue_lines_read(store, file);
    return rc != E_OK ? rc : commit(store, loop);
}

typedef int (*mover)(struct store *store, struct event_base *loop, FILE *file);

static int
move(const struct values *values, bool must_exist, mover carry, FILE *file)
{
    struct event_base *loop = event_base_new();
    struct store *store = NULL;
    struct buf url;
    int rc;

    buf_init(&url, 0);
    rc = loop == NULL ? E_NOMEM : find_store(values, &url);
    if (rc == E_OK && must_exist) {
        rc = check_there(buf_string(&url));
    }
    rc = rc != E_OK ? rc : open_store(buf_string(&url), loop, &store);
    rc = rc != E_OK ? rc : carry(store, loop, file);
    if (rc == E_NOMEM) {
        say("%s", err_text(rc));
    }
    store_close(store);
    if (loop != NULL) {
        event_base_free(loop);
    }
    buf_release(&url);
    return rc == E_OK ? 0 : EXIT_FAILED;
}

int export_main(int argc, char **argv)
{
    struct values values = {NULL, NULL};
    int first = args_read(&export_spec, &values, argc, argv);

    if (first <= 0) {
        return first == 0 ? 0 : EXIT_USAGE;
    }
    return move(&values, true, export_to, stdout);
}

int import_main(int argc, char **argv)
{
    struct values values = {NULL, NULL};
    int first = args_read(&import_spec, &values, argc, argv);
    FILE *file = stdin;
    int status;

    if (first <= 0) {
        return first == 0 ? 0 : EXIT_USAGE;
    }
    if (first < argc) {
        file = fopen(argv[first], "re");
        if (file == NULL) {
            say("cannot open '%s': %s", argv[first], strerror(errno));
            return EXIT_FAILED;
        }
    }
    status = move(&values, false, import_from, file);
    if (file != stdin) {
        (void)fclose(file);
    }
    return status;
}
