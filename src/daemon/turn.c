#include "daemon/turn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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
    turn->calls[turn->call_count] =
        (struct call){.event = *event, .reply = *reply};
    turn->call_count++;
}

void turn_add_reply(struct turn *turn,
                    const struct driver_reply *reply,
                    bool answers_call)
{
    assert(turn->delivery_count < turn->delivery_capacity);
    assert(!answers_call || turn->call_count > 0);
    turn->deliveries[turn->delivery_count] = (struct delivery){
        .is_reply = true,
        .is_settled = !answers_call,
        .has_call = answers_call,
        .call = answers_call ? turn->call_count - 1 : 0,
        .reply = *reply,
    };
    turn->delivery_count++;
}

void turn_add_message(struct turn *turn, const struct core_message *message)
{
    assert(turn->delivery_count < turn->delivery_capacity);
    turn->deliveries[turn->delivery_count] =
        (struct delivery){.is_reply = false, .message = *message};
    turn->delivery_count++;
}

/* Drop the calls that were answered, and move the indices of the deliveries
 * along.  Both lists have the same order. */
static void drop_answered(struct turn *turn)
{
    size_t kept = 0;
    size_t delivery = 0;
    size_t i;

    for (i = 0; i < turn->call_count; i++) {
        if (turn->calls[i].is_answered) {
            continue;
        }
        while (delivery < turn->delivery_count &&
               (!turn->deliveries[delivery].has_call ||
                turn->deliveries[delivery].call < i)) {
            delivery++;
        }
        if (delivery < turn->delivery_count &&
            turn->deliveries[delivery].call == i) {
            turn->deliveries[delivery].call = kept;
            delivery++;
        }
        turn->calls[kept] = turn->calls[i];
        kept++;
    }
    turn->call_count = kept;
}

/* Count the deliveries that @is_free lets go. */
static size_t
count_free(const struct turn *turn, turn_chooser is_free, void *arg)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < turn->delivery_count; i++) {
        count += is_free(arg, &turn->deliveries[i]) ? 1 : 0;
    }
    return count;
}

int turn_take_free(struct turn *from,
                   struct turn *to,
                   turn_chooser is_free,
                   void *arg)
{
    size_t count = count_free(from, is_free, arg);
    int rc = count == 0 ? E_OK : turn_reserve(to, count);
    size_t kept = 0;
    size_t i;

    if (rc != E_OK || count == 0) {
        return rc;
    }
    for (i = 0; i < from->delivery_count; i++) {
        struct delivery *delivery = &from->deliveries[i];

        if (!is_free(arg, delivery)) {
            from->deliveries[kept] = *delivery;
            kept++;
            continue;
        }
        if (delivery->has_call) {
            from->calls[delivery->call].is_answered = true;
        }
        delivery->has_call = false;
        to->deliveries[to->delivery_count] = *delivery;
        to->delivery_count++;
    }
    from->delivery_count = kept;
    drop_answered(from);
    return E_OK;
}

int turn_postpone(struct turn *from,
                  struct turn *to,
                  turn_chooser is_free,
                  void *arg)
{
    size_t count = from->delivery_count - count_free(from, is_free, arg);
    int rc = count == 0 ? E_OK : turn_reserve(to, count);
    size_t kept = 0;
    size_t i;

    if (rc != E_OK || count == 0) {
        return rc;
    }
    memmove(to->deliveries + count, to->deliveries,
            to->delivery_count * sizeof(to->deliveries[0]));
    to->delivery_count += count;
    count = 0;
    for (i = 0; i < from->delivery_count; i++) {
        struct delivery *delivery = &from->deliveries[i];

        if (is_free(arg, delivery)) {
            from->deliveries[kept] = *delivery;
            kept++;
        } else {
            delivery->is_settled = true;
            delivery->has_call = false;
            to->deliveries[count] = *delivery;
            count++;
        }
    }
    from->delivery_count = kept;
    return E_OK;
}

bool turn_is_empty(const struct turn *turn)
{
    return turn->delivery_count == 0 && turn->call_count == 0 &&
           !turn->has_records;
}
