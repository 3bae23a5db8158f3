/* config_redis_test.c - what `redis:` may say. */
#include "daemon/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

/* Load @text, which has no mistake. */
static void load(const char *text, struct config *out)
{
    struct config_report report;

    assert_int_equal(config_load_text(text, strlen(text), out, &report), E_OK);
    assert_int_equal(report.count, 0);
    config_report_release(&report);
}

/* B6: a Redis is named in one word, or with who we are there. */
static void a_redis_is_read_in_both_forms(void **state)
{
    struct config config;

    (void)state;
    load("redis: redis://localhost\n", &config);
    assert_string_equal(config.redis.url, "redis://localhost");
    assert_string_equal(config.redis.host, "127.0.0.1");
    assert_int_equal(config.redis.port, 6379);
    assert_null(config.redis.path);
    config_release(&config);
    load("redis: 'redis://[::1]:7000'\n", &config);
    assert_string_equal(config.redis.host, "::1");
    assert_int_equal(config.redis.port, 7000);
    config_release(&config);
    load("redis: {url: 'unix:///run/r.sock', user: gpu,\n"
         "        password_file: /etc/p, ack_channel: 'a/{service}',\n"
         "        control_channel: '{service}'}\n",
         &config);
    assert_null(config.redis.host);
    assert_string_equal(config.redis.path, "/run/r.sock");
    assert_string_equal(config.redis.user, "gpu");
    assert_string_equal(config.redis.password_file, "/etc/p");
    assert_string_equal(config.redis.ack_channel, "a/{service}");
    assert_string_equal(config.redis.control_channel, "{service}");
    config_release(&config);
}

static void a_service_may_have_channels_of_its_own(void **state)
{
    struct config config;

    (void)state;
    load("services: {a: {channels: {control: 'a:in', ack: 'a:out'}},\n"
         "           b: {channels: null}, c: {channels: {ack: x}}}\n",
         &config);
    assert_string_equal(config.services[0].channels.control, "a:in");
    assert_string_equal(config.services[0].channels.ack, "a:out");
    assert_null(config.services[1].channels.control);
    assert_null(config.services[2].channels.control);
    assert_string_equal(config.services[2].channels.ack, "x");
    config_release(&config);
}

static void a_wrong_redis_is_refused_with_what_is_right(void **state)
{
    static const char *const wrong[] = {
        "redis: localhost\n",
        "redis: rediss://127.0.0.1\n",
        "redis: redis://u:p@127.0.0.1\n",
        "redis: redis://redis.example.org\n",
        "redis: redis://127.0.0.1/3\n",
        "redis: 'redis://127.0.0.1:0'\n",
        "redis: 'redis://127.0.0.1:65536'\n",
        "redis: 'redis://[::1'\n",
        "redis: unix://relative\n",
        "redis: [redis://127.0.0.1]\n",
        "redis: {}\n",
        "redis: {user: x}\n",
        "redis: {url: redis://127.0.0.1, password: x}\n",
        "redis: {url: redis://127.0.0.1, url: redis://127.0.0.1}\n",
        "redis: {url: redis://127.0.0.1, user: [x]}\n",
        "redis: {url: redis://127.0.0.1, password_file: p}\n",
        "redis: {url: redis://127.0.0.1, ack_channel: all}\n",
        "redis: {url: redis://127.0.0.1, ack_channel: '{service}{service}'}\n",
        "redis: {url: redis://127.0.0.1, control_channel: 'a {service}'}\n",
        "services: {redis: {channels: {}}}\n",
        "services: {redis: {channels: x}}\n",
        "services: {redis: {channels: {control: 'a b'}}}\n",
        "services: {redis: {channels: {ack: ''}}}\n",
        "services: {redis: {channels: {in: x}}}\n",
    };
    struct config_report report;
    struct config config;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(
            config_load_text(wrong[i], strlen(wrong[i]), &config, &report),
            E_INVALID);
        assert_int_equal(report.error_count, 1);
        assert_non_null(strstr(report.notes[0].text, "redis"));
        config_report_release(&report);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_redis_is_read_in_both_forms),
        cmocka_unit_test(a_service_may_have_channels_of_its_own),
        cmocka_unit_test(a_wrong_redis_is_refused_with_what_is_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
