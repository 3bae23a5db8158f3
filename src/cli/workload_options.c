#include "cli/workload_options.h"

#include "cli/say.h"

#include <errno.h>

enum {
    TRACE_BYTES_MAX = 256 * 1024 * 1024,
    READ_BYTES = 64 * 1024
};

const struct workload_values workload_defaults = {
    .background = "transcription,summarization",
    .class_name = "chatbot",
    .every = 1,
    .prompt_us = TRACE_PROMPT_US,
    .generated_us = TRACE_GENERATED_US,
    .chunk_ms = 2000,
    .job_ms = 60000,
    .load_ms = 1000,
    .offload_ms = 500,
    .backlog = 2,
    .seed = 1,
};

static int read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rbe");
    size_t size = 0;
    int rc;

    if (file == NULL) {
        say("cannot open '%s': %s", path, strerror(errno));
        return E_IO;
    }
    do {
        char *room = buf_room(out, READ_BYTES);

        if (room == NULL) {
            break;
        }
        size = fread(room, 1, READ_BYTES, file);
        buf_grown(out, size);
    } while (size == READ_BYTES);
    rc = buf_error(out);
    if (rc != E_OK) {
        say("cannot read '%s': %s", path, err_text(rc));
    } else if (ferror(file)) {
        say("cannot read '%s': %s", path, strerror(errno));
        rc = E_IO;
    }
    (void)fclose(file);
    return rc;
}

static int check_values(const struct workload_values *values)
{
    if (values->trace == NULL) {
        say("--trace is missing: which file says who asks for the gpu?");
        return E_INVALID;
    }
    if (values->every == 0 || values->chunk_ms == 0 || values->job_ms == 0) {
        say("--every, --chunk and --job must be above 0");
        return E_INVALID;
    }
    if (!api_is_name(values->class_name, strlen(values->class_name))) {
        say("--class: '%s' is not a class's name", values->class_name);
        return E_INVALID;
    }
    return E_OK;
}

int workload_open_trace(const struct workload_values *values, struct trace *out)
{
    struct trace_options options = {
        .every = (uint32_t)values->every,
        .prompt_us = (uint32_t)values->prompt_us,
        .generated_us = (uint32_t)values->generated_us,
        .class_name = values->class_name,
    };
    struct trace_error error;
    struct buf text;
    int rc = check_values(values);

    if (rc != E_OK) {
        return rc;
    }
    buf_init(&text, TRACE_BYTES_MAX);
    rc = read_file(values->trace, &text);
    if (rc == E_OK) {
        rc = trace_parse(buf_string(&text), text.size, &options, out, &error);
        if (rc != E_OK && error.line != 0) {
            say("%s:%zu: %s", values->trace, error.line, error.detail);
        } else if (rc != E_OK) {
            say("%s: %s", values->trace, error.detail);
        }
    }
    buf_release(&text);
    return rc;
}

struct workload_options
workload_options_get(const struct workload_values *values)
{
    bool has_none = strcmp(values->background, "none") == 0;

    return (struct workload_options){
        .chunk_ms = values->chunk_ms,
        .job_ms = values->job_ms,
        .load_ms = values->load_ms,
        .offload_ms = values->offload_ms,
        .backlog = values->backlog,
        .seed = values->seed,
        .until_ms = values->until_ms,
        .is_preemptible = !values->no_preempt,
        .background = has_none ? "" : values->background,
    };
}

static int write_jobs(const char *path, const struct workload *work)
{
    FILE *file = fopen(path, "we");
    int rc;

    if (file == NULL) {
        say("cannot open '%s': %s", path, strerror(errno));
        return E_IO;
    }
    rc = workload_report_jobs(work, file);
    if (fclose(file) != 0) {
        rc = E_IO;
    }
    if (rc != E_OK) {
        say("cannot write '%s': %s", path, strerror(errno));
    }
    return rc;
}

int workload_print(const struct workload_values *values,
                   struct workload *work,
                   const struct workload_run *run)
{
    struct buf out;
    int rc;

    buf_init(&out, 0);
    if (values->json) {
        workload_report_json(work, run, &out);
    } else {
        workload_report_text(work, run, &out);
    }
    rc = buf_error(&out);
    if (rc != E_OK) {
        say("cannot print the result: %s", err_text(rc));
    } else if (fputs(buf_string(&out), stdout) == EOF || fflush(stdout) != 0) {
        say("cannot print the result: %s", strerror(errno));
        rc = E_IO;
    }
    buf_release(&out);
    if (rc == E_OK && values->jobs != NULL) {
        rc = write_jobs(values->jobs, work);
    }
    return rc;
}
