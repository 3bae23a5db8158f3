/* load.c - clients that take and give back, as fast as one peer can serve.
 *
 *   load PEER SOCKET CLIENTS SECONDS [handover]
 *
 * One thread, one epoll.  Prints one line of JSON: how many rounds a second
 * (take and give back), and in microseconds the middle and the 99th of 100
 * of a round's time; with `handover` of the time from one client's release
 * being sent to the next client's grant being read.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "bench/peer.h"
#include "bench/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    CLIENTS_MAX = 1024,
    WARM_UP_NS = 300000000,
    NS_A_US = 1000
};

struct client {
    struct peer_client state;
    enum peer_step step;
    int fd;
    struct buf in;
    uint64_t began_ns; /* When the acquisition was sent. */
};

struct load {
    const struct peer *peer;
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    int epoll;
    struct buf out; /* Of whoever sends just now. */
    bool is_handover;
    uint64_t released_ns; /* The newest release; 0 = none. */
    uint64_t counts_from_ns;
    uint64_t ends_ns; /* No client begins a round after it. */
    uint32_t active;  /* Clients in a round. */
    uint64_t rounds;  /* Finished between the two. */
    uint32_t *samples_ns;
    size_t sample_count;
    size_t sample_capacity;
};

static void sample(struct load *load, uint64_t now_ns, uint64_t since_ns)
{
    if (now_ns < load->counts_from_ns || since_ns == 0) {
        return;
    }
    if (load->sample_count == load->sample_capacity) {
        size_t capacity = load->sample_capacity * 2 + 65536;

        load->samples_ns =
            realloc(load->samples_ns, capacity * sizeof(load->samples_ns[0]));
        load->sample_capacity = capacity;
        if (load->samples_ns == NULL) {
            wire_die("out of memory");
        }
    }
    load->samples_ns[load->sample_count++] = (uint32_t)(now_ns - since_ns);
}

static void send_step(struct load *load, struct client *client)
{
    load->peer->call(&client->state, client->step, &load->out);
    if (client->step == PEER_ACQUIRE) {
        client->began_ns = clock_mono_ns();
    } else {
        load->released_ns = clock_mono_ns();
    }
    wire_send(client->fd, &load->out);
}

/* The answer to the client's step is there: measure, and go on. */
static void finish_step(struct load *load, struct client *client)
{
    uint64_t now_ns = clock_mono_ns();

    if (client->step == PEER_ACQUIRE) {
        if (load->is_handover) {
            sample(load, now_ns, load->released_ns);
            load->released_ns = 0;
        }
        client->step = PEER_RELEASE;
    } else {
        if (!load->is_handover) {
            sample(load, now_ns, client->began_ns);
        }
        client->step = PEER_ACQUIRE;
        if (now_ns >= load->ends_ns) {
            load->active--;
            return;
        }
        load->rounds += now_ns >= load->counts_from_ns;
    }
    send_step(load, client);
}

static void read_answers(struct load *load, struct client *client)
{
    size_t size;

    wire_read(client->fd, &client->in);
    while ((size = load->peer->answer_size(client->in.data, client->in.size)) !=
           0) {
        if (!load->peer->answer(&client->state, client->step, client->in.data,
                                size)) {
            wire_die("%s answered: %s", load->peer->name, client->in.data);
        }
        buf_drop(&client->in, size);
        finish_step(load, client);
    }
}

static void open_clients(struct load *load, const char *path)
{
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (uint32_t i = 0; i < load->client_count; i++) {
        struct client *client = &load->clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

        client->state.number = i;
        client->fd = wire_connect(path);
        buf_init(&client->in, 0);
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0) {
            wire_die("cannot watch a socket");
        }
    }
}

/* Let each client finish its last round, so that nothing stays taken. */
static void run(struct load *load)
{
    struct epoll_event events[64];

    for (uint32_t i = 0; i < load->client_count; i++) {
        send_step(load, &load->clients[i]);
    }
    load->active = load->client_count;
    while (load->active > 0) {
        int ready = epoll_wait(load->epoll, events, 64, 1000);

        for (int i = 0; i < ready; i++) {
            read_answers(load, events[i].data.ptr);
        }
    }
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left;
    uint32_t b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static void print(struct load *load, double seconds)
{
    size_t count = load->sample_count;
    const uint32_t *samples = load->samples_ns;

    if (count == 0) {
        wire_die("%s did not finish a single round", load->peer->name);
    }
    qsort(load->samples_ns, count, sizeof(samples[0]), compare);
    printf("{\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
           (double)load->rounds / seconds, (double)samples[count / 2] / NS_A_US,
           (double)samples[count - 1 - count / 100] / NS_A_US);
}

int main(int argc, char **argv)
{
    static struct load load; /* Zero, and too large for a stack. */
    double seconds;

    if (argc < 5 || argc > 6) {
        wire_die("usage: load PEER SOCKET CLIENTS SECONDS [handover]");
    }
    load.peer = peer_find(argv[1]);
    load.client_count = (uint32_t)strtoul(argv[3], NULL, 10);
    seconds = strtod(argv[4], NULL);
    load.is_handover = argc == 6 && strcmp(argv[5], "handover") == 0;
    if (load.peer == NULL || load.client_count == 0 ||
        load.client_count > CLIENTS_MAX || seconds <= 0) {
        wire_die("no such peer, or not a number of clients or seconds");
    }
    buf_init(&load.out, 0);
    open_clients(&load, argv[2]);
    load.counts_from_ns = clock_mono_ns() + WARM_UP_NS;
    load.ends_ns = load.counts_from_ns + (uint64_t)(seconds * 1e9);
    run(&load);
    print(&load, seconds);
    return 0;
}
