/* Paths: what is made of the ones that are given. */
#include "base/paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What stands beside a store: "q.db" lies in ".", not in "/". */
static void a_file_lies_in_a_directory(void **state)
{
    static const char *const pairs[][2] = {
        {"/var/lib/gpucoord/queue.db", "/var/lib/gpucoord"},
        {"/queue.db", "/"},
        {"queue.db", "."},
        {"here/queue.db", "here"},
    };
    struct buf out;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        buf_init(&out, 0);
        paths_parent(pairs[i][0], &out);
        assert_string_equal(buf_string(&out), pairs[i][1]);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_lies_in_a_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
