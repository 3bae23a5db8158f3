/* Where Redis is, and the names of its channels. */
#include "daemon/config_load.h"

#include "base/units.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>

enum {
    REDIS_PORT = 6379,
    CHANNEL_SIZE_MAX = 128
};

static const char forms[] =
    "redis://127.0.0.1:6379, unix:///run/redis/redis-server.sock, or a mapping "
    "with "
    "such a 'url'";

/* Where a value is read from, for messages. */
struct place {
    struct config_loader *loader;
    const char *path;
    const yaml_node_t *node;
};

/* ---- The address -------------------------------------------------------- */

static bool is_literal(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    return inet_pton(AF_INET, host, &four) == 1 ||
           inet_pton(AF_INET6, host, &six) == 1;
}

/* Cut "127.0.0.1:6379", "[::1]" or "localhost" in two.  False: it is none. */
static bool
split_host(const char *text, char host[CONFIG_HOST_SIZE], uint32_t *port)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : strchr(text, ':');
    const char *from = text[0] == '[' ? text + 1 : text;
    uint64_t number = REDIS_PORT;
    size_t size;

    if (end == NULL && text[0] != '[') {
        end = text + strlen(text);
    }
    if (end == NULL || (size_t)(end - from) >= CONFIG_HOST_SIZE) {
        return false;
    }
    size = (size_t)(end - from);
    end += text[0] == '[';
    if (*end == ':' && (units_parse_count(end + 1, &number) != E_OK ||
                        number == 0 || number > UINT16_MAX)) {
        return false;
    }
    if (*end != ':' && *end != '\0') {
        return false;
    }
    memcpy(host, from, size);
    host[size] = '\0';
    if (strcmp(host, "localhost") == 0) {
        (void)snprintf(host, CONFIG_HOST_SIZE, "127.0.0.1");
    }
    *port = (uint32_t)number;
    return is_literal(host);
}

static void
read_host(const struct place *at, const char *text, struct config_redis *out)
{
    char host[CONFIG_HOST_SIZE];

    if (strchr(text, '@') != NULL) {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s': an address holds no user and no password: name "
                       "'user' and 'password_file'",
                       at->path);
    } else if (!split_host(text, host, &out->port)) {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s': '%s' is no IP address and port as "
                       "127.0.0.1:6379; a number behind them (SELECT) is not "
                       "supported",
                       at->path, text);
    } else {
        config_text_set(at->loader, &out->host, host, strlen(host));
    }
}

static void
read_url(const struct place *at, const char *text, struct config_redis *out)
{
    static const char tcp[] = "redis://";
    static const char local[] = "unix://";
    const size_t tcp_size = sizeof tcp - 1;
    const size_t local_size = sizeof local - 1;
    struct sockaddr_un address;

    out->host = NULL;
    out->path = NULL;
    if (strncmp(text, "rediss:", 7) == 0) {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s': TLS is not supported: put a tunnel before it, or "
                       "use its Unix socket",
                       at->path);
        return;
    }
    if (strncmp(text, tcp, tcp_size) == 0) {
        read_host(at, text + tcp_size, out);
    } else if (strncmp(text, local, local_size) == 0 &&
               text[local_size] == '/' &&
               strlen(text + local_size) < sizeof address.sun_path) {
        config_text_set(at->loader, &out->path, text + local_size,
                        strlen(text + local_size));
    } else {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s': '%s' is not %s", at->path, text, forms);
        return;
    }
    config_text_set(at->loader, &out->url, text, strlen(text));
}

/* ---- The mapping -------------------------------------------------------- */

static void
read_user(const struct place *at, const char *text, struct config_redis *out)
{
    config_text_set(at->loader, &out->user, text, strlen(text));
}

static void read_password_file(const struct place *at,
                               const char *text,
                               struct config_redis *out)
{
    if (text[0] != '/') {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s.password_file': '%s' is not an absolute path",
                       at->path, text);
        return;
    }
    config_text_set(at->loader, &out->password_file, text, strlen(text));
}

/* Read a channel's name, which has {service} once, to @out. */
static void
read_channel(const struct place *at, const char *text, const char **out)
{
    const char *found = strstr(text, CONFIG_SERVICE_MARK);

    if (found == NULL || strstr(found + 1, CONFIG_SERVICE_MARK) != NULL ||
        strlen(text) > CHANNEL_SIZE_MAX ||
        text[strcspn(text, " \t\r\n")] != '\0') {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s': a channel has " CONFIG_SERVICE_MARK
                       " in it once, no blanks, and at most %d bytes",
                       at->path, CHANNEL_SIZE_MAX);
        return;
    }
    config_text_set(at->loader, out, text, strlen(text));
}

static void
read_control(const struct place *at, const char *text, struct config_redis *out)
{
    read_channel(at, text, &out->control_channel);
}

static void
read_ack(const struct place *at, const char *text, struct config_redis *out)
{
    read_channel(at, text, &out->ack_channel);
}

static const struct {
    const char *name;
    void (*read)(const struct place *at,
                 const char *text,
                 struct config_redis *out);
} members[] = {
    {"url", read_url},
    {"user", read_user},
    {"password_file", read_password_file},
    {"control_channel", read_control},
    {"ack_channel", read_ack},
};

enum {
    MEMBERS = sizeof members / sizeof members[0]
};

static void read_pair(const struct place *at,
                      const yaml_node_t *key,
                      const yaml_node_t *value,
                      uint32_t *seen,
                      struct config_redis *out)
{
    struct place here = {at->loader, at->path, value};
    const char *name = config_scalar(key);
    const char *text = config_scalar(value);
    size_t i = 0;

    while (i < MEMBERS &&
           (name == NULL || strcmp(members[i].name, name) != 0)) {
        i++;
    }
    if (i == MEMBERS) {
        config_mistake(at->loader->report, &key->start_mark,
                       "'%s' has url, user, password_file, control_channel "
                       "and ack_channel",
                       at->path);
    } else if ((*seen & 1u << i) != 0) {
        config_mistake(at->loader->report, &key->start_mark,
                       "'%s.%s' is set twice", at->path, name);
    } else if (text == NULL || text[0] == '\0') {
        config_mistake(at->loader->report, &value->start_mark,
                       "'%s.%s' is a text", at->path, name);
    } else if (!config_is_null(value)) {
        members[i].read(&here, text, out);
    }
    *seen |= i < MEMBERS ? 1u << i : 0;
}

void config_read_redis(struct config_loader *loader,
                       const char *path,
                       const yaml_node_t *node,
                       void *place)
{
    struct config_redis redis = {0};
    struct place at = {loader, path, node};
    const yaml_node_pair_t *pair;
    uint32_t seen = 0;

    if (node->type == YAML_MAPPING_NODE) {
        for (pair = node->data.mapping.pairs.start;
             pair < node->data.mapping.pairs.top; pair++) {
            read_pair(&at, yaml_document_get_node(loader->document, pair->key),
                      yaml_document_get_node(loader->document, pair->value),
                      &seen, &redis);
        }
        if ((seen & 1u) == 0) {
            config_mistake(loader->report, &node->start_mark,
                           "'%s' needs a 'url'", path);
        }
    } else if (config_scalar(node) == NULL) {
        config_mistake(loader->report, &node->start_mark, "'%s' is %s", path,
                       forms);
    } else if (!config_is_null(node)) {
        read_url(&at, config_scalar(node), &redis);
    }
    memcpy(place, &redis, sizeof redis);
}

/* ---- The channels of one service ----------------------------------------- */

/* Read a channel that is one service's alone to @out. */
static void read_own(const struct place *at, const char *text, const char **out)
{
    if (text == NULL || text[0] == '\0' || strlen(text) > CHANNEL_SIZE_MAX ||
        text[strcspn(text, " \t\r\n")] != '\0') {
        config_mistake(at->loader->report, &at->node->start_mark,
                       "'%s': a channel is a name without blanks, of at most "
                       "%d bytes",
                       at->path, CHANNEL_SIZE_MAX);
        return;
    }
    config_text_set(at->loader, out, text, strlen(text));
}

void config_read_channels(struct config_loader *loader,
                          const char *path,
                          const yaml_node_t *node,
                          void *place)
{
    struct config_channels *out = place;
    const yaml_node_pair_t *pair;

    *out = (struct config_channels){0};
    if (config_is_null(node)) {
        return;
    }
    if (node->type != YAML_MAPPING_NODE ||
        node->data.mapping.pairs.start == node->data.mapping.pairs.top) {
        config_mistake(loader->report, &node->start_mark,
                       "'%s' is a map as {control: NAME, ack: NAME}", path);
        return;
    }
    for (pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key =
            yaml_document_get_node(loader->document, pair->key);
        struct place at = {
            loader, path,
            yaml_document_get_node(loader->document, pair->value)};
        const char *word = config_scalar(key);

        if (word != NULL && strcmp(word, "control") == 0) {
            read_own(&at, config_scalar(at.node), &out->control);
        } else if (word != NULL && strcmp(word, "ack") == 0) {
            read_own(&at, config_scalar(at.node), &out->ack);
        } else {
            config_mistake(loader->report, &key->start_mark,
                           "'%s' has the keys control and ack", path);
        }
    }
}
