#include "proto/scan.h"

enum {
    DIGITS_MAX = 18 /* So many always fit into 63 bits. */
};

struct cursor {
    const char *at;
    const char *end;
};

static void skip_space(struct cursor *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' ||
                                *in->at == '\t' || *in->at == '\r')) {
        in->at++;
    }
}

/* Take @byte after any white space. */
static bool take(struct cursor *in, char byte)
{
    skip_space(in);
    if (in->at == in->end || *in->at != byte) {
        return false;
    }
    in->at++;
    return true;
}

static bool take_word(struct cursor *in, const char *word, size_t size)
{
    if ((size_t)(in->end - in->at) < size || memcmp(in->at, word, size) != 0) {
        return false;
    }
    in->at += size;
    return true;
}

/* Take a string whose bytes stand for themselves. */
static bool take_text(struct cursor *in, const char **text, size_t *size)
{
    if (!take(in, '"')) {
        return false;
    }
    *text = in->at;
    while (in->at < in->end && *in->at >= ' ' && *in->at <= '~' &&
           *in->at != '"' && *in->at != '\\') {
        in->at++;
    }
    *size = (size_t)(in->at - *text);
    return take_word(in, "\"", 1);
}

static bool take_number(struct cursor *in, uint64_t *number)
{
    const char *first = in->at;

    *number = 0;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9') {
        if (in->at - first == DIGITS_MAX) {
            return false;
        }
        *number = *number * 10 + (uint64_t)(*in->at - '0');
        in->at++;
    }
    if (in->at == first || (*first == '0' && in->at - first > 1)) {
        return false;
    }
    /* A fraction or an exponent makes it another number. */
    return in->at == in->end ||
           (*in->at != '.' && *in->at != 'e' && *in->at != 'E');
}

static bool take_value(struct cursor *in, struct value *value)
{
    skip_space(in);
    if (in->at == in->end) {
        return false;
    }
    switch (*in->at) {
    case '"':
        value->kind = VALUE_TEXT;
        return take_text(in, &value->text, &value->size);
    case 't':
        value->kind = VALUE_TRUE;
        return take_word(in, "true", 4);
    case 'f':
        value->kind = VALUE_FALSE;
        return take_word(in, "false", 5);
    case 'n':
        value->kind = VALUE_NULL;
        return take_word(in, "null", 4);
    default:
        value->kind = VALUE_NUMBER;
        return take_number(in, &value->number);
    }
}

static bool
take_member(const struct body *body, struct cursor *in, struct value *values)
{
    const char *name;
    size_t size;
    size_t at;

    if (!take_text(in, &name, &size)) {
        return false;
    }
    at = body_find(body, name, size);
    return at < body->count && values[at].kind == VALUE_NONE && take(in, ':') &&
           take_value(in, &values[at]);
}

bool scan_values(const struct body *body,
                 const char *data,
                 size_t size,
                 struct value *values)
{
    struct cursor in = {data, data + size};

    if (size == 0 || !take(&in, '{')) {
        return false;
    }
    if (!take(&in, '}')) {
        do {
            if (!take_member(body, &in, values)) {
                return false;
            }
        } while (take(&in, ','));
        if (!take(&in, '}')) {
            return false;
        }
    }
    skip_space(&in);
    return in.at == in.end;
}
