/* The heap against a search through an array. */
#include "base/heap.h"
#include "lib/fault.h"
#include "lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    MEMBERS = 200,
    STEPS = 20000
};

struct member {
    struct heap_node node;
    uint64_t key;
};

/* The smallest (key, tie) by looking at everybody. */
static const struct member *naive_first(const struct member *members)
{
    const struct member *best = NULL;
    size_t i;

    for (i = 0; i < MEMBERS; i++) {
        if (heap_holds(&members[i].node) &&
            (best == NULL || members[i].key < best->key)) {
            best = &members[i];
        }
    }
    return best;
}

static void first_is_the_smallest_after_any_change(void **state)
{
    static struct member members[MEMBERS];
    struct random random = {1};
    struct heap heap;
    int i;

    (void)state;
    memset(members, 0, sizeof members);
    heap_init(&heap, &alloc_libc);
    assert_int_equal(heap_reserve(&heap, MEMBERS), E_OK);
    for (i = 0; i < STEPS; i++) {
        uint32_t at = random_below(&random, MEMBERS);
        const struct member *first;

        if (random_once_in(&random, 3)) {
            heap_remove(&heap, &members[at].node);
            assert_false(heap_holds(&members[at].node));
        } else {
            members[at].key = random_below(&random, 50);
            heap_set(&heap, &members[at].node, members[at].key, at);
            assert_true(heap_holds(&members[at].node));
            assert_int_equal(heap_key(&heap, &members[at].node),
                             members[at].key);
        }
        heap_check(&heap);
        first = naive_first(members);
        if (first == NULL) {
            assert_null(heap_first(&heap));
        } else {
            assert_ptr_equal(heap_first(&heap)->node, &first->node);
        }
    }
    heap_release(&heap);
}

static void equal_keys_come_out_by_their_tie(void **state)
{
    struct heap_node nodes[5] = {{0}};
    struct heap heap;
    uint64_t i;

    (void)state;
    heap_init(&heap, &alloc_libc);
    assert_int_equal(heap_reserve(&heap, 5), E_OK);
    for (i = 5; i-- > 0;) {
        heap_set(&heap, &nodes[i], 7, i);
    }
    for (i = 0; i < 5; i++) {
        assert_int_equal(heap_first(&heap)->tie, i);
        heap_remove(&heap, heap_first(&heap)->node);
    }
    assert_null(heap_first(&heap));
    heap_release(&heap);
}

static void failed_reserve_changes_nothing(void **state)
{
    struct heap_node node = {0};
    struct fault fault;
    struct heap heap;

    (void)state;
    fault_init(&fault, 2);
    heap_init(&heap, &fault.alloc);
    assert_int_equal(heap_reserve(&heap, 1), E_OK);
    heap_set(&heap, &node, 3, 0);
    assert_int_equal(heap_reserve(&heap, 1000), E_NOMEM);
    assert_ptr_equal(heap_first(&heap)->node, &node);
    assert_int_equal(heap_reserve(&heap, 1000), E_OK);
    assert_ptr_equal(heap_first(&heap)->node, &node);
    heap_check(&heap);
    heap_release(&heap);
    assert_int_equal(fault.held_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_is_the_smallest_after_any_change),
        cmocka_unit_test(equal_keys_come_out_by_their_tie),
        cmocka_unit_test(failed_reserve_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
