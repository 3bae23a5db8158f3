#include "daemon/config_load.h"

#include <string.h>

/* The levels of the table in the order of the documentation. */
static const struct {
    const char *name;
    const char *title;
} levels[] = {
    {"", "At the top"},
    {"cluster", "cluster: this member, among coordinators of the same GPUs"},
    {"defaults", "defaults"},
    {"limits", "limits"},
    {"devices.*", "devices: one GPU, by its index or UUID"},
    {"classes.*", "classes: one class, by its name"},
    {"services.*", "services: one service, by its service_id"},
};

enum {
    LEVELS = sizeof levels / sizeof levels[0]
};

static const char units[] =
    "Times are whole numbers with `ms`, `s`, `m`, `h` or `d`, without a unit "
    "in milliseconds.\nSizes are whole numbers with `MiB`, `GiB` or `TiB`, "
    "without a unit in MiB.\n";

static const char where[] =
    "The coordinator reads one file: the one that `--config` names, else\n"
    "`$XDG_CONFIG_HOME/gpucoord/gpucoord.yaml`, else "
    "`/etc/gpucoord/gpucoord.yaml`; without any\nof them all defaults "
    "hold.\n\n"
    "`gpucoord check-config FILE` prints every mistake with its line and "
    "column. A mistake is\nrefused, never passed over: unknown keys, keys set "
    "twice, wrong units, values out of\nrange, and what only a later version "
    "supports. On SIGHUP the file is read again; with a\nmistake in it the "
    "coordinator keeps the configuration that it has. `listen`, `socket`,\n"
    "`store`, `redis`, `cluster`, `gpus`, and classes that are taken away, "
    "change at the next\nstart only.\n";

static const char fixed[] =
    "Unset fields of a request come from its service, then its class, then "
    "`defaults`. These classes\nare always there; a file can change them and "
    "add more:\n";

static const char classes[] = "classes:\n"
                              "  chatbot:       {priority: 0}\n"
                              "  voice:         {priority: 1}\n"
                              "  transcription: {priority: 2, weight: 70, "
                              "max_consecutive: 2}\n"
                              "  summarization: {priority: 2, weight: 30, "
                              "max_consecutive: 1}\n";

static const char share[] =
    "A limit of n in a row allows a share of at most n / (n + 1) while others "
    "of the same priority\nwait: with 70 and 30 and the limits 2 and 1 the "
    "transcription reaches 66.7 %, and\n`check-config` says so. The limits "
    "are kept, the share is a target.\n";

/* Append what @key accepts, its default last. */
static void print_values(const struct config_key *key, struct buf *out)
{
    if (key->type == CONFIG_LATER) {
        buf_printf(out, "only `%s` in this version", key->standard);
        return;
    }
    config_print_range(key, out);
    if (key->type == CONFIG_SHAPE || key->type == CONFIG_PROCESSES ||
        key->type == CONFIG_NODE) {
        buf_text(out, "see right");
    }
    if (strcmp(key->standard, "null") == 0) {
        buf_text(out, ", or null");
    }
}

static void
print_row(const struct config_key *key, const char *name, struct buf *out)
{
    if (key->standard == NULL) {
        buf_printf(out, "| `%s:` | | | %s: see below |\n", name, key->help);
        return;
    }
    buf_printf(out, "| `%s` | `%s` | ", name, key->standard);
    print_values(key, out);
    buf_printf(out, " | %s |\n", key->help);
}

void config_print_docs(struct buf *out)
{
    size_t level;
    size_t i;

    buf_printf(out,
               "# The configuration file\n\n"
               "<!-- Printed by `gpucoord check-config --docs`; a test "
               "compares the two. -->\n\n%s\n%s\n%s\n```yaml\n%s```\n\n%s",
               where, units, fixed, classes, share);
    for (level = 0; level < LEVELS; level++) {
        buf_printf(out,
                   "\n## %s\n\n| key | default | values | what |\n"
                   "| --- | --- | --- | --- |\n",
                   levels[level].title);
        for (i = 0; i < config_key_count; i++) {
            const char *name =
                config_key_name(&config_keys[i], levels[level].name);

            if (name != NULL && *name != '*') {
                print_row(&config_keys[i], name, out);
            }
        }
    }
}

/* ---- gpucoord.yaml(5) --------------------------------------------------- */

/* Append @text with what scdoc would take for formatting escaped. */
static void print_scdoc(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '`') {
            continue;
        }
        if (strchr("_*[]#\\", *text) != NULL) {
            buf_byte(out, '\\');
        }
        buf_byte(out, *text);
    }
}

static void
print_entry(const struct config_key *key, const char *name, struct buf *out)
{
    struct buf values;

    buf_init(&values, 0);
    buf_byte(out, '*');
    print_scdoc(out, name);
    buf_text(out, "*\n\t");
    print_scdoc(out, key->help);
    if (key->standard == NULL) {
        buf_text(out, ": see below.\n\n");
        return;
    }
    buf_text(out, ".\n\n\tDefault: ");
    print_scdoc(out, key->standard);
    if (key->type != CONFIG_SHAPE && key->type != CONFIG_PROCESSES &&
        key->type != CONFIG_NODE) {
        buf_text(out, ". Values: ");
        print_values(key, &values);
        print_scdoc(out, buf_string(&values));
    }
    buf_text(out, ".\n\n");
    buf_release(&values);
}

void config_print_man(struct buf *out)
{
    size_t level;
    size_t i;

    buf_text(out, "gpucoord.yaml(5)\n\n# NAME\n\n"
                  "gpucoord.yaml - configuration of the GPU coordinator\n\n"
                  "# DESCRIPTION\n\n");
    print_scdoc(out, where);
    buf_byte(out, '\n');
    print_scdoc(out, units);
    buf_byte(out, '\n');
    print_scdoc(out, fixed);
    buf_printf(out, "\n```\n%s```\n\n", classes);
    print_scdoc(out, share);
    for (level = 0; level < LEVELS; level++) {
        buf_text(out, "\n# ");
        buf_text(out, levels[level].title);
        buf_text(out, "\n\n");
        for (i = 0; i < config_key_count; i++) {
            const char *name =
                config_key_name(&config_keys[i], levels[level].name);

            if (name != NULL && *name != '*') {
                print_entry(&config_keys[i], name, out);
            }
        }
    }
    buf_text(out, "# SEE ALSO\n\n*gpucoord*(1)\n");
}
