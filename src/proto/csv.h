/* csv.h - lines and cells of a CSV without quotes.
 *
 * Nothing is copied: a cell is a stretch of the file.
 */
#ifndef GPUCOORD_PROTO_CSV_H
#define GPUCOORD_PROTO_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file being read; set .at and .end, borrowed. */
struct csv {
    const char *at; /* What is left of it. */
    const char *end;
    size_t line; /* Number of the newest line, from 1; 0 before the first. */
};

/* A stretch of the file, borrowed from it. */
struct csv_cell {
    const char *text;
    size_t size;
};

/* Take the next line that is neither empty nor a comment (#), without its end;
 * false at the end of the file. */
bool csv_line(struct csv *csv, struct csv_cell *line);

/* Take the cell before the next comma off the front of @line; false when
 * there is none left. */
bool csv_cell(struct csv_cell *line, struct csv_cell *cell);

/* Say whether @cell is @text. */
bool csv_is(const struct csv_cell *cell, const char *text);

/* Read @cell as digits, and nothing else, up to @max; false where it is not
 * that. */
bool csv_number(const struct csv_cell *cell, uint64_t max, uint64_t *out);

#endif
