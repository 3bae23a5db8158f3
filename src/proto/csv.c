#include "proto/csv.h"

#include <string.h>

bool csv_line(struct csv *csv, struct csv_cell *line)
{
    while (csv->at < csv->end) {
        size_t left = (size_t)(csv->end - csv->at);
        const char *feed = memchr(csv->at, '\n', left);

        line->text = csv->at;
        line->size = feed == NULL ? left : (size_t)(feed - csv->at);
        csv->at += line->size + (feed == NULL ? 0 : 1);
        csv->line++;
        if (line->size != 0 && line->text[line->size - 1] == '\r') {
            line->size--;
        }
        if (line->size != 0 && line->text[0] != '#') {
            return true;
        }
    }
    return false;
}

bool csv_cell(struct csv_cell *line, struct csv_cell *cell)
{
    const char *comma;

    if (line->text == NULL) {
        return false;
    }
    comma = memchr(line->text, ',', line->size);
    *cell = *line;
    if (comma == NULL) {
        line->text = NULL;
        return true;
    }
    cell->size = (size_t)(comma - line->text);
    line->text = comma + 1;
    line->size -= cell->size + 1;
    return true;
}

bool csv_is(const struct csv_cell *cell, const char *text)
{
    return strlen(text) == cell->size &&
           memcmp(text, cell->text, cell->size) == 0;
}

bool csv_number(const struct csv_cell *cell, uint64_t max, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < cell->size; i++) {
        unsigned digit = (unsigned)(cell->text[i] - '0');

        if (digit > 9 || *out > (max - digit) / 10) {
            return false;
        }
        *out = *out * 10 + digit;
    }
    return cell->size != 0;
}
