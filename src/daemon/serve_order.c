#include "daemon/serve_order.h"

#include "base/log.h"
#include "daemon/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Write the path of the file that is meant to @path, "" where there is none.
 * One that there was no memory to name must not count as none. */
static int find_path(const char *named, struct buf *path)
{
    int rc = E_OK;

    if (named == NULL) {
        rc = config_find_path(path);
    } else {
        buf_text(path, named);
    }
    if (rc == E_NOT_FOUND) {
        buf_clear(path);
        rc = E_OK;
    }
    return rc == E_OK ? buf_error(path) : rc;
}

/* Append what the file @path says to @out.
 *
 * Errors:
 *   E_IO     it cannot be read.
 *   E_NOMEM  no memory. */
static int read_text(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "re");
    size_t size = 1;
    int rc;

    if (file == NULL) {
        return errno == ENOMEM ? E_NOMEM : E_IO;
    }
    while (size > 0) {
        char *room = buf_room(out, BUFSIZ);

        size = room == NULL ? 0 : fread(room, 1, BUFSIZ, file);
        if (size > 0) {
            buf_grown(out, size);
        }
    }
    rc = ferror(file) != 0 ? E_IO : buf_error(out);
    (void)fclose(file);
    return rc;
}

/* Print @report to the terminal, or the journal. */
static void print_report(const struct config_report *report, const char *path)
{
    struct buf text;

    buf_init(&text, 0);
    config_report_print(report, path, &text);
    (void)fputs(buf_string(&text), stderr);
    buf_release(&text);
}

/* Load the file, or @text where that is not NULL, and say what is wrong. */
static int
load(struct serve_order *order, const struct buf *text, struct config *out)
{
    const char *path = buf_string(&order->path);
    struct config_report report;
    int rc =
        text != NULL
            ? config_load_text(buf_string(text), text->size, out, &report)
            : config_load(order->path.size == 0 ? NULL : path, out, &report);

    print_report(&report, path);
    config_report_release(&report);
    if (rc == E_OK) {
        serve_options_override(&order->options, out);
    }
    return rc;
}

int serve_order_read(struct serve_order *order, struct config **out)
{
    struct config *config = calloc(1, sizeof(*config));
    int rc = config == NULL ? E_NOMEM
                            : find_path(order->options.config, &order->path);

    rc = rc != E_OK ? rc : load(order, NULL, config);
    if (rc != E_OK) {
        free(config);
        return rc;
    }
    if (order->path.size != 0) {
        buf_clear(&order->good);
        rc = read_text(buf_string(&order->path), &order->good);
    }
    if (rc != E_OK) {
        config_release(config);
        free(config);
        return rc;
    }
    *out = config;
    return E_OK;
}

/* Load the newest that is right to @config. */
static int load_again(struct serve_order *order, struct config *config)
{
    struct buf text;
    int rc;

    buf_init(&text, 0);
    rc = order->path.size == 0 ? E_OK
                               : read_text(buf_string(&order->path), &text);
    rc = rc != E_OK ? rc : load(order, &text, config);
    if (rc == E_OK) {
        buf_release(&order->good);
        order->good = text;
        return E_OK;
    }
    buf_release(&text);
    log_error("the configuration stays as it was: %s", err_text(rc));
    return load(order, &order->good, config);
}

int serve_order_again(struct serve_order *order,
                      const struct config *first,
                      struct config **out)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_report report;
    int rc = config == NULL ? E_NOMEM : load_again(order, config);

    if (rc != E_OK) {
        free(config);
        return rc;
    }
    config_report_init(&report);
    rc = config_follow(config, first, &report);
    print_report(&report, buf_string(&order->path));
    config_report_release(&report);
    if (rc != E_OK) {
        config_release(config);
        free(config);
        return rc;
    }
    *out = config;
    return E_OK;
}

void serve_order_release(struct serve_order *order)
{
    buf_release(&order->path);
    buf_release(&order->good);
}
