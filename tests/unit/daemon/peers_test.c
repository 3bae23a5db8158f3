/* peers_test.c - who spoke for which service, by process (SO_PEERCRED). */
#include "daemon/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct peers *create(void)
{
    struct peers *peers = calloc(1, sizeof *peers);

    assert_non_null(peers);
    return peers;
}

static void a_peer_is_the_process_that_spoke(void **state)
{
    struct peers *peers = create();
    struct owner_peer list[PEERS_MAX];
    struct proc_stat self;

    (void)state;
    peers_hear(peers, getpid(), 4);
    peers_hear(peers, getpid(), 4);
    peers_hear(peers, 0, 5); /* Outside our pid namespace. */
    assert_int_equal(peers_list(peers, PROC_ROOT, list), 1);
    assert_int_equal(proc_read_stat(PROC_ROOT, getpid(), &self), E_OK);
    assert_true(proc_is_same(&list[0].id, &self.id));
    assert_int_equal(list[0].service, 4);
    free(peers);
}

static void who_speaks_for_several_services_says_nothing(void **state)
{
    struct peers *peers = create();
    struct owner_peer list[PEERS_MAX];

    (void)state;
    peers_hear(peers, getpid(), 4);
    peers_hear(peers, getpid(), 5);
    assert_int_equal(peers_list(peers, PROC_ROOT, list), 0);
    free(peers);
}

/* A client that asked and ended, as a script's does. */
static void who_has_gone_before_it_was_looked_up_is_forgotten(void **state)
{
    struct peers *peers = create();
    struct owner_peer list[PEERS_MAX];
    pid_t child = fork();

    (void)state;
    if (child == 0) {
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    peers_hear(peers, child, 4);
    assert_int_equal(peers_list(peers, PROC_ROOT, list), 0);
    assert_int_equal(peers->count, 0);
    free(peers);
}

static void of_too_many_the_longest_unheard_goes(void **state)
{
    struct peers *peers = create();
    int i;

    (void)state;
    for (i = 1; i <= PEERS_MAX; i++) {
        peers_hear(peers, 1000000 + i, 4);
    }
    peers_hear(peers, 1000001, 4);
    peers_hear(peers, 2000000, 4);
    assert_int_equal(peers->count, PEERS_MAX);
    assert_int_equal(peers->items[0].is.id.pid, 1000001);
    assert_int_equal(peers->items[1].is.id.pid, 2000000);
    free(peers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_the_process_that_spoke),
        cmocka_unit_test(who_speaks_for_several_services_says_nothing),
        cmocka_unit_test(who_has_gone_before_it_was_looked_up_is_forgotten),
        cmocka_unit_test(of_too_many_the_longest_unheard_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
