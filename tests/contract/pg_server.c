#include "contract/pg_server.h"

#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    START_TRIES = 3000 /* Of 10 ms, on a slow machine. */
};

static struct {
    char directory[64];
    char bin[64]; /* Where the programs of the newest version lie. */
    pid_t pid;    /* The postmaster; 0 = it does not run. */
    int schemas;
} server;

bool pg_server_is_installed(void)
{
    glob_t found;
    bool is_found = glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) == 0;

    if (is_found) {
        (void)snprintf(server.bin, sizeof server.bin, "%s",
                       found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
    }
    return is_found && (geteuid() != 0 || getpwnam("postgres") != NULL);
}

/* In a child: run the program @argv[0] with standard output in the log. */
static void become(const char *const *argv)
{
    char path[96];

    (void)snprintf(path, sizeof path, "%s/%s", server.bin, argv[0]);
    (void)execv(path, (char **)(uintptr_t)argv);
    _exit(127);
}

/* In a child: become who may run a server, and end with our parent. */
static void become_owner(bool dies_with_parent)
{
    const struct passwd *owner = getpwnam("postgres");

    if (geteuid() == 0 &&
        (setgid(owner->pw_gid) != 0 || setuid(owner->pw_uid) != 0)) {
        _exit(126);
    }
    if (dies_with_parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGQUIT);
    }
    (void)setpgid(0, 0);
    if (freopen("/dev/null", "r", stdin) == NULL ||
        chdir(server.directory) != 0 || freopen("log", "a", stdout) == NULL ||
        freopen("log", "a", stderr) == NULL) {
        _exit(126);
    }
}

static void make_database(void)
{
    int status = -1;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        become_owner(false);
        become((const char *[]){"initdb", "-D", "data", "-A", "trust", "-U",
                                "owner", "-N", "--no-locale", "-E", "UTF8",
                                NULL});
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static PGconn *connect_owner(const char *database)
{
    char info[160];

    (void)snprintf(info, sizeof info, "host=%s user=owner dbname=%s",
                   server.directory, database);
    return PQconnectdb(info);
}

void pg_server_start(void)
{
    int i;

    server.pid = fork();
    assert_true(server.pid >= 0);
    if (server.pid == 0) {
        become_owner(true);
        become((const char *[]){
            "postgres", "-D", "data", "-k", server.directory, "-c",
            "listen_addresses=", "-c", "max_connections=40", NULL});
    }
    (void)setpgid(server.pid, server.pid);
    for (i = 0; i < START_TRIES; i++) {
        PGconn *conn = connect_owner("postgres");
        bool answers = PQstatus(conn) == CONNECTION_OK;

        PQfinish(conn);
        if (answers) {
            return;
        }
        (void)usleep(10000);
    }
    fail_msg("the server does not answer");
}

void pg_server_begin(void)
{
    const struct passwd *owner = getpwnam("postgres");

    (void)snprintf(server.directory, sizeof server.directory,
                   "/tmp/gpucoord-pg-XXXXXX");
    assert_non_null(mkdtemp(server.directory));
    if (geteuid() == 0) {
        assert_int_equal(chown(server.directory, owner->pw_uid, owner->pw_gid),
                         0);
    }
    make_database();
    pg_server_start();
}

static void end_by(int number)
{
    if (server.pid > 0) {
        (void)kill(server.pid, number);
        (void)kill(server.pid, SIGCONT);
        assert_int_equal(waitpid(server.pid, NULL, 0), server.pid);
    }
    server.pid = 0;
}

void pg_server_stop(void)
{
    end_by(SIGINT);
}

void pg_server_kill(void)
{
    end_by(SIGQUIT);
}

void pg_server_freeze(bool is_frozen)
{
    /* Its backends are in groups of their own. */
    char command[96];

    (void)snprintf(command, sizeof command, "pkill -%s -P %d; kill -%s %d",
                   is_frozen ? "STOP" : "CONT", (int)server.pid,
                   is_frozen ? "STOP" : "CONT", (int)server.pid);
    assert_int_equal(system(command), 0);
}

void pg_server_end(void)
{
    char command[96];

    pg_server_kill();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", server.directory);
    assert_int_equal(system(command), 0);
}

void pg_server_run(const char *sql, char *out, size_t size)
{
    PGconn *conn = connect_owner("postgres");
    PGresult *result;
    char path[64];

    (void)snprintf(path, sizeof path, "SET search_path = queue_%d",
                   server.schemas);
    PQclear(PQexec(conn, path));
    result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK &&
        PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    }
    if (out != NULL) {
        (void)snprintf(out, size, "%s",
                       PQntuples(result) == 0 ? "" : PQgetvalue(result, 0, 0));
    }
    PQclear(result);
    PQfinish(conn);
}

void pg_server_schema(char *url, size_t size)
{
    char sql[64];

    server.schemas++;
    (void)snprintf(sql, sizeof sql, "CREATE SCHEMA queue_%d", server.schemas);
    pg_server_run(sql, NULL, 0);
    (void)snprintf(url, size,
                   "postgresql://owner@/postgres?host=%s&options="
                   "-csearch_path%%3Dqueue_%d",
                   server.directory, server.schemas);
}
