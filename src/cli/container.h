/* container.h - commands that have another process do the work.
 *
 * `docker run` and its like are clients: the program runs as a child of the
 * container's runtime, lives on when the client dies, and is the one that
 * holds the GPU.
 */
#ifndef GPUCOORD_CLI_CONTAINER_H
#define GPUCOORD_CLI_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>

enum {
    CONTAINER_WORDS_MAX = 32,
    CONTAINER_NAME_SIZE = 256 /* With its NUL. */
};

/* A command that waits for the end of a container: ["sudo", "docker", "wait",
 * NAME, NULL]. */
struct container_wait {
    char *argv[CONTAINER_WORDS_MAX];
    char name[CONTAINER_NAME_SIZE];
};

/* Say whether the command @argv starts something in a container: docker,
 * podman and nerdctl with run, start, exec, `container run` or `compose up`,
 * by whatever path, with options before the word, and behind sudo, env, nice
 * and others of their kind.  What a script does is not seen. */
bool container_is_client(char *const *argv);

/* Fill @out with the command that waits for the container @name, copied, by
 * the runtime that @argv, borrowed, calls; by docker where that is not seen. */
void container_wait_for(char *const *argv,
                        const char *name,
                        struct container_wait *out);

#endif
