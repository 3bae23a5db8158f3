/* What is frozen must be found again, whatever happened to the file. */
#include "act_rig.h"

#include "control/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_SIZE = 1024,
    NOBODY = 65534
};

static struct journal_entry entry_of(pid_t pid)
{
    return (struct journal_entry){.kind = JOURNAL_CHECKPOINT,
                                  .id = {.pid = pid, .start_ticks = 99},
                                  .lease = 42,
                                  .vram_mib = 4096,
                                  .service = "transcription",
                                  .gpus = "GPU-1,GPU-2"};
}

static void add(const struct journal *journal,
                const struct journal_entry *entry)
{
    struct patience patience = patience_for(10000);

    assert_int_equal(journal_add(journal, entry, 1, &patience), E_OK);
}

struct fixture {
    struct act_rig rig;
    struct journal journal;
};

static int set_up(void **state)
{
    static struct fixture fx;

    act_rig_init(&fx.rig);
    assert_int_equal(journal_init(&fx.journal, fx.rig.dir), E_OK);
    *state = &fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;

    act_rig_release(&fx->rig);
    return 0;
}

/* Read what is in the file of the journal. */
static void read_file(const struct fixture *fx, char text[static FILE_SIZE])
{
    act_rig_read(&fx->rig, "frozen.journal", text, FILE_SIZE);
}

static size_t count_of(const struct journal *journal, size_t *damaged)
{
    struct journal_list list;
    size_t count;

    assert_int_equal(journal_read(journal, &list), E_OK);
    count = list.count;
    if (damaged != NULL) {
        *damaged = list.damaged;
    }
    journal_list_release(&list);
    return count;
}

/* C15: all of an entry comes back, also a cgroup whose name has blanks. */
static void an_entry_comes_back_as_it_was_written(void **state)
{
    struct journal_entry entry = entry_of(812);
    struct journal_list list;
    struct fixture *fx = *state;

    assert_int_equal(count_of(&fx->journal, NULL), 0);
    entry.kind = JOURNAL_CGROUP;
    (void)snprintf(entry.cgroup.dir, sizeof entry.cgroup.dir, "%s",
                   "/sys/fs/a b%20\n-\x7f/x");
    add(&fx->journal, &entry);
    assert_int_equal(journal_read(&fx->journal, &list), E_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.entries[0].kind, JOURNAL_CGROUP);
    assert_int_equal(list.entries[0].id.pid, 812);
    assert_int_equal(list.entries[0].id.start_ticks, 99);
    assert_int_equal(list.entries[0].lease, 42);
    assert_int_equal(list.entries[0].vram_mib, 4096);
    assert_string_equal(list.entries[0].service, entry.service);
    assert_string_equal(list.entries[0].gpus, entry.gpus);
    assert_string_equal(list.entries[0].cgroup.dir, entry.cgroup.dir);
    journal_list_release(&list);
}

/* An entry is replaced by its like, and goes when it is removed; the last takes
 * the file with it. */
static void an_entry_is_there_once_and_goes(void **state)
{
    struct patience patience = patience_for(10000);
    struct journal_entry first = entry_of(1);
    struct journal_entry second = entry_of(2);
    struct fixture *fx = *state;
    char text[FILE_SIZE];

    add(&fx->journal, &first);
    add(&fx->journal, &second);
    add(&fx->journal, &first);
    assert_int_equal(count_of(&fx->journal, NULL), 2);
    assert_int_equal(journal_remove(&fx->journal, &first, 1, &patience), E_OK);
    assert_int_equal(count_of(&fx->journal, NULL), 1);
    first.id.pid = 2;
    first.id.start_ticks++; /* Another process with the number. */
    assert_int_equal(journal_remove(&fx->journal, &first, 1, &patience), E_OK);
    assert_int_equal(count_of(&fx->journal, NULL), 1);
    assert_int_equal(journal_remove(&fx->journal, &second, 1, &patience), E_OK);
    read_file(fx, text);
    assert_string_equal(text, "");
}

/* A file that was cut at any byte gives the whole lines before the cut, and
 * never a wrong entry. */
static void a_torn_file_gives_what_is_whole(void **state)
{
    struct journal_entry first = entry_of(1);
    struct journal_entry second = entry_of(2);
    struct fixture *fx = *state;
    char whole[FILE_SIZE];
    char part[FILE_SIZE];
    size_t size;
    size_t damaged;

    add(&fx->journal, &first);
    add(&fx->journal, &second);
    read_file(fx, whole);
    for (size = strlen(whole) - 1; size > 0; size--) {
        bool ends_a_line = whole[size] == '\n' || whole[size - 1] == '\n';
        size_t lines = 0;
        size_t i;

        memcpy(part, whole, size);
        part[size] = '\0';
        act_rig_write(&fx->rig, "frozen.journal", part);
        for (i = 0; i < size; i++) {
            lines += part[i] == '\n';
        }
        lines += whole[size] == '\n'; /* Whole but for its line feed. */
        assert_int_equal(count_of(&fx->journal, &damaged),
                         lines == 0 ? 0 : lines - 1);
        assert_int_equal(damaged, ends_a_line ? 0 : 1);
    }
}

/* One byte that changed anywhere costs the line it is in, no more. */
static void a_changed_byte_costs_one_line(void **state)
{
    struct journal_entry entry = entry_of(1);
    struct fixture *fx = *state;
    char whole[FILE_SIZE];
    size_t size;
    size_t i;

    add(&fx->journal, &entry);
    read_file(fx, whole);
    size = strlen(whole);
    for (i = (size_t)(strchr(whole, '\n') - whole) + 1; i < size - 1; i++) {
        char was = whole[i];
        size_t damaged;

        whole[i] = was == '7' ? '8' : '7';
        act_rig_write(&fx->rig, "frozen.journal", whole);
        whole[i] = was;
        assert_int_equal(count_of(&fx->journal, &damaged), 0);
        assert_int_equal(damaged, 1);
    }
}

/* After the machine has started again nothing is frozen any more. */
static void another_boot_has_left_nothing(void **state)
{
    struct journal_entry entry = entry_of(1);
    struct fixture *fx = *state;

    add(&fx->journal, &entry);
    (void)snprintf(fx->journal.boot, sizeof fx->journal.boot, "another");
    assert_int_equal(count_of(&fx->journal, NULL), 0);
}

/* `gpucoord thaw` and a coordinator at the same time: who comes second waits,
 * but not for ever. */
static void who_finds_it_locked_gives_up_in_time(void **state)
{
    struct patience patience = patience_for(30);
    struct journal_entry entry = entry_of(1);
    struct fixture *fx = *state;
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/frozen.lock", fx->rig.dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(journal_add(&fx->journal, &entry, 1, &patience),
                     E_TIMEOUT);
    (void)close(fd);
    add(&fx->journal, &entry);
}

/* `gpucoord thaw` by root must not shut the coordinator out, nor write where
 * the coordinator's user has put a link. */
static void what_root_writes_is_the_owners_and_follows_no_link(void **state)
{
    static const char *const names[] = {"frozen.journal", "frozen.lock"};
    struct patience patience = patience_for(10000);
    struct journal_entry entry = entry_of(812);
    struct fixture *fx = *state;
    char path[128];
    struct stat seen;
    size_t i;

    if (geteuid() != 0) {
        print_message("skipped: not root\n");
        skip();
    }
    assert_int_equal(chown(fx->rig.dir, NOBODY, NOBODY), 0);
    add(&fx->journal, &entry);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", fx->rig.dir, names[i]);
        assert_int_equal(stat(path, &seen), 0);
        assert_int_equal(seen.st_uid, NOBODY);
        assert_int_equal(seen.st_gid, NOBODY);
    }
    act_rig_write(&fx->rig, "precious", "of somebody else\n");
    (void)snprintf(path, sizeof path, "%s/frozen.journal.new", fx->rig.dir);
    assert_int_equal(symlink("precious", path), 0);
    assert_int_equal(journal_remove(&fx->journal, &entry, 1, &patience), E_OK);
    assert_int_equal(journal_add(&fx->journal, &entry, 1, &patience), E_IO);
    (void)snprintf(path, sizeof path, "%s/precious", fx->rig.dir);
    assert_int_equal(stat(path, &seen), 0);
    assert_int_not_equal(seen.st_size, 0);
}

static void what_cannot_be_written_is_an_error(void **state)
{
    struct patience patience = patience_for(1000);
    struct journal_entry entry = entry_of(1);
    struct fixture *fx = *state;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/frozen.journal.new", fx->rig.dir);
    assert_int_equal(mkdir(path, 0700), 0); /* In the new file's way. */
    assert_int_equal(journal_add(&fx->journal, &entry, 1, &patience), E_IO);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(count_of(&fx->journal, NULL), 0);
    assert_int_equal(journal_init(&fx->journal, "/nonexistent/x"), E_OK);
    assert_int_equal(journal_add(&fx->journal, &entry, 1, &patience), E_IO);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(an_entry_comes_back_as_it_was_written),
        T(an_entry_is_there_once_and_goes),
        T(a_torn_file_gives_what_is_whole),
        T(a_changed_byte_costs_one_line),
        T(another_boot_has_left_nothing),
        T(who_finds_it_locked_gives_up_in_time),
        T(what_root_writes_is_the_owners_and_follows_no_link),
        T(what_cannot_be_written_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
