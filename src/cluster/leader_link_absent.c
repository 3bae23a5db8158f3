/* Built instead of leader_link.c where there is no libpq: nobody leads. */
#include "cluster/leader_link.h"

#include <stddef.h>

int link_open(const char *url, struct link **out)
{
    (void)url;
    *out = NULL;
    return E_UNSUPPORTED;
}

void link_make_schema(struct link *link, bool makes_schema)
{
    (void)link;
    (void)makes_schema;
}

void link_close(struct link *link)
{
    (void)link;
}

int link_attach(struct link *link,
                struct event_base *base,
                const struct link_handler *handler,
                void *arg)
{
    (void)link;
    (void)base;
    (void)handler;
    (void)arg;
    return E_UNSUPPORTED;
}

void link_detach(struct link *link)
{
    (void)link;
}

bool link_is_up(const struct link *link)
{
    (void)link;
    return false;
}

void link_ask(struct link *link,
              const char *sql,
              int count,
              const char *const *values)
{
    (void)link;
    (void)sql;
    (void)count;
    (void)values;
}

bool link_rest(struct link *link, uint64_t limit_ms)
{
    (void)link;
    (void)limit_ms;
    return false;
}

bool link_has_failed(const struct link *link)
{
    (void)link;
    return true;
}

bool link_has_state(const struct link *link, const char *state)
{
    (void)link;
    (void)state;
    return false;
}

int link_rows(const struct link *link)
{
    (void)link;
    return 0;
}

const char *link_value(const struct link *link, int row, int column)
{
    (void)link;
    (void)row;
    (void)column;
    return "";
}

const char *link_trouble(const struct link *link)
{
    (void)link;
    return err_text(E_UNSUPPORTED);
}
