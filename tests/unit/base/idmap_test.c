/* The map against an array of what is in it. */
#include "base/idmap.h"
#include "lib/fault.h"
#include "lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
    KEYS = 3000,
    STEPS = 100000
};

static void finds_what_was_put_and_nothing_else(void **state)
{
    static char values[KEYS];
    static void *naive[KEYS];
    struct random random = {2};
    struct idmap map;
    size_t count = 0;
    uint32_t i;

    (void)state;
    memset(naive, 0, sizeof naive);
    idmap_init(&map, &alloc_libc);
    for (i = 0; i < STEPS; i++) {
        /* The range moves, so the map grows, ages and shrinks. */
        uint32_t key = random_below(&random, 1 + i % KEYS);
        uint64_t high = key % 3;

        if (naive[key] == NULL && random_below(&random, 5) < 3) {
            assert_int_equal(idmap_reserve(&map), E_OK);
            naive[key] = &values[key];
            idmap_put(&map, high, key, naive[key]);
            count++;
        } else if (naive[key] != NULL && random_once_in(&random, 2)) {
            assert_ptr_equal(idmap_remove(&map, high, key), naive[key]);
            naive[key] = NULL;
            count--;
        }
        assert_ptr_equal(idmap_find(&map, high, key), naive[key]);
        assert_null(idmap_find(&map, high + 3, key));
        assert_int_equal(idmap_count(&map), count);
    }
    for (i = 0; i < KEYS; i++) {
        assert_ptr_equal(idmap_find(&map, i % 3, i), naive[i]);
        assert_ptr_equal(idmap_remove(&map, i % 3, i), naive[i]);
        assert_null(idmap_remove(&map, i % 3, i));
    }
    assert_int_equal(idmap_count(&map), 0);
    idmap_release(&map);
}

static void failed_reserve_changes_nothing(void **state)
{
    static char values[KEYS];
    uint64_t fail_at;
    bool was_reached = true;

    (void)state;
    for (fail_at = 1; was_reached; fail_at++) {
        struct fault fault;
        struct idmap map;
        uint64_t key;

        fault_init(&fault, fail_at);
        idmap_init(&map, &fault.alloc);
        for (key = 0; key < KEYS; key++) {
            int rc = idmap_reserve(&map);

            if (rc != E_OK) {
                assert_int_equal(rc, E_NOMEM);
                assert_int_equal(idmap_count(&map), key);
                assert_int_equal(idmap_reserve(&map), E_OK);
            }
            idmap_put(&map, 0, key, &values[key]);
        }
        for (key = 0; key < KEYS; key++) {
            assert_ptr_equal(idmap_find(&map, 0, key), &values[key]);
        }
        idmap_release(&map);
        assert_int_equal(fault.held_bytes, 0);
        was_reached = fault.has_failed;
    }
    assert_true(fail_at > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_and_nothing_else),
        cmocka_unit_test(failed_reserve_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
