#include "act_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lib/patient.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void act_rig_init(struct act_rig *rig)
{
    (void)snprintf(rig->dir, sizeof rig->dir, "/tmp/gpucoord-act-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
}

void act_rig_release(struct act_rig *rig)
{
    DIR *dir = opendir(rig->dir);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    (void)closedir(dir);
    (void)rmdir(rig->dir);
}

void act_rig_write(const struct act_rig *rig,
                   const char *name,
                   const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

void act_rig_read(const struct act_rig *rig,
                  const char *name,
                  char *text,
                  size_t size)
{
    char path[128];
    size_t got = 0;
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", rig->dir, name);
    file = fopen(path, "re");
    if (file != NULL) {
        got = fread(text, 1, size - 1, file);
        (void)fclose(file);
    }
    text[got] = '\0';
}

static void wait_for_ever(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        (void)pause();
    }
}

void act_rig_tree(pid_t *pids, size_t children)
{
    int report[2];
    size_t i;

    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pids[0] = fork();
    assert_true(pids[0] >= 0);
    if (pids[0] == 0) {
        (void)setpgid(0, 0);
        for (i = 0; i < children; i++) {
            pid_t pid = fork();

            if (pid == 0) {
                (void)close(report[1]);
                wait_for_ever();
            }
            (void)!write(report[1], &pid, sizeof pid);
        }
        (void)close(report[1]);
        wait_for_ever();
    }
    (void)close(report[1]);
    for (i = 0; i < children; i++) {
        assert_int_equal(read(report[0], &pids[i + 1], sizeof *pids),
                         sizeof *pids);
    }
    /* The end of the file: it leads its group. */
    assert_int_equal(read(report[0], &i, 1), 0);
    (void)close(report[0]);
}

void act_rig_target(pid_t pid, struct tree_target *out)
{
    struct proc_stat stat;

    assert_int_equal(proc_read_stat(PROC_ROOT, pid, &stat), E_OK);
    *out = (struct tree_target){.roots = {stat.id}, .root_count = 1};
}

char act_rig_state(pid_t pid)
{
    struct proc_stat stat;

    return proc_read_stat(PROC_ROOT, pid, &stat) == E_OK ? stat.state : 'X';
}

void act_rig_until(pid_t pid, const char *states)
{
    struct patient patient = {0};

    while (strchr(states, act_rig_state(pid)) == NULL) {
        patient_wait(&patient, states);
    }
}

void act_rig_end(const pid_t *pids, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        (void)kill(pids[i], SIGKILL);
    }
    while (waitpid(pids[0], NULL, 0) < 0 && errno == EINTR) {
    }
}
