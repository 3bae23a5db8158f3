#include "cli/queue_lines.h"

#include "cli/say.h"
#include "store/columns.h"
#include "store/store.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum {
    VERSION = 1
};

/* ---- Out ---------------------------------------------------------------- */

struct writing {
    FILE *out;
    json_int_t lines;
};

/* Write @object, taken, as {"@key":@object}. */
static int write_line(struct writing *writing, const char *key, json_t *object)
{
    json_t *line = json_pack("{s:o}", key, object);
    int rc = line == NULL ? E_NOMEM : E_OK;

    if (rc == E_OK && (json_dumpf(line, writing->out, JSON_COMPACT) != 0 ||
                       fputc('\n', writing->out) == EOF)) {
        rc = E_IO;
    }
    json_decref(line);
    writing->lines++;
    return rc;
}

static int write_mode(void *arg, const struct core_mode_row *mode)
{
    return write_line(arg, "mode",
                      json_pack("{s:I, s:I, s:b}", "bypass_until_ms",
                                (json_int_t)mode->bypass_until_ms, "drained",
                                (json_int_t)mode->drained, "is_draining",
                                mode->is_draining));
}

static int write_class(void *arg, const struct store_class *row)
{
    return write_line(arg, "class",
                      json_pack("{s:s, s:I, s:I}", "name", row->name,
                                "consecutive",
                                (json_int_t)row->core.consecutive, "credit",
                                (json_int_t)row->core.credit));
}

static void set_text(json_t *object, enum column place, const char *text)
{
    if (text != NULL) {
        (void)json_object_set_new(object, columns_name((int)place),
                                  json_string(text));
    }
}

static void set_number(json_t *object, int place, uint64_t number)
{
    (void)json_object_set_new(object, columns_name(place),
                              json_integer((json_int_t)number));
}

static void set_shares(json_t *object, const struct core_lease_row *row)
{
    struct buf text;
    uint32_t i;

    if (row->shares == NULL) {
        return;
    }
    buf_init(&text, 0);
    for (i = 0; i < row->gpus; i++) {
        buf_printf(&text, "%s%" PRIu32 "/%" PRIu32, i == 0 ? "" : ",",
                   row->shares[i].charge_mib, row->shares[i].footprint_mib);
    }
    if (buf_error(&text) == E_OK) {
        set_text(object, COLUMN_SHARES, buf_string(&text));
    }
    buf_release(&text);
}

static int write_lease(void *arg, const struct store_lease *lease)
{
    json_t *object = json_object();
    int i;

    set_text(object, COLUMN_SERVICE, lease->service_id);
    set_text(object, COLUMN_JOB, lease->job_id);
    set_text(object, COLUMN_CLASS, lease->class_name);
    set_text(object, COLUMN_METADATA, lease->metadata);
    set_text(object, COLUMN_WATCHES, lease->watches);
    set_shares(object, &lease->core);
    if (lease->class_name == NULL) {
        set_number(object, COLUMN_PRIORITY, lease->core.class_id);
    }
    set_number(object, COLUMN_WATCH_PID, lease->watch_pid);
    set_number(object, COLUMN_WATCH_STARTED, lease->watch_started);
    for (i = COLUMN_NUMBERS; i < COLUMN_COUNT; i++) {
        set_number(object, i, columns_get(&lease->core, i));
    }
    return write_line(arg, "lease", object);
}

int queue_lines_write(struct store *store, FILE *out)
{
    struct writing writing = {.out = out};
    const struct store_reader reader = {.lease = write_lease,
                                        .class_row = write_class,
                                        .mode = write_mode,
                                        .arg = &writing};
    uint64_t time_max_ms;
    int rc;

    if (fprintf(out,
                "{\"gpucoord\":\"queue\",\"version\":%d,\"numbers\":%" PRIu64
                "}\n",
                VERSION, store_numbers(store)) < 0) {
        return E_IO;
    }
    rc = store_load(store, &reader, &time_max_ms);
    if (rc == E_OK) {
        rc = write_line(&writing, "end", json_integer(writing.lines));
    }
    return rc == E_OK && fflush(out) != 0 ? E_IO : rc;
}

/* ---- Back --------------------------------------------------------------- */

struct reading {
    struct store *store;
    json_int_t lines; /* Read so far, the head not counted. */
    bool has_ended;
};

/* Take the text @place of @object; NULL where it is not there. */
static bool take_text(const json_t *object, enum column place, const char **out)
{
    const json_t *value = json_object_get(object, columns_name((int)place));

    *out = json_string_value(value);
    return value == NULL || *out != NULL;
}

static bool take_number(const json_t *object, int place, int64_t *out)
{
    const json_t *value = json_object_get(object, columns_name(place));

    *out = json_integer_value(value);
    return json_is_integer(value);
}

static bool take_texts(const json_t *object,
                       struct store_lease *lease,
                       struct column_others *others)
{
    bool has_priority =
        json_object_get(object, columns_name(COLUMN_PRIORITY)) != NULL;

    return take_text(object, COLUMN_SERVICE, &lease->service_id) &&
           take_text(object, COLUMN_JOB, &lease->job_id) &&
           take_text(object, COLUMN_CLASS, &lease->class_name) &&
           take_text(object, COLUMN_METADATA, &lease->metadata) &&
           take_text(object, COLUMN_WATCHES, &lease->watches) &&
           take_text(object, COLUMN_SHARES, &others->shares) &&
           take_number(object, COLUMN_WATCH_PID, &others->watch_pid) &&
           take_number(object, COLUMN_WATCH_STARTED, &others->watch_started) &&
           (!has_priority ||
            take_number(object, COLUMN_PRIORITY, &others->priority));
}

static bool read_lease(struct store *store, const json_t *object)
{
    struct store_lease lease = {0};
    struct column_others others = {0};
    struct core_share shares[CORE_DEVICES_MAX];
    bool fits = take_texts(object, &lease, &others);
    int i;

    for (i = COLUMN_NUMBERS; fits && i < COLUMN_COUNT; i++) {
        int64_t number;

        fits = take_number(object, i, &number) &&
               columns_set(&lease.core, i, (uint64_t)number);
    }
    if (!fits || columns_finish(&lease, &others, shares) != E_OK) {
        return false;
    }
    store_put_lease(store, &lease);
    return true;
}

static bool read_class(struct store *store, json_t *object)
{
    const char *name;
    json_int_t consecutive;
    json_int_t credit;
    struct store_class row = {.name = NULL};

    if (json_unpack(object, "{s:s, s:I, s:I !}", "name", &name, "consecutive",
                    &consecutive, "credit", &credit) != 0 ||
        consecutive < 0 || consecutive > UINT32_MAX) {
        return false;
    }
    row.name = name;
    row.core.consecutive = (uint32_t)consecutive;
    row.core.credit = credit;
    store_put_class(store, &row);
    return true;
}

static bool read_mode(struct store *store, json_t *object)
{
    json_int_t until_ms;
    json_int_t drained;
    int is_draining;
    struct core_mode_row mode;

    if (json_unpack(object, "{s:I, s:I, s:b !}", "bypass_until_ms", &until_ms,
                    "drained", &drained, "is_draining", &is_draining) != 0) {
        return false;
    }
    mode = (struct core_mode_row){.bypass_until_ms = (uint64_t)until_ms,
                                  .drained = (uint64_t)drained,
                                  .is_draining = is_draining != 0};
    store_put_mode(store, &mode);
    return true;
}

static int read_head(struct store *store, json_t *line)
{
    const char *what;
    int version;
    json_int_t numbers;
    int rc;

    if (json_unpack(line, "{s:s, s:i, s:I !}", "gpucoord", &what, "version",
                    &version, "numbers", &numbers) != 0 ||
        strcmp(what, "queue") != 0 || numbers < 0) {
        say("the first line is not that of 'gpucoord export'");
        return E_INVALID;
    }
    if (version > VERSION) {
        say("a newer version of this program wrote it: version %d", version);
        return E_VERSION;
    }
    rc = store_raise_numbers(store, (uint64_t)numbers);
    if (rc != E_OK) {
        say("cannot go on above the numbers of the export: %s", err_text(rc));
    }
    return rc;
}

static bool read_row(struct reading *reading, json_t *line)
{
    json_t *object;

    if (json_object_size(line) != 1 || reading->has_ended) {
        return false;
    }
    if ((object = json_object_get(line, "lease")) != NULL) {
        return read_lease(reading->store, object);
    }
    if ((object = json_object_get(line, "class")) != NULL) {
        return read_class(reading->store, object);
    }
    if ((object = json_object_get(line, "mode")) != NULL) {
        return read_mode(reading->store, object);
    }
    object = json_object_get(line, "end");
    reading->has_ended =
        json_is_integer(object) && json_integer_value(object) == reading->lines;
    return reading->has_ended;
}

static int
read_line(struct reading *reading, const char *text, size_t size, bool is_head)
{
    json_error_t error;
    json_t *line = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    int rc = E_OK;

    if (line == NULL) {
        say("line %" JSON_INTEGER_FORMAT ": %s", reading->lines + 2,
            error.text);
        return E_INVALID;
    }
    if (is_head) {
        rc = read_head(reading->store, line);
    } else if (!read_row(reading, line)) {
        say("line %" JSON_INTEGER_FORMAT " is no row of a queue",
            reading->lines + 2);
        rc = E_INVALID;
    } else {
        reading->lines++;
    }
    json_decref(line);
    return rc;
}

int queue_lines_read(struct store *store, FILE *in)
{
    struct reading reading = {.store = store};
    char *text = NULL;
    size_t room = 0;
    bool is_head = true;
    ssize_t size;
    int rc = E_OK;

    while (rc == E_OK && (size = getline(&text, &room, in)) >= 0) {
        rc = read_line(&reading, text, (size_t)size, is_head);
        is_head = false;
    }
    free(text);
    if (rc != E_OK) {
        return rc;
    }
    if (ferror(in) != 0) {
        say("cannot read it to its end");
        return E_IO;
    }
    if (!reading.has_ended) {
        say("it was cut: its last line is missing");
        return E_INVALID;
    }
    return E_OK;
}
