/* The description holds what the table of routes holds, and nothing else. */
#include "daemon/openapi.h"
#include "daemon/routes.h"
#include "proto/body.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    struct buf text;
    json_error_t error;

    buf_init(&text, 0);
    openapi_write(&text);
    *state = json_loads(buf_string(&text), JSON_REJECT_DUPLICATES, &error);
    if (*state == NULL) {
        fail_msg("not JSON: %s at %d", error.text, error.position);
    }
    buf_release(&text);
    return 0;
}

static int teardown(void **state)
{
    json_decref(*state);
    return 0;
}

static const json_t *operation(const json_t *root, const struct route *route)
{
    const json_t *path =
        json_object_get(json_object_get(root, "paths"), route->path);

    assert_non_null(path);
    return json_object_get(path,
                           strcmp(route->method, "GET") == 0 ? "get" : "post");
}

/* The description is an object by path, so a path has one method. */
static void each_path_is_described_once(void **state)
{
    size_t count;
    const struct route *routes = routes_table(&count);
    size_t i;

    assert_int_equal(json_object_size(json_object_get(*state, "paths")), count);
    for (i = 0; i < count; i++) {
        const json_t *found = operation(*state, &routes[i]);

        assert_non_null(found);
        assert_string_equal(
            json_string_value(json_object_get(found, "summary")),
            routes[i].summary);
    }
}

static void each_field_of_a_body_is_described(void **state)
{
    size_t count;
    const struct route *routes = routes_table(&count);
    size_t i;
    size_t j;

    for (i = 0; i < count; i++) {
        const struct body *body = routes[i].body;
        const json_t *content = json_object_get(
            json_object_get(operation(*state, &routes[i]), "requestBody"),
            "content");
        const json_t *properties = json_object_get(
            json_object_get(json_object_get(content, "application/json"),
                            "schema"),
            "properties");

        assert_int_equal(content != NULL, body != NULL);
        for (j = 0; body != NULL && j < body->count; j++) {
            assert_non_null(json_object_get(properties, body->fields[j].name));
        }
        assert_int_equal(json_object_size(properties),
                         body == NULL ? 0 : body->count);
    }
}

static void each_brace_of_a_path_is_a_parameter(void **state)
{
    size_t count;
    const struct route *routes = routes_table(&count);
    size_t i;

    for (i = 0; i < count; i++) {
        const char *open = strchr(routes[i].path, '{');
        size_t wanted = (open != NULL) + (routes[i].query != NULL);
        const json_t *parameters =
            json_object_get(operation(*state, &routes[i]), "parameters");

        assert_int_equal(json_array_size(parameters), wanted);
        if (open != NULL) {
            const char *name = json_string_value(
                json_object_get(json_array_get(parameters, 0), "name"));

            assert_memory_equal(name, open + 1, strlen(name));
            assert_string_equal(open + 1 + strlen(name), "}");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_is_described_once),
        cmocka_unit_test(each_field_of_a_body_is_described),
        cmocka_unit_test(each_brace_of_a_path_is_a_parameter),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
