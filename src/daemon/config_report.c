#include "daemon/config_load.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

void config_report_init(struct config_report *report)
{
    *report = (struct config_report){0};
}

void config_report_release(struct config_report *report)
{
    size_t i;

    for (i = 0; i < report->count; i++) {
        free(report->notes[i].text);
    }
    free(report->notes);
    config_report_init(report);
}

/* What the file says is shown in messages, but not let loose on a terminal. */
static void tame(char *text)
{
    for (; *text != '\0'; text++) {
        if (iscntrl((unsigned char)*text)) {
            *text = '?';
        }
    }
}

static void __attribute__((format(printf, 4, 0)))
add(struct config_report *report,
    const yaml_mark_t *mark,
    bool is_error,
    const char *format,
    va_list args)
{
    struct config_note *note;
    void *notes = report->notes;
    char *text;

    report->error_count += is_error ? 1 : 0;
    if (report->count == CONFIG_NOTES_MAX ||
        vasprintf(&text, format, args) < 0) {
        report->is_cut = true;
        return;
    }
    note = config_grow(&notes, &report->count, sizeof *note);
    if (note == NULL) {
        free(text);
        report->is_cut = true;
        return;
    }
    report->notes = notes;
    tame(text);
    note->text = text;
    note->is_error = is_error;
    if (mark != NULL) {
        note->line = (uint32_t)mark->line + 1;
        note->column = (uint32_t)mark->column + 1;
    }
}

void config_mistake(struct config_report *report,
                    const yaml_mark_t *mark,
                    const char *format,
                    ...)
{
    va_list args;

    va_start(args, format);
    add(report, mark, true, format, args);
    va_end(args);
}

void config_warning(struct config_report *report,
                    const yaml_mark_t *mark,
                    const char *format,
                    ...)
{
    va_list args;

    va_start(args, format);
    add(report, mark, false, format, args);
    va_end(args);
}

static bool is_before(const struct config_note *a, const struct config_note *b)
{
    return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* By insertion: few notes, nearly sorted, and equal ones keep their order. */
void config_report_sort(struct config_report *report)
{
    size_t i;
    size_t at;

    for (i = 1; i < report->count; i++) {
        struct config_note note = report->notes[i];

        for (at = i; at > 0 && is_before(&note, &report->notes[at - 1]); at--) {
            report->notes[at] = report->notes[at - 1];
        }
        report->notes[at] = note;
    }
}

void config_report_print(const struct config_report *report,
                         const char *name,
                         struct buf *out)
{
    size_t i;

    for (i = 0; i < report->count; i++) {
        const struct config_note *note = &report->notes[i];

        buf_text(out, name);
        if (note->line != 0) {
            buf_printf(out, ":%u:%u", note->line, note->column);
        }
        buf_printf(out, ": %s%s\n",
                   note->is_error ? "" : "warning: ", note->text);
    }
    if (report->is_cut) {
        buf_printf(out, "%s: and more\n", name);
    }
}
