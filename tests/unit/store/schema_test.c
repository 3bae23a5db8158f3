/* Migrations of the SQLite store: copied first, all or nothing. */
#include "lib/fault_io.h"
#include "store/schema.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const char first[] = "CREATE TABLE t (x);"
                            "INSERT INTO t VALUES (1);"
                            "PRAGMA application_id = 1735423331;";
static const char second[] = "ALTER TABLE t ADD COLUMN y;"
                             "INSERT INTO t VALUES (2, 3);";
static const char broken[] = "INSERT INTO t VALUES (9, 9);"
                             "INSERT INTO nowhere VALUES (1);";

static const char *const good[] = {first, second};
static const char *const bad[] = {first, broken};

static const struct schema version_1 = {good, 1};
static const struct schema version_2 = {good, 2};
static const struct schema broken_2 = {bad, 2};

struct place {
    char directory[64];
    char path[80];
    char copy[96]; /* Of version 1, before version 2. */
    char text[256];
    struct store_message msg;
    sqlite3 *db;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    (void)strncpy(place->directory, "/tmp/gpucoord-schema-XXXXXX",
                  sizeof place->directory - 1);
    assert_non_null(mkdtemp(place->directory));
    (void)snprintf(place->path, sizeof place->path, "%s/db", place->directory);
    (void)snprintf(place->copy, sizeof place->copy, "%s.before-v2",
                   place->path);
    place->msg.text = place->text;
    place->msg.size = sizeof place->text;
    assert_int_equal(sqlite3_open(place->path, &place->db), SQLITE_OK);
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[128];

    assert_int_equal(sqlite3_close(place->db), SQLITE_OK);
    (void)snprintf(command, sizeof command, "rm -r '%s'", place->directory);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

static int version_of(struct place *place)
{
    int version = -1;

    assert_int_equal(schema_version(place->db, &version, &place->msg), E_OK);
    return version;
}

static int bring_to(struct place *place, const struct schema *schema)
{
    return schema_migrate(place->db, schema, place->path, version_of(place),
                          &place->msg);
}

static int count_rows(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    int count;

    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    count = sqlite3_column_int(stmt, 0);
    (void)sqlite3_finalize(stmt);
    return count;
}

static void new_file_is_not_copied(void **state)
{
    struct place *place = *state;

    assert_int_equal(version_of(place), 0);
    assert_int_equal(bring_to(place, &version_2), E_OK);
    assert_int_equal(version_of(place), 2);
    assert_int_equal(count_rows(place->db), 2);
    assert_int_equal(access(place->copy, F_OK), -1);
}

static void older_file_is_copied_and_migrated(void **state)
{
    struct place *place = *state;
    struct stat about;
    sqlite3 *copy;

    assert_int_equal(bring_to(place, &version_1), E_OK);
    assert_int_equal(bring_to(place, &version_2), E_OK);
    assert_int_equal(version_of(place), 2);
    assert_int_equal(count_rows(place->db), 2);

    assert_int_equal(stat(place->copy, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    assert_int_equal(sqlite3_open(place->copy, &copy), SQLITE_OK);
    assert_int_equal(count_rows(copy), 1);
    assert_int_equal(sqlite3_close(copy), SQLITE_OK);
}

static void same_version_is_left_alone(void **state)
{
    struct place *place = *state;

    assert_int_equal(bring_to(place, &version_2), E_OK);
    assert_int_equal(bring_to(place, &version_2), E_OK);
    assert_int_equal(count_rows(place->db), 2);
}

static void failing_migration_changes_nothing(void **state)
{
    struct place *place = *state;

    assert_int_equal(bring_to(place, &version_1), E_OK);
    assert_int_equal(bring_to(place, &broken_2), E_STORE);
    assert_non_null(strstr(place->text, "version 2"));
    assert_int_equal(version_of(place), 1);
    assert_int_equal(count_rows(place->db), 1);
}

/* Whichever write fails the version is one of the two, with its rows, and the
 * next attempt succeeds over what the failed one left behind. */
static void migration_survives_a_failure_at_every_write(void **state)
{
    uint64_t nth;
    bool hit = true;

    (void)state;
    for (nth = 1; hit; nth++) {
        void *fresh;
        struct place *place;
        int rc;

        (void)setup(&fresh);
        place = fresh;
        assert_int_equal(bring_to(place, &version_1), E_OK);
        fault_io_arm(FAULT_IO_WRITE | FAULT_IO_SYNC, nth, ENOSPC, true);
        rc = bring_to(place, &version_2);
        hit = fault_io_disarm();
        assert_int_equal(rc != E_OK, hit);
        assert_int_equal(count_rows(place->db), version_of(place));
        assert_int_equal(bring_to(place, &version_2), E_OK);
        assert_int_equal(count_rows(place->db), 2);
        (void)teardown(&fresh);
    }
    assert_true(nth > 5);
}

static void foreign_database_is_no_store(void **state)
{
    struct place *place = *state;
    int version;

    assert_int_equal(
        sqlite3_exec(place->db, "CREATE TABLE x (y)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(schema_version(place->db, &version, &place->msg),
                     E_CORRUPT);
}

static void current_schema_applies(void **state)
{
    struct place *place = *state;

    assert_int_equal(bring_to(place, &schema_current), E_OK);
    assert_int_equal(version_of(place), schema_current.version);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(new_file_is_not_copied),
        CASE(older_file_is_copied_and_migrated),
        CASE(same_version_is_left_alone),
        CASE(failing_migration_changes_nothing),
        cmocka_unit_test(migration_survives_a_failure_at_every_write),
        CASE(foreign_database_is_no_store),
        CASE(current_schema_applies),
    };

    return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
