/* redis_script.c - the one script that reads, sets and deletes visible keys. */
#include "daemon/daemon.h"
#include "daemon/driver.h"
#include "daemon/gpus.h"
#include "daemon/names.h"
#include "daemon/redis_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LATE_MS = 2000,  /* A key outlives its lease by this: late is safe. */
    KEY_SIZE = 128,  /* "gpu:lock:" and a UUID. */
    NUMBER_SIZE = 24 /* A number in digits. */
};

static const char *const modes[] = {
    [REDIS_SHOW] = "show",
    [REDIS_KEEP] = "keep",
    [REDIS_HIDE] = "hide",
    [REDIS_LOOK] = "look",
};

/* One script for all, so that looking and acting are one step.  It returns the
 * places of the keys that are somebody else's.  A value of ours is an object
 * with lease, token and coordinator, whichever coordinator of these GPUs set
 * it; one with a higher token is of a newer leader.
 *
 *   show  set all keys, or, where one is somebody else's, none
 *   keep  set all that are not somebody else's, for longer
 *   hide  delete those of this token
 *   look  delete those of ours that are older than this token: left behind */
static const char script[] =
    "local mode, token = ARGV[1], tonumber(ARGV[2])\n"
    "local owners, taken = {}, {}\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local value = redis.pcall('GET', key)\n"
    "  local ok, t\n"
    "  if type(value) == 'string' then ok, t = pcall(cjson.decode, value) end\n"
    "  if value == false then\n"
    "    owners[i] = 0\n"
    "  elseif ok and type(t) == 'table' and type(t.lease) == 'number' and\n"
    "      type(t.token) == 'number' and t.token >= 1 and\n"
    "      type(t.coordinator) == 'string' then\n"
    "    owners[i] = t.token\n"
    "  else\n"
    "    owners[i] = -1\n"
    "    taken[#taken + 1] = i - 1\n"
    "  end\n"
    "end\n"
    "for i, key in ipairs(KEYS) do\n"
    "  local owner = owners[i]\n"
    "  if mode == 'keep' or (mode == 'show' and #taken == 0) then\n"
    "    if owner == 0 then\n"
    "      redis.call('SET', key, ARGV[3], 'NX', 'PX', ARGV[4])\n"
    "    elseif owner > 0 and owner <= token then\n"
    "      redis.call('SET', key, ARGV[3], 'PX', ARGV[4])\n"
    "    end\n"
    "  elseif owner > 0 and ((mode == 'hide' and owner == token) or\n"
    "      (mode == 'look' and owner < token)) then\n"
    "    redis.call('DEL', key)\n"
    "  end\n"
    "end\n"
    "return taken\n";

/* A script that is not answered yet. */
struct run {
    struct redis *redis;
    struct redis_ask ask;
};

/* ---- The answer --------------------------------------------------------- */

/* Return which of @devices the places in @list stand for. */
static uint64_t taken_of(uint64_t devices, const struct redis_value *list)
{
    uint64_t taken = 0;
    struct redis_value item;
    size_t i;

    for (i = 0; i < list->count; i++) {
        uint64_t rest = devices;
        int64_t place;

        redis_value_at(list, i, &item);
        for (place = item.number; place > 0 && rest != 0; place--) {
            rest &= rest - 1;
        }
        taken |= rest & (~rest + 1);
    }
    return taken;
}

static void on_answer(void *arg, const struct redis_value *value)
{
    struct run run = *(struct run *)arg;
    struct redis *redis = run.redis;
    bool is_known = value->kind == REDIS_LIST;

    free(arg);
    if (redis->is_closing) {
        return;
    }
    redis_complain(redis, REDIS_NEED_KEYS, value);
    if (is_known) {
        redis->is_slow = false;
    }
    redis_keys_answered(redis, &run.ask, is_known,
                        is_known ? taken_of(run.ask.devices, value) : 0);
}

/* ---- The script --------------------------------------------------------- */

/* Append the value that shows @view. */
static void put_value(const struct redis *redis,
                      const struct core_lease_view *view,
                      struct buf *out)
{
    buf_printf(out, "{\"lease\":%" PRIu64 ",\"token\":%" PRIu64, view->row.id,
               view->row.token);
    buf_text(out, ",\"service_id\":");
    buf_json(out, names_service_name(redis->daemon->names, view->row.service));
    buf_text(out, ",\"coordinator\":");
    buf_json(out, redis->name);
    buf_byte(out, '}');
}

/* How long the key of @view is to stand from now on. */
static uint64_t life_ms(const struct redis *redis,
                        const struct core_lease_view *view)
{
    uint64_t now_ms = driver_now_ms(redis->daemon->driver);

    if ((view->row.flags & CORE_ROW_BY_CONNECTION) != 0 ||
        view->expires_at_ms == CORE_FOREVER) {
        return view->row.ttl_ms + LATE_MS;
    }
    return (view->expires_at_ms > now_ms ? view->expires_at_ms - now_ms : 0) +
           LATE_MS;
}

static bool send(struct redis *redis,
                 const struct redis_command *command,
                 const struct redis_ask *ask)
{
    struct run *run = malloc(sizeof(*run));

    if (run == NULL) {
        return false;
    }
    *run = (struct run){redis, *ask};
    if (redis_link_send(redis->commands, command, on_answer, run) != E_OK) {
        free(run);
        return false;
    }
    return true;
}

/* The names of keys, and the numbers of a script as text. */
struct words {
    char keys[CORE_DEVICES_MAX][KEY_SIZE];
    char count[NUMBER_SIZE];
    char token[NUMBER_SIZE];
    char life[NUMBER_SIZE];
};

/* Append the number of keys and the keys of @devices. */
static void add_keys(const struct redis *redis,
                     uint64_t devices,
                     struct words *words,
                     struct redis_command *command)
{
    uint32_t used = 0;
    uint32_t i;

    (void)snprintf(words->count, NUMBER_SIZE, "%d",
                   __builtin_popcountll(devices));
    redis_command_add(command, words->count);
    for (i = 0; i < redis->daemon->core_config.device_count; i++) {
        if ((devices >> i & 1) != 0) {
            (void)snprintf(words->keys[used], KEY_SIZE, "gpu:lock:%s",
                           gpus_uuid(redis->daemon, i));
            redis_command_add(command, words->keys[used++]);
        }
    }
}

bool redis_script_run(struct redis *redis,
                      enum redis_mode mode,
                      const struct redis_ask *ask,
                      const struct core_lease_view *view)
{
    struct redis_command command;
    struct words words;

    redis_command_init(&command, "EVAL");
    redis_command_add(&command, script);
    add_keys(redis, ask->devices, &words, &command);
    (void)snprintf(words.token, NUMBER_SIZE, "%" PRIu64, ask->token);
    (void)snprintf(words.life, NUMBER_SIZE, "%" PRIu64,
                   view == NULL ? 0 : life_ms(redis, view));
    buf_clear(&redis->text);
    if (view != NULL) {
        put_value(redis, view, &redis->text);
    }
    redis_command_add(&command, modes[mode]);
    redis_command_add(&command, words.token);
    redis_command_add(&command, buf_string(&redis->text));
    redis_command_add(&command, words.life);
    return buf_error(&redis->text) == E_OK && send(redis, &command, ask);
}
