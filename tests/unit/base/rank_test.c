/* The ordered set against a sorted array with gaps. */
#include "base/rank.h"
#include "lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    MEMBERS = 150,
    STEPS = 20000,
    NEED_MAX = 20
};

struct world {
    struct rank set;
    struct rank_node nodes[MEMBERS]; /* Number i has the seq i + 1. */
    uint32_t needs[MEMBERS];
};

static const struct rank_node *
naive_find(const struct world *world, uint64_t after, uint32_t room)
{
    size_t i;

    for (i = 0; i < MEMBERS; i++) {
        if (rank_holds(&world->nodes[i]) && i + 1 > after &&
            world->needs[i] <= room) {
            return &world->nodes[i];
        }
    }
    return NULL;
}

static size_t naive_below(const struct world *world, uint64_t seq)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i + 1 < seq && i < MEMBERS; i++) {
        count += rank_holds(&world->nodes[i]);
    }
    return count;
}

static void agrees_with_a_sorted_array(void **state)
{
    static struct world world;
    struct random random = {3};
    int i;

    (void)state;
    memset(&world, 0, sizeof world);
    for (i = 0; i < STEPS; i++) {
        uint32_t at = random_below(&random, MEMBERS);
        uint64_t after = random_below(&random, MEMBERS + 2);
        uint32_t room = random_below(&random, NEED_MAX + 1);

        if (rank_holds(&world.nodes[at])) {
            rank_remove(&world.set, &world.nodes[at]);
        } else {
            world.needs[at] = random_below(&random, NEED_MAX);
            rank_insert(&world.set, &world.nodes[at], at + 1, world.needs[at]);
        }
        assert_ptr_equal(rank_find(&world.set, after, room),
                         naive_find(&world, after, room));
        assert_int_equal(rank_count_below(&world.set, after),
                         naive_below(&world, after));
        assert_int_equal(rank_count(&world.set),
                         naive_below(&world, MEMBERS + 1));
        if (i % 64 == 0) {
            rank_check(&world.set);
        }
    }
}

static void walks_in_order_whatever_the_order_of_insertion(void **state)
{
    static struct rank_node nodes[MEMBERS];
    struct rank set = {0};
    const struct rank_node *node;
    uint64_t expected = 0;
    uint64_t i;

    (void)state;
    assert_null(rank_first(&set));
    for (i = 0; i < MEMBERS; i++) {
        uint64_t seq = (i * 77) % MEMBERS; /* 77 and 150 share no factor. */

        rank_insert(&set, &nodes[seq], seq, 0);
    }
    for (node = rank_first(&set); node != NULL; node = rank_next(node)) {
        assert_int_equal(node->seq, expected);
        expected++;
    }
    assert_int_equal(expected, MEMBERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_sorted_array),
        cmocka_unit_test(walks_in_order_whatever_the_order_of_insertion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
