#include "base/err.h"

#include <stddef.h>
#include <string.h>

static const struct {
    int code;
    int http;
    int cli;
    const char *type;
    const char *text;
} table[] = {
#define X(name, value, http, cli, type, text) {value, http, cli, type, text},
#include "base/err.def"
#undef X
};

enum {
    ERRORS = (int)(sizeof table / sizeof table[0])
};

/* Index of @code; ERRORS where there is none. */
static int find(int code)
{
    int i;

    for (i = 0; i < ERRORS; i++) {
        if (table[i].code == code) {
            break;
        }
    }
    return i;
}

const char *err_text(int code)
{
    int i = find(code);

    if (code == E_OK) {
        return "done";
    }
    return i == ERRORS ? "unknown error" : table[i].text;
}

const char *err_type(int code)
{
    int i = find(code);

    return i == ERRORS ? "internal" : table[i].type;
}

int err_http(int code)
{
    int i = find(code);

    if (code == E_OK) {
        return 200;
    }
    return i == ERRORS ? 500 : table[i].http;
}

int err_exit(int code)
{
    int i = find(code);

    if (code == E_OK) {
        return 0;
    }
    return i == ERRORS ? 1 : table[i].cli;
}

int err_find(const char *type)
{
    int i;

    for (i = 0; i < ERRORS; i++) {
        if (strcmp(table[i].type, type) == 0) {
            return table[i].code;
        }
    }
    return 0;
}
