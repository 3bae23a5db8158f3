/* check_paths.c - where things lie, and what a container needs. */
#include "base/paths.h"
#include "cli/check.h"
#include "daemon/config.h"

#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Say whether a coordinator answers on the socket @path. */
static bool answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_there = false;

    if (fd >= 0 && strlen(path) < sizeof address.sun_path) {
        memcpy(address.sun_path, path, strlen(path) + 1);
        is_there = connect(fd, (const struct sockaddr *)(const void *)&address,
                           sizeof address) == 0;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_there;
}

/* Add what a container needs: the socket's directory, and the group that may
 * connect. */
static void add_container(struct check *check, const char *socket)
{
    const struct group *named;
    struct stat seen;
    gid_t gid = getegid();
    struct buf dir;

    buf_init(&dir, 0);
    paths_parent(socket, &dir);
    if (stat(socket, &seen) == 0 || stat(buf_string(&dir), &seen) == 0) {
        gid = seen.st_gid;
    }
    named = getgrgid(gid);
    (void)json_object_set_new(
        check->report, "container",
        json_pack("{s:o, s:i, s:o}", "mount", check_string(buf_string(&dir)),
                  "gid", (int)gid, "group",
                  check_string(named == NULL ? NULL : named->gr_name)));
    buf_release(&dir);
}

/* Say in one word whether the store at @path can be used. */
static const char *store_state(struct check *check, const char *path)
{
    const char *state = "new";
    struct buf dir;

    buf_init(&dir, 0);
    paths_parent(path, &dir);
    if (config_is_database(path)) {
        state = "database"; /* Whoever serves finds out. */
    } else if (access(path, F_OK) == 0) {
        state = access(path, R_OK | W_OK) == 0 ? "ok" : "forbidden";
    } else if (access(buf_string(&dir), F_OK) == 0 &&
               access(buf_string(&dir), W_OK | X_OK) != 0) {
        state = "forbidden";
    }
    check->problems += strcmp(state, "forbidden") == 0 ? 1 : 0;
    buf_release(&dir);
    return state;
}

void check_paths(struct check *check)
{
    const struct config *config = check->config;
    bool is_there = answers(config->socket);

    (void)json_object_set_new(
        check->report, "paths",
        json_pack("{s:o, s:b, s:o, s:s}", "socket",
                  check_string(config->socket), "coordinator_answers", is_there,
                  "store", check_string(config->store), "store_state",
                  is_there ? "ok" : store_state(check, config->store)));
    add_container(check, config->socket);
}
