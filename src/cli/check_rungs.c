/* check_rungs.c - which rungs of the ladder work here, for each service. */
#include "cli/check.h"
#include "cli/check_owner.h"
#include "control/rung.h"
#include "core/ladder.h"
#include "daemon/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the checkpoint rung needs is asked once: it starts a process. */
struct machine {
    bool can_move;
    const char *why; /* Not, or what to know. */
};

/* ---- One rung --------------------------------------------------------- */

/* Say whether the program of a command can be run. */
static bool is_program(const char *name)
{
    const char *path = getenv("PATH");
    char file[PROC_PATH_SIZE];
    size_t size;

    if (strchr(name, '/') != NULL) {
        return access(name, X_OK) == 0;
    }
    for (; path != NULL && *path != '\0'; path += size) {
        path += *path == ':' ? 1 : 0;
        size = strcspn(path, ":");
        (void)snprintf(file, sizeof file, "%.*s/%s", (int)size, path, name);
        if (size > 0 && access(file, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static bool can_restart(const struct config_service *service, struct buf *why)
{
    if (service->restart[0] == NULL) {
        buf_text(why, "no 'restart' is configured");
        return false;
    }
    if (!is_program(service->restart[0])) {
        buf_printf(why, "there is no program '%s'", service->restart[0]);
        return false;
    }
    return true;
}

/* Say whether @rung works for @service, whose processes are @target (NULL =
 * none runs), and why not, or what to know. */
static bool works(const struct config_service *service,
                  enum rung rung,
                  const struct tree_target *target,
                  const struct machine *machine,
                  struct buf *why)
{
    static const struct rung_config config = {.state_dir = "/"};

    switch (rung) {
    case RUNG_ASK:
        if (service->signals.pause == 0) {
            buf_text(why, "for holders that read their control stream, or "
                          "renew");
        }
        return true;
    case RUNG_UNLOAD:
        buf_text(why, "for holders that read their control stream");
        return true;
    case RUNG_FREEZE:
        return rung_available(&config, RUNG_DO_FREEZE, target, why);
    case RUNG_CHECKPOINT:
        buf_text(why, machine->why);
        return machine->can_move;
    case RUNG_TERM:
        return rung_available(&config, RUNG_DO_TERM, target, why);
    case RUNG_KILL:
        return rung_available(&config, RUNG_DO_KILL, target, why);
    case RUNG_RESTART:
        return can_restart(service, why);
    case RUNG_NONE:
    case RUNGS:
        break;
    }
    return false;
}

/* ---- A service -------------------------------------------------------- */

static bool has_rung(const struct config_service *service, enum rung rung)
{
    uint32_t i;

    for (i = 0; i < service->ladder.count; i++) {
        if (service->ladder.steps[i].rung == rung) {
            return true;
        }
    }
    return service->ladder.count == 0 && rung == RUNG_ASK;
}

static json_t *describe(struct check *check,
                        const struct config_service *service,
                        const struct machine *machine)
{
    struct tree_target *target = calloc(1, sizeof *target);
    json_t *rungs = json_array();
    size_t count = 0;
    int i;

    if (target != NULL) {
        count = check_owner_tree(check->config, service->name, target);
    }
    for (i = RUNG_NONE + 1; i < RUNGS; i++) {
        enum rung rung = (enum rung)i;
        bool is_used = has_rung(service, rung);
        struct buf why;
        bool is_fine;

        buf_init(&why, 1000);
        is_fine =
            works(service, rung, count == 0 ? NULL : target, machine, &why);
        check->problems += is_used && !is_fine ? 1 : 0;
        (void)json_array_append_new(
            rungs, json_pack("{s:s, s:b, s:b, s:o}", "rung", rung_name(rung),
                             "in_ladder", is_used, "works", is_fine, "reason",
                             check_string(buf_string(&why))));
        buf_release(&why);
    }
    free(target);
    return json_pack("{s:o, s:i, s:o}", "service_id",
                     check_string(service->name), "processes", (int)count,
                     "rungs", rungs);
}

void check_rungs(struct check *check)
{
    static const struct rung_config config = {.state_dir = "/"};
    static const struct config_service any = {.name = "*"};
    struct machine machine;
    struct buf why;
    json_t *services = json_array();
    json_t *others;
    size_t i;

    buf_init(&why, 1000);
    machine.can_move = rung_available(&config, RUNG_DO_CHECKPOINT, NULL, &why);
    machine.why = buf_string(&why);
    for (i = 0; i < check->config->service_count; i++) {
        (void)json_array_append_new(
            services, describe(check, &check->config->services[i], &machine));
    }
    (void)json_object_set_new(check->report, "services", services);
    others = describe(check, &any, &machine);
    (void)json_object_set(check->report, "rungs",
                          json_object_get(others, "rungs"));
    json_decref(others);
    buf_release(&why);
}
