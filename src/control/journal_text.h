/* journal_text.h - a line of the journal: fields, blanks between, a checksum.
 *
 * A line that was torn, or touched by hand, is known by its checksum and left
 * out; the others still count.
 */
#ifndef GPUCOORD_CONTROL_JOURNAL_TEXT_H
#define GPUCOORD_CONTROL_JOURNAL_TEXT_H

#include "base/buf.h"
#include "control/journal.h"

enum journal_line {
    JOURNAL_DAMAGED,
    JOURNAL_THIS_BOOT,  /* The first line, */
    JOURNAL_OTHER_BOOT, /* or so. */
    JOURNAL_ENTRY
};

/* Append the first line, for the boot @boot. */
void journal_put_header(struct buf *out, const char *boot);

/* Append the line of @entry. */
void journal_put_entry(struct buf *out, const struct journal_entry *entry);

/* Read @line, which has no line feed and is cut into pieces; @out is filled
 * where it is an entry. */
enum journal_line
journal_take(char *line, const char *boot, struct journal_entry *out);

#endif
