/* config_load.h - inside the configuration: the table and who walks it.
 *
 * config_load.c   bytes to a document, and the order of the steps
 * config_tree.c   the walk: unknown and doubled keys, wrong shapes
 * config_value.c  one value: numbers with units, words, texts
 * config_shape.c  the keys whose value is neither number nor word
 * config_cluster.c  the cluster's among them
 * config_gpus.c   the one among them with the most shapes
 * config_processes.c  which processes are a service's
 * config_ladder.c  ladders, commands and signals of a service
 * config_redis.c  where Redis is, and the names of its channels
 * config_item.c   classes, services, devices: maps with the user's names
 * config_check.c  what needs more than one key to be judged
 * config_keys.c   the table of keys
 */
#ifndef GPUCOORD_DAEMON_CONFIG_LOAD_H
#define GPUCOORD_DAEMON_CONFIG_LOAD_H

#include "daemon/config.h"

#include <yaml.h>

enum config_type {
    CONFIG_GROUP,     /* Fixed keys below it. */
    CONFIG_MAP,       /* Names of the user's choice below it. */
    CONFIG_NUMBER,    /* uint32_t; so are the next three. */
    CONFIG_TIME,      /* Milliseconds. */
    CONFIG_SIZE,      /* MiB. */
    CONFIG_WORD,      /* The index of one of .words. */
    CONFIG_FLAG,      /* bool: is it the second of .words? */
    CONFIG_NAME,      /* const char *: a class, checked by config_check(). */
    CONFIG_SHAPE,     /* .text and .node read it. */
    CONFIG_PROCESSES, /* Of a service: config_read_processes(). */
    CONFIG_NODE,      /* .read reads it. */
    CONFIG_LATER      /* A later version's: only the default is accepted. */
};

struct config_loader;

/* Read the scalar form of a shape into @target.  Returns false where @text is
 * not one, with the reason in @why. */
typedef bool (*config_text_reader)(struct config_loader *loader,
                                   const char *text,
                                   struct config *config,
                                   struct buf *why);

/* Read the other forms; reports its own mistakes. */
typedef void (*config_node_reader)(struct config_loader *loader,
                                   const yaml_node_t *node);

/* Read @node into the place of the key, @path for messages; reports its own
 * mistakes. */
typedef void (*config_place_reader)(struct config_loader *loader,
                                    const char *path,
                                    const yaml_node_t *node,
                                    void *place);

/* A row of the table. */
struct config_key {
    const char *path; /* "classes.*.weight": * is the user's name. */
    enum config_type type;
    size_t offset; /* Of its place in the structure of its level. */
    uint32_t min;  /* Of NUMBER, TIME, SIZE. */
    uint32_t max;
    uint32_t absent;      /* What `null` means, where that is the default. */
    const char *words;    /* Of WORD and FLAG: "off|measured". */
    const char *standard; /* The default, as in a file; NULL for groups. */
    config_text_reader text;
    config_node_reader node;  /* NULL: it has only the scalar form. */
    config_place_reader read; /* Of NODE. */
    const char *help;
};

/* The table, in the order of the documentation. */
extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* Where a key was set: by its path, "classes.chatbot.weight". */
struct config_seen {
    const char *path;
    yaml_mark_t mark;
};

struct config_loader {
    struct config *config;
    struct config_report *report;
    yaml_document_t *document;
    struct config_seen *seen;
    size_t seen_count;
    int error; /* E_NOMEM once there was no memory. */
};

/* ---- config_text.c: strings that the configuration owns ---------------- */

/* Copy @size bytes of @text to @place, or note in the loader that there is no
 * memory. */
void config_text_set(struct config_loader *loader,
                     const char **place,
                     const char *text,
                     size_t size);

/* Copy @size bytes of @text into @config; NULL where there is no memory. */
const char *
config_text_add(struct config *config, const char *text, size_t size);

/* Append a zeroed element of @size bytes to the array at *@items, which has
 * *@count of them; NULL where there is no memory. */
void *config_grow(void **items, size_t *count, size_t size);

/* ---- config_report.c --------------------------------------------------- */

/* Add a mistake at @mark (NULL = about the whole file). */
void config_mistake(struct config_report *report,
                    const yaml_mark_t *mark,
                    const char *format,
                    ...) __attribute__((format(printf, 3, 4)));

/* Add a warning likewise. */
void config_warning(struct config_report *report,
                    const yaml_mark_t *mark,
                    const char *format,
                    ...) __attribute__((format(printf, 3, 4)));

/* Bring the notes into the order of their lines. */
void config_report_sort(struct config_report *report);

/* ---- config_keys.c ----------------------------------------------------- */

/* Return the row of the key @name in the level @level ("" at the top,
 * "classes.*"); NULL where there is none. */
const struct config_key *config_key_find(const char *level, const char *name);

/* Say whether @key lies directly in @level, and return its own name; NULL
 * where it does not. */
const char *config_key_name(const struct config_key *key, const char *level);

/* Say how far apart two names are, in letters to change (Levenshtein); more
 * than 64 letters are far from everything. */
size_t config_distance(const char *a, const char *b);

/* ---- config_tree.c ----------------------------------------------------- */

/* Fill in the defaults of the keys directly in @level; shapes and names are
 * left, zero. */
void config_standards(const char *level, void *target);

/* Walk the tree from its root. */
void config_walk(struct config_loader *loader, const yaml_node_t *root);

/* Say where the key @key ("verify") was set, or the item @name of the map @key
 * ("classes"), or @below ("weight") in it; both may be NULL.  Returns NULL
 * where it was not set. */
const yaml_mark_t *config_where(const struct config_loader *loader,
                                const char *key,
                                const char *name,
                                const char *below);

/* ---- config_item.c ------------------------------------------------------ */

/* Return the structure of a class, made with its defaults where it is new;
 * NULL without memory. */
struct config_class *config_class_make(struct config_loader *loader,
                                       const char *name);

/* Return the structure that the item @name of the map @map ("classes") is read
 * into.  NULL where @name is none, which is reported at @mark, or without
 * memory. */
void *config_item_make(struct config_loader *loader,
                       const char *map,
                       const char *name,
                       const yaml_mark_t *mark);

/* ---- config_value.c ---------------------------------------------------- */

/* Say whether @node is `null` in one of its spellings. */
bool config_is_null(const yaml_node_t *node);

/* Return the text of a scalar; NULL where it is none, or has a NUL in it. */
const char *config_scalar(const yaml_node_t *node);

/* Read @text as a value of @key, one of the uint32_t types or FLAG.
 * Returns false where it is none, with the reason in @why. */
bool config_number(const struct config_key *key,
                   const char *text,
                   uint32_t *out,
                   struct buf *why);

/* Store the value of @node under @key in @target, the structure of its
 * level; @path is for messages. */
void config_value(struct config_loader *loader,
                  const struct config_key *key,
                  const char *path,
                  const yaml_node_t *node,
                  void *target);

/* Append the range of @key as people read it: "1s to 10m". */
void config_print_range(const struct config_key *key, struct buf *out);

/* ---- config_shape.c, config_gpus.c ------------------------------------- */

/* Read `listen`: "127.0.0.1:4780", "[::1]:4780", "localhost:0" or "null". */
bool config_read_listen(struct config_loader *loader,
                        const char *text,
                        struct config *config,
                        struct buf *why);

/* Read `socket`: an absolute path that fits in an address. */
bool config_read_socket(struct config_loader *loader,
                        const char *text,
                        struct config *config,
                        struct buf *why);

/* Read `store`: "sqlite:" and an absolute path. */
bool config_read_store(struct config_loader *loader,
                       const char *text,
                       struct config *config,
                       struct buf *why);

/* Read `cluster.name`: a name as that of a service. */
bool config_read_member(struct config_loader *loader,
                        const char *text,
                        struct config *config,
                        struct buf *why);

/* Read `cluster.advertise`: an address on this host. */
bool config_read_advertise(struct config_loader *loader,
                           const char *text,
                           struct config *config,
                           struct buf *why);

/* Refuse a scalar as `hosts`, which is a list. */
bool config_read_hosts(struct config_loader *loader,
                       const char *text,
                       struct config *config,
                       struct buf *why);

/* Read `hosts`, a list of names. */
void config_read_hosts_node(struct config_loader *loader,
                            const yaml_node_t *node);

/* Read `gpus`: "auto", "nvml" or "amdgpu". */
bool config_read_gpus(struct config_loader *loader,
                      const char *text,
                      struct config *config,
                      struct buf *why);

/* Read `gpus`: {simulated: [...], dir: PATH}, {declared: [...]}, {nvml: {proc:
 * PATH}} or {amdgpu: {sysfs: PATH, proc: PATH}}. */
void config_read_gpus_node(struct config_loader *loader,
                           const yaml_node_t *node);

/* ---- config_processes.c ------------------------------------------------- */

/* Read `processes` of @service: {unit: NAME, exe: [NAME, ...]} or null; @path
 * is for messages. */
void config_read_processes(struct config_loader *loader,
                           const char *path,
                           const yaml_node_t *node,
                           const struct config_service *service);

/* ---- config_ladder.c ---------------------------------------------------- */

/* Read a ladder, a struct core_ladder, as [ask, {term: 10s}]. */
void config_read_ladder(struct config_loader *loader,
                        const char *path,
                        const yaml_node_t *node,
                        void *place);

/* Read a command, CONFIG_ARGV_MAX + 1 texts, as [systemctl, restart, x]. */
void config_read_argv(struct config_loader *loader,
                      const char *path,
                      const yaml_node_t *node,
                      void *place);

/* Read a struct config_signals, as {pause: USR1, resume: USR2}. */
void config_read_signals(struct config_loader *loader,
                         const char *path,
                         const yaml_node_t *node,
                         void *place);

/* ---- config_redis.c ----------------------------------------------------- */

/* Read a struct config_redis: a URL, {url: URL, user: NAME, ...} or null. */
void config_read_redis(struct config_loader *loader,
                       const char *path,
                       const yaml_node_t *node,
                       void *place);

/* Read a struct config_channels, as {control: NAME, ack: NAME}. */
void config_read_channels(struct config_loader *loader,
                          const char *path,
                          const yaml_node_t *node,
                          void *place);

/* ---- config_ladder.c, once more ------------------------------------------ */

/* Judge the ladders once all is read, fill in their deadlines, and number
 * them. */
void config_check_ladders(struct config_loader *loader);

/* ---- config_cluster.c --------------------------------------------------- */

/* Judge `cluster`, and fill in where others reach this member. */
void config_check_cluster(struct config_loader *loader);

/* ---- config_shape.c ---------------------------------------------------- */

/* Fill in the paths that depend on who runs the coordinator, where the file
 * names none: socket, store, directory of a simulated card. */
void config_places(struct config_loader *loader);

/* ---- config_check.c ---------------------------------------------------- */

/* Judge what needs more than one key, once all of them are read. */
void config_check(struct config_loader *loader);

#endif
