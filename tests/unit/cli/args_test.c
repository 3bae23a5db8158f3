/* Options are read from one table: values, defaults, and what is refused. */
#include "cli/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct values {
    bool flag;
    const char *text;
    uint64_t count;
    uint64_t time_ms;
    uint64_t size_mib;
};

static const struct args_option options[] = {
    {"flag", ARGS_FLAG, offsetof(struct values, flag), NULL, "a flag", 0},
    {"text", ARGS_TEXT, offsetof(struct values, text), "T", "a text", 0},
    {"count", ARGS_COUNT, offsetof(struct values, count), "N", "a number", 9},
    {"time", ARGS_TIME, offsetof(struct values, time_ms), "TIME", "a time",
     3600000},
    {"size", ARGS_SIZE, offsetof(struct values, size_mib), "SIZE", "a size", 0},
};

static const struct args_spec plain = {
    .usage = "test [OPTION...] [ONE [TWO]]",
    .about = "A command.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
    .operands_max = 2,
};

static struct values values;

/* Read a command line of up to seven words. */
static int read_words(const struct args_spec *spec, const char *const *words)
{
    static char copies[8][64];
    static char *argv[9];
    int argc;

    values = (struct values){.count = ARGS_UNSET, .time_ms = ARGS_UNSET};
    for (argc = 0; words[argc] != NULL; argc++) {
        (void)snprintf(copies[argc], sizeof copies[argc], "%s", words[argc]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    return args_read(spec, &values, argc, argv);
}

#define READ(spec, ...) \
    read_words(spec, (const char *const[]){"test", __VA_ARGS__, NULL})

static void every_type_is_read(void **state)
{
    (void)state;
    assert_int_equal(READ(&plain, "--flag", "--text=a b", "--count", "9",
                          "--time=30s", "--size=4GiB", "one"),
                     7);
    assert_true(values.flag);
    assert_string_equal(values.text, "a b");
    assert_int_equal(values.count, 9);
    assert_int_equal(values.time_ms, 30000);
    assert_int_equal(values.size_mib, 4096);
}

/* 0 and "not given" are different things: `--timeout 0` is "now". */
static void what_is_not_given_stays(void **state)
{
    (void)state;
    assert_int_equal(READ(&plain, "--time=0"), 2);
    assert_int_equal(values.time_ms, 0);
    assert_int_equal(values.count, ARGS_UNSET);
    assert_null(values.text);
    assert_false(values.flag);
}

static void wrong_ones_are_refused(void **state)
{
    (void)state;
    assert_int_equal(READ(&plain, "--unknown"), E_INVALID);
    assert_int_equal(READ(&plain, "--text"), E_INVALID);
    assert_int_equal(READ(&plain, "--flag=yes"), E_INVALID);
    assert_int_equal(READ(&plain, "--count=10"), E_INVALID);
    assert_int_equal(READ(&plain, "--count=-1"), E_INVALID);
    assert_int_equal(READ(&plain, "--count="), E_INVALID);
    assert_int_equal(READ(&plain, "--count=5s"), E_INVALID);
    assert_int_equal(READ(&plain, "--time=1.5h"), E_INVALID);
    assert_int_equal(READ(&plain, "--time=3601s"), E_INVALID);
    assert_int_equal(READ(&plain, "--size=4GB"), E_INVALID);
    assert_int_equal(READ(&plain, "--size=99999999999999999999"), E_INVALID);
}

static void operands_are_counted(void **state)
{
    struct args_spec one = plain;

    (void)state;
    one.operands_min = 1;
    one.operands_max = 1;
    assert_int_equal(READ(&plain, "one", "two"), 1);
    assert_int_equal(READ(&plain, "one", "two", "three"), E_INVALID);
    assert_int_equal(READ(&one, "--flag"), E_INVALID);
    assert_int_equal(READ(&one, "one"), 1);
}

/* `run python3 --version` is python's --version, also without `--`. */
static void options_of_a_program_are_its_own(void **state)
{
    struct args_spec run = plain;

    (void)state;
    run.keeps_rest = true;
    run.operands_max = -1;
    assert_int_equal(READ(&run, "--flag", "python3", "--count", "x"), 2);
    assert_true(values.flag);
    assert_int_equal(READ(&run, "--", "--flag"), 2);
    assert_false(values.flag);
}

static void help_ends_the_command(void **state)
{
    (void)state;
    assert_int_equal(READ(&plain, "--flag", "--help", "--unknown"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(wrong_ones_are_refused),
        cmocka_unit_test(operands_are_counted),
        cmocka_unit_test(options_of_a_program_are_its_own),
        cmocka_unit_test(help_ends_the_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
