#include "rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

void rig_root_init(struct rig_root *root)
{
    (void)snprintf(root->path, sizeof root->path, "/tmp/gpucoord-proc-XXXXXX");
    assert_non_null(mkdtemp(root->path));
}

void rig_root_release(struct rig_root *root)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", root->path);
    assert_int_equal(system(command), 0);
}

void rig_write(struct rig_root *root, const char *name, const char *text)
{
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s", root->path, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Write a file of one process. */
static void
write_of(struct rig_root *root, pid_t pid, const char *name, const char *text)
{
    char path[64];

    (void)snprintf(path, sizeof path, "%d/%s", (int)pid, name);
    rig_write(root, path, text);
}

void rig_add(struct rig_root *root, const struct rig_process *process)
{
    char path[128];
    char text[1024];

    rig_remove(root, process->pid);
    (void)snprintf(path, sizeof path, "%s/%d", root->path, (int)process->pid);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(text, sizeof text,
                   "%d (%s) %c %d %d %d 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 "
                   "%llu 1 1 18446744073709551615 0 0 0\n",
                   (int)process->pid,
                   process->name != NULL ? process->name : "program",
                   process->state != 0 ? process->state : 'S',
                   (int)process->parent, (int)process->pgid, (int)process->sid,
                   (unsigned long long)process->start_ticks);
    write_of(root, process->pid, "stat", text);
    (void)snprintf(text, sizeof text,
                   "Name:\tprogram\nPid:\t%d\nUid:\t%u\t0\t0\t0\n",
                   (int)process->pid, (unsigned)process->uid);
    write_of(root, process->pid, "status", text);
    if (process->cgroup != NULL) {
        write_of(root, process->pid, "cgroup", process->cgroup);
    }
    if (process->exe != NULL) {
        (void)snprintf(path, sizeof path, "%s/%d/exe", root->path,
                       (int)process->pid);
        assert_int_equal(symlink(process->exe, path), 0);
    }
}

void rig_remove(struct rig_root *root, pid_t pid)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s/%d'", root->path,
                   (int)pid);
    assert_int_equal(system(command), 0);
}

/* Wait for the end, also that of the test. */
static void wait_for_a_signal(void)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        (void)pause();
    }
}

pid_t rig_fork(bool has_group)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (has_group) {
            (void)setpgid(0, 0);
        }
        wait_for_a_signal();
    }
    if (has_group) {
        (void)setpgid(pid, pid);
    }
    return pid;
}

/* Be the child of rig_fork_twice(): fork another and say its number. */
static void fork_again(bool leaves, int out)
{
    pid_t pid;

    (void)setpgid(0, 0);
    pid = fork();
    if (pid == 0) {
        pid_t self = getpid();

        if (leaves) {
            (void)setsid();
        }
        if (write(out, &self, sizeof self) != (ssize_t)sizeof self) {
            _exit(1);
        }
        (void)close(out);
        for (;;) {
            (void)pause();
        }
    }
    for (;;) {
        (void)pause();
    }
}

void rig_fork_twice(bool leaves, pid_t *child, pid_t *grandchild)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    *child = fork();
    assert_true(*child >= 0);
    if (*child == 0) {
        (void)close(ends[0]);
        fork_again(leaves, ends[1]);
    }
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], grandchild, sizeof *grandchild),
                     sizeof *grandchild);
    (void)close(ends[0]);
}

void rig_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}
