#include "control/journal_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "gpucoord-frozen-1"

enum {
    FIELDS = 8,
    CHECKSUM_SIZE = 9 /* A blank and eight digits. */
};

static const char *const kind_names[] = {
    [JOURNAL_STOPPED] = "stopped",
    [JOURNAL_CGROUP] = "cgroup",
    [JOURNAL_CHECKPOINT] = "checkpoint",
};

enum {
    KINDS = (int)(sizeof kind_names / sizeof kind_names[0])
};

/* FNV-1a: tells a torn or touched line from a whole one. */
static uint32_t checksum(const char *text, size_t size)
{
    uint32_t sum = UINT32_C(2166136261);
    size_t i;

    for (i = 0; i < size; i++) {
        sum = (sum ^ (unsigned char)text[i]) * UINT32_C(16777619);
    }
    return sum;
}

/* Append a blank and @text without blanks of its own; "-" where it is "". */
static void put_word(struct buf *out, const char *text)
{
    buf_byte(out, ' ');
    if (text[0] == '\0' || strcmp(text, "-") == 0) {
        buf_text(out, text[0] == '\0' ? "-" : "%2d");
        return;
    }
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;

        if (byte <= ' ' || byte == '%' || byte == 0x7f) {
            buf_printf(out, "%%%02x", byte);
        } else {
            buf_byte(out, *text);
        }
    }
}

/* Read what put_word() wrote; false where it does not fit. */
static bool get_word(const char *text, char *out, size_t size)
{
    size_t used = 0;
    unsigned int byte;

    for (text = strcmp(text, "-") == 0 ? "" : text; *text != '\0'; text++) {
        byte = (unsigned char)*text;
        if (byte == '%') {
            char digits[3] = {text[1], '\0', '\0'};
            char *end;

            if (text[1] != '\0') {
                digits[1] = text[2];
            }
            byte = (unsigned int)strtoul(digits, &end, 16);
            if (end != digits + 2) {
                return false;
            }
            text += 2;
        }
        if (used + 1 >= size) {
            return false;
        }
        out[used++] = (char)byte;
    }
    out[used] = '\0';
    return true;
}

/* End the line that begins at @start with its checksum. */
static void put_end(struct buf *out, size_t start)
{
    if (buf_error(out) == E_OK) {
        buf_printf(out, " %08" PRIx32 "\n",
                   checksum(out->data + start, out->size - start));
    }
}

void journal_put_entry(struct buf *out, const struct journal_entry *entry)
{
    size_t start = out->size;

    buf_printf(out, "%s %d %" PRIu64 " %" PRIu64 " %" PRIu32,
               kind_names[entry->kind], (int)entry->id.pid,
               entry->id.start_ticks, entry->lease, entry->vram_mib);
    put_word(out, entry->service);
    put_word(out, entry->gpus);
    put_word(out, entry->cgroup.dir);
    put_end(out, start);
}

/* Check the checksum at the end of @line and cut it off. */
static bool take_checksum(char *line)
{
    char *sum = strrchr(line, ' ');
    char *end;

    if (sum == NULL || strlen(sum) != CHECKSUM_SIZE ||
        checksum(line, (size_t)(sum - line)) != strtoul(sum + 1, &end, 16) ||
        *end != '\0') {
        return false;
    }
    *sum = '\0';
    return true;
}

static bool get_number(const char *text, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool get_kind(const char *text, enum journal_kind *out)
{
    int i;

    for (i = 0; i < KINDS; i++) {
        if (strcmp(text, kind_names[i]) == 0) {
            *out = (enum journal_kind)i;
            return true;
        }
    }
    return false;
}

/* Read a line without its checksum. */
static bool get_entry(char *line, struct journal_entry *out)
{
    char *fields[FIELDS] = {NULL};
    uint64_t pid;
    uint64_t vram_mib;
    int count = 0;

    while (line != NULL && count < FIELDS) {
        fields[count++] = strsep(&line, " ");
    }
    if (line != NULL || count != FIELDS) {
        return false;
    }
    *out = (struct journal_entry){.lease = 0};
    if (!get_kind(fields[0], &out->kind) || !get_number(fields[1], &pid) ||
        !get_number(fields[2], &out->id.start_ticks) ||
        !get_number(fields[3], &out->lease) ||
        !get_number(fields[4], &vram_mib) || pid > INT32_MAX ||
        vram_mib > UINT32_MAX) {
        return false;
    }
    out->id.pid = (pid_t)pid;
    out->vram_mib = (uint32_t)vram_mib;
    return get_word(fields[5], out->service, sizeof out->service) &&
           get_word(fields[6], out->gpus, sizeof out->gpus) &&
           get_word(fields[7], out->cgroup.dir, sizeof out->cgroup.dir);
}

void journal_put_header(struct buf *out, const char *boot)
{
    size_t start = out->size;

    buf_printf(out, HEADER " %s", boot);
    put_end(out, start);
}

enum journal_line
journal_take(char *line, const char *boot, struct journal_entry *out)
{
    if (!take_checksum(line)) {
        return JOURNAL_DAMAGED;
    }
    if (strncmp(line, HEADER " ", sizeof HEADER) == 0) {
        return strcmp(line + sizeof HEADER, boot) == 0 ? JOURNAL_THIS_BOOT
                                                       : JOURNAL_OTHER_BOOT;
    }
    return get_entry(line, out) ? JOURNAL_ENTRY : JOURNAL_DAMAGED;
}
