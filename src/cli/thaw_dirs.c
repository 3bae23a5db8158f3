#include "cli/thaw_dirs.h"

#include "base/paths.h"
#include "cli/client.h"
#include "cli/endpoint.h"
#include "cli/field.h"
#include "daemon/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    ANSWER_MS = 2000 /* Who hangs is passed over: thaw is for bad days. */
};

/* Add @dir, copied, unless it is there; "" is none. */
static void add(struct thaw_dirs *dirs, const char *dir)
{
    size_t i;

    for (i = 0; i < dirs->count; i++) {
        if (strcmp(dirs->list[i], dir) == 0) {
            return;
        }
    }
    if (dir[0] != '\0' && dirs->count < THAW_DIRS_MAX) {
        dirs->list[dirs->count] = strdup(dir);
        dirs->count += dirs->list[dirs->count] != NULL ? 1 : 0;
    }
}

/* Add what the coordinator says, if one on this machine answers. */
static void add_answer(struct thaw_dirs *dirs)
{
    struct client_answer answer;
    struct client *client;
    json_t *said;

    if (endpoints_are_off() || client_open(&client) != E_OK) {
        return;
    }
    client_answer_init(&answer);
    client_call(client, "/version", NULL, ANSWER_MS, &answer);
    said = json_loadb(buf_string(&answer.body), answer.body.size, 0, NULL);
    if (answer.error == E_OK && client_is_local(client)) {
        add(dirs, field_text(said, "state_dir"));
    }
    json_decref(said);
    client_answer_release(&answer);
    client_close(client);
}

/* Add the directory of the store that the configuration names. */
static void add_configured(struct thaw_dirs *dirs)
{
    struct config_report report;
    struct config config;
    struct buf path;
    struct buf dir;

    buf_init(&path, 0);
    if (config_find_path(&path) == E_OK) {
        if (config_load(buf_string(&path), &config, &report) == E_OK) {
            buf_init(&dir, 0);
            if (config_state_dir(&config, &dir) == E_OK) {
                add(dirs, buf_string(&dir));
            }
            buf_release(&dir);
            config_release(&config);
        }
        config_report_release(&report);
    }
    buf_release(&path);
}

void thaw_dirs_find(struct thaw_dirs *out)
{
    struct buf dir;

    *out = (struct thaw_dirs){.count = 0};
    add_answer(out);
    add_configured(out);
    buf_init(&dir, 0);
    if (paths_state(&dir) == E_OK) {
        add(out, buf_string(&dir));
    }
    buf_release(&dir);
    add(out, PATHS_SYSTEM_STATE);
}

void thaw_dirs_release(struct thaw_dirs *dirs)
{
    while (dirs->count > 0) {
        dirs->count--;
        free(dirs->list[dirs->count]);
    }
}
