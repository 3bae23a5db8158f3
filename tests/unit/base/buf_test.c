#include "base/buf.h"
#include "lib/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void empty_buffer_is_an_empty_string(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 0);
    assert_string_equal(buf_string(&buf), "");
    buf_text(&buf, "");
    buf_add(&buf, NULL, 0);
    assert_string_equal(buf_string(&buf), "");
    assert_int_equal(buf.size, 0);
    buf_release(&buf);
}

static void appends_what_it_is_given(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 0);
    buf_text(&buf, "a");
    buf_byte(&buf, '-');
    buf_u64(&buf, 0);
    buf_byte(&buf, ' ');
    buf_u64(&buf, UINT64_MAX);
    buf_printf(&buf, " %s %d", "x", -5);
    assert_string_equal(buf_string(&buf), "a-0 18446744073709551615 x -5");
    buf_drop(&buf, 2);
    assert_string_equal(buf_string(&buf), "0 18446744073709551615 x -5");
    buf_drop(&buf, buf.size);
    assert_string_equal(buf_string(&buf), "");
    buf_text(&buf, "again");
    buf_clear(&buf);
    assert_string_equal(buf_string(&buf), "");
    assert_int_equal(buf_error(&buf), E_OK);
    buf_release(&buf);
}

static void json_strings_are_escaped(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 0);
    buf_json(&buf, "a\"b\\c\n\x01\xc3\xa9");
    assert_string_equal(buf_string(&buf),
                        "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"");
    buf_clear(&buf);
    buf_json(&buf, "");
    assert_string_equal(buf_string(&buf), "\"\"");
    buf_release(&buf);
}

/* A reader that trusted a cut document would be fed half a line. */
static void maximum_is_kept_and_remembered(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 4);
    buf_text(&buf, "abcd");
    assert_int_equal(buf_error(&buf), E_OK);
    buf_byte(&buf, 'e');
    assert_int_equal(buf_error(&buf), E_TOO_BIG);
    assert_string_equal(buf_string(&buf), "abcd");
    buf_drop(&buf, 3);
    buf_text(&buf, "x");
    assert_string_equal(buf_string(&buf), "d");
    buf_clear(&buf);
    buf_text(&buf, "xyz");
    assert_int_equal(buf_error(&buf), E_OK);
    assert_string_equal(buf_string(&buf), "xyz");
    assert_null(buf_room(&buf, 2));
    buf_release(&buf);
}

static void random_appends_and_drops_agree_with_an_array(void **state)
{
    static char naive[1 << 16];
    struct random random = {4};
    struct buf buf;
    size_t size = 0;
    int i;

    (void)state;
    buf_init(&buf, sizeof naive - 1);
    for (i = 0; i < 20000; i++) {
        char piece[40];
        uint32_t length = random_below(&random, sizeof piece);
        uint32_t dropped = random_below(&random, sizeof piece);

        memset(piece, 'a' + i % 26, sizeof piece);
        if (size + length < sizeof naive) {
            memcpy(naive + size, piece, length);
            size += length;
            buf_add(&buf, piece, length);
        }
        if (dropped <= size) {
            memmove(naive, naive + dropped, size - dropped);
            size -= dropped;
            buf_drop(&buf, dropped);
        }
        assert_int_equal(buf.size, size);
        assert_memory_equal(buf_string(&buf), naive, size);
        assert_int_equal(buf_string(&buf)[size], '\0');
    }
    assert_int_equal(buf_error(&buf), E_OK);
    buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_buffer_is_an_empty_string),
        cmocka_unit_test(appends_what_it_is_given),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(maximum_is_kept_and_remembered),
        cmocka_unit_test(random_appends_and_drops_agree_with_an_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
