#include "daemon/parked.h"

#include "daemon/daemon.h"

int parked_add(struct daemon *daemon, struct parked *parked)
{
    int rc = idmap_reserve(&daemon->parked);

    if (rc == E_OK) {
        idmap_put(&daemon->parked, 0, parked->conn, parked);
    }
    return rc;
}

struct parked *parked_find(const struct daemon *daemon, uint64_t conn)
{
    return idmap_find(&daemon->parked, 0, conn);
}

struct parked *parked_find_kind(const struct daemon *daemon,
                                uint64_t conn,
                                enum parked_kind kind)
{
    struct parked *parked = parked_find(daemon, conn);

    return parked == NULL || parked->kind != kind ? NULL : parked;
}

void parked_remove(struct daemon *daemon, uint64_t conn)
{
    (void)idmap_remove(&daemon->parked, 0, conn);
}

void parked_closed(struct daemon *daemon, uint64_t conn)
{
    struct parked *parked = idmap_remove(&daemon->parked, 0, conn);

    if (parked != NULL) {
        parked->on_close(daemon, parked);
    }
}
