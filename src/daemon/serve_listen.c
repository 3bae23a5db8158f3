#include "daemon/serve_listen.h"

#include "base/log.h"
#include "daemon/config.h"
#include "daemon/port_owner.h"
#include "http/http.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
    SOCKET_MODE = 0660,
    ADDRESS_SIZE = 80
};

/* Listen on TCP where that is configured. */
static void listen_tcp(const struct config *config,
                       struct http_server *server,
                       uint16_t *port)
{
    bool is_ipv6;
    char address[ADDRESS_SIZE + 10];
    int rc;

    *port = 0;
    if (config->listen_host == NULL) {
        return;
    }
    is_ipv6 = strchr(config->listen_host, ':') != NULL;
    (void)snprintf(address, sizeof(address), is_ipv6 ? "[%s]:%u" : "%s:%u",
                   config->listen_host, config->listen_port);
    rc = http_listen_tcp(server, address, port);
    if (rc == E_BUSY) {
        port_owner_log((uint16_t)config->listen_port);
    }
    if (rc != E_OK) {
        log_error("serving the Unix socket only");
    }
}

int serve_listen(const struct config *config,
                 struct http_server *server,
                 uint16_t *port)
{
    int rc = http_listen_unix(server, config->socket, SOCKET_MODE);

    if (rc == E_OK) {
        listen_tcp(config, server, port);
    }
    return rc;
}
