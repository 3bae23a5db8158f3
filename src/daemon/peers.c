#include "daemon/peers.h"

#include <string.h>

static struct peer *find(struct peers *peers, pid_t pid)
{
    size_t i;

    for (i = 0; i < peers->count; i++) {
        if (peers->items[i].is.id.pid == pid) {
            return &peers->items[i];
        }
    }
    return NULL;
}

/* Return a place for one more, that of the one not heard for longest. */
static struct peer *place(struct peers *peers)
{
    struct peer *oldest = &peers->items[0];
    size_t i;

    if (peers->count < PEERS_MAX) {
        return &peers->items[peers->count++];
    }
    for (i = 1; i < peers->count; i++) {
        if (peers->items[i].heard < oldest->heard) {
            oldest = &peers->items[i];
        }
    }
    return oldest;
}

void peers_hear(struct peers *peers, pid_t pid, uint32_t service)
{
    struct peer *peer;

    if (pid <= 0) {
        return;
    }
    peer = find(peers, pid);
    if (peer == NULL) {
        peer = place(peers);
        *peer = (struct peer){.is = {.service = service, .id = {.pid = pid}}};
    } else if (peer->is.service != service) {
        peer->is_several = true;
    }
    peer->is_due = true;
    peer->heard = ++peers->heard;
}

/* Look up @peer; false: it has gone before anything was known of it.  Of one
 * that has gone since, the children are still its children. */
static bool look_up(struct peer *peer, const char *root)
{
    struct proc_stat stat;

    peer->is_due = false;
    if (proc_read_stat(root, peer->is.id.pid, &stat) != E_OK) {
        return peer->is_known;
    }
    if (peer->is_known && !proc_is_same(&stat.id, &peer->is.id)) {
        peer->is_several = false; /* That was somebody else. */
    }
    peer->is.id = stat.id;
    peer->is_known = true;
    return true;
}

size_t peers_list(struct peers *peers,
                  const char *root,
                  struct owner_peer out[PEERS_MAX])
{
    size_t lookups = 0;
    size_t count = 0;
    size_t i = 0;

    while (i < peers->count) {
        struct peer *peer = &peers->items[i];

        if (peer->is_due && lookups < PEERS_LOOKUPS_MAX) {
            lookups++;
            if (!look_up(peer, root)) {
                *peer = peers->items[--peers->count];
                continue;
            }
        }
        if (peer->is_known && !peer->is_several) {
            out[count++] = peer->is;
        }
        i++;
    }
    return count;
}
