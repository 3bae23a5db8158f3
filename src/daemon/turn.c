#include "daemon/turn.h"

#include <assert.h>
#include <stdlib.h>

void turn_release(struct turn *turn)
{
    free(turn->deliveries);
    free(turn->calls);
    *turn = (struct turn){0};
}

void turn_clear(struct turn *turn)
{
    turn->delivery_count = 0;
    turn->call_count = 0;
    turn->has_records = false;
    turn->needs_fsync = false;
}

/* Grow the array @items of @size bytes each to at least @wanted. */
static int grow(void **items, size_t *capacity, size_t wanted, size_t size)
{
    size_t more = *capacity * 2;
    void *grown;

    if (wanted <= *capacity) {
        return E_OK;
    }
    if (more < wanted) {
        more = wanted;
    }
    grown = realloc(*items, more * size);
    if (grown == NULL) {
        return E_NOMEM;
    }
    *items = grown;
    *capacity = more;
    return E_OK;
}

int turn_reserve(struct turn *turn, size_t messages)
{
    void *deliveries = turn->deliveries;
    void *calls = turn->calls;
    int rc =
        grow(&deliveries, &turn->delivery_capacity,
             turn->delivery_count + messages + 1, sizeof(*turn->deliveries));

    turn->deliveries = deliveries;
    if (rc != E_OK) {
        return rc;
    }
    rc = grow(&calls, &turn->call_capacity, turn->call_count + 1,
              sizeof(*turn->calls));
    turn->calls = calls;
    return rc;
}

void turn_add_call(struct turn *turn,
                   const struct core_event *event,
                   const struct driver_reply *reply)
{
    assert(turn->call_count < turn->call_capacity);
    turn->calls[turn->call_count] = (struct call){*event, *reply};
    turn->call_count++;
}

void turn_add_reply(struct turn *turn, const struct driver_reply *reply)
{
    struct delivery *delivery = &turn->deliveries[turn->delivery_count];

    assert(turn->delivery_count < turn->delivery_capacity);
    delivery->is_reply = true;
    delivery->reply = *reply;
    turn->delivery_count++;
}

void turn_add_message(struct turn *turn, const struct core_message *message)
{
    struct delivery *delivery = &turn->deliveries[turn->delivery_count];

    assert(turn->delivery_count < turn->delivery_capacity);
    delivery->is_reply = false;
    delivery->message = *message;
    turn->delivery_count++;
}

bool turn_is_empty(const struct turn *turn)
{
    return turn->delivery_count == 0 && turn->call_count == 0 &&
           !turn->has_records;
}
