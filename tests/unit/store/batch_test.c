#include "store/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct batch *batch = malloc(sizeof *batch);

    assert_non_null(batch);
    batch_init(batch);
    *state = batch;
    return 0;
}

static int teardown(void **state)
{
    batch_release(*state);
    free(*state);
    return 0;
}

static void put(struct batch *batch, uint64_t id, const char *service)
{
    const struct store_lease lease = {
        .core = {.id = id},
        .service_id = service,
        .metadata = "{}",
    };

    batch_put_lease(batch, &lease);
}

static void new_batch_is_empty(void **state)
{
    struct batch *batch = *state;

    assert_true(batch_is_empty(batch));
    put(batch, 1, "asr");
    assert_false(batch_is_empty(batch));
    batch_clear(batch);
    assert_true(batch_is_empty(batch));
}

/* A turn of the loop writes a lease once, however often it changed. */
static void lease_has_one_place(void **state)
{
    struct batch *batch = *state;
    uint64_t id;

    for (id = 1; id <= 1000; id++) {
        put(batch, id, "first");
    }
    for (id = 1; id <= 1000; id++) {
        put(batch, id, "second");
    }
    assert_int_equal(batch->lease_count, 1000);
    for (id = 1; id <= 1000; id++) {
        const struct batch_lease *lease = &batch->leases[id - 1];

        assert_int_equal(lease->core.id, id);
        assert_string_equal(batch_text(batch, lease->service_id), "second");
        assert_string_equal(batch_text(batch, lease->metadata), "{}");
        assert_null(batch_text(batch, lease->job_id));
    }
    assert_int_equal(batch->error, E_OK);
}

static void last_of_put_and_end_wins(void **state)
{
    struct batch *batch = *state;

    put(batch, 1, "asr");
    batch_end_lease(batch, 1);
    assert_int_equal(batch->lease_count, 1);
    assert_true(batch->leases[0].is_end);
    put(batch, 1, "asr");
    assert_int_equal(batch->lease_count, 1);
    assert_false(batch->leases[0].is_end);
}

static void cleared_batch_forgets_its_places(void **state)
{
    struct batch *batch = *state;

    put(batch, 1, "asr");
    put(batch, 2, "asr");
    batch_clear(batch);
    put(batch, 2, "asr");
    assert_int_equal(batch->lease_count, 1);
    assert_int_equal(batch->leases[0].core.id, 2);
}

static void class_has_one_place(void **state)
{
    struct batch *batch = *state;
    struct store_class row = {.name = NULL};
    char name[16];
    uint32_t i;

    for (i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof name, "class-%u", i % 100);
        row.name = name;
        row.core.consecutive = i;
        batch_put_class(batch, &row);
    }
    assert_int_equal(batch->class_count, 100);
    assert_int_equal(batch->classes[7].core.consecutive, 107);
    assert_string_equal(batch_text(batch, batch->classes[7].name), "class-7");
}

static void last_mode_wins(void **state)
{
    struct batch *batch = *state;
    struct core_mode_row mode = {.drained = 1};

    batch_put_mode(batch, &mode);
    mode.drained = 2;
    batch_put_mode(batch, &mode);
    assert_true(batch->has_mode);
    assert_int_equal(batch->mode.drained, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(new_batch_is_empty),       CASE(lease_has_one_place),
        CASE(last_of_put_and_end_wins), CASE(cleared_batch_forgets_its_places),
        CASE(class_has_one_place),      CASE(last_mode_wins),
    };

    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
