#include "base/units.h"

#include <string.h>

#define UNITS_MAX (UINT64_C(1) << 53) /* What a JSON number holds exactly. */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Rising; the first is that of a number without a unit, and of several names
 * for one factor the first is printed. */
static const struct unit counts[] = {
    {"", 1},
    {NULL, 0},
};
static const struct unit times[] = {
    {"ms", 1},      {"s", 1000},     {"m", 60000}, {"min", 60000},
    {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"MiB", 1},
    {"GiB", 1024},
    {"TiB", 1048576},
    {NULL, 0},
};

static const struct unit *unit_find(const struct unit *units, const char *name)
{
    if (*name == '\0') {
        return units;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, name) == 0) {
            return units;
        }
    }
    return NULL;
}

static int parse(const struct unit *units, const char *text, uint64_t *out)
{
    const struct unit *unit;
    uint64_t number = 0;
    const char *at = text;

    for (; *at >= '0' && *at <= '9'; at++) {
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > UNITS_MAX) {
            return E_INVALID;
        }
    }
    unit = unit_find(units, at);
    if (at == text || unit == NULL || number > UNITS_MAX / unit->factor) {
        return E_INVALID;
    }
    *out = number * unit->factor;
    return E_OK;
}

static void print(const struct unit *units, struct buf *out, uint64_t number)
{
    const struct unit *best = units;

    for (; units->name != NULL; units++) {
        if (number != 0 && units->factor > best->factor &&
            number % units->factor == 0) {
            best = units;
        }
    }
    buf_u64(out, number / best->factor);
    buf_text(out, best->name);
}

int units_parse_count(const char *text, uint64_t *out)
{
    return parse(counts, text, out);
}

int units_parse_time(const char *text, uint64_t *out)
{
    return parse(times, text, out);
}

int units_parse_size(const char *text, uint64_t *out)
{
    return parse(sizes, text, out);
}

void units_print_time(struct buf *out, uint64_t time_ms)
{
    print(times, out, time_ms);
}

void units_print_size(struct buf *out, uint64_t size_mib)
{
    print(sizes, out, size_mib);
}
