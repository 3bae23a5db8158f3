/* What the SQLite store promises beyond the contract: its file, damaged or
 * newer or full.  B9, C6, C7; guarantees 11 and 12. */
#include "contract/store_fixture.h"
#include "lib/fault_io.h"
#include "store/sqlite_store.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Run @sql on the file at @path as another program would. */
static void run_on_file(const char *path, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Close the store and run @sql on its file. */
static void edit(struct fixture *fx, const char *sql)
{
    store_close(fx->store);
    fx->store = NULL;
    run_on_file(fx->path, sql);
}

/* Return the text of the first value of @sql, to be freed. */
static char *look_up(const char *path, const char *sql)
{
    sqlite3_stmt *stmt;
    sqlite3 *db;
    char *text;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    text = strdup((const char *)sqlite3_column_text(stmt, 0));
    (void)sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return text;
}

/* Read or write the whole file @path; return its size. */
static size_t read_file(const char *path, char *data, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, data, size);

    assert_true(fd >= 0 && got >= 0);
    (void)close(fd);
    return (size_t)got;
}

static void write_file(const char *path, const char *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    (void)close(fd);
}

/* Return the name of the file in the fixture's directory that contains @part
 * and ends with @end; "" where there is none. */
static const char *
find_file(struct fixture *fx, const char *part, const char *end)
{
    static char path[512];
    const struct dirent *entry;
    DIR *dir = opendir(fx->directory);

    path[0] = '\0';
    while ((entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);

        if (strstr(entry->d_name, part) != NULL && length >= strlen(end) &&
            strcmp(entry->d_name + length - strlen(end), end) == 0) {
            (void)snprintf(path, sizeof path, "%s/%s", fx->directory,
                           entry->d_name);
        }
    }
    (void)closedir(dir);
    return path;
}

static off_t size_of(struct fixture *fx, const char *suffix)
{
    struct stat about;
    char path[512];

    (void)snprintf(path, sizeof path, "%s%s", fx->path, suffix);
    return stat(path, &about) == 0 ? about.st_size : -1;
}

/* Open what is there, which must be refused with @rc, with @text in the
 * message, and left as it is to the byte. */
static void expect_refusal(struct fixture *fx, int rc, const char *text)
{
    static char before[1 << 20];
    static char after[1 << 20];
    size_t size = read_file(fx->path, before, sizeof before);

    assert_int_equal(fixture_open(fx, false), rc);
    assert_non_null(strstr(fx->msg, text));
    assert_int_equal(read_file(fx->path, after, sizeof after), size);
    assert_memory_equal(before, after, size);
}

static void newer_version_is_refused_and_left_alone(void **state)
{
    struct fixture *fx = *state;

    edit(fx, "PRAGMA user_version = 999");
    expect_refusal(fx, E_VERSION, "--move-aside-store");
}

/* C7: what a version before this one left behind is all there. */
static void store_of_version_1_is_migrated(void **state)
{
    struct fixture *fx = *state;
    char sql[8192] = "";
    char copy[256];
    char *version;

    store_close(fx->store);
    fx->store = NULL;
    assert_int_equal(unlink(fx->path), 0);
    (void)read_file(STORE_V1, sql, sizeof sql - 1);
    run_on_file(fx->path, sql);

    assert_int_equal(fixture_open(fx, false), E_OK);
    assert_string_equal(fixture_dump(fx),
                        "class transcription 0 1 -30\n"
                        "lease 11 12 0 1 0 0 3 at 5000 5100 5100 30000"
                        " is 3 0 0 0 2 60000 10000 0 24320 0 1 on 0 0 - 0 0"
                        " trainer night transcription {}\n"
                        "lease 13 0 0 2 0 0 0 at 5200 0 0 18446744073709551615"
                        " is 0 0 2 4096 1 60000 10000 0 0 0 2 on 0 0 - 0 0"
                        " tasks task-v1 - {}\n");
    assert_int_equal(store_numbers(fx->store), 1000000);
    (void)snprintf(copy, sizeof copy, "%s.before-v2", fx->path);
    version = look_up(copy, "PRAGMA user_version");
    assert_string_equal(version, "1");
    free(version);
}

static void text_file_is_refused_and_left_alone(void **state)
{
    struct fixture *fx = *state;
    char text[4096];

    store_close(fx->store);
    fx->store = NULL;
    memset(text, 'x', sizeof text);
    write_file(fx->path, text, sizeof text);
    expect_refusal(fx, E_CORRUPT, "--move-aside-store");
}

static void damaged_page_is_refused_and_left_alone(void **state)
{
    static char data[1 << 20];
    struct fixture *fx = *state;
    size_t size;
    uint64_t id;

    for (id = 1; id <= 100; id++) {
        fixture_put(fx, id);
    }
    assert_int_equal(fixture_commit(fx, true), E_OK);
    store_close(fx->store);
    fx->store = NULL;
    size = read_file(fx->path, data, sizeof data);
    assert_true(size > 12 * SQLITE_STORE_PAGE);
    memset(data + size - 8 * SQLITE_STORE_PAGE, 0xa5, SQLITE_STORE_PAGE);
    write_file(fx->path, data, size);
    expect_refusal(fx, E_CORRUPT, "--move-aside-store");
}

static void truncated_file_is_refused(void **state)
{
    struct fixture *fx = *state;
    uint64_t id;

    for (id = 1; id <= 100; id++) {
        fixture_put(fx, id);
    }
    assert_int_equal(fixture_commit(fx, true), E_OK);
    store_close(fx->store);
    fx->store = NULL;
    assert_int_equal(truncate(fx->path, 10 * SQLITE_STORE_PAGE), 0);
    expect_refusal(fx, E_CORRUPT, "--move-aside-store");
}

static void database_of_another_program_is_refused(void **state)
{
    struct fixture *fx = *state;

    edit(fx, "PRAGMA application_id = 7");
    expect_refusal(fx, E_CORRUPT, "another program");
    edit(fx, "PRAGMA user_version = 0");
    expect_refusal(fx, E_CORRUPT, "another program");
}

static void row_of_no_version_is_not_loaded(void **state)
{
    static const char *const edits[] = {
        "UPDATE lease SET state = 7",
        "UPDATE lease SET vram_mib = 4294967296",
        "UPDATE lease SET class = NULL, priority = 10",
        "UPDATE lease SET class = NULL, priority = -1",
        "UPDATE lease SET id = 0",
        "UPDATE lease SET rung = 256",
        "UPDATE lease SET watch_pid = 4294967296",
        "UPDATE lease SET shares = '4096/0,2048/0'",
        "UPDATE lease SET shares = '4096/0,2048/0,1/0,1/0'",
        "UPDATE lease SET shares = '4096/0,2048,1/0'",
        "UPDATE lease SET shares = '4096/0,4294967296/0,1/0'",
        "UPDATE lease SET gpus = 1",
        "INSERT INTO class VALUES ('x', -1, 0)",
    };
    struct fixture *fx = *state;
    struct store_reader reader = {.arg = NULL};
    uint64_t time_max_ms;
    size_t i;

    for (i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        fixture_put(fx, 1);
        assert_int_equal(fixture_commit(fx, false), E_OK);
        edit(fx, edits[i]);
        fixture_reopen(fx);
        assert_int_equal(store_load(fx->store, &reader, &time_max_ms),
                         E_CORRUPT);
        edit(fx, "DELETE FROM lease; DELETE FROM class");
        fixture_reopen(fx);
    }
}

static void another_program_that_has_it_open_is_named_so(void **state)
{
    struct fixture *fx = *state;
    sqlite3 *db;

    edit(fx, "PRAGMA user_version");
    assert_int_equal(sqlite3_open(fx->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(fixture_open(fx, false), E_BUSY);
    assert_non_null(strstr(fx->msg, "locked"));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void move_aside_keeps_the_old_and_starts_anew(void **state)
{
    struct fixture *fx = *state;
    char *count;

    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    assert_int_equal(store_reserve_numbers(fx->store, 5000000), E_OK);
    store_close(fx->store);
    assert_int_equal(fixture_open(fx, true), E_OK);
    assert_string_equal(fixture_dump(fx), "");
    /* C6: tokens rise above all that the old one can have given. */
    assert_true(store_numbers(fx->store) > UINT64_C(1700000000) * 1000000);
    assert_true(store_numbers(fx->store) < UINT64_C(1) << 53);
    count =
        look_up(find_file(fx, ".aside-", "Z"), "SELECT count(*) FROM lease");
    assert_string_equal(count, "1");
    free(count);
}

static void die_with_a_log(struct fixture *fx)
{
    fixture_put(fx, 1);
    (void)fixture_commit(fx, false);
}

/* The newest rows of a coordinator that was killed are in the log only. */
static void move_aside_takes_the_log_along(void **state)
{
    struct fixture *fx = *state;
    char *count;

    fixture_in_child(fx, die_with_a_log);
    assert_true(size_of(fx, "-wal") > 0);
    assert_int_equal(fixture_open(fx, true), E_OK);
    assert_string_not_equal(find_file(fx, ".aside-", "Z-wal"), "");
    count =
        look_up(find_file(fx, ".aside-", "Z"), "SELECT count(*) FROM lease");
    assert_string_equal(count, "1");
    free(count);
}

static void damaged_store_can_be_moved_aside(void **state)
{
    struct fixture *fx = *state;

    store_close(fx->store);
    fx->store = NULL;
    write_file(fx->path, "not a database, not at all ...", 30);
    assert_int_equal(fixture_open(fx, false), E_CORRUPT);
    assert_int_equal(fixture_open(fx, true), E_OK);
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);
}

static void store_in_use_is_not_moved_aside(void **state)
{
    struct fixture *fx = *state;
    const struct store_options options = {.loop = fx->loop,
                                          .moves_aside = true};
    struct store *second = NULL;

    assert_int_equal(
        store_open(fx->url, &options, &second, fx->msg, sizeof fx->msg),
        E_BUSY);
    assert_string_equal(find_file(fx, ".aside-", ""), "");
}

static void two_commits_then_die(struct fixture *fx)
{
    fixture_put(fx, 1);
    (void)fixture_commit(fx, false);
    fixture_put(fx, 2);
    fixture_put(fx, 3);
    (void)fixture_commit(fx, false);
}

/* A power loss may tear the log anywhere: what is left is a whole number of
 * batches, the oldest ones. */
static void torn_log_ends_with_a_whole_batch(void **state)
{
    static char log[1 << 16];
    static char data[1 << 16];
    struct fixture *fx = *state;
    char name[512];
    size_t log_size;
    size_t data_size;
    size_t cut;
    int seen = 0;

    fixture_in_child(fx, two_commits_then_die);
    (void)snprintf(name, sizeof name, "%s-wal", fx->path);
    log_size = read_file(name, log, sizeof log);
    data_size = read_file(fx->path, data, sizeof data);
    assert_true(log_size > 2 * SQLITE_STORE_PAGE);
    for (cut = 1; cut < log_size + 512; cut += 256) {
        const char *ids;

        /* Cut short, and with rubbish where the rest should be. */
        write_file(fx->path, data, data_size);
        write_file(name, log, log_size > cut ? log_size - cut : 0);
        assert_int_equal(fixture_open(fx, false), E_OK);
        ids = fixture_ids(fx);
        if (strcmp(ids, "1") == 0) {
            seen |= 1;
        } else if (strcmp(ids, "") == 0) {
            seen |= 2;
        } else {
            fail_msg("half a batch: %s", ids);
        }
        store_close(fx->store);
        fx->store = NULL;
    }
    assert_int_equal(seen, 3);
    write_file(fx->path, data, data_size);
    memset(log + log_size - 700, 0x5a, 600);
    write_file(name, log, log_size);
    assert_int_equal(fixture_open(fx, false), E_OK);
    assert_string_equal(fixture_ids(fx), "1");
}

static void files_are_private(void **state)
{
    struct fixture *fx = *state;
    struct event_base *loop = fx->loop;
    const struct store_options options = {.loop = loop};
    struct store *store = NULL;
    struct stat about;
    char url[512];

    assert_int_equal(stat(fx->path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    (void)snprintf(url, sizeof url, "sqlite:%s/new/er/q.db", fx->directory);
    assert_int_equal(store_open(url, &options, &store, fx->msg, sizeof fx->msg),
                     E_OK);
    store_close(store);
    (void)snprintf(url, sizeof url, "%s/new/er", fx->directory);
    assert_int_equal(stat(url, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0700);
    (void)snprintf(url, sizeof url, "rm -r '%s/new'", fx->directory);
    assert_int_equal(system(url), 0);
}

static void log_stays_short(void **state)
{
    struct fixture *fx = *state;
    uint64_t id;
    off_t most = 0;

    for (id = 1; id <= 5000; id++) {
        fixture_put(fx, id);
        store_end_lease(fx->store, id - 2);
        assert_int_equal(fixture_commit(fx, false), E_OK);
        if (size_of(fx, "-wal") > most) {
            most = size_of(fx, "-wal");
        }
    }
    assert_true(most > 0);
    assert_true(most < (SQLITE_STORE_FRAMES + 100) * (SQLITE_STORE_PAGE + 24));
}

/* The checkpoint's fsync fails: from then on the log keeps everything. */
static void failed_fsync_of_a_checkpoint_loses_nothing(void **state)
{
    struct fixture *fx = *state;
    uint64_t id = 0;

    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    fault_io_arm(FAULT_IO_SYNC, 1, EIO, false);
    while (store_state(fx->store) == E_OK) {
        store_end_lease(fx->store, id++);
        fixture_put(fx, id);
        assert_int_equal(fixture_commit(fx, false), E_OK);
    }
    assert_true(fault_io_disarm());
    assert_int_equal(store_state(fx->store), E_STORE);
    fixture_put(fx, id + 1);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    fixture_reopen(fx);
    assert_int_equal(store_state(fx->store), E_OK);
    (void)fixture_ids(fx);
    assert_int_equal(fx->time_max_ms, (id + 1) * 1000 + 2);
}

/* Until the reserve can be made again; looked for once a second. */
static void wait_for_room(struct fixture *fx)
{
    const struct timeval soon = {.tv_usec = 20000};

    while (store_state(fx->store) == E_STORE_FULL) {
        assert_int_equal(event_base_loopexit(fx->loop, &soon), 0);
        assert_int_equal(event_base_dispatch(fx->loop), 0);
    }
}

/* One write finds no room: the reserve is given, the batch gets through. */
static void reserve_is_given_for_the_batch_in_hand(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(size_of(fx, "-reserve"), SQLITE_STORE_RESERVE);
    fixture_put(fx, 1);
    fault_io_arm(FAULT_IO_WRITE, 1, ENOSPC, false);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    assert_true(fault_io_disarm());
    assert_int_equal(size_of(fx, "-reserve"), -1);
    assert_int_equal(store_state(fx->store), E_STORE_FULL);
    wait_for_room(fx);
    assert_int_equal(store_state(fx->store), E_OK);
    assert_int_equal(size_of(fx, "-reserve"), SQLITE_STORE_RESERVE);
}

/* Fill the file system that has @path to the last byte with a file. */
static void fill(const char *path)
{
    static const char data[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    size_t size;

    assert_true(fd >= 0);
    for (size = sizeof data; size > 0; size /= 2) {
        while (write(fd, data, size) > 0) {
        }
    }
    (void)close(fd);
}

/* Guarantee 12 on a real full disk: thousands of releases and changes go
 * through on the reserve, and when there is room new work does too. */
static void full_disk_takes_releases(void **state)
{
    struct fixture *fx = *state;
    struct store_lease lease;
    char filler[512];
    uint64_t id;

    store_close(fx->store);
    fx->store = NULL;
    if (mount("none", fx->directory, "tmpfs", 0, "size=8m") != 0) {
        print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
        skip();
    }
    assert_int_equal(fixture_open(fx, false), E_OK);
    fx->number = 0;
    for (id = 1; id <= 3000; id++) {
        fixture_put(fx, id);
        if (id % 16 == 0) {
            assert_int_equal(fixture_commit(fx, false), E_OK);
        }
    }
    assert_int_equal(fixture_commit(fx, true), E_OK);
    (void)snprintf(filler, sizeof filler, "%s/filler", fx->directory);
    fill(filler);

    for (id = 1; id < 3000; id++) {
        store_end_lease(fx->store, id);
        fixture_lease(&lease, 3000);
        lease.core.vram_mib = (uint32_t)id;
        store_put_lease(fx->store, &lease);
        assert_int_equal(fixture_commit(fx, id % 100 == 0), E_OK);
    }
    assert_string_equal(fixture_ids(fx), "3000");
    assert_int_equal(store_state(fx->store), E_STORE_FULL);
    assert_int_equal(store_reserve_numbers(fx->store, 1000000), E_OK);

    assert_int_equal(unlink(filler), 0);
    wait_for_room(fx);
    fixture_put(fx, 1);
    assert_int_equal(fixture_commit(fx, true), E_OK);

    /* It also starts on a full disk: its reserve lies there. */
    store_close(fx->store);
    fill(filler);
    assert_int_equal(fixture_open(fx, false), E_OK);
    fx->number = 0;
    assert_string_equal(fixture_ids(fx), "1 3000");
    store_end_lease(fx->store, 3000);
    assert_int_equal(fixture_commit(fx, true), E_OK);
    assert_string_equal(fixture_ids(fx), "1");
    store_close(fx->store);
    fx->store = NULL;
    assert_int_equal(umount(fx->directory), 0);
}

static void people_can_read_the_queue(void **state)
{
    struct fixture *fx = *state;
    char *text;

    fixture_put(fx, 10);
    assert_int_equal(fixture_commit(fx, false), E_OK);
    store_close(fx->store);
    fx->store = NULL;
    text = look_up(fx->path,
                   "SELECT lease || ' ' || service_id || ' ' || class || ' ' "
                   "|| state || ' ' || preemptible FROM gpu_queue");
    assert_string_equal(text, "10 gemma-service chatbot held 0");
    free(text);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(newer_version_is_refused_and_left_alone),
        CASE(store_of_version_1_is_migrated),
        CASE(text_file_is_refused_and_left_alone),
        CASE(damaged_page_is_refused_and_left_alone),
        CASE(truncated_file_is_refused),
        CASE(database_of_another_program_is_refused),
        CASE(row_of_no_version_is_not_loaded),
        CASE(another_program_that_has_it_open_is_named_so),
        CASE(move_aside_keeps_the_old_and_starts_anew),
        CASE(move_aside_takes_the_log_along),
        CASE(damaged_store_can_be_moved_aside),
        CASE(store_in_use_is_not_moved_aside),
        CASE(torn_log_ends_with_a_whole_batch),
        CASE(files_are_private),
        CASE(log_stays_short),
        CASE(failed_fsync_of_a_checkpoint_loses_nothing),
        CASE(reserve_is_given_for_the_batch_in_hand),
        CASE(full_disk_takes_releases),
        CASE(people_can_read_the_queue),
    };

    return cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
}
