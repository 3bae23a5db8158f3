#include "daemon/members.h"

#include "base/clock.h"

void member_name(struct buf *out, const char *name)
{
    buf_text(out, ",\"");
    buf_text(out, name);
    buf_text(out, "\":");
}

void member_u64(struct buf *out, const char *name, uint64_t number)
{
    member_name(out, name);
    buf_u64(out, number);
}

void member_maybe(struct buf *out,
                  const char *name,
                  bool is_there,
                  uint64_t number)
{
    if (is_there) {
        member_u64(out, name, number);
    } else {
        member_text(out, name, NULL);
    }
}

void member_text(struct buf *out, const char *name, const char *text)
{
    member_name(out, name);
    if (text == NULL) {
        buf_text(out, "null");
    } else {
        buf_json(out, text);
    }
}

void member_bool(struct buf *out, const char *name, bool value)
{
    member_name(out, name);
    buf_text(out, value ? "true" : "false");
}

void member_time(struct buf *out, const char *name, uint64_t wall_ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_text(wall_ms, text);
    member_text(out, name, text);
}
