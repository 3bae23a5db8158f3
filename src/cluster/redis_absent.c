/* redis_absent.c - the same interface, built without hiredis. */
#include "cluster/redis_link.h"

int redis_link_open(struct event_base *base,
                    const struct redis_place *place,
                    const struct redis_link_hooks *hooks,
                    void *arg,
                    struct redis_link **out)
{
    (void)base;
    (void)place;
    (void)hooks;
    (void)arg;
    *out = NULL;
    return E_UNSUPPORTED;
}

void redis_link_close(struct redis_link *link)
{
    (void)link;
}

bool redis_link_is_up(const struct redis_link *link)
{
    (void)link;
    return false;
}

const char *redis_link_why(const struct redis_link *link)
{
    (void)link;
    return "this program was built without redis";
}

uint64_t redis_link_count(const struct redis_link *link)
{
    (void)link;
    return 0;
}

void redis_command_init(struct redis_command *command, const char *name)
{
    (void)name;
    command->count = 0;
}

void redis_command_add(struct redis_command *command, const char *word)
{
    (void)command;
    (void)word;
}

int redis_link_send(struct redis_link *link,
                    const struct redis_command *command,
                    redis_answer answer,
                    void *arg)
{
    (void)link;
    (void)command;
    (void)answer;
    (void)arg;
    return E_UNREACHABLE;
}

int redis_link_listen(struct redis_link *link, const char *pattern)
{
    (void)link;
    (void)pattern;
    return E_UNREACHABLE;
}

void redis_value_at(const struct redis_value *list,
                    size_t index,
                    struct redis_value *out)
{
    (void)list;
    (void)index;
    *out = (struct redis_value){.kind = REDIS_LOST};
}
