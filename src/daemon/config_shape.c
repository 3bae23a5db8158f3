#include "daemon/config_load.h"

#include "base/paths.h"
#include "base/units.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

/* ---- listen ------------------------------------------------------------ */

/* Say whether packets to this address never leave the machine. */
static bool is_loopback(const char *host, bool *is_literal)
{
    struct in6_addr six;
    struct in_addr four;

    *is_literal = true;
    if (inet_pton(AF_INET, host, &four) == 1) {
        return (ntohl(four.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, host, &six) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&six);
    }
    *is_literal = false;
    return false;
}

/* Cut "127.0.0.1:4780" or "[::1]:4780" in two. */
static bool
split_listen(const char *text, char host[CONFIG_HOST_SIZE], uint32_t *port)
{
    const char *colon = strrchr(text, ':');
    uint64_t number;
    size_t size;

    if (colon == NULL || units_parse_count(colon + 1, &number) != E_OK ||
        number > UINT16_MAX) {
        return false;
    }
    size = (size_t)(colon - text);
    if (size > 2 && text[0] == '[' && text[size - 1] == ']') {
        text++;
        size -= 2;
    }
    if (size >= CONFIG_HOST_SIZE) {
        return false;
    }
    memcpy(host, text, size);
    host[size] = '\0';
    *port = (uint32_t)number;
    return true;
}

int config_parse_listen(const char *text,
                        char host[CONFIG_HOST_SIZE],
                        uint32_t *port,
                        struct buf *why)
{
    bool is_literal;

    if (strcmp(text, "null") == 0) {
        host[0] = '\0';
        return E_OK;
    }
    if (!split_listen(text, host, port)) {
        buf_printf(why, "'%s' is no address and port as 127.0.0.1:4780", text);
        return E_INVALID;
    }
    if (strcmp(host, "localhost") == 0) {
        (void)snprintf(host, CONFIG_HOST_SIZE, "127.0.0.1");
    }
    if (is_loopback(host, &is_literal)) {
        return E_OK;
    }
    if (is_literal) {
        buf_printf(why,
                   "%s is beyond loopback, which needs 'auth', which this "
                   "version does not have",
                   host);
    } else {
        buf_printf(why, "'%s' is neither an IP address nor localhost", host);
    }
    return E_INVALID;
}

bool config_read_listen(struct config_loader *loader,
                        const char *text,
                        struct config *config,
                        struct buf *why)
{
    char host[CONFIG_HOST_SIZE];

    if (config_parse_listen(text, host, &config->listen_port, why) != E_OK) {
        return false;
    }
    if (host[0] == '\0') {
        config->listen_host = NULL;
    } else {
        config_text_set(loader, &config->listen_host, host, strlen(host));
    }
    return true;
}

/* ---- socket, store, hosts ---------------------------------------------- */

bool config_read_socket(struct config_loader *loader,
                        const char *text,
                        struct config *config,
                        struct buf *why)
{
    struct sockaddr_un address;

    if (text[0] != '/') {
        buf_printf(why, "'%s' is not an absolute path", text);
        return false;
    }
    if (strlen(text) >= sizeof address.sun_path) {
        buf_printf(why, "the path of a Unix socket has at most %zu bytes",
                   sizeof address.sun_path - 1);
        return false;
    }
    config_text_set(loader, &config->socket, text, strlen(text));
    return true;
}

/* Say whether a URL has one in its first part or its last; the store, which
 * knows all ways to write one, refuses the others. */
static bool has_password(const char *url)
{
    const char *user = strstr(url, "://");
    size_t size = user == NULL ? 0 : strcspn(user + 3, "/?");
    const char *at = user == NULL ? NULL : memchr(user + 3, '@', size);

    return strstr(url, "password=") != NULL ||
           (at != NULL &&
            memchr(user + 3, ':', (size_t)(at - user - 3)) != NULL);
}

bool config_read_store(struct config_loader *loader,
                       const char *text,
                       struct config *config,
                       struct buf *why)
{
    static const char sqlite[] = "sqlite:";
    const size_t size = sizeof sqlite - 1;

    if (config_is_database(text)) {
        if (has_password(text)) {
            buf_text(why, "a password belongs into a file, as ~/.pgpass, not "
                          "into the URL");
            return false;
        }
        config_text_set(loader, &config->store, text, strlen(text));
        return true;
    }
    if (strncmp(text, sqlite, size) != 0 || text[size] != '/') {
        buf_printf(why,
                   "'%s' is not sqlite: and an absolute path, and no "
                   "postgresql: URL",
                   text);
        return false;
    }
    config_text_set(loader, &config->store, text + size, strlen(text + size));
    return true;
}

bool config_read_hosts(struct config_loader *loader,
                       const char *text,
                       struct config *config,
                       struct buf *why)
{
    (void)loader;
    (void)config;
    buf_printf(why, "'%s' is not a list of names as [gpu.example.org]", text);
    return false;
}

static void add_host(struct config_loader *loader, const char *name)
{
    struct config *config = loader->config;
    void *items = config->hosts;
    const char **place =
        config_grow(&items, &config->host_count, sizeof *place);

    if (place == NULL) {
        loader->error = E_NOMEM;
        return;
    }
    config->hosts = items;
    config_text_set(loader, place, name, strlen(name));
}

void config_read_hosts_node(struct config_loader *loader,
                            const yaml_node_t *node)
{
    const yaml_node_item_t *item;

    if (node->type != YAML_SEQUENCE_NODE) {
        config_mistake(loader->report, &node->start_mark,
                       "'hosts' is a list of names as [gpu.example.org]");
        return;
    }
    for (item = node->data.sequence.items.start;
         item < node->data.sequence.items.top; item++) {
        const yaml_node_t *host =
            yaml_document_get_node(loader->document, *item);
        const char *name = config_scalar(host);

        if (name == NULL || *name == '\0' ||
            name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")] !=
                '\0') {
            config_mistake(loader->report, &host->start_mark,
                           "'hosts': %s%s%s is not a host name, without port",
                           name != NULL ? "'" : "",
                           name != NULL ? name : "this",
                           name != NULL ? "'" : "");
            continue;
        }
        add_host(loader, name);
    }
}

/* ---- where things lie --------------------------------------------------- */

/* Set @place to @below in the directory that @directory gives. */
static void place_in(struct config_loader *loader,
                     const char **place,
                     int (*directory)(struct buf *out),
                     const char *below)
{
    struct buf path;
    int rc;

    if (*place != NULL) {
        return;
    }
    buf_init(&path, 0);
    rc = directory(&path);
    buf_text(&path, below);
    if (rc == E_OK) {
        rc = buf_error(&path);
    }
    if (rc == E_OK) {
        config_text_set(loader, place, path.data, path.size);
    } else if (rc == E_NOMEM) {
        loader->error = E_NOMEM;
    } else {
        config_mistake(loader->report, NULL,
                       "neither XDG_STATE_HOME nor HOME is set: name 'socket' "
                       "and 'store'");
    }
    buf_release(&path);
}

void config_places(struct config_loader *loader)
{
    struct config *config = loader->config;

    place_in(loader, &config->socket, paths_runtime, "/gpucoord.sock");
    place_in(loader, &config->store, paths_state, "/queue.db");
    if (config->gpus.kind == CONFIG_GPUS_SIMULATED) {
        place_in(loader, &config->gpus.dir, paths_runtime, "/simulated");
    }
}
