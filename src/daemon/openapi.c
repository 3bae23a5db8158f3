#include "daemon/openapi.h"

#include "daemon/answer.h"
#include "daemon/members.h"
#include "daemon/routes.h"
#include "http/http.h"
#include "proto/body.h"

#include <string.h>

/* ---- Bodies ----------------------------------------------------------- */

static void write_words(const struct field *field, struct buf *out)
{
    size_t i;

    buf_text(out, "{\"type\":\"string\",\"enum\":[");
    for (i = 0; field->words[i] != NULL; i++) {
        buf_text(out, i == 0 ? "" : ",");
        buf_json(out, field->words[i]);
    }
    buf_text(out, "]}");
}

/* A device is an index or a UUID; a set of them is an array. */
static const char devices_schema[] =
    "{\"oneOf\":[{\"$ref\":\"#/components/schemas/Device\"},"
    "{\"type\":\"array\",\"items\":"
    "{\"$ref\":\"#/components/schemas/Device\"}}]}";

/* A ladder is an array of rungs, each at most once. */
static void write_rungs(struct buf *out)
{
    int rung;

    buf_text(out, "{\"type\":\"array\",\"minItems\":1,\"uniqueItems\":true,"
                  "\"items\":{\"enum\":[");
    for (rung = RUNG_NONE + 1; rung < RUNGS; rung++) {
        buf_text(out, rung == RUNG_NONE + 1 ? "" : ",");
        buf_json(out, rung_name((enum rung)rung));
    }
    buf_text(out, "]}}");
}

static void write_field(const struct field *field, struct buf *out)
{
    switch (field->type) {
    case FIELD_NUMBER:
        buf_text(out, "{\"type\":\"integer\",\"minimum\":");
        buf_u64(out, field->min);
        member_u64(out, "maximum", field->max);
        buf_byte(out, '}');
        return;
    case FIELD_BOOL:
        buf_text(out, "{\"type\":\"boolean\"}");
        return;
    case FIELD_WORD:
        write_words(field, out);
        return;
    case FIELD_NAME:
        buf_text(out, "{\"type\":\"string\","
                      "\"pattern\":\"^[A-Za-z0-9._-]{1,64}$\"}");
        return;
    case FIELD_TEXT:
        buf_text(out, "{\"type\":\"string\",\"minLength\":1,\"maxLength\":");
        buf_u64(out, field->width - 1);
        buf_byte(out, '}');
        return;
    case FIELD_DETAIL:
        buf_text(out, "{\"type\":\"string\"}");
        return;
    case FIELD_OBJECT:
        buf_text(out, "{\"type\":\"object\"}");
        return;
    case FIELD_DEVICES:
        buf_text(out, devices_schema);
        return;
    case FIELD_RUNGS:
        write_rungs(out);
        return;
    }
}

static void write_required(const struct body *body, struct buf *out)
{
    const char *comma = "";
    size_t i;

    member_name(out, "required");
    buf_byte(out, '[');
    for (i = 0; i < body->count; i++) {
        if (body->fields[i].is_required) {
            buf_text(out, comma);
            buf_json(out, body->fields[i].name);
            comma = ",";
        }
    }
    buf_byte(out, ']');
}

static void write_body(const struct body *body, struct buf *out)
{
    size_t i;

    buf_text(out, ",\"requestBody\":{\"content\":{\"application/json\":"
                  "{\"schema\":{\"type\":\"object\",\"properties\":{");
    for (i = 0; i < body->count; i++) {
        buf_text(out, i == 0 ? "" : ",");
        buf_json(out, body->fields[i].name);
        buf_byte(out, ':');
        write_field(&body->fields[i], out);
    }
    buf_byte(out, '}');
    write_required(body, out);
    buf_text(out, "}}}}");
}

/* ---- Routes ----------------------------------------------------------- */

/* Append the parameters: the braces of the path, and the query's. */
static void write_parameters(const struct route *route, struct buf *out)
{
    const char *open = strchr(route->path, '{');
    const char *comma = "";

    if (open == NULL && route->query == NULL) {
        return;
    }
    member_name(out, "parameters");
    buf_byte(out, '[');
    if (open != NULL) {
        buf_printf(out,
                   "{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,"
                   "\"schema\":{\"type\":\"string\"}}",
                   (int)strcspn(open + 1, "}"), open + 1);
        comma = ",";
    }
    if (route->query != NULL) {
        buf_text(out, comma);
        buf_printf(out,
                   "{\"name\":\"%s\",\"in\":\"query\","
                   "\"schema\":{\"type\":\"integer\",\"minimum\":0}}",
                   route->query);
    }
    buf_byte(out, ']');
}

static void write_route(const struct route *route, struct buf *out)
{
    buf_text(out, route->method[0] == 'G' ? "\"get\":{" : "\"post\":{");
    buf_text(out, "\"summary\":");
    buf_json(out, route->summary);
    write_parameters(route, out);
    if (route->body != NULL) {
        write_body(route->body, out);
    }
    buf_printf(out,
               ",\"responses\":{\"200\":{\"description\":\"done\","
               "\"content\":{\"%s\":{}}},\"default\":{\"description\":"
               "\"a problem\",\"content\":{\"application/problem+json\":"
               "{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}}",
               route->answer_type);
}

static const char components[] =
    "\"components\":{\"schemas\":{"
    "\"Device\":{\"oneOf\":[{\"type\":\"integer\",\"minimum\":0,"
    "\"maximum\":63},{\"type\":\"string\"}]},"
    "\"Problem\":{\"type\":\"object\",\"required\":[\"type\",\"title\","
    "\"status\"],\"properties\":{\"type\":{\"type\":\"string\"},"
    "\"title\":{\"type\":\"string\"},\"status\":{\"type\":\"integer\"},"
    "\"detail\":{\"type\":\"string\"},\"field\":{\"type\":\"string\"},"
    "\"retry_after_ms\":{\"type\":\"integer\"}}}}}";

void openapi_write(struct buf *out)
{
    size_t count;
    const struct route *routes = routes_table(&count);
    size_t i;

    buf_text(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":"
                  "\"GPU Coordinator\",\"version\":\"" GPUCOORD_VERSION
                  "\"},\"paths\":{");
    for (i = 0; i < count; i++) {
        /* Each path has one method: see routes_test.c. */
        buf_text(out, i == 0 ? "" : ",");
        buf_json(out, routes[i].path);
        buf_text(out, ":{");
        write_route(&routes[i], out);
        buf_byte(out, '}');
    }
    buf_text(out, "},");
    buf_text(out, components);
    buf_byte(out, '}');
}

void openapi_handle(struct daemon *daemon,
                    const struct http_request *request,
                    const char *last)
{
    struct buf *body = answer_buf(daemon);

    (void)last;
    openapi_write(body);
    (void)answer_json(daemon, request->conn, 200, body, 0);
}
