/* cluster.c - `gpucoord cluster`: who leads, and who else is there. */
#include "cli/args.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/field.h"
#include "cli/human.h"
#include "cli/say.h"
#include "cli/table.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum {
    COLUMNS = 5,
    LOST_MS = 10000 /* A member that is there says so each 2 s. */
};

struct values {
    bool json;
};

static const struct args_option options[] = {
    {"json", ARGS_FLAG, offsetof(struct values, json), NULL,
     "print the answer as JSON", 0},
};

static const struct args_spec spec = {
    .usage = "cluster",
    .about = "Show the coordinators of the cluster, and which of them leads.\n",
    .options = options,
    .option_count = sizeof options / sizeof options[0],
};

/* Say in a word what @member is. */
static const char *role_of(const json_t *member)
{
    if (json_is_true(json_object_get(member, "leads"))) {
        return "leads";
    }
    return field_number(member, "seen_ms") > LOST_MS ? "gone" : "follows";
}

static void add_member(const json_t *member, struct table *table)
{
    const json_t *gpus = json_object_get(member, "gpus");
    char seen[HUMAN_SIZE];

    table_cell(table, "%s", field_text(member, "name"));
    table_cell(table, "%s", role_of(member));
    table_cell(table, "%s ago",
               human_time(field_number(member, "seen_ms"), seen));
    table_cell(table, "%zu", json_array_size(gpus));
    table_cell(table, "%s", field_text(member, "advertise"));
}

static void print_members(const json_t *members)
{
    struct table table;
    struct buf page;
    size_t i;

    table_init(&table, COLUMNS);
    table_cell(&table, "MEMBER");
    table_cell(&table, "ROLE");
    table_cell(&table, "SEEN");
    table_cell(&table, "GPUS");
    table_cell(&table, "AT");
    for (i = 0; i < json_array_size(members); i++) {
        add_member(json_array_get(members, i), &table);
    }
    buf_init(&page, 0);
    table_print(&table, &page);
    (void)printf("%s", buf_string(&page));
    buf_release(&page);
    table_release(&table);
}

static void print_page(const json_t *root)
{
    const json_t *leader = json_object_get(root, "leader");
    const char *trouble = field_text(root, "trouble");

    if (json_is_object(leader)) {
        (void)printf("%s leads, in epoch %" PRIu64 " of timeline %" PRIu64
                     "; asked: %s\n",
                     field_text(leader, "name"), field_number(root, "epoch"),
                     field_number(root, "timeline"), field_text(root, "name"));
    } else {
        (void)printf("nobody is known to lead; asked: %s\n",
                     field_text(root, "name"));
    }
    if (trouble[0] != '\0') {
        (void)printf("trouble: %s\n", trouble);
    }
    print_members(json_object_get(root, "members"));
}

int cluster_main(int argc, char **argv)
{
    struct values values = {.json = false};
    struct client_answer answer;
    json_t *root;
    int status;
    int first = args_read(&spec, &values, argc, argv);

    if (first <= 0) {
        return err_exit(first);
    }
    client_answer_init(&answer);
    status = call_make(&(struct call){.path = "/gpu/cluster",
                                      .what = "cannot see the cluster",
                                      .prints_json = values.json},
                       &answer);
    if (status == 0 && !values.json) {
        root = json_loadb(buf_string(&answer.body), answer.body.size, 0, NULL);
        print_page(root);
        json_decref(root);
    }
    client_answer_release(&answer);
    return status;
}
