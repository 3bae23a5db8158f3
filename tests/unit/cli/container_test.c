/* Which commands have a container do the work, and how its end is awaited. */
#include "cli/container.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    WORDS = 16
};

/* Cut @line at its blanks. */
static void cut(char *line, char *argv[WORDS])
{
    size_t count = 0;

    while (*line != '\0') {
        assert_true(count < WORDS - 1);
        argv[count++] = line;
        line += strcspn(line, " ");
        if (*line == ' ') {
            *line++ = '\0';
        }
    }
    argv[count] = NULL;
}

static const char *const clients[] = {
    "docker run --gpus all image",
    "podman run image",
    "nerdctl run image",
    "/usr/bin/docker run image",
    "docker --context gpu run image",
    "docker --context=gpu run image",
    "docker -H tcp://host:2375 -D run image",
    "docker -Dc gpu run image",
    "docker -cgpu run image",
    "docker --log-level debug container run image",
    "docker container --help run image",
    "docker start -a box",
    "docker exec box nvidia-smi",
    "docker restart box",
    "docker compose run service",
    "docker compose -f a.yaml -p x up",
    "docker compose --profile gpu up -d",
    "docker-compose -f a.yaml up",
    "podman-compose up",
    "podman --root /x run image",
    "podman play kube a.yaml",
    "podman kube play a.yaml",
    "podman pod start x",
    "sudo docker run image",
    "sudo -u root -E docker run image",
    "sudo --user root docker run image",
    "sudo -- docker run image",
    "sudo A=1 docker run image",
    "doas docker run image",
    "env A=1 B=2 docker run image",
    "env -u A docker run image",
    "nice -n 10 docker run image",
    "nohup sudo nice docker run image",
    "timeout -k 5 60 docker run image",
    "taskset 0x3 docker run image",
};

static const char *const others[] = {
    "python3 train.py",
    "docker ps",
    "docker",
    "docker --context run",
    "docker build -t run .",
    "docker image run",
    "docker compose down",
    "docker compose -p up ps",
    "docker stop run",
    "podman pull run",
    "podman play",
    "sudo echo docker run",
    "echo docker run image",
    "env A=1",
    "sudo",
    "timeout 60",
    "dockerd run",
    "my-docker run image",
    "./docker.sh run",
};

static bool is_client(const char *line)
{
    char text[128];
    char *argv[WORDS];

    (void)snprintf(text, sizeof text, "%s", line);
    cut(text, argv);
    return container_is_client(argv);
}

/* C3: the death of such a command says nothing of who holds the GPU. */
static void clients_are_recognized(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        if (!is_client(clients[i])) {
            fail_msg("not recognized: %s", clients[i]);
        }
    }
}

static void other_commands_are_left_alone(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (is_client(others[i])) {
            fail_msg("taken for a client: %s", others[i]);
        }
    }
}

static void expect_wait(const char *line, const char *expected)
{
    struct container_wait wait;
    char text[128];
    char said[256] = "";
    char *argv[WORDS];
    size_t i;

    (void)snprintf(text, sizeof text, "%s", line);
    cut(text, argv);
    container_wait_for(argv, "box", &wait);
    for (i = 0; wait.argv[i] != NULL; i++) {
        (void)strncat(said, i == 0 ? "" : " ", 2);
        (void)strncat(said, wait.argv[i], 64);
    }
    assert_string_equal(said, expected);
}

/* The same runtime, host and user know the container. */
static void the_end_is_awaited_by_the_same_runtime(void **state)
{
    (void)state;
    expect_wait("docker run --name box image", "docker wait box");
    expect_wait("sudo -u x podman --root /x run image",
                "sudo -u x podman --root /x wait box");
    expect_wait("docker compose -f a.yaml up", "docker wait box");
    expect_wait("./start-the-box.sh", "docker wait box");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_are_recognized),
        cmocka_unit_test(other_commands_are_left_alone),
        cmocka_unit_test(the_end_is_awaited_by_the_same_runtime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
