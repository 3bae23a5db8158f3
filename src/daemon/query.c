#include "daemon/query.h"

#include <stddef.h>
#include <string.h>

/* Read @size digits. */
static bool
read_digits(const char *text, size_t size, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';

        if (digit > 9 || number > (max - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out = number;
    return size > 0;
}

bool query_number(const char *text, uint64_t max, uint64_t *out)
{
    return read_digits(text, strlen(text), max, out);
}

bool query_find_number(const char *query,
                       const char *name,
                       uint64_t max,
                       uint64_t *out)
{
    size_t name_size = strlen(name);

    while (*query != '\0') {
        size_t size = strcspn(query, "&");

        if (size > name_size && query[name_size] == '=' &&
            strncmp(query, name, name_size) == 0) {
            return read_digits(query + name_size + 1, size - name_size - 1, max,
                               out);
        }
        query += size;
        query += *query == '&' ? 1 : 0;
    }
    return true;
}
