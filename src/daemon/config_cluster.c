#include "cluster/address.h"
#include "daemon/config_load.h"
#include "proto/api.h"

#include <string.h>

bool config_read_member(struct config_loader *loader,
                        const char *text,
                        struct config *config,
                        struct buf *why)
{
    if (strcmp(text, "null") == 0) {
        config->cluster_name = NULL;
        return true;
    }
    if (!api_is_name(text, strlen(text))) {
        buf_printf(why, "'%s' is not a name of 1 to 64 of A-Z a-z 0-9 . _ -",
                   text);
        return false;
    }
    config_text_set(loader, &config->cluster_name, text, strlen(text));
    return true;
}

bool config_read_advertise(struct config_loader *loader,
                           const char *text,
                           struct config *config,
                           struct buf *why)
{
    struct address ignored;

    if (strcmp(text, "null") == 0) {
        config->cluster_advertise = NULL;
        return true;
    }
    if (address_parse(text, &ignored, why) != E_OK) {
        return false;
    }
    config_text_set(loader, &config->cluster_advertise, text, strlen(text));
    return true;
}

static void advertise_socket(struct config_loader *loader)
{
    struct config *config = loader->config;
    struct buf url;

    buf_init(&url, 0);
    buf_printf(&url, "unix://%s", config->socket);
    if (buf_error(&url) == E_OK) {
        config_text_set(loader, &config->cluster_advertise, url.data, url.size);
    } else {
        loader->error = E_NOMEM;
    }
    buf_release(&url);
}

void config_check_cluster(struct config_loader *loader)
{
    struct config *config = loader->config;
    const yaml_mark_t *mark = config_where(loader, "cluster", NULL, NULL);

    if (config->cluster_name == NULL) {
        if (config->cluster_advertise != NULL) {
            config_mistake(loader->report, mark,
                           "'cluster' needs a 'name' for this member");
        }
        return;
    }
    if (config->store != NULL && !config_is_database(config->store)) {
        config_mistake(loader->report, mark,
                       "'cluster' needs a 'store' in PostgreSQL, which all of "
                       "its members share");
    }
    if (config->cluster_advertise == NULL && config->socket != NULL) {
        advertise_socket(loader);
    }
}
