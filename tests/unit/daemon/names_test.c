/* What the core sees as numbers must come back as the same names. */
#include "daemon/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct names *names;

    assert_int_equal(names_create(&names), E_OK);
    *state = names;
    return 0;
}

static int teardown(void **state)
{
    names_destroy(*state);
    return 0;
}

static uint32_t service(struct names *names, const char *name)
{
    uint32_t number;

    assert_int_equal(names_service(names, name, &number), E_OK);
    return number;
}

static void bind(struct names *names, uint64_t lease, struct names_lease sent)
{
    struct names_binding *binding;

    assert_int_equal(names_prepare(names, &sent, &binding), E_OK);
    names_bind(names, binding, lease);
}

static void services_are_numbered_densely_from_one(void **state)
{
    struct names *names = *state;
    char name[16];
    uint32_t i;

    for (i = 1; i <= 1000; i++) {
        (void)snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(service(names, name), i);
    }
    assert_int_equal(service(names, "s7"), 7);
    assert_int_equal(names_service_count(names), 1000);
    assert_string_equal(names_service_name(names, 1000), "s1000");
}

static void an_unknown_service_has_no_name_and_no_number(void **state)
{
    struct names *names = *state;

    assert_int_equal(names_service_find(names, "x"), 0);
    assert_string_equal(names_service_name(names, 0), "");
    assert_string_equal(names_service_name(names, 1), "");
}

/* Noise from outside must not fill the memory. */
static void the_number_of_services_is_bounded(void **state)
{
    struct names *names = *state;
    char name[16];
    uint32_t number;
    uint32_t i;

    for (i = 0; i < NAMES_SERVICES_MAX; i++) {
        (void)snprintf(name, sizeof name, "s%u", i);
        assert_int_equal(names_service(names, name, &number), E_OK);
    }
    assert_int_equal(names_service(names, "one more", &number), E_LIMIT);
    assert_int_equal(names_service(names, "s0", &number), E_OK);
}

static void a_lease_remembers_what_it_was_sent_with(void **state)
{
    struct names *names = *state;
    const struct names_lease *sent;

    bind(names, 42,
         (struct names_lease){.job = 7,
                              .service = service(names, "a"),
                              .job_id = "j",
                              .metadata = "{\"k\":1}"});
    sent = names_lease_find(names, 42);
    assert_non_null(sent);
    assert_string_equal(sent->job_id, "j");
    assert_string_equal(sent->metadata, "{\"k\":1}");
    assert_int_equal(names_job_find(names, 1, "j"), 7);
    assert_int_equal(names_job_find(names, 2, "j"), 0);
    assert_true(names_job_next(names) > 7);
    names_forget(names, 42);
    assert_null(names_lease_find(names, 42));
    assert_int_equal(names_job_find(names, 1, "j"), 0);
}

/* A job that ends and begins again in one turn has two leases for a moment. */
static void forgetting_the_older_lease_of_a_job_keeps_the_newer(void **state)
{
    struct names *names = *state;
    struct names_lease sent = {.job = 7,
                               .service = service(names, "a"),
                               .job_id = "j",
                               .metadata = "{}"};

    bind(names, 1, sent);
    bind(names, 2, sent);
    names_forget(names, 1);
    assert_int_equal(names_job_find(names, 1, "j"), 7);
    names_forget(names, 2);
    assert_int_equal(names_job_find(names, 1, "j"), 0);
}

static void an_ended_lease_keeps_its_texts_but_not_its_job(void **state)
{
    struct names *names = *state;
    struct names_lease sent = {.job = 7,
                               .service = service(names, "a"),
                               .job_id = "j",
                               .metadata = "{\"k\":1}"};

    bind(names, 1, sent);
    names_end(names, 1);
    names_end(names, 1);
    assert_int_equal(names_job_find(names, 1, "j"), 0);
    assert_string_equal(names_lease_find(names, 1)->job_id, "j");
    assert_string_equal(names_lease_find(names, 1)->metadata, "{\"k\":1}");
    sent.job = 8;
    bind(names, 2, sent);
    assert_int_equal(names_job_find(names, 1, "j"), 8);
    names_forget(names, 1);
    assert_null(names_lease_find(names, 1));
    assert_int_equal(names_job_find(names, 1, "j"), 8);
}

static void what_ended_leases_keep_is_bounded(void **state)
{
    enum {
        SIZE = 65536,
        COUNT = 2 * NAMES_ENDED_BYTES / SIZE
    };
    static char metadata[SIZE];
    struct names *names = *state;
    uint64_t lease;

    memset(metadata, 'x', SIZE - 1);
    for (lease = 1; lease <= COUNT; lease++) {
        bind(names, lease,
             (struct names_lease){.service = service(names, "a"),
                                  .job_id = "",
                                  .metadata = metadata});
        names_end(names, lease);
    }
    assert_null(names_lease_find(names, 1));
    assert_non_null(names_lease_find(names, COUNT));
    names_forget_leases(names);
    assert_null(names_lease_find(names, COUNT));
}

static void forgetting_all_leases_keeps_the_services(void **state)
{
    struct names *names = *state;
    uint64_t lease;

    for (lease = 1; lease <= 100; lease++) {
        bind(names, lease,
             (struct names_lease){.service = service(names, "a"),
                                  .job_id = "",
                                  .metadata = "{}"});
    }
    names_forget_leases(names);
    assert_null(names_lease_find(names, 50));
    assert_int_equal(names_service_find(names, "a"), 1);
}

/* C7: which process is watched is kept, also of a plain request. */
static void the_watched_process_is_remembered(void **state)
{
    struct names *names;

    (void)state;
    assert_int_equal(names_create(&names), E_OK);
    bind(names, 1,
         (struct names_lease){.service = service(names, "a"),
                              .job_id = "",
                              .metadata = "{\"k\":1}",
                              .watch_pid = 812,
                              .watch_started = 99});
    assert_int_equal(names_lease_find(names, 1)->watch_pid, 812);
    assert_int_equal(names_watch(names, 1, 1, 813, 100, ""), E_OK);
    assert_int_equal(names_lease_find(names, 1)->watch_pid, 813);
    assert_string_equal(names_lease_find(names, 1)->metadata, "{\"k\":1}");
    assert_int_equal(names_watch(names, 2, 1, 814, 101, "9/8"), E_OK);
    assert_int_equal(names_lease_find(names, 2)->watch_started, 101);
    assert_string_equal(names_lease_find(names, 2)->watches, "9/8");
    names_destroy(names);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(services_are_numbered_densely_from_one),
        TEST(an_unknown_service_has_no_name_and_no_number),
        TEST(the_number_of_services_is_bounded),
        TEST(a_lease_remembers_what_it_was_sent_with),
        TEST(forgetting_the_older_lease_of_a_job_keeps_the_newer),
        TEST(an_ended_lease_keeps_its_texts_but_not_its_job),
        TEST(what_ended_leases_keep_is_bounded),
        TEST(forgetting_all_leases_keeps_the_services),
        cmocka_unit_test(the_watched_process_is_remembered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
