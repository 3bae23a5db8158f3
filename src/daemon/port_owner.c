#include "daemon/port_owner.h"

#include "base/log.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_SIZE = 320,
    STATE_LISTEN = 0x0a /* Of /proc/net/tcp. */
};

/* Find the inode of the socket that listens on @port in a table of /proc/net;
 * 0 where there is none. */
static unsigned long find_inode(const char *table, uint16_t port)
{
    FILE *file = fopen(table, "re");
    char line[512];
    unsigned long inode = 0;

    if (file == NULL) {
        return 0;
    }
    while (inode == 0 && fgets(line, sizeof(line), file) != NULL) {
        unsigned local;
        unsigned state;
        unsigned long found;

        /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers. */
        if (sscanf(line,
                   " %*[^:]: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s "
                   "%*s %*s %*s %lu",
                   &local, &state, &found) == 3 &&
            local == port && state == STATE_LISTEN) {
            inode = found;
        }
    }
    (void)fclose(file);
    return inode;
}

/* Say whether a descriptor of the process @pid is the socket @link. */
static bool has_socket(const char *pid, const char *link)
{
    char path[PATH_SIZE];
    DIR *dir;
    const struct dirent *entry;
    bool is_found = false;

    (void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    dir = opendir(path);
    if (dir == NULL) {
        return false;
    }
    while (!is_found && (entry = readdir(dir)) != NULL) {
        char target[64];
        ssize_t size =
            readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

        if (size > 0) {
            target[size] = '\0';
            is_found = strcmp(target, link) == 0;
        }
    }
    (void)closedir(dir);
    return is_found;
}

/* Log the process @pid by its name. */
static void log_process(const char *pid, uint16_t port)
{
    char path[PATH_SIZE];
    char name[64] = "?";
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(name, sizeof(name), file) != NULL) {
            name[strcspn(name, "\n")] = '\0';
        }
        (void)fclose(file);
    }
    log_error("port %u is taken by '%s' (pid %s)", port, name, pid);
}

void port_owner_log(uint16_t port)
{
    unsigned long inode = find_inode("/proc/net/tcp", port);
    const struct dirent *entry;
    bool is_found = false;
    char link[64];
    DIR *dir;

    if (inode == 0) {
        inode = find_inode("/proc/net/tcp6", port);
    }
    (void)snprintf(link, sizeof(link), "socket:[%lu]", inode);
    dir = inode == 0 ? NULL : opendir("/proc");
    while (dir != NULL && !is_found && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            has_socket(entry->d_name, link)) {
            log_process(entry->d_name, port);
            is_found = true;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    if (!is_found) {
        log_error("port %u is taken by a process of another user", port);
    }
}
