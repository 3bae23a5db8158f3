#include "proto/trace.h"

#include "proto/csv.h"

enum {
    COLUMNS_MAX = 16,
    TOKENS_MAX = 10000000 /* Of one request. */
};

const struct trace_options trace_defaults = {
    .every = 1,
    .prompt_us = TRACE_PROMPT_US,
    .generated_us = TRACE_GENERATED_US,
    .class_name = "chatbot",
};

enum column {
    COLUMN_AT,
    COLUMN_CLASS,
    COLUMN_WORK,
    COLUMN_VRAM,
    COLUMN_SERVICE,
    COLUMN_TIMESTAMP,
    COLUMN_CONTEXT,
    COLUMN_GENERATED,
    COLUMNS
};

static const char *const column_names[COLUMNS] = {
    [COLUMN_AT] = "at_ms",
    [COLUMN_CLASS] = "class",
    [COLUMN_WORK] = "work_ms",
    [COLUMN_VRAM] = "vram_mib",
    [COLUMN_SERVICE] = "service",
    [COLUMN_TIMESTAMP] = "TIMESTAMP",
    [COLUMN_CONTEXT] = "ContextTokens",
    [COLUMN_GENERATED] = "GeneratedTokens",
};

enum format {
    FORMAT_OWN,
    FORMAT_AZURE
};

struct reader {
    const struct trace_options *options;
    struct trace *trace;
    struct trace_error *error;
    struct csv csv;
    enum format format;
    struct csv_cell cells[COLUMNS];  /* Of the present row; .text is NULL
                                    where the file has no such column. */
    enum column layout[COLUMNS_MAX]; /* COLUMNS = one to be ignored. */
    size_t width;                    /* Columns of the file. */
    size_t row_count;                /* Before thinning. */
    uint64_t first_ms;               /* Of the file's own time. */
    uint64_t last_ms;
};

/* Say what is wrong with the present line; E_INVALID. */
#define REFUSE(reader, ...)                                                 \
    ((void)snprintf((reader)->error->detail, sizeof(reader)->error->detail, \
                    __VA_ARGS__),                                           \
     E_INVALID)

/* ---- Columns ---------------------------------------------------------- */

/* Read the first line: which columns there are, and so which format. */
static int read_header(struct reader *reader)
{
    bool has[COLUMNS] = {false};
    struct csv_cell line;
    struct csv_cell cell;

    if (!csv_line(&reader->csv, &line)) {
        return REFUSE(reader, "the file has no first line with the names of "
                              "its columns");
    }
    while (csv_cell(&line, &cell)) {
        enum column column = 0;

        while (column < COLUMNS && !csv_is(&cell, column_names[column])) {
            column++;
        }
        if (reader->width == COLUMNS_MAX) {
            return REFUSE(reader, "more than %d columns", (int)COLUMNS_MAX);
        }
        if (column < COLUMNS && has[column]) {
            return REFUSE(reader, "the column %s comes twice",
                          column_names[column]);
        }
        if (column < COLUMNS) {
            has[column] = true;
        }
        reader->layout[reader->width++] = column;
    }
    if (has[COLUMN_AT] && has[COLUMN_CLASS] && has[COLUMN_WORK]) {
        reader->format = FORMAT_OWN;
        return E_OK;
    }
    if (has[COLUMN_TIMESTAMP] && has[COLUMN_CONTEXT] && has[COLUMN_GENERATED]) {
        reader->format = FORMAT_AZURE;
        return E_OK;
    }
    return REFUSE(reader, "the first line must name the columns at_ms, class "
                          "and work_ms, or TIMESTAMP, ContextTokens and "
                          "GeneratedTokens");
}

static int split_row(struct reader *reader, struct csv_cell line)
{
    struct csv_cell cell;
    size_t count = 0;

    while (csv_cell(&line, &cell)) {
        if (count < reader->width && reader->layout[count] < COLUMNS) {
            reader->cells[reader->layout[count]] = cell;
        }
        count++;
    }
    if (count != reader->width) {
        return REFUSE(reader, "%zu columns, but the first line names %zu",
                      count, reader->width);
    }
    return E_OK;
}

/* ---- Values ----------------------------------------------------------- */

static int read_number(struct reader *reader,
                       enum column column,
                       uint64_t min,
                       uint64_t max,
                       uint64_t *out)
{
    if (csv_number(&reader->cells[column], max, out) && *out >= min) {
        return E_OK;
    }
    return REFUSE(reader, "%s must be a whole number from %llu to %llu",
                  column_names[column], (unsigned long long)min,
                  (unsigned long long)max);
}

static int
read_name(struct reader *reader, enum column column, char out[API_NAME_MAX + 1])
{
    const struct csv_cell *cell = &reader->cells[column];

    if (!api_is_name(cell->text, cell->size)) {
        return REFUSE(reader, "%s must be 1 to %d of A-Z a-z 0-9 . _ -",
                      column_names[column], (int)API_NAME_MAX);
    }
    memcpy(out, cell->text, cell->size);
    out[cell->size] = '\0';
    return E_OK;
}

/* Days from 0000-03-01 to a date of the Gregorian calendar. */
static uint64_t days(uint64_t year, uint64_t month, uint64_t day)
{
    /* Years begin in March, so that a leap day is a year's last. */
    year -= month < 3;
    month = (month + 9) % 12;
    return year * 365 + year / 4 - year / 100 + year / 400 +
           (month * 153 + 2) / 5 + day - 1;
}

/* Read "2023-11-16 18:15:46.6805900", the fraction optional. */
static int read_timestamp(struct reader *reader, uint64_t *out)
{
    static const struct {
        size_t at;
        size_t size;
        uint64_t min;
        uint64_t max;
        char before; /* Stands in front of it. */
    } parts[] = {{0, 4, 1, 9999, 0},  {5, 2, 1, 12, '-'},  {8, 2, 1, 31, '-'},
                 {11, 2, 0, 23, ' '}, {14, 2, 0, 59, ':'}, {17, 2, 0, 60, ':'}};
    const struct csv_cell *cell = &reader->cells[COLUMN_TIMESTAMP];
    bool is_good = cell->size >= 19 && cell->size <= 29 && cell->size != 20;
    uint64_t v[6] = {0};
    uint64_t ms = 0;

    for (size_t i = 0; is_good && i < 6; i++) {
        struct csv_cell part = {cell->text + parts[i].at, parts[i].size};

        is_good = (i == 0 || part.text[-1] == parts[i].before) &&
                  csv_number(&part, parts[i].max, &v[i]) &&
                  v[i] >= parts[i].min;
    }
    if (is_good && cell->size > 19) {
        struct csv_cell fraction = {cell->text + 20, cell->size - 20};

        is_good =
            cell->text[19] == '.' && csv_number(&fraction, 999999999, &ms);
        for (size_t digits = fraction.size; digits > 3; digits--) {
            ms /= 10;
        }
        for (size_t digits = fraction.size; digits < 3; digits++) {
            ms *= 10;
        }
    }
    if (!is_good) {
        return REFUSE(reader, "TIMESTAMP must look like "
                              "2023-11-16 18:15:46.6805900");
    }
    *out = (((days(v[0], v[1], v[2]) * 24 + v[3]) * 60 + v[4]) * 60 + v[5]) *
               1000 +
           ms;
    return E_OK;
}

/* ---- Rows ------------------------------------------------------------- */

static int read_own(struct reader *reader, struct trace_row *row)
{
    uint64_t work_ms;
    uint64_t vram_mib = 0;
    int rc = read_number(reader, COLUMN_AT, 0, API_NUMBER_MAX, &row->at_ms);

    if (rc == E_OK) {
        rc = read_name(reader, COLUMN_CLASS, row->class_name);
    }
    if (rc == E_OK) {
        rc = read_number(reader, COLUMN_WORK, 1, TRACE_WORK_MS_MAX, &work_ms);
    }
    if (rc == E_OK && reader->cells[COLUMN_VRAM].size != 0) {
        rc = read_number(reader, COLUMN_VRAM, 0, API_VRAM_MIB_MAX, &vram_mib);
    }
    if (rc != E_OK) {
        return rc;
    }
    row->work_ms = (uint32_t)work_ms;
    row->vram_mib = (uint32_t)vram_mib;
    if (reader->cells[COLUMN_SERVICE].size != 0) {
        return read_name(reader, COLUMN_SERVICE, row->service_id);
    }
    memcpy(row->service_id, row->class_name, sizeof row->service_id);
    return E_OK;
}

static int read_azure(struct reader *reader, struct trace_row *row)
{
    const struct trace_options *options = reader->options;
    uint64_t context;
    uint64_t generated;
    uint64_t work_ms;
    int rc = read_timestamp(reader, &row->at_ms);

    if (rc == E_OK) {
        rc = read_number(reader, COLUMN_CONTEXT, 0, TOKENS_MAX, &context);
    }
    if (rc == E_OK) {
        rc = read_number(reader, COLUMN_GENERATED, 0, TOKENS_MAX, &generated);
    }
    if (rc != E_OK) {
        return rc;
    }
    work_ms = (context * options->prompt_us +
               generated * options->generated_us + 999) /
              1000;
    if (work_ms > TRACE_WORK_MS_MAX) {
        return REFUSE(reader, "that many tokens take more than a day");
    }
    row->work_ms = work_ms == 0 ? 1 : (uint32_t)work_ms;
    row->vram_mib = 0;
    (void)snprintf(row->class_name, sizeof row->class_name, "%s",
                   options->class_name);
    memcpy(row->service_id, row->class_name, sizeof row->service_id);
    return E_OK;
}

static int append_row(struct trace *trace, const struct trace_row *row)
{
    if (trace->count == trace->capacity) {
        size_t capacity = trace->capacity == 0 ? 64 : trace->capacity * 2;
        struct trace_row *rows =
            realloc(trace->rows, capacity * sizeof *trace->rows);

        if (rows == NULL) {
            return E_NOMEM;
        }
        trace->rows = rows;
        trace->capacity = capacity;
    }
    trace->rows[trace->count++] = *row;
    return E_OK;
}

static int read_row(struct reader *reader, struct csv_cell line)
{
    struct trace_row row = {0};
    int rc = split_row(reader, line);

    if (rc == E_OK) {
        rc = reader->format == FORMAT_OWN ? read_own(reader, &row)
                                          : read_azure(reader, &row);
    }
    if (rc != E_OK) {
        return rc;
    }
    if (reader->row_count == 0) {
        reader->first_ms = row.at_ms;
    } else if (row.at_ms < reader->last_ms) {
        return REFUSE(reader, "its time is before that of the row above");
    }
    reader->last_ms = row.at_ms;
    row.at_ms -= reader->first_ms;
    if (reader->row_count++ % reader->options->every != 0) {
        return E_OK;
    }
    if (reader->trace->count == TRACE_ROWS_MAX) {
        (void)REFUSE(reader, "more than %d rows; keep fewer with --every",
                     (int)TRACE_ROWS_MAX);
        return E_TOO_BIG;
    }
    return append_row(reader->trace, &row);
}

int trace_parse(const char *data,
                size_t size,
                const struct trace_options *options,
                struct trace *out,
                struct trace_error *error)
{
    struct reader reader = {
        .options = options,
        .trace = out,
        .error = error,
        .csv = {.at = data, .end = data + size},
    };
    struct csv_cell line;
    int rc;

    *out = (struct trace){0};
    *error = (struct trace_error){0};
    rc = read_header(&reader);
    while (rc == E_OK && csv_line(&reader.csv, &line)) {
        rc = read_row(&reader, line);
    }
    error->line = reader.csv.line;
    if (rc == E_OK && out->count == 0) {
        error->line = 0;
        rc = REFUSE(&reader, "the file has no rows");
    }
    if (rc == E_NOMEM) {
        (void)REFUSE(&reader, "out of memory");
    }
    if (rc != E_OK) {
        trace_release(out);
    }
    return rc;
}

void trace_release(struct trace *trace)
{
    free(trace->rows);
    *trace = (struct trace){0};
}
